"""What LangChain's classes of vector stores can do beyond searching: filter, list their texts, count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from langchain_core.documents import Document

from langgraph_rlm.corpus.dialects import Dialect
from langgraph_rlm.corpus.filters import ORDER, Where, inexact, loosened, matches
from langgraph_rlm.corpus.plain import flat_or_shown
from langgraph_rlm.stores import PAGE, InvalidFilter

from .chroma import ChromaDialect
from .pinecone import PineconeDialect
from .qdrant import QdrantDialect

Asked = Mapping[str, Any]
"""Options of a search."""


class Store:
    """A ``VectorStore`` of any class: it is searched, and filters are applied to what it finds.

    Args:
        store: the store.
    """

    lists: ClassVar[bool] = False
    """Whether ``documents`` works."""
    most_hits: ClassVar[int] = 10_000
    """Of one search; Pinecone's limit, and more than others answer in a second."""

    def __init__(self, store: Any) -> None:
        self._store = store

    @classmethod
    def knows(cls, store: Any) -> bool:
        """Whether a store is of this class, by its shape."""
        return True

    def narrowed(self, where: Where) -> Asked:
        """Options of a search that let pass what the filter does, and perhaps more; none where the store cannot filter."""
        return {}

    def tidy(self, found: Document) -> Document:
        """A document that was found, as ``documents`` gives it."""
        return found

    def documents(self, where: Where) -> Iterator[Document]:
        """What is in it, all that passes the filter and perhaps more."""
        raise NotImplementedError

    def size(self) -> int | None:
        """Records; None where it does not tell."""
        return None


class InMemoryStore(Store):
    """LangChain's ``InMemoryVectorStore``: a dict, filtered by a function of the document."""

    lists = True

    @classmethod
    def knows(cls, store: Any) -> bool:
        """By its dict."""
        return isinstance(getattr(store, "store", None), dict)

    def narrowed(self, where: Where) -> Asked:
        """By the filter itself."""
        return {"filter": lambda document: matches(where, flat_or_shown(document.metadata))}

    def documents(self, where: Where) -> Iterator[Document]:
        """From its dict."""
        for id_, held in list(self._store.store.items()):
            if not where or matches(where, flat_or_shown(held["metadata"])):
                yield Document(held["text"], id=id_, metadata=held["metadata"])

    def size(self) -> int | None:
        """Of its dict."""
        return len(self._store.store)


class FaissStore(Store):
    """LangChain's ``FAISS``: filtered by a function of the metadata among the ``fetch_k`` nearest."""

    lists = True

    @classmethod
    def knows(cls, store: Any) -> bool:
        """By its index and its documents."""
        return hasattr(store, "index_to_docstore_id") and hasattr(store, "docstore")

    def narrowed(self, where: Where) -> Asked:
        """By the filter itself, among all."""
        size = max(1, len(self._store.index_to_docstore_id))
        return {"filter": lambda metadata: matches(where, flat_or_shown(metadata)), "fetch_k": size}

    def documents(self, where: Where) -> Iterator[Document]:
        """From its documents."""
        for id_ in list(self._store.index_to_docstore_id.values()):
            found = self._store.docstore.search(id_)
            if isinstance(found, Document) and (not where or matches(where, flat_or_shown(found.metadata))):
                yield Document(found.page_content, id=found.id or id_, metadata=found.metadata)

    def size(self) -> int | None:
        """Of its index."""
        return len(self._store.index_to_docstore_id)


class ChromaStore(Store):
    """LangChain's ``Chroma``."""

    lists = True

    @classmethod
    def knows(cls, store: Any) -> bool:
        """By its collection."""
        return hasattr(store, "_collection") and callable(getattr(store, "get", None))

    def narrowed(self, where: Where) -> Asked:
        """In Chroma's language."""
        return _narrowed(ChromaDialect("chroma"), where)

    def documents(self, where: Where) -> Iterator[Document]:
        """Page by page."""
        offset, narrow = 0, self.narrowed(where).get("filter")
        while True:
            page = self._store.get(where=narrow, limit=PAGE, offset=offset, include=["documents", "metadatas"])
            for id_, text, metadata in zip(page["ids"], page["documents"], page["metadatas"], strict=True):
                yield Document(text or "", id=id_, metadata=metadata or {})
            offset += PAGE
            if len(page["ids"]) < PAGE:
                return

    def size(self) -> int | None:
        """As the collection counts."""
        return int(self._store._collection.count())


