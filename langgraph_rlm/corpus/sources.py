"""Stores that somebody else has filled, as documents in parts: what an attached corpus reads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from langgraph_rlm.corpus.embeddings import aembed_query, checked_vectors, describe, model_of
from langgraph_rlm.corpus.filters import Where, is_text
from langgraph_rlm.corpus.index import RESERVED_PREFIX, Found, Record, VectorIndex
from langgraph_rlm.corpus.plain import flat_or_shown
from langgraph_rlm.text.document_ids import document_id
from langgraph_rlm.threads import in_thread


class Part(NamedTuple):
    """A piece of a document's text, as a store holds it."""

    doc_id: str
    start: int
    end: int
    text: str
    metadata: dict[str, Any]
    score: float = 0.0
    line: int = 1
    """On which it starts."""
    placed: bool = False
    """Whether its document and its place there are known, so that it is not looked for."""
    record: str = ""
    """The id that the store has for it, where ``doc_id`` is another one."""
    gap: str = " "
    """Stands between it and the part before, where that ends earlier: what was there is not known."""


class Source(Protocol):
    """A store that somebody else has filled."""

    lexical: bool
    """Whether its vectors know words only."""
    model: str | None
    """The name of the model that embeds queries; None when none does, or nobody knows."""
    lists: bool
    """Whether it gives its texts away: ``parts`` works."""

    def check(self, where: Where | None) -> None:
        """Refuse a filter with which the store cannot be searched, before anything is paid.

        Raises:
            InvalidFilter: naming the store.
        """
        ...

    def near(self, query: str, k: int, where: Where | None) -> list[Part]:
        """The parts that are nearest to a query, best first."""
        ...

    async def anear(self, query: str, k: int, where: Where | None) -> list[Part]:
        """:meth:`near` without blocking the event loop."""
        ...

    def worded(self, query: str, k: int, where: Where | None) -> list[Part] | None:
        """By words, ranked by the store itself; None when it cannot."""
        ...

    def fused(self, query: str, k: int, where: Where | None) -> list[Part] | None:
        """By words and vectors, ranked by the store itself; None when it cannot."""
        ...

    def parts(self, where: Where | None = None) -> Iterator[Part]:
        """Everything that passes a filter.

        Raises:
            InvalidInput: the store does not give its texts away; the message says what to use instead.
        """
        ...

    def records(self) -> Iterator[Part]:
        """Everything, one after the other, so that a few can be looked at."""
        ...

    def candidates(self, literals: Sequence[str]) -> Iterator[Part] | None:
        """Parts that hold one of these strings; None when the store cannot look them up."""
        ...

    def parts_of(self, doc_id: str) -> list[Part]:
        """All parts of a document."""
        ...

    def size(self) -> int | None:
        """Parts in all; None when the store does not tell."""
        ...

    def close(self) -> None:
        """Release connections."""
        ...


class IndexSource:
    """A :class:`VectorIndex` as it is. Records without our reserved keys are documents of their own.

    Args:
        index: the index.
        embeddings: the ones that it was made with.
    """

    def __init__(self, index: VectorIndex, embeddings: Embeddings) -> None:
        self._index = index
        self._embeddings = embeddings
        self.lexical = describe(embeddings)[1]
        self.model: str | None = model_of(embeddings)
        self.lists = True

    def check(self, where: Where | None) -> None:
        """What the store cannot express, it says itself."""

    def near(self, query: str, k: int, where: Where | None) -> list[Part]:
        """By the embeddings' vector of the query."""
        return self._with_texts(self._index.query(self._checked(self._embeddings.embed_query(query), query), k, where))

    async def anear(self, query: str, k: int, where: Where | None) -> list[Part]:
        """:meth:`near`; embeds by the embeddings' own coroutine, if they have one."""
        vector = self._checked(await aembed_query(self._embeddings, query), query)
        return await in_thread(lambda: self._with_texts(self._index.query(vector, k, where)))

    def worded(self, query: str, k: int, where: Where | None) -> list[Part] | None:
        """By the store's own BM25, where it has one."""
        if "bm25" not in self._index.capabilities:
            return None
        return self._with_texts(self._index.bm25(query, k, where))

    def fused(self, query: str, k: int, where: Where | None) -> list[Part] | None:
        """By the store's own hybrid ranking, where it has one."""
        if "hybrid" not in self._index.capabilities or self.lexical:
            return None
        vector = self._checked(self._embeddings.embed_query(query), query)
        return self._with_texts(self._index.hybrid(query, vector, k, where))

    def parts(self, where: Where | None = None) -> Iterator[Part]:
        """All records."""
        return map(_part, self._index.scroll(where))

    def records(self) -> Iterator[Part]:
        """All records."""
        return self.parts()

    def candidates(self, literals: Sequence[str]) -> Iterator[Part] | None:
        """By the store's own search in texts."""
        if "candidates" not in self._index.capabilities:
            return None
        return map(_part, self._index.candidates(literals))

    def parts_of(self, doc_id: str) -> list[Part]:
        """The chunks of the document."""
        if not is_text(doc_id):
            return []
        found = [_part(record) for record in self._index.scroll({f"{RESERVED_PREFIX}doc_id": doc_id})]
        return found or [_part(record) for record in self._one(doc_id)]

    def size(self) -> int | None:
        """Records."""
        return self._index.count()

    def close(self) -> None:
        """Close the index."""
        self._index.close()

    def _checked(self, vector: Any, query: str) -> list[float]:
        return checked_vectors([vector], [query], self._embeddings)[0]

    def _one(self, doc_id: str) -> list[Record]:
        plain = len(doc_id) == 36 and doc_id.count("-") == 4  # what is no UUID is nobody's record
        return [one for one in self._index.get([doc_id]) if _doc_id(one) == doc_id] if plain else []

    def _with_texts(self, found: Sequence[Found]) -> list[Part]:
        records = {record.id: record for record in self._index.get([one.id for one in found])}
        return [_part(records[one.id])._replace(score=one.score) for one in found if one.id in records]


def joined_text(parts: Sequence[Part]) -> str:
    """The text of a document from its parts, each character at its place.

    Example:
        >>> joined_text([Part("a", 4, 7, "two", {}), Part("a", 0, 3, "one", {})])
        'one two'
    """
    text = ""
    for part in sorted(parts, key=lambda part: part.start):
        text += part.gap * (part.start - len(text))
        text += part.text[len(text) - part.start :]
    return text


def as_part(document: Document) -> Part:
    """A LangChain document as a document of its own."""
    text = document.page_content
    doc_id = document.id or document.metadata.get("id")
    if not isinstance(doc_id, str) or not doc_id:
        doc_id = f"{document_id(document) or 'document'}#{digest_of(text)}"
    return Part(doc_id, 0, len(text), text, flat_or_shown(document.metadata))


def digest_of(text: str) -> str:
    """A few characters that tell a text from others."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]


def _doc_id(record: Record) -> str:
    return str(record.metadata.get(f"{RESERVED_PREFIX}doc_id", record.id))


def _part(record: Record) -> Part:
    own = {key: value for key, value in record.metadata.items() if not key.startswith(RESERVED_PREFIX)}
    start = int(record.metadata.get(f"{RESERVED_PREFIX}start", 0))
    end = int(record.metadata.get(f"{RESERVED_PREFIX}end", len(record.text)))
    return Part(_doc_id(record), start, end, record.text, own, placed=f"{RESERVED_PREFIX}doc_id" in record.metadata)
