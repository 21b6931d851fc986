"""Any LangChain ``VectorStore`` or ``BaseRetriever`` that is there already, as a corpus to search."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStoreRetriever

from langgraph_rlm.corpus.attached import AttachedCorpus
from langgraph_rlm.corpus.embeddings import describe, model_of
from langgraph_rlm.corpus.filters import Where, matches, validate
from langgraph_rlm.corpus.grouping import GroupedSource
from langgraph_rlm.corpus.sources import Part, as_part, digest_of
from langgraph_rlm.errors import InvalidFilter, InvalidInput
from langgraph_rlm.text.document_ids import document_id
from langgraph_rlm.text.words import Words
from langgraph_rlm.threads import call_threads, in_thread

from .langchain_stores import Store, store_of

T = TypeVar("T")

MOST_SEEN = 10_000
"""Documents that are remembered after they were found, so that they can be read and cited."""
_MORE = 8
"""Times as many candidates are asked for, when too few of them pass a filter: each search may embed the question again."""
_FIRST = 64
"""Candidates at least, where a filter is applied to them."""
_RANKING = frozenset({"k", "fetch_k", "lambda_mult", "score_threshold"})
"""What a retriever sends to its store without hiding a document."""


class LangChainSource:
    """What a store's class allows: searching always; filters by the store or on what it finds; its texts where it lists them.

    The order of the hits is the store's. Every hit is compared with the filter here once more, so that one filter finds
    the same over every class. Texts for ``grep``, ``bm25`` and ``read`` come from the mirror, or from the classes that
    :mod:`langgraph_rlm.integrations.langchain_stores` knows; else only what was found can be read.

    Args:
        store: a ``VectorStore`` or a ``BaseRetriever``.
        mirror: the documents in it, where they are at hand.
        filter: in the store's own dialect, sent with every search of a ``VectorStore``.
        names_sources: documents of a store that gives no texts away are called by their ``source`` and page.
    """

    def __init__(
        self, store: Any, mirror: Iterable[Document] | None = None, filter: Any = None, names_sources: bool = True
    ) -> None:
        self._given = store
        inner = None if _searches(store) else getattr(store, "vectorstore", None)
        self._is_retriever = not _searches(store)
        if self._is_retriever and not callable(getattr(store, "invoke", None)):
            raise InvalidInput(
                'corpus: expected a spec like "chroma:./index", a VectorIndex, a LangChain VectorStore or BaseRetriever, '
                f"got {type(store).__name__}"
            )
        # It hands options on to its store; other retrievers have stores too, and do something else with them.
        passes_on = type(store) is VectorStoreRetriever
        self._takes_options = not self._is_retriever or passes_on
        if filter is not None and not self._takes_options:
            raise InvalidInput(f"wrap: {self.name} takes no filter; give it one when it is made")
        own = dict(store.search_kwargs) if passes_on else {}
        self._filter = own.get("filter") if filter is None else filter
        self._kind: Store = store_of(inner if passes_on else store) if self._takes_options else Store(store)
        self._hides = self._filter is not None or bool(own.keys() - _RANKING)
        self._mirror = None if mirror is None else {part.doc_id: part for part in map(as_part, mirror)}
        self.lists = self._mirror is not None or (self._kind.lists and not self._hides)
        embeddings = getattr(inner if passes_on else store, "embeddings", None)
        self.model: str | None = None
        self.lexical = False
        if isinstance(embeddings, Embeddings):
            self.model = model_of(embeddings)
            self.lexical = self.lists and describe(embeddings)[1]
        self._names_sources = names_sources and not self.lists
        self._seen: dict[str, Part] = {}

    @property
    def name(self) -> str:
        """Of the store's class."""
        return type(self._given).__name__

    def check(self, where: Where | None) -> None:
        """InvalidFilter where there is no way to more candidates than the retriever gives."""
        if where and not self._takes_options:
            raise InvalidFilter(
                f"where: {self.name} takes no filter and gives a fixed number of documents: leave `where` out and look at the "
                "hits' metadata, or give the retriever its filter when it is made"
            )

    def near(self, query: str, k: int, where: Where | None) -> list[Part]:
        """By the store's own search."""
        searching = self._searching(k, where)
        found: Any = None
        while True:
            try:
                options = searching.send(found)
            except StopIteration as done:
                return self._remembered(done.value)
            found = self._searched(query, options)

    async def anear(self, query: str, k: int, where: Where | None) -> list[Part]:
        """By the store's own coroutine."""
        searching = self._searching(k, where)
        found: Any = None
        while True:
            try:
                options = searching.send(found)
            except StopIteration as done:
                return self._remembered(done.value)
            found = await self._asearched(query, options)

    def worded(self, query: str, k: int, where: Where | None) -> list[Part] | None:
        """Not known of a foreign store."""
        return None

    def fused(self, query: str, k: int, where: Where | None) -> list[Part] | None:
        """Not known of a foreign store."""
        return None

    def parts(self, where: Where | None = None) -> Iterator[Part]:
        """Its texts, by the way that its class has for listing them."""
        if where is not None:
            validate(where)
        if not self.lists:
            raise InvalidInput(
                f"{self.name} does not give its texts away, so that grep, bm25_search and list_documents are not "
                "available over it: use vector_retrieve and read what it finds, or give the documents to "
                "wrap(store, mirror=documents)"
            )
        listed = (
            iter(self._mirror.values()) if self._mirror is not None else map(as_part, self._kind.documents(where or {}))
        )
        return (part for part in listed if matches(where, part.metadata))

    def records(self) -> Iterator[Part]:
        """Its texts."""
        return self.parts()

    def candidates(self, literals: Sequence[str]) -> Iterator[Part] | None:
        """Not known of a foreign store."""
        return None

    def parts_of(self, doc_id: str) -> list[Part]:
        """The document, from the mirror, from what was found, or looked up by its id."""
        if self._mirror is not None:
            return [self._mirror[doc_id]] if doc_id in self._mirror else []
        if doc_id in self._seen:
            return [self._seen[doc_id]]
        return [part for part in self.parts() if part.doc_id == doc_id] if self.lists else []

    def size(self) -> int | None:
        """Of the mirror, or of what the class tells."""
        return len(self._mirror) if self._mirror is not None else self._kind.size()

    def close(self) -> None:
        """The store is its owner's."""

    # --- inside ---------------------------------------------------------------------------------------------------

    def _searching(self, k: int, where: Where | None) -> Generator[dict[str, Any], Sequence[Document], list[Document]]:
        """The options of each search, one after the other, until enough documents pass the filter; these are returned."""
        self.check(where)
        if not self._takes_options:
            found = yield {}
            return [self._kind.tidy(one) for one in found][:k]
        sent: dict[str, Any] = {} if self._filter is None else {"filter": self._filter}
        if where and self._filter is None:
            sent.update(self._kind.narrowed(where))
        depth = min(self._kind.most_hits, max(k, _FIRST) if where and not sent.get("filter") else k)
        while True:
            found = yield {"k": depth, **sent}
            tidied = [self._kind.tidy(one) for one in found]
            passing = [one for one in tidied if not where or matches(where, as_part(one).metadata)]
            if not where or len(passing) >= k or len(found) < depth:
                return passing[:k]
            if depth >= self._kind.most_hits:
                raise InvalidFilter(
                    f"where: {len(passing)} of the {depth:,} nearest documents of {self.name} pass it, which is fewer than k, "
                    "and the store cannot be asked for more: give a smaller k, or the store a filter of its own by "
                    "wrap(store, filter=…)"
                )
            depth = min(self._kind.most_hits, depth * _MORE)

    def _searched(self, query: str, options: dict[str, Any]) -> Sequence[Document]:
        if not self._is_retriever:
            found: Sequence[Document] = self._given.similarity_search(query, **options)
            return found
        try:
            return list(self._given.invoke(query, **options))
        except NotImplementedError:
            return list(_run(self._given.ainvoke(query, **options)))  # one that is async only

    async def _asearched(self, query: str, options: dict[str, Any]) -> Sequence[Document]:
        if self._is_retriever:
            return list(await self._given.ainvoke(query, **options))
        if getattr(self._given, "async_mode", True):
            found: Sequence[Document] = await self._given.asimilarity_search(query, **options)
            return found
        return await in_thread(self._searched, query, options)  # a PGVector with a sync engine has no coroutines

    def _remembered(self, documents: Sequence[Document]) -> list[Part]:
        parts = [self._named(document)._replace(score=1.0 / rank) for rank, document in enumerate(documents, start=1)]
        for part in parts:
            self._seen.pop(part.doc_id, None)
            self._seen[part.doc_id] = part
        while len(self._seen) > MOST_SEEN:
            self._seen.pop(next(iter(self._seen)), None)
        return parts

    def _named(self, document: Document) -> Part:
        part = as_part(document)
        source = document_id(Document("", metadata=document.metadata)) if self._names_sources else None
        return part if source is None else part._replace(doc_id=f"{source}#{digest_of(part.text)}")


