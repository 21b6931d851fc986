"""Public questions with known evidence, read from a folder beside the repository, and what is measured on them.

The folder is ``../shared/data``, or what ``LANGGRAPH_RLM_DATA`` names. Its README tells where the data comes from.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

from langchain_core.documents import Document

from langgraph_rlm.corpus.ingest.chunking import CHUNK_OVERLAP, CHUNK_SIZE
from langgraph_rlm.errors import DataMissing
from langgraph_rlm.evaluation import DataSet
from langgraph_rlm.evaluation.datasets import DOCUMENTS, load_2wiki, load_hotpot, load_musique, load_xquad
from langgraph_rlm.evaluation.rows import text_of

DATA = "LANGGRAPH_RLM_DATA"
FLASK = "LANGGRAPH_RLM_FLASK"
"""Names the folder with the source of Flask."""

Span = tuple[str, int, int]
"""Document id, start, end."""


class Metric(NamedTuple):
    """What is measured of the first ``k`` hits of a question, 0 to 1."""

    name: str
    k: int
    measure: Callable[[Sequence[Span], Sequence[Span]], float]
    """Takes the spans that were found, and those of the evidence."""
    baseline: float | None = None
    """The mean that plain BM25 reached on the same questions, in percent, as the data's README says."""


class Question(NamedTuple):
    """A question and where its evidence stands."""

    text: str
    gold: tuple[Span, ...]


@dataclass(frozen=True)
class QuestionSet:
    """Questions on one corpus.

    Args:
        name: of the set.
        documents: the corpus.
        questions: with gold spans.
        metrics: what is measured.
        chunk_size: characters; larger than any document where documents are passages already.
        chunk_overlap: characters.
    """

    name: str
    documents: list[Document]
    questions: list[Question]
    metrics: tuple[Metric, ...]
    chunk_size: int
    chunk_overlap: int


