"""Questions that a router is measured on: with labels, and with evidence that classic RAG finds or does not find."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, cast

from _questions import SETS, QuestionSet, Span, characters, recall, table
from langchain_core.documents import Document

from langgraph_rlm.corpus.ingest.chunking import chunk_text
from langgraph_rlm.evaluation.rows import text_of
from langgraph_rlm.types import Hit

GROUPS = {
    "wiki": ("nq_open", "xquad", "hotpot", "musique_train", "2wiki_101"),
    "fanout": ("fanout_sub", "fanout_top"),
    "sec10q": ("sec10q",),
    "tatqa": ("tatqa_dev",),
}
"""Data sets that are left out together: each group has simple and complex questions."""
PIECES = 100_000
"""Characters of the largest page or table: each is one chunk."""
ENOUGH = 0.999
_NUMBER = re.compile(r"(?<![\w.,])\$?\d[\d,]*(?:\.\d+)?")
_YEAR = re.compile(r"(?:19|20)\d\d")


class Labelled(NamedTuple):
    """A question and whether the set that it comes from is one of complex questions: a proxy for the route it needs."""

    text: str
    complex: bool
    group: str


class Case(NamedTuple):
    """A question and whether given hits hold all of its evidence."""

    text: str
    complete: Callable[[Sequence[Hit]], bool]


class EvidenceSet(NamedTuple):
    """Questions on one corpus."""

    name: str
    documents: list[Document]
    cases: list[Case]
    chunk_size: int
    chunk_overlap: int


def labelled(data: Path) -> list[Labelled]:
    """All labelled questions.

    Raises:
        DataMissing: the file is not there.
    """
    group_of = {source: group for group, sources in GROUPS.items() for source in sources}
    rows = map(json.loads, text_of(data / "router/router_dev.jsonl").splitlines())
    return [Labelled(row["query"], row["label"] == "complex", group_of[row["source"]]) for row in rows]


def evidence_sets(data: Path) -> dict[str, Callable[[], EvidenceSet]]:
    """Loaders by name; each raises FileNotFoundError where its files are not there."""
    loaders: dict[str, Callable[[], EvidenceSet]] = {
        name: lambda name=name: _of_spans(SETS[name](data))  # type: ignore[misc]
        for name in SETS
    }
    return loaders | {"tatqa": lambda: _tatqa(data), "sec10q": lambda: _sec10q(data)}


def together(sets: Sequence[EvidenceSet]) -> EvidenceSet:
    """All sets on one corpus of their chunks, so that each has the documents of the others to be mistaken for its own."""
    documents = [
        Document(text[start:end], id=f"{one.name}\t{document.id}\t{start}")
        for one in sets
        for document in one.documents
        for text in (document.page_content,)
        for start, end in chunk_text(text, size=one.chunk_size, overlap=one.chunk_overlap)
    ]
    cases = [Case(case.text, _among(one.name, case.complete)) for one in sets for case in one.cases]
    return EvidenceSet("all in one", documents, cases, PIECES, 0)


def _among(name: str, complete: Callable[[Sequence[Hit]], bool]) -> Callable[[Sequence[Hit]], bool]:
    """The same on the hits that are of this set, as its own corpus would give them."""

    def of_all(hits: Sequence[Hit]) -> bool:
        own: list[Hit] = []
        for hit in hits:
            from_set, doc_id, start = hit["doc_id"].split("\t")
            if from_set == name:
                place = {"doc_id": doc_id, "start": int(start), "end": int(start) + len(hit["text"])}
                own.append(cast(Hit, {**hit, **place}))
        return complete(own)

    return of_all


def _of_spans(questions: QuestionSet) -> EvidenceSet:
    measure = characters if questions.name == "chunking" else recall
    cases = [Case(one.text, _holds(one.gold, measure)) for one in questions.questions]
    return EvidenceSet(questions.name, questions.documents, cases, questions.chunk_size, questions.chunk_overlap)


def _holds(
    gold: Sequence[Span], measure: Callable[[Sequence[Span], Sequence[Span]], float]
) -> Callable[[Sequence[Hit]], bool]:
    return lambda hits: measure([(hit["doc_id"], hit["start"], hit["end"]) for hit in hits], gold) >= ENOUGH


def _tatqa(data: Path) -> EvidenceSet:
    """Tables with the paragraphs around them; the evidence is the one that the question was asked about."""
    documents, cases = [], []
    for number, one in enumerate(json.loads(text_of(data / "tatqa/tatqa_dataset_dev.json"))):
        lines = [" | ".join(row) for row in one["table"]["table"]] + [part["text"] for part in one["paragraphs"]]
        documents.append(Document("\n".join(lines), id=f"t{number}"))
        gold = ((f"t{number}", 0, 1),)
        cases += [Case(asked["question"], _holds(gold, recall)) for asked in one["questions"]]
    return EvidenceSet("tatqa", documents, cases, PIECES, 0)


def _sec10q(data: Path) -> EvidenceSet:
    """Pages of filings; the evidence are the numbers of the published answer. Answers without numbers are left out."""
    documents = [
        Document(page, id=f"{path.stem}, page {number}")
        for path in sorted((data / "sec10q/filings").glob("*.txt"))
        for number, page in enumerate(path.read_text("utf-8").split("\f"), 1)
        if page.strip()
    ]
    asked = [(row["Question"], _numbers(row["Answer"])) for row in table(data / "sec10q/questions.csv")]
    cases = [Case(question, _mentions(numbers)) for question, numbers in asked if numbers]
    return EvidenceSet("sec10q", documents, cases, PIECES, 0)


def _numbers(answer: str) -> set[str]:
    found = {number.strip("$").rstrip(".,") for number in _NUMBER.findall(answer)}
    return {number for number in found if len(re.sub(r"\D", "", number)) >= 3 and not _YEAR.fullmatch(number)}


def _mentions(numbers: set[str]) -> Callable[[Sequence[Hit]], bool]:
    def complete(hits: Sequence[Hit]) -> bool:
        text = "\n".join(hit["text"] for hit in hits)
        return all(number in text for number in numbers)

    return complete