def wrap(
    store: Any,
    *,
    mirror: Iterable[Document] | None = None,
    filter: Any = None,
    words: Words | None = None,
    group_by: str | None = "source",
) -> AttachedCorpus:
    """A corpus over a LangChain ``VectorStore`` or ``BaseRetriever``; ``Corpus.open(store)`` is short for it.

    Args:
        store: the store; it stays its owner's.
        mirror: the documents in it, for ``grep``, ``bm25`` and ``read`` over classes that do not give texts away.
        filter: in the store's own dialect, sent with every search.
        words: how ``bm25`` reads the texts; None for ``Words()``.
        group_by: as in :meth:`langgraph_rlm.corpus.Corpus.open`.

    Raises:
        InvalidInput: it is neither, or a retriever was given a filter.

    Example:
        >>> from langchain_core.vectorstores import InMemoryVectorStore
        >>> store = InMemoryVectorStore(HashingEmbeddings())
        >>> _ = store.add_texts(["Parental leave is 16 weeks."], ids=["leave.md"])
        >>> [hit["text"] for hit in wrap(store).retrieve("How long is parental leave?", k=1)]
        ['Parental leave is 16 weeks.']
    """
    source = LangChainSource(store, mirror, filter, names_sources=group_by == "source")
    return AttachedCorpus(source if group_by is None else GroupedSource(source, group_by), words)


def _searches(store: Any) -> bool:
    return callable(getattr(store, "similarity_search", None))


def _run(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine, from sync code: on a loop of its own, in a thread of ours where this one has a loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    return call_threads().submit(asyncio.run, work).result()
