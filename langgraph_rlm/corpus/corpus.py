"""Corpus: documents that were indexed once and are searched by words, by vectors and by patterns, and read by span."""

from __future__ import annotations

import asyncio
import functools
import shutil
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Self

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from langgraph_rlm.corpus.catalog import Catalog
from langgraph_rlm.corpus.embeddings import HashingEmbeddings
from langgraph_rlm.corpus.filters import Where, matches, validate
from langgraph_rlm.corpus.finding.finder import Finder, Query, check_query
from langgraph_rlm.corpus.finding.modes import Chosen, Mode, chosen
from langgraph_rlm.corpus.finding.refining import Reranker
from langgraph_rlm.corpus.index import VectorIndex, is_index, open_foreign, open_index, split_address, split_spec
from langgraph_rlm.corpus.ingest.adding import Adder, AddProgress, AddReport
from langgraph_rlm.corpus.ingest.vectors import VectorCache
from langgraph_rlm.corpus.locking import WriterLock
from langgraph_rlm.corpus.manifest import Manifest
from langgraph_rlm.corpus.names.name_graph import NameGraph
from langgraph_rlm.corpus.opening import opened_manifest
from langgraph_rlm.corpus.planning.knowledge import CatalogKnowledge
from langgraph_rlm.corpus.planning.plans import Known, Plan, check_plan
from langgraph_rlm.corpus.planning.plans import plan as planned
from langgraph_rlm.corpus.retriever import CorpusRetriever
from langgraph_rlm.corpus.tenants import TenantIndex, check_tenant, folder_of
from langgraph_rlm.errors import DocumentMissing, InvalidInput
from langgraph_rlm.fanout import together
from langgraph_rlm.text.analyzer import Analyzer
from langgraph_rlm.text.bm25 import BM25Index
from langgraph_rlm.text.search import Hits, grep_documents, search_documents
from langgraph_rlm.text.snippets import Snippet, snippet
from langgraph_rlm.text.store import check_span, missing_document
from langgraph_rlm.text.words import Words
from langgraph_rlm.threads import in_thread
from langgraph_rlm.types import Hit


