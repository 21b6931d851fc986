"""AttachedCorpus: a corpus over a store that somebody else has filled. It reads, and keeps nothing of its own on disk."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, Literal, NamedTuple

from langgraph_rlm.corpus.corpus import Corpus
from langgraph_rlm.corpus.filters import Where, passes, validate
from langgraph_rlm.corpus.finding.fusion import fuse, fusion_depth
from langgraph_rlm.corpus.finding.modes import Mode
from langgraph_rlm.corpus.finding.query import Asked, Query, check_hops, check_query, found_by, provenance
from langgraph_rlm.corpus.finding.refining import DEPTH, diversified, numbered
from langgraph_rlm.corpus.grouping import GroupedSource
from langgraph_rlm.corpus.index import open_foreign
from langgraph_rlm.corpus.ingest.given import Documents
from langgraph_rlm.corpus.ingest.reports import AddProgress, AddReport
from langgraph_rlm.corpus.layout import common
from langgraph_rlm.corpus.opening import Opening
from langgraph_rlm.corpus.planning.metadata import NoMetadata
from langgraph_rlm.corpus.sources import IndexSource, Part, Source, joined_text
from langgraph_rlm.corpus.texts import Overview, Totals, grouped
from langgraph_rlm.errors import DocumentMissing, InvalidInput, RLMError, StoreError
from langgraph_rlm.fanout import LOCAL
from langgraph_rlm.shortening import shortened
from langgraph_rlm.text.bm25 import BM25Index, Chunk
from langgraph_rlm.text.checks import missing_document
from langgraph_rlm.text.words import Words
from langgraph_rlm.threads import in_thread
from langgraph_rlm.types import Hit

MOST_READ_FOR_OVERVIEW = 1_000
"""Records, one page of most stores: beyond it sizes are estimated from them."""
MOST_METADATA_CHARS = 4_000
"""Of each value in a hit's metadata."""
MOST_MIRRORED = 200_000
"""Records that are read into memory to rank them by words."""


class _Listed(NamedTuple):
    """What a store held when it was read as a whole."""

    size: int | None
    """What the store said of itself then; None when it does not tell."""
    documents: dict[str, list[tuple[int, dict[str, Any]]]]
    """Of each document the ends of its parts and their metadata."""


class _Mirror(NamedTuple):
    """Its parts, to be ranked by words."""

    size: int | None
    words: BM25Index
    parts: list[Part]