def table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file.

    Raises:
        DataMissing: it is not there.
    """
    return list(csv.DictReader(io.StringIO(text_of(path), newline="")))


def recall(found: Sequence[Span], gold: Sequence[Span]) -> float:
    """The share of the gold documents that were found.

    Example:
        >>> recall([("a", 0, 9), ("c", 0, 9)], [("a", 0, 9), ("b", 0, 9)])
        0.5
    """
    wanted = {doc_id for doc_id, _, _ in gold}
    return len(wanted & {doc_id for doc_id, _, _ in found}) / len(wanted)


def any_found(found: Sequence[Span], gold: Sequence[Span]) -> float:
    """1 when any of the gold documents was found."""
    return float(recall(found, gold) > 0)


def all_found(found: Sequence[Span], gold: Sequence[Span]) -> float:
    """1 when all gold documents were found, else 0."""
    return float(recall(found, gold) == 1)


def characters(found: Sequence[Span], gold: Sequence[Span]) -> float:
    """The share of the gold characters that lie in what was found; each character counts once.

    Example:
        >>> characters([("a", 0, 6), ("a", 4, 8)], [("a", 5, 15)])
        0.3
    """
    wanted = _places(gold)
    return len(wanted & _places(found)) / len(wanted)


def _places(spans: Sequence[Span]) -> set[tuple[str, int]]:
    return {(doc_id, at) for doc_id, start, end in spans for at in range(start, end)}


def folder() -> Path:
    """Where the data is looked for."""
    return Path(os.environ.get(DATA) or Path(__file__).parents[2] / "shared" / "data")


def load(name: str) -> QuestionSet:
    """One of ``SETS``.

    Raises:
        DataMissing: its files are not there.
    """
    return SETS[name](folder())


def xquad(data: Path) -> QuestionSet:
    """240 paragraphs, questions that one of them answers."""
    return _of_passages("xquad", load_xquad(data / "xquad"), (Metric("R@5", 5, recall, 98.8),))


def chunking(data: Path) -> QuestionSet:
    """Five long texts; the evidence are sentences of one of them, by exact place."""
    rows = table(data / "chunking/questions_df.csv")
    texts = {path.stem: path.read_bytes().decode() for path in sorted((data / "chunking").glob("*.md"))}
    questions = [
        Question(
            row["question"],
            tuple((row["corpus_id"], one["start_index"], one["end_index"]) for one in json.loads(row["references"])),
        )
        for row in rows
    ]
    metrics = (Metric("characters@5", 5, characters, 86.4), Metric("characters@10", 10, characters, 92.9))
    documents = [Document(text, id=name) for name, text in texts.items()]
    return QuestionSet("chunking", documents, questions, metrics, chunk_size=800, chunk_overlap=200)


def two_wiki(data: Path) -> QuestionSet:
    """Wikipedia passages; each question needs two or four of them."""
    metrics = (
        Metric("R@5", 5, recall, 66.6),
        Metric("R@20", 20, recall, 71.0),
        Metric("all@5", 5, all_found, 33.7),
        Metric("all@8", 8, all_found),
    )
    return _of_passages("2wiki", load_2wiki(data / "2wiki"), metrics)


def musique(data: Path) -> QuestionSet:
    """Wikipedia passages; each question needs two to four of them."""
    metrics = (
        Metric("R@5", 5, recall, 50.2),
        Metric("R@20", 20, recall, 71.8),
        Metric("all@5", 5, all_found, 15.0),
        Metric("all@8", 8, all_found),
    )
    return _of_passages("musique_100", load_musique(data / "musique_hotpot"), metrics)


def hotpot(data: Path) -> QuestionSet:
    """Wikipedia passages; each question needs two of them."""
    metrics = (
        Metric("R@5", 5, recall, 77.5),
        Metric("R@10", 10, recall, 90.5),
        Metric("all@5", 5, all_found, 57.0),
        Metric("all@8", 8, all_found),
    )
    return _of_passages("hotpot_100", load_hotpot(data / "musique_hotpot"), metrics)


def sec10q(kind: str, baseline: float, chunk_size: int) -> Callable[[Path], QuestionSet]:
    """Quarterly reports of three companies. The evidence are the numbers of the answer, wherever the reports that it was
    made from print them.

    Args:
        kind: of questions: ``Single-Chunk``, ``Multi-Chunk`` or ``Multi-Doc``.
        baseline: of plain BM25 over the pages of 20 reports.
        chunk_size: characters; a page has about 3,000.
    """

    def read(data: Path) -> QuestionSet:
        texts = {path.stem: path.read_text("utf-8") for path in sorted((data / "sec10q/filings").glob("*.txt"))}
        rows = [row for row in table(data / "sec10q/questions.csv") if kind in row["Question Type"]]
        numbers: dict[Span, str] = {}
        questions = []
        for row in rows:
            places = _numbers(row["Answer"], {name: texts[name] for name in texts if fnmatch(name, row["Source Docs"])})
            numbers |= places
            if places:
                questions.append(Question(row["Question"], tuple(places)))

        def found_numbers(found: Sequence[Span], gold: Sequence[Span]) -> float:
            wanted = {numbers[place] for place in gold}
            return len({numbers[one] for one in gold if any(_within(one, other) for other in found)}) / len(wanted)

        documents = [Document(text, id=name, metadata=_filing(name)) for name, text in texts.items()]
        metrics = (Metric("numbers@20", 20, found_numbers, baseline),)
        return QuestionSet(
            f"10q {kind.lower()}{'' if chunk_size > 1000 else f' {chunk_size}'}",
            documents,
            questions,
            metrics,
            chunk_size,
            chunk_size // 4,
        )

    return read


_NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?!\w)")
_COMPANIES = {"AAPL": "Apple Inc.", "AMZN": "Amazon.com, Inc.", "INTC": "Intel Corporation"}


def _filing(name: str) -> dict[str, str]:
    """What a loader knows of a report: its period and ticker from the file's name, the company from its cover."""
    year, quarter, ticker = name.split()
    return {"company": _COMPANIES[ticker], "ticker": ticker, "quarter": f"{year} {quarter}"}


