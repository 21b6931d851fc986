"""Public questions with known evidence, read from a folder beside the repository, and what is measured on them.

The folder is ``../shared/data``, or what ``LANGGRAPH_RLM_DATA`` names. Its README tells where the data comes from.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from langchain_core.documents import Document

DATA = "LANGGRAPH_RLM_DATA"

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


def recall(found: Sequence[Span], gold: Sequence[Span]) -> float:
    """The share of the gold documents that were found.

    Example:
        >>> recall([("a", 0, 9), ("c", 0, 9)], [("a", 0, 9), ("b", 0, 9)])
        0.5
    """
    wanted = {doc_id for doc_id, _, _ in gold}
    return len(wanted & {doc_id for doc_id, _, _ in found}) / len(wanted)


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
        FileNotFoundError: its files are not there.
    """
    return SETS[name](folder())


def xquad(data: Path) -> QuestionSet:
    """240 paragraphs, questions that one of them answers."""
    paragraphs = [paragraph for part in _json(data / "xquad/xquad.en.json")["data"] for paragraph in part["paragraphs"]]
    passages = [paragraph["context"] for paragraph in paragraphs]
    questions = [
        (asked["question"], [number]) for number, paragraph in enumerate(paragraphs) for asked in paragraph["qas"]
    ]
    return _of_passages("xquad", passages, questions, (Metric("R@5", 5, recall, 98.8),))


def chunking(data: Path) -> QuestionSet:
    """Five long texts; the evidence are sentences of one of them, by exact place."""
    with (data / "chunking/questions_df.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
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
    passages = _json(data / "2wiki/corpus_6119.json")
    numbers = {passage["title"]: number for number, passage in enumerate(passages)}
    questions = [
        (asked["question"], [numbers[title] for title in asked["ground_truth"]])
        for asked in _json(data / "2wiki/questions_101_with_gold_titles.json")
    ]
    metrics = (
        Metric("R@5", 5, recall, 66.6),
        Metric("R@20", 20, recall, 71.0),
        Metric("all@5", 5, all_found, 33.7),
        Metric("all@8", 8, all_found),
    )
    return _of_passages("2wiki", [_titled(**passage) for passage in passages], questions, metrics)


def musique(data: Path) -> QuestionSet:
    """Wikipedia passages; each question needs two to four of them."""
    passages = [_titled(**passage) for passage in _json(data / "musique_hotpot/musique_corpus_1890.json")]
    numbers = {passage: number for number, passage in enumerate(passages)}
    questions = [
        (
            asked["question"],
            [
                numbers[_titled(one["title"], one["paragraph_text"])]
                for one in asked["paragraphs"]
                if one["is_supporting"]
            ],
        )
        for asked in _json(data / "musique_hotpot/musique_100.json")
    ]
    metrics = (
        Metric("R@5", 5, recall, 50.2),
        Metric("R@20", 20, recall, 71.8),
        Metric("all@5", 5, all_found, 15.0),
        Metric("all@8", 8, all_found),
    )
    return _of_passages("musique_100", passages, questions, metrics)


def hotpot(data: Path) -> QuestionSet:
    """Wikipedia passages; each question needs two of them."""
    passages = _json(data / "musique_hotpot/hotpotqa_corpus_994.json")
    numbers = {title: number for number, title in enumerate(passages)}
    questions = [
        (asked["question"], [numbers[title] for title, _ in asked["supporting_facts"]])
        for asked in _json(data / "musique_hotpot/hotpotqa_100.json")
    ]
    metrics = (
        Metric("R@5", 5, recall, 77.5),
        Metric("R@10", 10, recall, 90.5),
        Metric("all@5", 5, all_found, 57.0),
        Metric("all@8", 8, all_found),
    )
    texts = [_titled(title, "".join(sentences)) for title, sentences in passages.items()]
    return _of_passages("hotpot_100", texts, questions, metrics)


SETS: dict[str, Callable[[Path], QuestionSet]] = {
    "xquad": xquad,
    "chunking": chunking,
    "2wiki": two_wiki,
    "musique_100": musique,
    "hotpot_100": hotpot,
}


def _of_passages(
    name: str, passages: list[str], questions: Sequence[tuple[str, Sequence[int]]], metrics: tuple[Metric, ...]
) -> QuestionSet:
    """Each passage is one chunk, as those count who publish figures of these sets."""
    documents = [Document(passage, id=f"p{number}") for number, passage in enumerate(passages)]
    asked = [
        Question(text, tuple((f"p{number}", 0, len(passages[number])) for number in gold)) for text, gold in questions
    ]
    return QuestionSet(name, documents, asked, metrics, max(map(len, passages)), chunk_overlap=0)


def _titled(title: str, text: str) -> str:
    return f"{title}\n{text}"


def _json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))
