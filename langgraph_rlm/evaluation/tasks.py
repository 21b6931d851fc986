"""Tasks: questions with gold answers and evidence, and the collections of documents that they are asked about."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal, NamedTuple

Match = Literal["exact", "contains", "number", "count", "all", "set", "choice", "free"]
"""How an answer is compared with the gold ones, see :func:`langgraph_rlm.evaluation.metrics.accuracy`."""
Label = Literal["simple", "complex"]
"""Simple: one look-up answers it (``direct`` or ``rag``). Complex: it needs the recursive route."""


class Evidence(NamedTuple):
    """Where the answer stands: a document, or a span of it in characters."""

    doc_id: str
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One question.

    Args:
        id: unique in its data set.
        question: what is asked.
        collection: name of the documents it is asked about.
        answers: gold answers. Any of them is right; for ``all`` and ``set`` they are the items of one answer. Without any
            the task is not scored for accuracy.
        match: how to compare.
        tolerance: for ``number``, relative: 0.01 accepts one percent more or less.
        scale: for ``number``, what the gold number counts: ``thousand``, ``million``, ``billion``, ``percent`` or nothing.
        evidence: what a good answer cites.
        label: which kind of route it should take; None when nobody knows.
        answerable: False when the documents do not hold the answer, and saying so is right.
    """

    id: str
    question: str
    collection: str
    answers: tuple[str, ...] = ()
    match: Match = "contains"
    tolerance: float = 0.0
    scale: str = ""
    evidence: tuple[Evidence, ...] = ()
    label: Label | None = None
    answerable: bool = True


@dataclass(frozen=True, slots=True)
class Collection:
    """Documents that tasks are asked about.

    Args:
        digest: of their ids and texts, hexadecimal.
        documents: gives ``(id, text)`` of each. A function, since the documents of thousands of tasks need not be in
            memory at once.
    """

    digest: str
    documents: Callable[[], Sequence[tuple[str, str]]] = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """Tasks on collections of documents.

    Args:
        name: of the set.
        tasks: what is asked.
        collections: by name.
        chunk_size, chunk_overlap: characters; the corpus' own when None. Larger than any document where documents are
            passages already.
    """

    name: str
    tasks: tuple[Task, ...]
    collections: dict[str, Collection]
    chunk_size: int | None = None
    chunk_overlap: int | None = None

    def digest(self) -> str:
        """Of everything that a result depends on; the order of the tasks does not matter."""
        parts = [json.dumps(asdict(task), sort_keys=True) for task in sorted(self.tasks, key=lambda task: task.id)]
        parts += [f"{name}:{found.digest}" for name, found in sorted(self.collections.items())]
        return digest_of([*parts, str((self.chunk_size, self.chunk_overlap))])

    def first(self, limit: int | None) -> list[Task]:
        """``limit`` tasks, or all: a fixed sample that has nothing to do with their order, and a larger one holds it."""
        ordered = sorted(self.tasks, key=lambda task: (digest_of([task.id]), task.id))
        return ordered if limit is None else ordered[:limit]


def digest_of(parts: Iterable[str]) -> str:
    """SHA-256 of texts, each with its length before it; hexadecimal."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()


def kept(documents: Sequence[tuple[str, str]]) -> Collection:
    """A collection whose documents stay in memory.

    Example:
        >>> kept([("a.txt", "Hello.")]).documents()
        (('a.txt', 'Hello.'),)
    """
    held = tuple(documents)
    return Collection(digest_of(part for document in held for part in document), lambda: held)