class NestedDialect(QdrantDialect):
    """Qdrant's, for records that keep their metadata in a field.

    Args:
        field: its name.
    """

    def __init__(self, field: str) -> None:
        super().__init__("qdrant")
        self._field = field

    def compared(self, key: str, operator: str, bound: Any) -> Any:
        """By a path into the field."""
        condition = super().compared(key, operator, bound)
        for one in getattr(condition, "should", None) or [condition]:
            one.key = f"{self._field}.{one.key}"
        return condition


class QdrantStore(Store):
    """``QdrantVectorStore``, dense, sparse or hybrid. It says the id of what it finds in the metadata alone."""

    lists = True

    @classmethod
    def knows(cls, store: Any) -> bool:
        """By its client."""
        return callable(getattr(getattr(store, "client", None), "scroll", None)) and hasattr(store, "collection_name")

    def narrowed(self, where: Where) -> Asked:
        """In Qdrant's language."""
        from qdrant_client import models

        narrow = _narrowed(NestedDialect(self._metadata_key), where)
        if narrow and not isinstance(narrow["filter"], models.Filter):
            return {"filter": models.Filter(must=[narrow["filter"]])}
        return narrow

    def tidy(self, found: Document) -> Document:
        """With the id of its point."""
        metadata = {key: value for key, value in found.metadata.items() if key not in ("_id", "_collection_name")}
        id_ = found.metadata.get("_id", found.id)
        return Document(found.page_content, id=None if id_ is None else str(id_), metadata=metadata)

    def documents(self, where: Where) -> Iterator[Document]:
        """By scrolling."""
        text_key = getattr(self._store, "content_payload_key", "page_content")
        offset, narrow = None, self.narrowed(where).get("filter")
        while True:
            page, offset = self._store.client.scroll(
                self._store.collection_name, scroll_filter=narrow, limit=PAGE, offset=offset, with_payload=True
            )
            for point in page:
                payload = point.payload or {}
                metadata = payload.get(self._metadata_key) or {}
                yield Document(payload.get(text_key) or "", id=str(point.id), metadata=metadata)
            if offset is None:
                return

    def size(self) -> int | None:
        """As the server counts, exactly."""
        return int(self._store.client.count(self._store.collection_name, exact=True).count)

    @property
    def _metadata_key(self) -> str:
        return str(getattr(self._store, "metadata_payload_key", "metadata"))