class AttachedCorpus(Corpus):
    """Searches, greps and reads what is in a source. Nothing can be added to it.

    ``bm25`` and the words of ``hybrid`` come from a word index in memory, made at their first use, where the source
    has no such ranking of its own. ``read`` joins neighbouring chunks: white space between two of them is not known, and
    stands there as blanks.

    Args:
        source: the store.
        words: how ``bm25`` reads the texts; None for ``Words()``.
    """

    keeps_texts = False
    keeps_names = False

    def __init__(self, source: Source, words: Words | None = None) -> None:
        self._source = source
        self._read_as = words or Words()
        self._mirror_lock = threading.Lock()
        self._mirror: _Mirror | None = None
        self._listed: _Listed | None = None
        super().__init__(self._read_as, NoMetadata())

    @classmethod
    def _opened(cls, asked: Opening) -> Corpus | None:
        if asked.directory is not None and not asked.is_foreign:
            return None
        given = {name: getattr(asked, name) for name in ("ttl", "reranker", "chunk_size", "chunk_overlap")}
        if useless := next((name for name, value in given.items() if value is not None), None):
            raise InvalidInput(
                f"corpus: {useless}= is for a corpus that fills its store itself, and this one reads a store that somebody "
                "else has filled: leave it out, or give directory=…"
            )
        if asked.is_foreign:
            foreign: Corpus = open_foreign(
                asked.spec,
                directory=asked.directory,
                tenant=asked.tenant,
                words=asked.words,
                group_by=asked.group_by,
            )
            return foreign
        source = IndexSource(asked.index(), asked.embeddings)
        return cls(source if asked.group_by is None else GroupedSource(source, asked.group_by), asked.words)

    # --- changing it is not possible ------------------------------------------------------------------------------

    def add(
        self,
        documents: Documents,
        *,
        on_progress: Callable[[AddProgress], None] | None = None,
        prune: bool | Literal["source"] = False,
        ttl: float | None = None,
    ) -> AddReport:
        """Refused."""
        raise InvalidInput(
            "this corpus reads a store that somebody else has filled: to add documents, open it with directory=…"
        )

    def delete(self, doc_ids: Iterable[str] = (), *, where: Where | None = None) -> int:
        """Refused."""
        raise InvalidInput("this corpus reads a store that somebody else has filled: delete the documents there")

    def purge(self) -> int:
        """Nothing here has an end."""
        return 0

    def forget(self) -> int:
        """Refused."""
        return self.delete([])

    # --- finding things: ``neighbours`` and ``hop`` are not known here, and plans have no scopes --------------------

    def _checked(self, query: Any, k: Any, mode: Any, where: Any, neighbours: Any, diversity: Any, hops: Any) -> Query:
        if neighbours:
            raise InvalidInput(
                "retrieve: this corpus reads a store that somebody else has filled: read() gives more text"
            )
        if mode == "hop":
            raise InvalidInput(
                "retrieve: this corpus reads a store that somebody else has filled and knows no names: "
                'use mode="hybrid", or index the documents with directory=…'
            )
        texts = check_query(query, k, mode, diversity)
        check_hops(hops)
        self.check(where)
        if mode == "bm25":
            self._need_texts("bm25")
        return Query([Asked(text, where) for text in texts], k, mode, where, 0, diversity)

    def _answers(self, asked: Query) -> list[list[list[Part]]]:
        """For each text the rankings that its mode wants."""
        wanted = self._wanted(asked)

        def rankings(one: Asked) -> list[list[Part]]:
            return self._rankings(one.text, wanted, asked.mode, one.where)

        with self._named_errors():
            return LOCAL.map(rankings, asked.asked, key=repr)

    async def _aanswers(self, asked: Query) -> list[list[list[Part]]]:
        if asked.mode != "vector":
            return await in_thread(self._answers, asked)
        wanted = self._wanted(asked)
        with self._named_errors():
            found = await asyncio.gather(*(self._source.anear(one.text, wanted, one.where) for one in asked.asked))
        return [[ranking] for ranking in found]

    # --- names, which are not kept here ---------------------------------------------------------------------------

    def names(self, prefix: str = "", where: Where | None = None, *, limit: int | None = None) -> list[dict[str, Any]]:
        """None."""
        return []

    def named_in(self, question: str, where: Where | None = None) -> list[dict[str, Any]]:
        """None."""
        return []

    def links(self, doc_id: str) -> dict[str, list[dict[str, Any]]]:
        """None."""
        return {"names": [], "mentions": [], "mentioned_by": []}

    # --- reading it -----------------------------------------------------------------------------------------------

    @property
    def lists_texts(self) -> bool:
        """See :attr:`Corpus.lists_texts`."""
        return self._source.lists

    def list_documents(
        self, where: Where | None = None, *, limit: int | None = None, group: str | None = None
    ) -> list[dict[str, Any]]:
        """As in :class:`Corpus`; the whole store is read for it, again when its size has changed."""
        if where is not None:
            validate(where)
        if group is not None:
            return grouped(list(self._entries(where)), group, limit)
        return list(islice(self._entries(where), limit))

    def holds(self, doc_id: str, where: Where | None = None) -> bool:
        """As in :class:`Corpus`: whether a chunk of the document passes."""
        if where is not None:
            validate(where)
        return any(passes(where, part.doc_id, part.metadata) for part in self._parts_of(doc_id))

    def is_empty(self) -> bool:
        """See :meth:`Corpus.is_empty`; what a store says of its size is not believed when it says 0."""
        with self._named_errors():
            if not self._source.lists or self._source.size():
                return False
            return next(iter(self._source.parts()), None) is None

    def overview(self, where: Where | None = None) -> Overview:
        """See :meth:`Corpus.overview`; of a large store some records are looked at."""
        if where:
            self.check(where)
        if not self._source.lists:
            return Overview(None, None, [])
        with self._named_errors():
            size = self._source.size()
        known = self._listed is not None and self._listed.size == size
        if where or known or size is None or size <= MOST_READ_FOR_OVERVIEW:
            return super().overview(where)
        with self._named_errors():
            some = list(islice(self._source.records(), MOST_READ_FOR_OVERVIEW))
        mean = sum(len(part.text) for part in some) / max(1, len(some))
        return Overview(None, round(mean * size), [])

    def totals(self) -> Totals:
        """See :meth:`Corpus.totals`; the whole store is read for it, again when its size has changed."""
        listed = self._documents().documents.values()
        chars = sum(max(end for end, _ in parts) for parts in listed)
        return Totals(len(listed), sum(map(len, listed)), chars)

    def chunk_count(self) -> int:
        """Records, as the store counts them where it does."""
        with self._named_errors():
            size = self._source.size()
        return self.totals().chunks if size is None else size

    @property
    def version(self) -> str:
        """Names the content as far as the store tells: its size."""
        with self._named_errors():
            return f"attached:{self._name}:{self._source.size()}"

    @property
    def lexical(self) -> bool:
        """Whether the embeddings know words only."""
        return self._source.lexical

    def embeds_with(self, mode: Mode) -> str | None:
        """See :meth:`Corpus.embeds_with`."""
        return None if mode == "bm25" or (mode != "vector" and self._source.lexical) else self._source.model

    def close(self) -> None:
        """Release connections."""
        with self._mirror_lock:
            if self._mirror is not None:
                self._mirror.words.close()
                self._mirror = None
        self._source.close()

    def __repr__(self) -> str:
        return f"<AttachedCorpus over {self._name}>"  # counting may read the whole store

    @property
    def _name(self) -> str:
        return type(getattr(self._source, "inner", self._source)).__name__

    # --- inside ---------------------------------------------------------------------------------------------------

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        """A store of somebody else may raise anything; what is none of ours becomes a StoreError that tells it."""
        try:
            yield
        except RLMError:
            raise
        except Exception as error:
            raise StoreError(
                f"the store under this corpus ({self._name}) failed while it was asked: "
                f"{type(error).__name__}: {shortened(str(error))}. See whether it answers without this corpus"
            ) from error

    def check(self, where: Where | None) -> None:
        """See :meth:`Corpus.check`."""
        super().check(where)
        self._source.check(where)

    def _need_texts(self, what: str) -> None:
        if not self._source.lists:
            next(iter(self._source.parts()), None)  # says what is missing, and what to do
            raise InvalidInput(f"{what}: {self._name} does not give its texts away")

    @staticmethod
    def _wanted(asked: Query) -> int:
        """Hits of each query: more than ``k``, where they are fused or chosen among."""
        wanted = asked.k * DEPTH if asked.diversity else asked.k
        return wanted if len(asked.asked) == 1 else max(wanted, fusion_depth(asked.k))

    def _rankings(self, query: str, k: int, mode: Mode, where: Where | None) -> list[list[Part]]:
        if mode == "vector":
            return [self._source.near(query, k, where)]
        if mode == "hybrid" and (fused := self._source.fused(query, k, where)) is not None:
            return [fused]
        if mode == "bm25" or self._source.lexical:
            return [self._in_words(query, k, where)]
        near = self._source.near(query, fusion_depth(k), where)
        if not self._source.lists:  # no texts to rank by words: the store's own order is all there is
            return [near[:k]]
        try:
            return [self._in_words(query, fusion_depth(k), where), near]  # words win ties, as in Corpus
        except InvalidInput:  # too many of them
            return [near[:k]]

    def _in_words(self, query: str, k: int, where: Where | None) -> list[Part]:
        if (found := self._source.worded(query, k, where)) is not None:
            return found
        mirror = self._words_of()
        allowed = None
        if where:
            allowed = [f"{at}" for at, part in enumerate(mirror.parts) if passes(where, part.doc_id, part.metadata)]
        ranked = mirror.words.search(query, k, allowed)
        return [mirror.parts[int(one.doc_id)]._replace(score=one.score) for one in ranked]

    def _words_of(self) -> _Mirror:
        """The words of the store, each part a document of its own there, as filters are about parts."""
        with self._mirror_lock:
            size = self._source.size()
            if self._mirror is None or self._mirror.size != size:
                if size is None or size <= MOST_MIRRORED:
                    held = list(islice(self._source.parts(), MOST_MIRRORED + 1))
                if (size or 0) > MOST_MIRRORED or len(held) > MOST_MIRRORED:
                    raise InvalidInput(
                        f"bm25: the store holds more than {MOST_MIRRORED:,} records, too many to rank by words in memory: "
                        'use mode="vector", or index the documents with directory=…'
                    )
                words = BM25Index(words=self._read_as)
                words.add(
                    Chunk(f"{at}", f"{at}", "", part.start, part.end, part.text, part.doc_id)
                    for at, part in enumerate(held)
                )
                words.commit()
                if self._mirror is not None:
                    self._mirror.words.close()
                self._mirror = _Mirror(size, words, held)
            return self._mirror

    def _hits(self, asked: Query, answers: Sequence[Sequence[Sequence[Part]]]) -> list[Hit]:
        """The hits of all rankings of all queries."""
        rankings = [ranking for of_one in answers for ranking in of_one]
        numbers = [number for number, of_one in enumerate(answers) for _ in of_one]
        by_place = {place_of(one): one for ranking in rankings for one in ranking}
        ranked = [[(place_of(one), one.score) for one in ranking] for ranking in rankings]
        best = ranked[0] if len(ranked) == 1 else fuse([[place for place, _ in ranking] for ranking in ranked])
        finders = found_by(numbers, ranked)
        hits = [
            Hit(
                doc_id=place[0],
                start=place[1],
                end=place[2],
                text=by_place[place].text,
                score=float(score),
                rank=0,
                line=by_place[place].line,
                source=asked.mode,
                metadata=_bounded(by_place[place].metadata) | provenance(asked, finders[place]),
            )
            for place, score in best
        ]
        return numbered(diversified(hits, asked.k, asked.diversity))

    def _documents(self) -> _Listed:
        with self._named_errors():
            size = self._source.size()
            listed = self._listed
            if listed is None or listed.size != size or size is None:
                found: dict[str, list[tuple[int, dict[str, Any]]]] = {}
                for part in self._source.parts():
                    found.setdefault(part.doc_id, []).append((part.end, part.metadata))
                self._listed = listed = _Listed(size, dict(sorted(found.items())))
        return listed

    def _entries(self, where: Where | None) -> Iterator[dict[str, Any]]:
        for doc_id, parts in self._documents().documents.items():
            passing = [(end, metadata) for end, metadata in parts if passes(where, doc_id, metadata)]
            if passing:
                said = common([metadata for _, metadata in passing])
                yield {"doc_id": doc_id, "chars": max(end for end, _ in passing), "metadata": said}

    def _parts_of(self, doc_id: Any) -> list[Part]:
        with self._named_errors():
            return self._source.parts_of(doc_id) if isinstance(doc_id, str) else []

    def _text(self, doc_id: str, where: Where | None = None) -> str:
        parts = [part for part in self._parts_of(doc_id) if passes(where, part.doc_id, part.metadata)]
        if not parts:
            known = [one["doc_id"] for one in self._entries(where)] if self._source.lists else []
            raise DocumentMissing(missing_document(doc_id, known), doc_id=str(doc_id))
        return joined_text(parts)

    def _texts(
        self, where: Where | None, documents: Collection[str] | None, literals: Sequence[str] | None
    ) -> Iterator[tuple[str, bytes]]:
        if where is not None:
            validate(where)
        if documents is not None:
            for doc_id in sorted(set(documents)):
                self._text(doc_id)  # DocumentMissing for what is not there
                if where is None or self.holds(doc_id, where):
                    yield doc_id, self._text(doc_id, where).encode()
            return
        with self._named_errors():
            found = self._source.candidates(literals) if literals else None
        if found is not None:
            for doc_id in sorted({part.doc_id for part in found if passes(where, part.doc_id, part.metadata)}):
                yield doc_id, self._text(doc_id, where).encode()
            return
        by_document: dict[str, list[Part]] = {}
        with self._named_errors():
            for part in self._source.parts():
                if passes(where, part.doc_id, part.metadata):
                    by_document.setdefault(part.doc_id, []).append(part)
        for doc_id, parts in sorted(by_document.items()):
            yield doc_id, joined_text(parts).encode()


def _bounded(metadata: dict[str, Any]) -> dict[str, Any]:
    """For a hit, which is kept in checkpoints: a long text in the metadata of somebody else's store is cut."""
    if sum(len(value) for value in metadata.values() if isinstance(value, str | list)) <= MOST_METADATA_CHARS:
        return metadata
    return {
        key: f"{value[:MOST_METADATA_CHARS]} …"
        if isinstance(value, str) and len(value) > MOST_METADATA_CHARS
        else value
        for key, value in metadata.items()
        if not isinstance(value, list) or len(repr(value)) <= MOST_METADATA_CHARS
    }


def place_of(part: Part) -> tuple[str, int, int]:
    """Where a part of a document stands."""
    return part.doc_id, part.start, part.end
