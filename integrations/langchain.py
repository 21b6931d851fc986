"""Any LangChain ``VectorStore`` or ``BaseRetriever`` that is there already, as a corpus to search."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from langgraph_rlm.corpus.attached import AttachedCorpus
from langgraph_rlm.corpus.embeddings import model_of
from langgraph_rlm.corpus.filters import Where, matches, validate
from langgraph_rlm.corpus.sources import Part, as_part
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.text.words import Words

PAGE = 1000
MOST_SEEN = 10_000
"""Documents that are remembered after they were found, so that they can be read and cited."""


class LangChainSource:
    """What a store's class allows: searching always, its texts where there is a way to list them.

    The order of the hits is the store's, and a filter reaches it as it stands, in its own dialect. Texts for ``grep``,
    ``bm25`` and ``read`` come from the mirror, or from stores that look like LangChain's InMemoryVectorStore, Chroma,
    Qdrant or Pinecone; else only what was found can be read.

    Args:
        store: a ``VectorStore`` or a ``BaseRetriever``.
        mirror: the documents in it, where they are at hand.
        filter: sent with every search of a ``VectorStore``.
    """

    lexical = False

    def __init__(self, store: Any, mirror: Iterable[Document] | None = None, filter: Any = None) -> None:
        self._store = store
        self._searches = callable(getattr(store, "similarity_search", None))
        if not self._searches and not callable(getattr(store, "invoke", None)):
            raise InvalidInput(
                'corpus: expected a spec like "chroma:./index", a VectorIndex, a LangChain VectorStore or BaseRetriever, '
                f"got {type(store).__name__}"
            )
        if filter is not None and not self._searches:
            raise InvalidInput(f"wrap: {type(store).__name__} takes no filter; give it one when it is made")
        embeddings = getattr(store, "embeddings", None)
        self.model = model_of(embeddings) if isinstance(embeddings, Embeddings) else None
        self._filter = filter
        self._mirror = None if mirror is None else {part.doc_id: part for part in map(as_part, mirror)}
        self._seen: dict[str, Part] = {}

    def near(self, query: str, k: int, where: Where | None) -> list[Part]:
        """By the store's own search."""
        if not self._searches:
            return self._remembered(self._store.invoke(query, **self._options(where))[:k])
        return self._remembered(self._store.similarity_search(query, k=k, **self._options(where)))

    async def anear(self, query: str, k: int, where: Where | None) -> list[Part]:
        """By the store's own coroutine."""
        if not self._searches:
            return self._remembered((await self._store.ainvoke(query, **self._options(where)))[:k])
        return self._remembered(await self._store.asimilarity_search(query, k=k, **self._options(where)))

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
        listed = self._listing()
        if listed is None:
            raise InvalidInput(
                f"{type(self._store).__name__} does not give its texts away, so that grep, bm25_search and "
                "list_documents are not available over it: use vector_retrieve and read what it finds, or give the "
                "documents to wrap(store, mirror=documents)"
            )
        return (part for part in listed if matches(where, part.metadata))

    def candidates(self, literals: Sequence[str]) -> Iterator[Part] | None:
        """Not known of a foreign store."""
        return None

    def parts_of(self, doc_id: str) -> list[Part]:
        """The document, from the mirror, from what was found, or looked up by its id."""
        if self._mirror is not None:
            return [self._mirror[doc_id]] if doc_id in self._mirror else []
        if doc_id in self._seen:
            return [self._seen[doc_id]]
        listed = self._listing()
        return [] if listed is None else [part for part in listed if part.doc_id == doc_id]

    def size(self) -> int | None:
        """Of the mirror, or of what the class tells."""
        if self._mirror is not None:
            return len(self._mirror)
        held = getattr(self._store, "store", None)
        return len(held) if isinstance(held, dict) else None

    def close(self) -> None:
        """The store is its owner's."""

    def _options(self, where: Any) -> dict[str, Any]:
        if not self._searches:
            if where:
                raise InvalidInput(
                    f"{type(self._store).__name__} takes no filter: leave `where` out, and look at the hits' metadata"
                )
            return {}
        if self._filter is not None and where:
            raise InvalidInput(
                "this corpus has a filter of its own already, which cannot be joined with `where`: leave it out"
            )
        chosen = self._filter if self._filter is not None else where
        return {} if chosen is None else {"filter": chosen}

    def _remembered(self, documents: Sequence[Document]) -> list[Part]:
        parts = [as_part(document)._replace(score=1.0 / rank) for rank, document in enumerate(documents, start=1)]
        for part in parts:
            self._seen.pop(part.doc_id, None)
            self._seen[part.doc_id] = part
        while len(self._seen) > MOST_SEEN:
            self._seen.pop(next(iter(self._seen)))
        return parts

    def _listing(self) -> Iterator[Part] | None:
        if self._mirror is not None:
            return iter(self._mirror.values())
        for looks_like, listing in _LISTINGS:
            if looks_like(self._store):
                return listing(self._store) if self._filter is None else None  # what it hides must stay hidden
        return None