class PostgresDialect(Dialect[dict[str, Any]]):
    """That of ``PGVector``: equality and order by JSON paths."""

    nothing = {"rlm_doc_id": {"$eq": ""}}  # noqa: RUF012 - no record has this field empty

    def compared(self, key: str, operator: str, bound: Any) -> dict[str, Any]:
        """A list is compared value by value: ``$in`` compares texts, and the number 5.0 has another one than 5."""
        if operator != "$in":
            return {key: {operator: bound}}
        equal = [{key: {"$eq": one}} for one in bound]
        return equal[0] if len(equal) == 1 else self.joined("$or", equal)

    def joined(self, operator: str, parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """A list under the operator."""
        return {operator: list(parts)}


class PostgresStore(Store):
    """``PGVector`` of langchain-postgres with JSONB; one that was made with ``async_mode=True`` is searched, no more."""

    @classmethod
    def knows(cls, store: Any) -> bool:
        """By its tables."""
        return hasattr(store, "EmbeddingStore") and callable(getattr(store, "get_collection", None))

    @property
    def lists(self) -> bool:  # type: ignore[override]
        """With a sync engine: the other one belongs to the loop that it was made on."""
        return not getattr(self._store, "async_mode", False)

    def narrowed(self, where: Where) -> Asked:
        """In PGVector's language."""
        return _narrowed(PostgresDialect("postgres"), where) if getattr(self._store, "use_jsonb", False) else {}

    def documents(self, where: Where) -> Iterator[Document]:
        """Page by page, by id."""
        narrow, after, row = self.narrowed(where).get("filter"), "", self._store.EmbeddingStore
        while True:
            with self._store._make_sync_session() as session:
                wanted = [row.collection_id == self._collection(session), row.id > after]
                if narrow:
                    wanted.append(self._store._create_filter_clause(narrow))
                page = (
                    session.query(row.id, row.document, row.cmetadata)
                    .filter(*wanted)
                    .order_by(row.id)
                    .limit(PAGE)
                    .all()
                )
            for id_, text, metadata in page:
                yield Document(text or "", id=str(id_), metadata=metadata or {})
            if len(page) < PAGE:
                return
            after = page[-1][0]

    def size(self) -> int | None:
        """As the database counts."""
        if not self.lists:
            return None
        with self._store._make_sync_session() as session:
            row = self._store.EmbeddingStore
            return int(session.query(row).filter(row.collection_id == self._collection(session)).count())

    def _collection(self, session: Any) -> Any:
        collection = self._store.get_collection(session)
        if collection is None:
            raise LookupError(f"there is no collection {self._store.collection_name!r} any more")
        return collection.uuid


class PineconeStore(Store):
    """``PineconeVectorStore``."""

    lists = True

    @classmethod
    def knows(cls, store: Any) -> bool:
        """By its index."""
        index = getattr(store, "index", None) or getattr(store, "_index", None)
        able = callable(getattr(index, "fetch", None)) and callable(getattr(index, "list", None))
        return able and hasattr(store, "_text_key")

    def narrowed(self, where: Where) -> Asked:
        """In Pinecone's language."""
        return _narrowed(PineconeDialect("pinecone"), where)

    def documents(self, where: Where) -> Iterator[Document]:
        """Ids by pages, then their records."""
        index = getattr(self._store, "index", None) or self._store._index
        namespace = getattr(self._store, "_namespace", None) or ""
        for page in index.list(namespace=namespace):
            ids = [getattr(item, "id", item) for item in getattr(page, "vectors", page)]
            for id_, vector in index.fetch(ids=ids, namespace=namespace).vectors.items():
                metadata = dict(vector.metadata or {})
                text = metadata.pop(self._store._text_key, "")
                if not where or matches(where, flat_or_shown(metadata)):
                    yield Document(text, id=id_, metadata=metadata)


_KINDS: tuple[type[Store], ...] = (PostgresStore, FaissStore, InMemoryStore, ChromaStore, QdrantStore, PineconeStore)


def store_of(store: Any) -> Store:
    """What is known of a store.

    Example:
        >>> from langchain_core.vectorstores import InMemoryVectorStore
        >>> from langgraph_rlm import HashingEmbeddings
        >>> type(store_of(InMemoryVectorStore(HashingEmbeddings()))).__name__
        'InMemoryStore'
    """
    return next((kind(store) for kind in _KINDS if kind.knows(store)), Store(store))


def _narrowed(dialect: Dialect[Any], where: Where) -> Asked:
    """What a store can compare for sure is asked of it; the rest is compared here, with all of it once more."""
    asked = loosened(where, _is_sure)
    try:
        translated = dialect.translated(asked) if asked else None
    except InvalidFilter:
        return {}
    return {} if translated is None else {"filter": translated}


def _is_sure(field: str, operator: str, bound: Any) -> bool:
    """Stores differ on missing fields and lists under ``$ne``, on names with signs in them, on texts in order."""
    if not field.isidentifier() or not field.isascii() or inexact({field: {operator: bound}}) is not None:
        return False
    return operator in ("$eq", "$in") or (operator in ORDER and not isinstance(bound, str))
