"""AttachedCorpus: a corpus over a store that somebody else has filled. It reads, and keeps nothing of its own on disk."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, NamedTuple

from langchain_core.documents import Document

from langgraph_rlm.corpus.corpus import Corpus
from langgraph_rlm.corpus.filters import Where, passes, validate
from langgraph_rlm.corpus.finding.fusion import fuse, fusion_depth
from langgraph_rlm.corpus.finding.modes import Mode
from langgraph_rlm.corpus.finding.query import Asked, Query, check_hops, check_query, found_by, provenance
from langgraph_rlm.corpus.finding.refining import DEPTH, diversified, numbered
from langgraph_rlm.corpus.index import open_foreign
from langgraph_rlm.corpus.ingest.reports import AddProgress, AddReport
from langgraph_rlm.corpus.opening import Opening
from langgraph_rlm.corpus.planning.metadata import NoMetadata
from langgraph_rlm.corpus.sources import IndexSource, Part, Source, joined_text
from langgraph_rlm.corpus.texts import Totals
from langgraph_rlm.errors import DocumentMissing, InvalidInput, RLMError, StoreError
from langgraph_rlm.fanout import LOCAL
from langgraph_rlm.text.bm25 import BM25Index, Chunk
from langgraph_rlm.text.checks import missing_document
from langgraph_rlm.text.words import Words
from langgraph_rlm.threads import in_thread
from langgraph_rlm.types import Hit

MOST_MIRRORED = 200_000
"""Records that are read into memory to rank them by words."""


class _Listed(NamedTuple):
    """What a store held when it was read as a whole."""

    size: int | None
    """What the store said of itself then; None when it does not tell."""
    parts: int
    documents: dict[str, dict[str, Any]]


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
        self._mirror: tuple[BM25Index, dict[tuple[str, int, int], Part]] | None = None
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
                asked.spec, directory=asked.directory, tenant=asked.tenant, words=asked.words
            )
            return foreign
        return cls(IndexSource(asked.index(), asked.embeddings), asked.words)

    # --- changing it is not possible ------------------------------------------------------------------------------

    def add(
        self,
        documents: Iterable[Document],
        *,
        on_progress: Callable[[AddProgress], None] | None = None,
        prune: bool = False,
        ttl: float | None = None,
    ) -> AddReport:
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
        return Query([Asked(text, where) for text in texts], k, mode, where, 0, diversity)

    def _answers(self, asked: Query) -> list[list[list[Part]]]:
        """For each text the rankings that its mode wants. A foreign store gets ``where`` as it stands."""
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

    def list_documents(self, where: Where | None = None, *, limit: int | None = None) -> list[dict[str, Any]]:
        """As in :class:`Corpus`; the whole store is read for it, again when its size has changed."""
        if where is not None:
            validate(where)
        passing = (one for one in self._documents().documents.values() if passes(where, one["doc_id"], one["metadata"]))
        return list(islice(passing, limit))

    def holds(self, doc_id: str, where: Where | None = None) -> bool:
        """As in :class:`Corpus`."""
        if where is not None:
            validate(where)
        parts = self._source.parts_of(doc_id) if isinstance(doc_id, str) else []
        return bool(parts) and passes(where, doc_id, parts[0].metadata)

    def totals(self) -> Totals:
        """See :meth:`Corpus.totals`; the whole store is read for it, again when its size has changed."""
        listed = self._documents()
        return Totals(len(listed.documents), listed.parts, sum(one["chars"] for one in listed.documents.values()))

    def chunk_count(self) -> int:
        """Records, as the store counts them where it does."""
        size = self._source.size()
        return self.totals().chunks if size is None else size

    @property
    def version(self) -> str:
        """Names the content as far as the store tells: its size."""
        return f"attached:{type(self._source).__name__}:{self._source.size()}"

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
                self._mirror[0].close()
                self._mirror = None
        self._source.close()

    def __repr__(self) -> str:
        return f"<AttachedCorpus over {type(self._source).__name__}>"  # counting may read the whole store

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
                f"the store under this corpus ({type(self._source).__name__}) failed while it was searched: "
                f"{type(error).__name__}: {error}. See whether it answers without this corpus"
            ) from error

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
        try:
            return [self._in_words(query, fusion_depth(k), where), near]  # words win ties, as in Corpus
        except InvalidInput:  # no texts to rank by words: the store's own order is all there is
            return [near[:k]]

    def _in_words(self, query: str, k: int, where: Where | None) -> list[Part]:
        if (found := self._source.worded(query, k, where)) is not None:
            return found
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
                words = BM25Index(words=self._read_as)
                words.add(
                    Chunk(f"{number}", part.doc_id, "", part.start, part.end, part.text, part.doc_id)
                    for number, part in enumerate(held.values())
                )
                words.commit()
                self._mirror = words, held
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
                line=1,
                source=asked.mode,
                metadata=by_place[place].metadata | provenance(asked, finders[place]),
            )
            for place, score in best
        ]
        return numbered(diversified(hits, asked.k, asked.diversity))

    def _documents(self) -> _Listed:
        size = self._source.size()
        listed = self._listed
        if listed is None or listed.size != size or size is None:
            found: dict[str, dict[str, Any]] = {}
            parts = 0
            for part in self._source.parts():
                parts += 1
                one = found.setdefault(part.doc_id, {"doc_id": part.doc_id, "chars": 0, "metadata": part.metadata})
                one["chars"] = max(one["chars"], part.end)
            self._listed = listed = _Listed(size, parts, dict(sorted(found.items())))
        return listed

    def _text(self, doc_id: str) -> str:
        parts = self._source.parts_of(doc_id) if isinstance(doc_id, str) else []
        if not parts:
            raise DocumentMissing(missing_document(doc_id, list(self._documents().documents)), doc_id=str(doc_id))
        return joined_text(parts)

    def _texts(
        self, where: Where | None, documents: Collection[str] | None, literals: Sequence[str] | None
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
            for doc_id in sorted({part.doc_id for part in found if passes(where, part.doc_id, part.metadata)}):
                yield doc_id, self._text(doc_id).encode()
            return
        by_document: dict[str, list[Part]] = {}
        for part in self._source.parts():
            if passes(where, part.doc_id, part.metadata):
                by_document.setdefault(part.doc_id, []).append(part)
        for doc_id, parts in sorted(by_document.items()):
            yield doc_id, joined_text(parts).encode()


def place_of(part: Part) -> tuple[str, int, int]:
    """Where a part of a document stands."""
    return part.doc_id, part.start, part.end
