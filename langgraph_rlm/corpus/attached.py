"""AttachedCorpus: a corpus over a store that somebody else has filled. It reads, and keeps nothing of its own on disk."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, Protocol

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from langgraph_rlm.corpus.corpus import Corpus, Mode, check_query
from langgraph_rlm.corpus.embeddings import describe
from langgraph_rlm.corpus.filters import Where, matches, validate
from langgraph_rlm.corpus.fusion import fuse
from langgraph_rlm.corpus.index import RESERVED_PREFIX, Found, Record, VectorIndex
from langgraph_rlm.corpus.prefilter import required_literals
from langgraph_rlm.corpus.refining import DEPTH, diversified, numbered
from langgraph_rlm.errors import DocumentMissing, InvalidInput
from langgraph_rlm.text.bm25 import BM25Index, Chunk
from langgraph_rlm.text.plan import plan_of
from langgraph_rlm.text.search import Hits, grep_documents, search_documents
from langgraph_rlm.text.store import check_span, missing_document
from langgraph_rlm.types import Hit

MOST_MIRRORED = 200_000
"""Records that are read into memory to rank them by words."""

_FUSION_DEPTH = 2


class Part(NamedTuple):
    """A piece of a document's text, as a store holds it."""

    doc_id: str
    start: int
    end: int
    text: str
    metadata: dict[str, Any]
    score: float = 0.0


class Source(Protocol):
    """A store that somebody else has filled."""

    lexical: bool
    """Whether its vectors know words only."""

    def near(self, query: str, k: int, where: Where | None) -> list[Part]:
        """The parts that are nearest to a query, best first."""
        ...

    async def anear(self, query: str, k: int, where: Where | None) -> list[Part]:
        """:meth:`near` without blocking the event loop."""
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

    def near(self, query: str, k: int, where: Where | None) -> list[Part]:
        """By the embeddings' vector of the query."""
        return self._with_texts(self._index.query(self._embeddings.embed_query(query), k, where))

    async def anear(self, query: str, k: int, where: Where | None) -> list[Part]:
        """:meth:`near`; embeds by the embeddings' own coroutine."""
        vector = await self._embeddings.aembed_query(query)
        return await asyncio.to_thread(lambda: self._with_texts(self._index.query(vector, k, where)))

    def fused(self, query: str, k: int, where: Where | None) -> list[Part] | None:
        """By the store's own hybrid ranking, where it has one."""
        if "hybrid" not in self._index.capabilities or self.lexical:
            return None
        return self._with_texts(self._index.hybrid(query, self._embeddings.embed_query(query), k, where))

    def parts(self, where: Where | None = None) -> Iterator[Part]:
        """All records."""
        return map(_part, self._index.scroll(where))

    def candidates(self, literals: Sequence[str]) -> Iterator[Part] | None:
        """By the store's own search in texts."""
        if "candidates" not in self._index.capabilities:
            return None
        return map(_part, self._index.candidates(literals))

    def parts_of(self, doc_id: str) -> list[Part]:
        """The chunks of the document."""
        found = [_part(record) for record in self._index.scroll({f"{RESERVED_PREFIX}doc_id": doc_id})]
        return found or [_part(record) for record in self._one(doc_id)]

    def size(self) -> int | None:
        """Records."""
        return self._index.count()

    def close(self) -> None:
        """Close the index."""
        self._index.close()

    def _one(self, doc_id: str) -> list[Record]:
        plain = len(doc_id) == 36 and doc_id.count("-") == 4  # what is no UUID is nobody's record
        return [one for one in self._index.get([doc_id]) if _doc_id(one) == doc_id] if plain else []

    def _with_texts(self, found: Sequence[Found]) -> list[Part]:
        records = {record.id: record for record in self._index.get([one.id for one in found])}
        return [_part(records[one.id])._replace(score=one.score) for one in found if one.id in records]