class Corpus:
    """An indexed collection of documents. Made by :meth:`open`; safe to share between threads.

    Its directory holds the full texts, the word index and a manifest; the vector store holds vectors and chunks.
    Any number of processes may read while none writes.
    """

    keeps_texts = True
    """Whether words, patterns and reading work without the vector store."""
    keeps_names = True
    """Whether ``mode="hop"`` follows names from document to document."""

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
        self._analyzer = Analyzer(self._words.words)
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
        self._known: Known = CatalogKnowledge(
            self._catalog, lambda where: (row.metadata for row in self._finder.documents(where)), self._finder.ids_of
        )
        self._ttl = _checked_ttl(ttl)

    @classmethod
    def open(
        cls,
        spec: str | Any,
        embeddings: Embeddings | None = None,
        *,
        directory: str | Path | None = None,
        tenant: str | None = None,
        ttl: float | None = None,
        reranker: Reranker | None = None,
        create: bool = True,
        chunk_size: int | None = None,
        chunk_overlap: int | None = None,
        words: Words | None = None,
    ) -> Corpus:
        """Open a corpus, or make one.

        The vector store's client is imported when vectors are first needed.

        Args:
            spec: ``"chroma:PATH"`` or ``"qdrant:PATH"``, where ``PATH`` is the corpus' own directory; a server's
                ``"chroma://host:port/collection"``, ``"qdrant://…"``, ``"qdrant+grpc://…"``,
                ``"pinecone://index/namespace"``; a ``VectorIndex``; or any LangChain ``VectorStore`` or ``BaseRetriever``.
            embeddings: the ones it was or will be made with; None for :class:`HashingEmbeddings`, which know words
                and letters only.
            directory: the corpus' own directory when the store is elsewhere. Without one, what somebody else has put
                into a server is searched and read, but nothing can be added.
            tenant: whose documents these are: a corpus that was opened for one tenant reads and writes no other's,
                whatever filter it is given.
            ttl: seconds after which a document that was added, and not added again, is gone.
            reranker: ranks hits once more: a LangChain ``BaseDocumentCompressor``, or a function from the query and
                texts to scores.
            create: make the directory when it is missing.
            chunk_size: most characters that a chunk adds to the one before; 800 for a new corpus.
            chunk_overlap: most characters that it repeats of the one before; 200 for a new corpus.
            words: how ``bm25`` reads texts: their language, other forms of words, identifiers of code. None for
                what the corpus was made with, :class:`langgraph_rlm.corpus.Words` ``()`` for a new one.

        Raises:
            InvalidInput: the spec or a size is not usable.
            IndexMismatch: it was made with other embeddings, other chunk sizes, other words or in another format.
            CorpusError: nothing is there and ``create`` is False, or the directory holds something else.

        Example:
            >>> from langchain_core.documents import Document
            >>> with Corpus.open("chroma:./index") as corpus:
            ...     corpus.add([Document("Parental leave is 16 weeks.", id="leave.md")]).new
            1
        """
        if tenant is not None:
            check_tenant(tenant)
        shared = True  # a store that others use too
        if isinstance(spec, str):
            _, location = split_spec(spec)
            shared = split_address(location) is not None
            if not shared and directory is not None:
                raise InvalidInput(f"corpus: {spec!r} names the corpus' directory already; leave directory= out")
            directory = directory if shared else location
        elif not is_index(spec):
            return open_foreign(spec, directory=directory, tenant=tenant, words=words)
        if directory is None:
            from langgraph_rlm.corpus.attached import AttachedCorpus
            from langgraph_rlm.corpus.sources import IndexSource

            opened = open_index(spec, Path()) if isinstance(spec, str) else spec
            narrowed = opened if tenant is None else TenantIndex(opened, tenant)
            return AttachedCorpus(IndexSource(narrowed, embeddings or HashingEmbeddings()), words)
        directory = Path(directory).expanduser()
        if tenant is not None:
            directory = directory / folder_of(tenant)
        embeddings = HashingEmbeddings() if embeddings is None else embeddings
        found = opened_manifest(directory, embeddings, chunk_size, chunk_overlap, create=create)
        home = directory

        def index() -> VectorIndex:
            opened = open_index(spec, home) if isinstance(spec, str) else spec
            return TenantIndex(opened, tenant) if shared and tenant is not None else opened

        return cls(directory, found, embeddings, index, reranker, ttl, words)

    # --- changing it ----------------------------------------------------------------------------------------------

    def add(
        self,
        documents: Iterable[Document],
        *,
        on_progress: Callable[[AddProgress], None] | None = None,
        prune: bool = False,
        ttl: float | None = None,
    ) -> AddReport:
        """Add documents, and replace those whose text or metadata changed; an unchanged one costs a look-up.

        May be interrupted or killed anywhere: the index stays usable, and the next ``add`` finishes the rest.

        Args:
            documents: each with an ``id`` or ``metadata["source"]``; metadata is flat. May be an iterator.
            on_progress: called after each batch of about 1000 chunks.
            prune: remove all documents that are not among the given ones.
            ttl: seconds after which these documents are gone, unless they are added again; the corpus' own when left
                out.

        Raises:
            InvalidInput: a document without id, with a reserved or second id, or with nested metadata; it is named.
            IndexMismatch: the embeddings give vectors of another length.
            StoreUnavailable: another process changes the corpus, or the store does not answer.
        """
        lifetime = _checked_ttl(self._ttl if ttl is None else ttl)
        with self._writer.held(), self._cache() as cache:
            return self._adder(cache).add(documents, on_progress, prune, lifetime)

    def delete(self, doc_ids: Iterable[str]) -> int:
        """Remove documents by id; unknown ids do no harm. Returns how many were removed.

        Raises:
            StoreUnavailable: another process changes the corpus, or the store does not answer.
        """
        if isinstance(doc_ids, str):
            raise InvalidInput(f"delete: expected ids, got one str; write [{doc_ids!r}]")
        with self._writer.held(), self._cache() as cache:
            try:
                adder = self._adder(cache)
                adder.finish()
                return adder.delete(doc_ids)
            finally:
                self._words.rollback()

    def purge(self) -> int:
        """Remove documents whose time is over from all stores; reading leaves them out before that. Returns how many."""
        before = len(self._catalog.expired())
        self.delete([])
        return before

    def forget(self) -> int:
        """Remove all documents, and the corpus' directory with them; it is closed then. Returns how many there were."""
        count = self.delete(self._catalog.ids())
        self.close()
        shutil.rmtree(self._directory)
        return count

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
        plan: bool | Plan = False,
        hops: int = 1,
    ) -> list[Hit]:
        """The chunks that answer a query best.

        Args:
            query: words or a question; several (at most 100) are asked side by side, and their lists fused by rank.
            k: most hits, 1 to 1000.
            mode: ``bm25`` by words, ``vector`` by embeddings, ``hybrid`` both, fused by rank. Embeddings that are
                only lexical have no say in ``hybrid`` and are then not called. ``hop`` starts from what ``hybrid`` finds
                and from what the question names, and follows the names in these texts to the documents that they
                stand for; each hit's ``metadata["rlm_path"]`` tells how it was reached. Where no document has a name it
                finds what ``hybrid`` finds, and the hits' ``source`` says so. ``auto`` is ``hop`` for a question that names something and
                asks about something beyond it, else ``hybrid``, or ``bm25`` where there are no vectors of meaning.
            where: a filter on the documents' metadata, see :mod:`langgraph_rlm.corpus.filters`.
            neighbours: so many chunks before and after each hit come with it, as one text.
            diversity: 0 to 1: how much a hit that resembles those before it gives way to others (MMR).
            plan: ask what :meth:`plan` makes of the question instead, or this plan, each part of it within ``where``.
                Where that finds fewer than ``k``, the question itself finds the rest.
            hops: links that ``hop`` follows one after the other, 1 to 3.

        Returns:
            Hits, best first. ``score`` is the reranker's, where there is one. Else it is
            BM25's, the similarity, or, where lists were fused, the sum of reciprocal ranks. Their metadata tells how
            they were found: with several queries ``rlm_queries``, the numbers of those that found it, the best
            first; with a plan also ``rlm_scope`` and ``rlm_why``; with ``auto`` ``rlm_mode``.

        Raises:
            InvalidInput: an empty query, a wrong ``k`` or ``mode``, or ``hop`` without a name graph.
            InvalidFilter: ``where`` is not usable.
            EmptyCorpus: there is no document.
            IndexMismatch: the embeddings give vectors of another length than the index holds.
        """
        checked = self._checked_query(query, k, mode, where, neighbours, diversity, plan, hops)
        texts = checked.texts if self._finder.wants_vectors(checked.mode) else []
        embed = self._embeddings.embed_query
        return self._finder.hits(checked, together([functools.partial(embed, text) for text in texts]))

    async def aretrieve(
        self,
        query: str | Sequence[str],
        k: int = 8,
        mode: Mode = "hybrid",
        where: Where | None = None,
        *,
        neighbours: int = 0,
        diversity: float = 0.0,
        plan: bool | Plan = False,
        hops: int = 1,
    ) -> list[Hit]:
        """:meth:`retrieve` without blocking the event loop; embeds by the embeddings' own coroutines."""
        checked = await in_thread(self._checked_query, query, k, mode, where, neighbours, diversity, plan, hops)
        texts = checked.texts if self._finder.wants_vectors(checked.mode) else []
        vectors = await asyncio.gather(*(self._embeddings.aembed_query(text) for text in texts))
        return await in_thread(self._finder.hits, checked, vectors)

    def plan(self, question: str, where: Where | None = None) -> Plan:
        """What to ask instead of a question that compares, enumerates or names values of the documents' metadata.

        No language model is called: values that the question names become the scope of its queries, what is compared or
        enumerated becomes a query each. Enumerations and comparisons are known in English, German, French and Spanish.

        Args:
            question: in words.
            where: a filter: only documents that pass it are known to the plan.

        Returns:
            The plan; one query, the question itself, where there is nothing to plan.

        Raises:
            InvalidInput: an empty question.
            InvalidFilter: ``where`` is not usable.

        Example:
            >>> from langchain_core.documents import Document
            >>> filings = [
            ...     Document("Margin fell.", id=f"{name}-{year}", metadata={"company": name, "year": year})
            ...     for name in ("Apple", "Intel") for year in (2022, 2023)
            ... ]
            >>> with Corpus.open("chroma:./filings") as corpus:
            ...     _ = corpus.add(filings)
            ...     for part in corpus.plan("How did the gross margin of Apple and Intel change?").parts:
            ...         print(part.query, part.where)
            gross margin {'company': 'Apple'}
            gross margin {'company': 'Intel'}
        """
        if not isinstance(question, str) or not question.strip():
            raise InvalidInput(f"plan: question must be a str and not empty; got {question!r}"[:200])
        if where is not None:
            validate(where)
        return planned(question, where, self._known)

    def _mode_for(self, queries: Sequence[str], mode: Mode, where: Where | None) -> Chosen:
        if mode == "hop" and not self.keeps_names:
            raise InvalidInput(
                "retrieve: this corpus reads a store that somebody else has filled and knows no names: "
                'use mode="hybrid", or index the documents with directory=…'
            )
        if mode != "auto":
            return Chosen(mode, "")

        def named_in(question: str) -> list[str]:
            return [one["name"] for one in self.named_in(question, where)]

        return chosen(queries, has_vectors=not self.lexical, named_in=named_in if self.keeps_names else None)

    def _checked_query(
        self, query: Any, k: Any, mode: Any, where: Any, neighbours: Any, diversity: Any, plan: bool | Plan, hops: Any
    ) -> Query:
        return self._as_meant(self._finder.checked(query, k, mode, where, neighbours, diversity, hops), plan)

    def _as_meant(self, asked: Query, plan: bool | Plan) -> Query:
        """With the mode that ``auto`` stands for, and taken apart where a plan is wanted."""
        texts = [one.text for one in asked.asked]
        if plan is not False and len(texts) > 1:
            raise InvalidInput(f"retrieve: a plan is made for one question, not for {len(texts)} queries")
        mode, why = self._mode_for(texts, asked.mode, asked.where)
        notes = (("rlm_mode", f"{mode}: {why}"),) if why else ()
        asked = asked._replace(mode=mode, notes=notes)
        if plan is False:
            return asked
        return asked.planned(planned(texts[0], asked.where, self._known) if plan is True else check_plan(plan))

    def grep(
        self, pattern: str, *, where: Where | None = None, documents: Collection[str] | None = None, **options: Any
    ) -> Hits:
        """Matches of a regular expression in the full texts, by document id; options and hits as in
        :func:`langgraph_rlm.text.search.grep_documents`.

        Args:
            pattern: the regular expression.
            where: a filter on the documents' metadata.
            documents: ids to look in; None for all.
            options: ``max_matches``, ``before``, ``after``, ``ignore_case``, ``deadline``.

        Raises:
            PatternError: the pattern is refused.
            DocumentMissing: an id that is not in the corpus.
            InvalidFilter: ``where`` is not usable.
        """
        return grep_documents(self._finder.texts(where, documents), pattern, **options)

    def search(
        self, text: str, *, where: Where | None = None, documents: Collection[str] | None = None, **options: Any
    ) -> Hits:
        """Places of a plain string in the full texts; otherwise as :meth:`grep`."""
        return search_documents(self._finder.texts(where, documents), text, **options)

    # --- names ----------------------------------------------------------------------------------------------------

    def names(self, prefix: str = "", where: Where | None = None) -> Iterator[dict[str, Any]]:
        """The names that documents define, by name: ``{"name", "kind", "doc_id", "start", "end"}`` each.

        Args:
            prefix: how they begin, whatever the case and accents.
            where: a filter on the documents' metadata.

        Raises:
            InvalidFilter: ``where`` is not usable.
        """
        if where is not None:
            validate(where)
        return self._names.names(prefix, where)

    def named_in(self, question: str, where: Where | None = None) -> list[dict[str, Any]]:
        """The names that a question mentions: ``{"name", "start", "end", "documents"}`` each, places in its characters.

        Args:
            question: the question.
            where: a filter on the documents' metadata.

        Returns:
            ``documents`` holds what the name stands for, as :meth:`names` gives it. A name that many share is none.

        Raises:
            InvalidInput: no question.
            InvalidFilter: ``where`` is not usable.

        Example:
            >>> from langchain_core.documents import Document
            >>> with Corpus.open("chroma:./films") as corpus:
            ...     _ = corpus.add([Document("# Rakka\\n\\nA short film by Neill Blomkamp.", id="rakka.md")])
            ...     [one["name"] for one in corpus.named_in("Who directed Rakka?")]
            ['Rakka']
        """
        if where is not None:
            validate(where)
        return self._names.named_in(check_query(question, 1, "hop", 0)[0], where)

    def links(self, doc_id: str) -> dict[str, list[dict[str, Any]]]:
        """How a document hangs together with others: ``names`` (what it is called), ``mentions`` (of others in it) and
        ``mentioned_by``, each as :meth:`names` gives it; at most a thousand of each.

        Raises:
            DocumentMissing: no such document.
        """
        return self._names.links(doc_id, self._text(doc_id))

    def snippet(self, hit: Hit, query: str | Sequence[str], chars: int = 200) -> Snippet:
        """The piece of a hit's text that shows best why a query found it, and where the words stand.

        Args:
            hit: one of :meth:`retrieve`.
            query: what was asked; of several queries all words count.
            chars: most characters of the piece; it begins and ends between words.

        Returns:
            Its ``text``, and ``start``, ``end`` and the words' ``spans`` in characters of the hit's document.

        Raises:
            InvalidInput: ``chars`` is no whole number from 1 on.

        Example:
            >>> from langchain_core.documents import Document
            >>> question = "How long is parental leave?"
            >>> with Corpus.open("chroma:./handbook") as corpus:
            ...     _ = corpus.add([Document("The office closes in August. Parental leave is 16 weeks.", id="leave.md")])
            ...     for hit in corpus.retrieve(question):
            ...         print(hit["doc_id"], "…", corpus.snippet(hit, question, chars=40).text)
            leave.md … in August. Parental leave is 16 weeks.
        """
        asked = query if isinstance(query, str) else "\n".join(query)
        return snippet(self._analyzer, hit["text"], asked, chars).moved(hit["start"])

    # --- reading it -----------------------------------------------------------------------------------------------

    def read(self, doc_id: str, start: int = 0, end: int | None = None) -> str:
        """The text of a document between two character offsets; what lies beyond its end is left out.

        Raises:
            DocumentMissing: no such document; the message holds ids that look like it.
            InvalidInput: an offset that is no whole number from 0 on.
        """
        check_span(start, end)
        return self._text(doc_id)[start:end]

    def line_of(self, doc_id: str, start: int) -> int:
        """Number, from 1, of the line on which a character of a document stands.

        Raises:
            DocumentMissing: no such document.
            InvalidInput: an offset that is no whole number from 0 on.
        """
        check_span(start, None)
        return self._text(doc_id).count("\n", 0, start) + 1

    def list_documents(self, where: Where | None = None, *, limit: int | None = None) -> list[dict[str, Any]]:
        """``{"doc_id", "chars", "metadata"}`` of the documents that pass a filter, by id; the first ``limit`` of them.

        Raises:
            InvalidFilter: ``where`` is not usable.
        """
        if where is not None:
            validate(where)
        passing = islice(self._finder.documents(where), limit)
        return [{"doc_id": row.doc_id, "chars": row.chars, "metadata": row.metadata} for row in passing]

    def holds(self, doc_id: str, where: Where | None = None) -> bool:
        """Whether there is a document of this id that passes a filter; one look-up.

        Raises:
            InvalidFilter: ``where`` is not usable.
        """
        if where is not None:
            validate(where)
        row = self._catalog.row(doc_id)
        return row is not None and matches(where, row.metadata)

    def count(self) -> int:
        """Documents."""
        return self._catalog.totals()[0]

    def chunk_count(self) -> int:
        """Chunks of all documents."""
        return self._catalog.totals()[1]

    def total_chars(self) -> int:
        """Characters of all documents."""
        return self._catalog.totals()[2]

    def totals(self) -> tuple[int, int, int]:
        """Documents, chunks and characters at once."""
        return self._catalog.totals()

    @property
    def version(self) -> str:
        """Names the content: another string after every ``add`` or ``delete`` that changed something."""
        return f"{self._manifest.corpus_id}:{self._catalog.changes()}"

    @property
    def lexical(self) -> bool:
        """Whether the embeddings know words only, so that ``vector`` adds nothing to ``bm25``."""
        return self._manifest.lexical

    def as_retriever(self, **options: Any) -> CorpusRetriever:
        """A LangChain retriever over this corpus; options as in :meth:`retrieve`."""
        return CorpusRetriever(corpus=self, **options)

    def close(self) -> None:
        """Release files and connections. Harmless when it is closed already."""
        with self._index_lock:
            index, self._index = self._index, None
        if index is not None:
            index.close()
        self._words.close()
        self._names.close()
        self._catalog.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    # --- the same without blocking the event loop -----------------------------------------------------------------

    async def aadd(
        self,
        documents: Iterable[Document],
        *,
        on_progress: Callable[[AddProgress], None] | None = None,
        prune: bool = False,
        ttl: float | None = None,
    ) -> AddReport:
        """:meth:`add` in a thread; ``on_progress`` is called there."""
        return await in_thread(self.add, documents, on_progress=on_progress, prune=prune, ttl=ttl)

    async def adelete(self, doc_ids: Iterable[str]) -> int:
        """:meth:`delete` in a thread."""
        return await in_thread(self.delete, doc_ids)

    async def agrep(self, pattern: str, **options: Any) -> Hits:
        """:meth:`grep` in a thread."""
        return await in_thread(self.grep, pattern, **options)

    async def asearch(self, text: str, **options: Any) -> Hits:
        """:meth:`search` in a thread."""
        return await in_thread(self.search, text, **options)

    async def aread(self, doc_id: str, start: int = 0, end: int | None = None) -> str:
        """:meth:`read` in a thread."""
        return await in_thread(self.read, doc_id, start, end)

    async def alist_documents(self, where: Where | None = None) -> list[dict[str, Any]]:
        """:meth:`list_documents` in a thread."""
        return await in_thread(self.list_documents, where)

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
            self._catalog, self._vectors, self._words, self._embeddings, self._manifest, self._set_dimension,
            self._names, cache,
        )  # fmt: skip

    def _set_dimension(self, dimension: int) -> Manifest:
        self._manifest = replace(self._manifest, dimension=dimension).write(self._directory)
        return self._manifest

    def _vectors(self) -> VectorIndex:
        with self._index_lock:
            if self._index is None:
                self._index = self._open_index()
            return self._index

    def _text(self, doc_id: str) -> str:
        text = self._catalog.text(doc_id) if isinstance(doc_id, str) else None
        if text is None:
            raise DocumentMissing(missing_document(doc_id, self._catalog.ids()))
        return text.decode()


def _checked_ttl(ttl: Any) -> float | None:
    if ttl is None or (isinstance(ttl, int | float) and not isinstance(ttl, bool) and ttl > 0):
        return ttl
    raise InvalidInput(f"corpus: ttl must be a number of seconds above 0, not {ttl!r}")
