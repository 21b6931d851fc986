"""OwnCorpus: a corpus that fills its vector store itself and keeps everything else in a directory of its own."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from langchain_core.embeddings import Embeddings

from langgraph_rlm.corpus.catalog import Catalog
from langgraph_rlm.corpus.corpus import Corpus
from langgraph_rlm.corpus.embeddings import aembed_query, checked_vectors, model_of
from langgraph_rlm.corpus.filters import Where, passes, validate
from langgraph_rlm.corpus.finding.finder import Finder
from langgraph_rlm.corpus.finding.kinds import CodeShares
from langgraph_rlm.corpus.finding.modes import Mode
from langgraph_rlm.corpus.finding.query import Query, check_query
from langgraph_rlm.corpus.finding.refining import Reranker
from langgraph_rlm.corpus.index import VectorIndex
from langgraph_rlm.corpus.ingest.adding import Adder
from langgraph_rlm.corpus.ingest.given import Documents, as_documents
from langgraph_rlm.corpus.ingest.reports import AddProgress, AddReport
from langgraph_rlm.corpus.ingest.vectors import VectorCache
from langgraph_rlm.corpus.locking import WriterLock
from langgraph_rlm.corpus.manifest import Manifest
from langgraph_rlm.corpus.names.name_graph import NameGraph
from langgraph_rlm.corpus.opening import Opening, check_ttl, opened_manifest
from langgraph_rlm.corpus.planning.metadata import CatalogMetadata
from langgraph_rlm.corpus.texts import Totals, grouped
from langgraph_rlm.errors import CorpusError, DocumentMissing, InvalidInput
from langgraph_rlm.fanout import LOCAL
from langgraph_rlm.text.bm25 import BM25Index
from langgraph_rlm.text.checks import missing_document
from langgraph_rlm.text.words import Words
from langgraph_rlm.types import Hit


class OwnCorpus(Corpus):
    """Fills a vector store, and keeps full texts, words, names and a manifest in its directory. Made by :meth:`Corpus.open`.

    Args:
        directory: its own.
        manifest: what its files are made with.
        embeddings: the ones that its vectors are made with.
        index: opens the vector store, when it is first needed.
        reranker: ranks hits once more.
        ttl: seconds that a document stays, unless it is added again; None for ever.
        words: how ``bm25`` reads texts; None for what the word index was made with.
    """

    keeps_texts = True
    keeps_names = True

    def __init__(
        self,
        directory: Path,
        manifest: Manifest,
        embeddings: Embeddings,
        index: Callable[[], VectorIndex],
        reranker: Reranker | None = None,
        ttl: float | None = None,
        words: Words | None = None,
    ) -> None:
        self._words = BM25Index(directory / "bm25", words)
        self._directory = directory
        self._manifest = manifest
        self._embeddings = embeddings
        self._open_index = index
        self._index: VectorIndex | None = None
        self._index_lock = threading.Lock()
        self._writer = WriterLock(directory / "lock")
        self._catalog = Catalog(directory / "documents.sqlite")
        self._names = NameGraph(directory / "names.sqlite", self._catalog, self._words, self._writer)
        self._finder = Finder(
            directory, lambda: self._manifest, self._catalog, self._words, self._vectors, self._names, reranker
        )
        self._code = CodeShares(self._catalog, self._finder.documents)
        metadata = CatalogMetadata(
            self._catalog, lambda where: (row.metadata for row in self._finder.documents(where)), self._finder.ids_of
        )
        super().__init__(self._words.words, metadata)
        self._ttl = check_ttl(ttl)

    @classmethod
    def _opened(cls, asked: Opening) -> Corpus | None:
        if asked.directory is None or asked.is_foreign:
            return None
        manifest = opened_manifest(
            asked.directory, asked.embeddings, asked.chunk_size, asked.chunk_overlap, create=asked.create
        )
        return cls(asked.directory, manifest, asked.embeddings, asked.index, asked.reranker, asked.ttl, asked.words)

    # --- changing it ----------------------------------------------------------------------------------------------

    def add(
        self,
        documents: Documents,
        *,
        on_progress: Callable[[AddProgress], None] | None = None,
        prune: bool | Literal["source"] = False,
        ttl: float | None = None,
    ) -> AddReport:
        """See :meth:`Corpus.add`."""
        if prune not in (True, False, "source"):
            raise InvalidInput(f"add: prune must be True, False or 'source', not {prune!r}")
        lifetime = check_ttl(self._ttl if ttl is None else ttl)
        with self._writer.held(), self._cache() as cache:
            return self._adder(cache).add(as_documents(documents), on_progress, prune, lifetime)

    def delete(self, doc_ids: Iterable[str] = (), *, where: Where | None = None) -> int:
        """See :meth:`Corpus.delete`."""
        if where is not None:
            validate(where)
            if not where or doc_ids:
                raise InvalidInput("delete: give ids, or a filter that is not empty; forget() removes all")
            doc_ids = [row.doc_id for row in self._finder.documents(where)]
        if isinstance(doc_ids, str):
            raise InvalidInput(f"delete: expected ids, got one str; write [{doc_ids!r}]")
        if not isinstance(doc_ids, Iterable):
            raise InvalidInput(f"delete: expected ids, got {type(doc_ids).__name__}")
        with self._writer.held(), self._cache() as cache:
            try:
                adder = self._adder(cache)
                adder.finish()
                return adder.delete(doc_ids)
            finally:
                self._words.rollback()

    def purge(self) -> int:
        """See :meth:`Corpus.purge`."""
        before = len(self._catalog.expired())
        self.delete([])
        return before

    def forget(self) -> int:
        """See :meth:`Corpus.forget`."""
        count = self.delete(self._catalog.ids())
        self.close()
        shutil.rmtree(self._directory)
        return count

    # --- finding things -------------------------------------------------------------------------------------------

    def _checked(self, query: Any, k: Any, mode: Any, where: Any, neighbours: Any, diversity: Any, hops: Any) -> Query:
        return self._finder.checked(query, k, mode, where, neighbours, diversity, hops)

    def _answers(self, asked: Query) -> list[list[float]]:
        """The vectors of the texts, where they are wanted."""
        texts = self._embedded(asked)
        return checked_vectors(LOCAL.map(self._embeddings.embed_query, texts), texts, self._embeddings)

    async def _aanswers(self, asked: Query) -> list[list[float]]:
        texts = self._embedded(asked)
        vectors = await asyncio.gather(*(aembed_query(self._embeddings, text) for text in texts))
        return checked_vectors(vectors, texts, self._embeddings)

    def _embedded(self, asked: Query) -> list[str]:
        return asked.texts if self._finder.wants_vectors(asked.mode) else []

    def _hits(self, asked: Query, answers: list[list[float]]) -> list[Hit]:
        return self._finder.hits(asked, answers)

    def _texts(
        self, where: Where | None, documents: Collection[str] | None, literals: Sequence[str] | None
    ) -> Iterable[tuple[str, bytes]]:
        return self._finder.texts(where, documents)

    # --- names ----------------------------------------------------------------------------------------------------

    def names(self, prefix: str = "", where: Where | None = None, *, limit: int | None = None) -> list[dict[str, Any]]:
        """See :meth:`Corpus.names`."""
        if where is not None:
            validate(where)
        return list(islice(self._names.names(prefix, where), limit))

    def named_in(self, question: str, where: Where | None = None) -> list[dict[str, Any]]:
        """See :meth:`Corpus.named_in`."""
        if where is not None:
            validate(where)
        return self._names.named_in(check_query(question, 1, "hop", 0)[0], where)

    def links(self, doc_id: str) -> dict[str, list[dict[str, Any]]]:
        """See :meth:`Corpus.links`."""
        return self._names.links(doc_id, self._text(doc_id))

    # --- reading it -----------------------------------------------------------------------------------------------

    def list_documents(
        self, where: Where | None = None, *, limit: int | None = None, group: str | None = None
    ) -> list[dict[str, Any]]:
        """See :meth:`Corpus.list_documents`."""
        if where is not None:
            validate(where)
        if group is not None:
            return grouped(self.list_documents(where), group, limit)
        passing = islice(self._finder.documents(where), limit)
        return [{"doc_id": row.doc_id, "chars": row.chars, "metadata": row.metadata} for row in passing]

    def holds(self, doc_id: str, where: Where | None = None) -> bool:
        """See :meth:`Corpus.holds`."""
        if where is not None:
            validate(where)
        row = self._catalog.row(doc_id)
        return row is not None and passes(where, row.doc_id, row.metadata)

    def totals(self) -> Totals:
        """See :meth:`Corpus.totals`."""
        return Totals(*self._catalog.totals())

    @property
    def version(self) -> str:
        """See :attr:`Corpus.version`."""
        return f"{self._manifest.corpus_id}:{self._catalog.changes()}"

    @property
    def lexical(self) -> bool:
        """See :attr:`Corpus.lexical`."""
        return self._manifest.lexical

    def code_share(self, where: Where | None = None) -> float:
        """See :meth:`Corpus.code_share`."""
        return self._code.share(where)

    def embeds_with(self, mode: Mode) -> str | None:
        """See :meth:`Corpus.embeds_with`."""
        return model_of(self._embeddings) if self._finder.wants_vectors(mode) else None

    def close(self) -> None:
        """Release files and connections. Harmless when it is closed already."""
        with self._index_lock:
            index, self._index = self._index, None
        if index is not None:
            index.close()
        self._words.close()
        self._names.close()
        self._catalog.close()

    def __repr__(self) -> str:
        try:
            documents, chunks, _ = self.totals()
            holds = f"documents={documents} chunks={chunks}"
        except CorpusError:
            holds = "closed"
        return f"<OwnCorpus {str(self._directory)!r} {holds} embeddings={self._manifest.embeddings!r}>"

    # --- inside ---------------------------------------------------------------------------------------------------

    @contextmanager
    def _cache(self) -> Iterator[VectorCache | None]:
        """Vectors that were paid for; lexical ones cost nothing."""
        if self._manifest.lexical:
            yield None
            return
        cache = VectorCache(self._directory / "vectors.sqlite", self._manifest.embeddings)
        try:
            yield cache
        finally:
            cache.close()

    def _adder(self, cache: VectorCache | None) -> Adder:
        return Adder(
            self._catalog, self._vectors, self._words, self._embeddings, self._manifest, self._save,
            self._names, cache,
        )  # fmt: skip

    def _save(self, manifest: Manifest) -> Manifest:
        self._manifest = manifest.write(self._directory)
        return self._manifest

    def _vectors(self) -> VectorIndex:
        with self._index_lock:
            if self._index is None:
                self._index = self._open_index()
            return self._index

    def is_empty(self) -> bool:
        """See :meth:`Corpus.is_empty`."""
        return self._catalog.is_empty()

    def _text(self, doc_id: str, where: Where | None = None) -> str:
        text = self._catalog.text(doc_id) if isinstance(doc_id, str) else None
        if text is not None and where and not self.holds(doc_id, where):
            raise DocumentMissing(f"there is no document {doc_id!r} among those that may be read", doc_id=str(doc_id))
        if text is None:
            raise DocumentMissing(missing_document(doc_id, self._catalog.ids()), doc_id=str(doc_id))
        return text.decode()