class AttachedCorpus(Corpus):
    """Searches, greps and reads what is in a source. Nothing can be added to it.

    ``bm25`` and the words of ``hybrid`` come from a word index in memory, made at their first use, where the source
    has no such ranking of its own. ``read`` joins neighbouring chunks: white space between two of them is not known, and
    stands there as blanks.

    Args:
        source: the store.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._mirror_lock = threading.Lock()
        self._mirror: tuple[BM25Index, dict[tuple[str, int, int], Part]] | None = None
        self._listed: tuple[int | None, dict[str, dict[str, Any]]] | None = None

    # --- changing it is not possible ------------------------------------------------------------------------------

    def add(self, *args: Any, **options: Any) -> Any:
        """Refused."""
        raise InvalidInput(
            "this corpus reads a store that somebody else has filled: to add documents, open it with directory=…"
        )

    def delete(self, doc_ids: Iterable[str]) -> int:
        """Refused."""
        raise InvalidInput("this corpus reads a store that somebody else has filled: delete the documents there")

    def purge(self) -> int:
        """Nothing here has an end."""
        return 0

    def forget(self) -> int:
        """Refused."""
        return self.delete([])

    # --- finding things -------------------------------------------------------------------------------------------

    def retrieve(
        self,
        query: str | Sequence[str],
        k: int = 8,
        mode: Mode = "hybrid",
        where: Where | None = None,
        *,
        neighbours: int = 0,
        diversity: float = 0.0,
    ) -> list[Hit]:
        """As in :class:`Corpus`; ``neighbours`` are not known here. A foreign store gets ``where`` as it stands."""
        queries = self._checked(query, k, mode, None, neighbours, diversity)
        wanted = k * DEPTH if diversity else k
        rankings = [ranking for one in queries for ranking in self._rankings(one, wanted, mode, where)]
        return self._hits(rankings, k, mode, diversity)

    async def aretrieve(self, query: str | Sequence[str], k: int = 8, mode: Mode = "hybrid",
                        where: Where | None = None, *, neighbours: int = 0, diversity: float = 0.0) -> list[Hit]:  # fmt: skip
        """:meth:`retrieve` without blocking the event loop."""
        if mode != "vector":
            return await asyncio.to_thread(
                lambda: self.retrieve(query, k, mode, where, neighbours=neighbours, diversity=diversity)
            )
        queries = await asyncio.to_thread(self._checked, query, k, mode, None, neighbours, diversity)
        wanted = k * DEPTH if diversity else k
        rankings = await asyncio.gather(*(self._source.anear(one, wanted, where) for one in queries))
        return self._hits(rankings, k, mode, diversity)

    def grep(
        self, pattern: str, *, where: Where | None = None, documents: Collection[str] | None = None, **options: Any
    ) -> Hits:
        """As in :class:`Corpus`. Where a match must hold certain strings, the store is asked for documents with these."""
        plan_of(pattern, bool(options.get("ignore_case")))
        literals = None if options.get("ignore_case") else required_literals(pattern)
        return grep_documents(self._texts_with(literals, where, documents), pattern, **options)

    def search(
        self, text: str, *, where: Where | None = None, documents: Collection[str] | None = None, **options: Any
    ) -> Hits:
        """As :meth:`grep`."""
        plain = isinstance(text, str) and bool(text.strip()) and not options.get("ignore_case")
        return search_documents(self._texts_with([text] if plain else None, where, documents), text, **options)

    # --- reading it -----------------------------------------------------------------------------------------------

    def list_documents(self, where: Where | None = None, *, limit: int | None = None) -> list[dict[str, Any]]:
        """As in :class:`Corpus`; the whole store is read for it, again when its size has changed."""
        if where is not None:
            validate(where)
        passing = (one for one in self._documents().values() if matches(where, one["metadata"]))
        return list(islice(passing, limit))

    def holds(self, doc_id: str, where: Where | None = None) -> bool:
        """As in :class:`Corpus`."""
        if where is not None:
            validate(where)
        parts = self._source.parts_of(doc_id) if isinstance(doc_id, str) else []
        return bool(parts) and matches(where, parts[0].metadata)

    def count(self) -> int:
        """Documents."""
        return len(self._documents())

    def chunk_count(self) -> int:
        """Records."""
        size = self._source.size()
        return sum(1 for _ in self._source.parts()) if size is None else size

    def total_chars(self) -> int:
        """Characters of all documents."""
        return sum(one["chars"] for one in self._documents().values())

    @property
    def version(self) -> str:
        """Names the content as far as the store tells: its size."""
        return f"attached:{type(self._source).__name__}:{self._source.size()}"

    @property
    def lexical(self) -> bool:
        """Whether the embeddings know words only."""
        return self._source.lexical

    def close(self) -> None:
        """Release connections."""
        with self._mirror_lock:
            if self._mirror is not None:
                self._mirror[0].close()
                self._mirror = None
        self._source.close()

    # --- inside ---------------------------------------------------------------------------------------------------

    def _checked(
        self, query: Any, k: Any, mode: Any, where: Any, neighbours: Any = 0, diversity: Any = 0.0
    ) -> list[str]:
        if neighbours:
            raise InvalidInput(
                "retrieve: this corpus reads a store that somebody else has filled: read() gives more text"
            )
        return check_query(query, k, mode, diversity)

    def _rankings(self, query: str, k: int, mode: Mode, where: Where | None) -> list[list[Part]]:
        if mode == "vector":
            return [self._source.near(query, k, where)]
        if mode == "hybrid" and (fused := self._source.fused(query, k, where)) is not None:
            return [fused]
        if mode == "bm25" or self._source.lexical:
            return [self._in_words(query, k, where)]
        near = self._source.near(query, k * _FUSION_DEPTH, where)
        try:
            return [near, self._in_words(query, k * _FUSION_DEPTH, where)]
        except InvalidInput:  # no texts to rank by words: the store's own order is all there is
            return [near[:k]]

    def _in_words(self, query: str, k: int, where: Where | None) -> list[Part]:
        words, parts = self._words_of()
        allowed = None if not where else [one["doc_id"] for one in self.list_documents(where)]
        ranked = words.search(query, k, allowed)
        return [parts[one.doc_id, one.start, one.end]._replace(score=one.score) for one in ranked]

    def _words_of(self) -> tuple[BM25Index, dict[tuple[str, int, int], Part]]:
        with self._mirror_lock:
            if self._mirror is None:
                held = {
                    (part.doc_id, part.start, part.end): part
                    for part in islice(self._source.parts(), MOST_MIRRORED + 1)
                }
                if len(held) > MOST_MIRRORED:
                    raise InvalidInput(
                        f"bm25: the store holds more than {MOST_MIRRORED:,} records, too many to rank by words in memory: "
                        'use mode="vector", or index the documents with directory=…'
                    )
                words = BM25Index()
                words.add(
                    Chunk(f"{number}", part.doc_id, "", part.start, part.end, part.text, part.doc_id)
                    for number, part in enumerate(held.values())
                )
                words.commit()
                self._mirror = words, held
            return self._mirror

    def _hits(self, rankings: Sequence[Sequence[Part]], k: int, mode: Mode, diversity: float) -> list[Hit]:
        by_place = {(one.doc_id, one.start, one.end): one for ranking in rankings for one in ranking}
        if len(rankings) == 1:
            best = [((one.doc_id, one.start, one.end), one.score) for one in rankings[0]]
        else:
            best = fuse([[(one.doc_id, one.start, one.end) for one in ranking] for ranking in rankings])
        hits = [
            Hit(
                doc_id=place[0],
                start=place[1],
                end=place[2],
                text=by_place[place].text,
                score=float(score),
                rank=0,
                line=1,
                source=mode,
                metadata=dict(by_place[place].metadata),
            )
            for place, score in best
        ]
        return numbered(diversified(hits, k, diversity))

    def _documents(self) -> dict[str, dict[str, Any]]:
        size = self._source.size()
        listed = self._listed
        if listed is None or listed[0] != size or size is None:
            found: dict[str, dict[str, Any]] = {}
            for part in self._source.parts():
                one = found.setdefault(part.doc_id, {"doc_id": part.doc_id, "chars": 0, "metadata": part.metadata})
                one["chars"] = max(one["chars"], part.end)
            self._listed = listed = (size, dict(sorted(found.items())))
        return listed[1]

    def _text(self, doc_id: str) -> str:
        parts = self._source.parts_of(doc_id) if isinstance(doc_id, str) else []
        if not parts:
            raise DocumentMissing(missing_document(doc_id, list(self._documents())))
        return joined_text(parts)

    def read(self, doc_id: str, start: int = 0, end: int | None = None) -> str:
        """The text of a document between two character offsets; what lies beyond its end is left out."""
        check_span(start, end)
        return self._text(doc_id)[start:end]

    def _texts_with(
        self, literals: Sequence[str] | None, where: Where | None, documents: Collection[str] | None
    ) -> Iterator[tuple[str, bytes]]:
        if where is not None:
            validate(where)
        if documents is not None:
            for doc_id in sorted(set(documents)):
                text = self._text(doc_id).encode()  # DocumentMissing for what is not there
                if where is None or self.holds(doc_id, where):
                    yield doc_id, text
            return
        found = self._source.candidates(literals) if literals else None
        if found is not None:
            for doc_id in sorted({part.doc_id for part in found if matches(where, part.metadata)}):
                yield doc_id, self._text(doc_id).encode()
            return
        by_document: dict[str, list[Part]] = {}
        for part in self._source.parts():
            if matches(where, part.metadata):
                by_document.setdefault(part.doc_id, []).append(part)
        for doc_id, parts in sorted(by_document.items()):
            yield doc_id, joined_text(parts).encode()


def joined_text(parts: Sequence[Part]) -> str:
    """The text of a document from its parts, each character at its place.

    Example:
        >>> joined_text([Part("a", 4, 7, "two", {}), Part("a", 0, 3, "one", {})])
        'one two'
    """
    text = ""
    for part in sorted(parts, key=lambda part: part.start):
        text = text.ljust(part.start)
        text += part.text[len(text) - part.start :]
    return text


def as_part(document: Document) -> Part:
    """A LangChain document as a document of its own."""
    text = document.page_content
    doc_id = document.id or document.metadata.get("id")
    if not isinstance(doc_id, str) or not doc_id:
        digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]
        doc_id = f"{document.metadata.get('source', 'document')}#{digest}"
    return Part(doc_id, 0, len(text), text, dict(document.metadata))


def _doc_id(record: Record) -> str:
    return str(record.metadata.get(f"{RESERVED_PREFIX}doc_id", record.id))


def _part(record: Record) -> Part:
    own = {key: value for key, value in record.metadata.items() if not key.startswith(RESERVED_PREFIX)}
    start = int(record.metadata.get(f"{RESERVED_PREFIX}start", 0))
    end = int(record.metadata.get(f"{RESERVED_PREFIX}end", len(record.text)))
    return Part(_doc_id(record), start, end, record.text, own)