def wrap(
    store: Any, *, mirror: Iterable[Document] | None = None, filter: Any = None, words: Words | None = None
) -> AttachedCorpus:
    """A corpus over a LangChain ``VectorStore`` or ``BaseRetriever``; ``Corpus.open(store)`` is short for it.

    Args:
        store: the store; it stays its owner's.
        mirror: the documents in it, for ``grep``, ``bm25`` and ``read`` over classes that do not give texts away.
        filter: in the store's own dialect, sent with every search.
        words: how ``bm25`` reads the texts; None for ``Words()``.

    Raises:
        InvalidInput: it is neither, or a retriever was given a filter.

    Example:
        >>> from langchain_core.vectorstores import InMemoryVectorStore
        >>> store = InMemoryVectorStore(HashingEmbeddings())
        >>> _ = store.add_texts(["Parental leave is 16 weeks."], ids=["leave.md"])
        >>> [hit["text"] for hit in wrap(store).retrieve("How long is parental leave?", k=1)]
        ['Parental leave is 16 weeks.']
    """
    return AttachedCorpus(LangChainSource(store, mirror, filter), words)


# --- classes that give their texts away, by the shape that they have -----------------------------------------------


def _is_in_memory(store: Any) -> bool:
    return isinstance(getattr(store, "store", None), dict)


def _in_memory(store: Any) -> Iterator[Part]:
    for id_, held in list(store.store.items()):
        yield as_part(Document(held["text"], id=id_, metadata=held["metadata"]))


def _is_chroma(store: Any) -> bool:
    return hasattr(store, "_collection") and callable(getattr(store, "get", None))


def _chroma(store: Any) -> Iterator[Part]:
    offset = 0
    while True:
        page = store.get(limit=PAGE, offset=offset, include=["documents", "metadatas"])
        for id_, text, metadata in zip(page["ids"], page["documents"], page["metadatas"], strict=True):
            yield as_part(Document(text or "", id=id_, metadata=metadata or {}))
        offset += PAGE
        if len(page["ids"]) < PAGE:
            return


def _is_qdrant(store: Any) -> bool:
    return callable(getattr(getattr(store, "client", None), "scroll", None)) and hasattr(store, "collection_name")


def _qdrant(store: Any) -> Iterator[Part]:
    text_key = getattr(store, "content_payload_key", "page_content")
    metadata_key = getattr(store, "metadata_payload_key", "metadata")
    offset: Any = None
    while True:
        page, offset = store.client.scroll(store.collection_name, limit=PAGE, offset=offset, with_payload=True)
        for point in page:
            payload = point.payload or {}
            metadata = payload.get(metadata_key) or {}
            yield as_part(Document(payload.get(text_key) or "", id=str(point.id), metadata=metadata))
        if offset is None:
            return


def _is_pinecone(store: Any) -> bool:
    index = getattr(store, "index", None) or getattr(store, "_index", None)
    return (
        callable(getattr(index, "fetch", None))
        and callable(getattr(index, "list", None))
        and hasattr(store, "_text_key")
    )


def _pinecone(store: Any) -> Iterator[Part]:
    index = getattr(store, "index", None) or store._index
    namespace = getattr(store, "_namespace", None) or ""
    for page in index.list(namespace=namespace):
        ids = [getattr(item, "id", item) for item in getattr(page, "vectors", page)]
        for id_, vector in index.fetch(ids=ids, namespace=namespace).vectors.items():
            metadata = dict(vector.metadata or {})
            yield as_part(Document(metadata.pop(store._text_key, ""), id=id_, metadata=metadata))


_LISTINGS: list[tuple[Callable[[Any], bool], Callable[[Any], Iterator[Part]]]] = [
    (_is_in_memory, _in_memory),
    (_is_chroma, _chroma),
    (_is_qdrant, _qdrant),
    (_is_pinecone, _pinecone),
]