def _numbers(answer: str, texts: dict[str, str]) -> dict[Span, str]:
    """Where the numbers of an answer stand; years and numbers of one or two digits stand anywhere."""
    without_sources = re.sub(r"\(SOURCE[^)]*\)|SOURCE\(S\).*", "", answer, flags=re.DOTALL)
    found: dict[Span, str] = {}
    for number in {one.rstrip(",.") for one in _NUMBER.findall(without_sources)}:
        if sum(map(str.isdigit, number)) < 3 or re.fullmatch(r"(?:19|20)\d\d", number):
            continue
        pattern = re.compile(rf"(?<![\d.,]){re.escape(number)}(?!\d|[.,]\d)")
        found |= {(name, *match.span()): number for name, text in texts.items() for match in pattern.finditer(text)}
    return found


def _within(one: Span, other: Span) -> bool:
    return one[0] == other[0] and other[1] <= one[1] and one[2] <= other[2]


def swe_qa(data: Path) -> QuestionSet:
    """Questions on the source of Flask; the evidence are the files that the answers cite, as far as they are there.

    The questions are on a commit between releases; 3.1.3 is the nearest release.
    """
    root = Path(os.environ.get(FLASK) or data / "swe_qa/flask")
    rows = [json.loads(line) for line in text_of(data / "swe_qa/flask.jsonl").splitlines()]
    files = {
        str(path.relative_to(root)): path for kind in ("py", "rst", "md") for path in sorted(root.rglob(f"*.{kind}"))
    }
    if not files:
        raise DataMissing(
            f"the source of Flask is not in {root}: pip download flask==3.1.3 --no-deps --no-binary :all:, unpack it, and name "
            f"its folder with {FLASK}"
        )
    texts = {name: text_of(path) for name, path in files.items()}
    cited = [(row["question"], sorted(set(_FILE.findall(row["answer"])) & texts.keys())) for row in rows]
    questions = [
        Question(asked, tuple((name, 0, len(texts[name])) for name in names)) for asked, names in cited if names
    ]
    documents = [Document(text, id=name) for name, text in texts.items() if text.strip()]
    metrics = (Metric("cited files@5", 5, recall), Metric("any cited@5", 5, any_found))
    return QuestionSet("swe_qa flask", documents, questions, metrics, CHUNK_SIZE, CHUNK_OVERLAP)


_FILE = re.compile(r"\b(?:src|tests|docs|examples)/[\w/.-]+\.(?:py|rst|md)\b")


SETS: dict[str, Callable[[Path], QuestionSet]] = {
    "xquad": xquad,
    "chunking": chunking,
    "2wiki": two_wiki,
    "musique_100": musique,
    "hotpot_100": hotpot,
    "sec10q_chunk": sec10q("Single-Chunk", 48.8, 3000),
    "sec10q_chunks": sec10q("Multi-Chunk", 25.5, 3000),
    "sec10q_docs": sec10q("Multi-Doc", 30.7, 3000),
    "sec10q_docs_800": sec10q("Multi-Doc", 30.7, 800),
    "swe_qa": swe_qa,
}


def _of_passages(name: str, data: DataSet, metrics: tuple[Metric, ...]) -> QuestionSet:
    """Each passage is one chunk and evidence as a whole, as those count who publish figures of these sets."""
    passages = dict(data.collections[DOCUMENTS].documents())
    questions = [
        Question(task.question, tuple((gold.doc_id, 0, len(passages[gold.doc_id])) for gold in task.evidence))
        for task in data.tasks
    ]
    documents = [Document(text, id=doc_id) for doc_id, text in passages.items()]
    return QuestionSet(name, documents, questions, metrics, max(map(len, passages.values())), chunk_overlap=0)
