"""ChromaIndex: vectors in Chroma, in this process or on a server (``pip install "langgraph-rlm[chroma]"``)."""

from __future__ import annotations

import os
import re
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from langgraph_rlm.corpus.filters import comparisons, validate
from langgraph_rlm.corpus.index import (
    MAX_BATCH,
    PAGE,
    RESERVED_PREFIX,
    STAMP,
    Address,
    AsyncTwins,
    Capability,
    Found,
    Place,
    Record,
    split_address,
)
from langgraph_rlm.errors import (
    CorpusError,
    DimensionMismatch,
    InvalidFilter,
    MissingDependency,
    StoreAuthenticationFailed,
    StoreUnavailable,
)

COLLECTION = "langgraph-rlm"
PORT = 8000

_ALWAYS_FALSE = {f"{RESERVED_PREFIX}doc_id": {"$eq": ""}}  # no document has an empty id


class ChromaIndex(AsyncTwins):
    """One collection of Chroma with cosine distance.

    Chroma compares a number only with numbers of its own type, so all numbers are kept as floats.

    Args:
        directory: where the collection lives, made when it is missing; None keeps it in memory.
        collection: its name there.
        address: a server's collection instead; the transport ``https`` is TLS.
        api_key: the server's token; ``CHROMA_API_KEY`` when left out.

    Raises:
        MissingDependency: chromadb is not installed.
        StoreUnavailable: the directory cannot be opened, or the server does not answer.
        StoreAuthenticationFailed: the server refuses the key.

    Example:
        >>> index = ChromaIndex()
        >>> index.upsert(["a"], [[0.1, 0.9]], ["text"], [{"path": "a.txt"}])
        >>> index.query([0.2, 0.8], k=1)[0].metadata
        {'path': 'a.txt'}
    """

    capabilities: frozenset[Capability] = frozenset({"candidates"})

    def __init__(
        self,
        directory: Path | None = None,
        collection: str = COLLECTION,
        *,
        address: Address | None = None,
        api_key: str | None = None,
    ) -> None:
        try:
            import chromadb
            from chromadb.config import Settings
        except ImportError as error:
            raise MissingDependency(
                f'a "chroma:" corpus needs chromadb ({error}): pip install "langgraph-rlm[chroma]"'
            ) from None
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._opened: Any = None
        where = str(address or directory or "memory")
        if address is not None:
            collection = address.collection
        elif directory is None:
            collection = f"{collection}-{uuid.uuid4().hex}"  # all clients in memory share one store
        self._name = collection
        self._place = Place("chroma", where, self._name)
        settings = Settings(anonymized_telemetry=False)
        with self._mapped("opening"):
            if address is not None:
                key = api_key or os.environ.get("CHROMA_API_KEY")
                self._client = chromadb.HttpClient(
                    host=address.host,
                    port=address.port or PORT,
                    ssl=address.transport == "https",
                    headers={"x-chroma-token": key} if key else None,
                    settings=settings,
                )
            elif directory is not None:
                directory.mkdir(parents=True, exist_ok=True)
                self._client = chromadb.PersistentClient(str(directory), settings=settings)
            else:
                self._client = chromadb.EphemeralClient(settings=settings)

    @classmethod
    def open(cls, location: str, directory: Path) -> ChromaIndex:
        """The collection of ``"chroma://host:port/collection"``, or that of ``"chroma:PATH"`` inside the directory."""
        address = split_address(location)
        return cls(address=address) if address else cls(directory / "chroma")

    def claim(self, embeddings: str, dimension: int) -> None:
        """Make the collection, or check that it was made for these vectors."""
        collection = self._made()
        stamp = collection.metadata or {}
        if refused := self._place.made_with(stamp, embeddings, dimension):
            raise refused
        if not set(STAMP) <= set(stamp):
            with self._mapped("claiming"):
                collection.modify(metadata=stamp | dict(zip(STAMP, (embeddings, dimension), strict=True)))

    def check(self, metadata: Mapping[str, Any]) -> None:
        """Chroma keeps all flat metadata."""

    def upsert(
        self,
        ids: Sequence[str],
        vectors: Sequence[Sequence[float]],
        texts: Sequence[str],
        metadatas: Sequence[Mapping[str, Any]],
    ) -> None:
        """Add or replace records, 1000 at a time. Metadata keys of an older record stay unless it is deleted first."""
        for at in range(0, len(ids), MAX_BATCH):
            batch = slice(at, at + MAX_BATCH)
            with self._mapped("writing"):
                self._made().upsert(
                    ids=list(ids[batch]),
                    embeddings=np.asarray(vectors[batch], dtype=np.float32),
                    documents=list(texts[batch]),
                    metadatas=[{key: _stored(value) for key, value in one.items()} for one in metadatas[batch]],
                )

    def query(self, vector: Sequence[float], k: int, where: Mapping[str, Any] | None = None) -> list[Found]:
        """The nearest records, best first; the score is the cosine similarity."""
        translated = _checked(where)
        with self._mapped("searching"):
            found = self._collection.query(
                query_embeddings=np.asarray([vector], dtype=np.float32),
                n_results=k,
                where=translated,
                include=["metadatas", "distances"],
            )
        distances, metadatas = found["distances"] or [[]], found["metadatas"] or [[]]
        rows = zip(found["ids"][0], distances[0], metadatas[0], strict=True)
        # a record that is being replaced by another thread has no metadata for a moment
        return [Found(id_, 1.0 - distance, _whole(metadata)) for id_, distance, metadata in rows if metadata]

    def bm25(self, text: str, k: int, where: Mapping[str, Any] | None = None) -> list[Found]:
        """Not in Chroma outside its cloud."""
        raise CorpusError(self._place.says("searching", "no ranking by words in the store", "Use corpus.retrieve"))

    def hybrid(self, text: str, vector: Sequence[float], k: int, where: Mapping[str, Any] | None = None) -> list[Found]:
        """Not in Chroma outside its cloud."""
        raise CorpusError(self._place.says("searching", "no hybrid ranking in the store", "Use corpus.retrieve"))

    def get(self, ids: Sequence[str]) -> list[Record]:
        """The records of these ids, in their order."""
        found: dict[str, Record] = {}
        for at in range(0, len(ids), MAX_BATCH):
            with self._mapped("reading"):
                page = self._collection.get(ids=list(ids[at : at + MAX_BATCH]), include=["documents", "metadatas"])
            found.update((record.id, record) for record in _records(page))
        return [found[id_] for id_ in ids if id_ in found]

    def scroll(self, where: Mapping[str, Any] | None = None) -> Iterator[Record]:
        """All records that pass the filter, page by page."""
        return self._scrolled(_checked(where), None)

    def candidates(
        self, literals: Sequence[str], where: Mapping[str, Any] | None = None, *, ignore_case: bool = False
    ) -> Iterator[Record]:
        """Records that hold one of these strings, by Chroma's regular expressions."""
        alternatives = "|".join(map(_escaped, literals))
        pattern = f"(?i){alternatives}" if ignore_case else alternatives
        return self._scrolled(_checked(where), {"$regex": pattern})

    def delete(self, ids: Sequence[str]) -> None:
        """Remove records; unknown ids do no harm."""
        for at in range(0, len(ids), MAX_BATCH):
            with self._mapped("deleting"):
                if (collection := self._found()) is not None:
                    collection.delete(ids=list(ids[at : at + MAX_BATCH]))

    def existing(self, ids: Sequence[str]) -> set[str]:
        """Which of these ids are there."""
        found: set[str] = set()
        for at in range(0, len(ids), MAX_BATCH):
            with self._mapped("reading"):
                if (collection := self._found()) is not None:
                    found.update(collection.get(ids=list(ids[at : at + MAX_BATCH]), include=[])["ids"])
        return found

    def count(self) -> int:
        """Records in the collection."""
        with self._mapped("counting"):
            collection = self._found()
            return 0 if collection is None else int(collection.count())

    def close(self) -> None:
        """Release Chroma's files and connections."""
        if self._pid == os.getpid():
            self._client.close()  # type: ignore[attr-defined]

    def _scrolled(self, where: dict[str, Any] | None, texts: dict[str, Any] | None) -> Iterator[Record]:
        offset = 0
        while True:
            with self._mapped("reading"):
                page = self._collection.get(
                    where=where,
                    where_document=texts,
                    limit=PAGE,
                    offset=offset,
                    include=["documents", "metadatas"],
                )
            yield from _records(page)
            offset += PAGE
            if len(page["ids"]) < PAGE:
                return

    @property
    def _collection(self) -> Any:
        found = self._found()
        if found is None:
            raise self._place.missing("opening")
        return found

    def _found(self) -> Any:
        """The collection; None when there is none."""
        from chromadb import errors

        self._refuse_forks()
        with self._lock, self._mapped("opening"):
            if self._opened is None:
                try:
                    self._opened = self._client.get_collection(self._name, embedding_function=None)
                except errors.NotFoundError:
                    return None
            return self._opened

    def _made(self) -> Any:
        self._refuse_forks()
        with self._lock, self._mapped("opening"):
            if self._opened is None:
                self._opened = self._client.get_or_create_collection(
                    self._name, embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
                )
            return self._opened

    def _refuse_forks(self) -> None:
        if self._pid != os.getpid():  # Chroma's threads are not there: it would wait for them for ever
            raise StoreUnavailable("chroma was opened before this process was forked: open the corpus after the fork")

    @contextmanager
    def _mapped(self, doing: str) -> Iterator[None]:
        import httpx
        from chromadb import errors

        try:
            yield
        except (errors.InvalidArgumentError, errors.InvalidDimensionException) as error:
            if "dimension" in str(error).lower():
                out = "Give the embeddings that it was made with, or another collection"
                raise DimensionMismatch(self._place.says(doing, error, out)) from error
            raise CorpusError(self._place.says(doing, error, "The request was refused as it stands")) from error
        except errors.NotFoundError as error:
            self._opened = None
            raise self._place.missing(doing) from error
        except (errors.ChromaAuthError, errors.AuthorizationError) as error:
            raise StoreAuthenticationFailed(
                self._place.says(doing, error or "the key was refused", "Set CHROMA_API_KEY or give api_key=")
            ) from error
        except (errors.ChromaError, httpx.HTTPError, OSError) as error:
            out = "Another process may be writing to it, its files may be damaged, or its server may be down"
            raise StoreUnavailable(self._place.says(doing, error or type(error).__name__, out)) from error
        except ValueError as error:
            if "connect" not in str(error).lower():  # what the client says when a server does not answer at the start
                raise
            raise StoreUnavailable(
                self._place.says(doing, error, "Start it (`chroma run`), or check host and port")
            ) from error


def translate(where: Mapping[str, Any]) -> dict[str, Any] | None:
    """A filter in Chroma's dialect: one operator per dict, joined by ``$and``; None when it lets everything pass.

    Raises:
        InvalidFilter: an order of texts, which Chroma does not know.
    """
    conditions = []
    for key, condition in where.items():
        if key in ("$and", "$or"):
            parts = [translate(part) for part in condition]
            if key == "$and":
                conditions += [part for part in parts if part is not None]
            elif all(part is not None for part in parts):
                conditions.append(_joined("$or", parts))
        else:
            for operator, bound in comparisons(condition):
                translated = _comparison(key, operator, bound)
                if translated is not None:
                    conditions.append(translated)
    return _joined("$and", conditions) if conditions else None


def _comparison(key: str, operator: str, bound: Any) -> dict[str, Any] | None:
    if operator not in ("$in", "$nin"):
        if operator not in ("$eq", "$ne") and isinstance(bound, str):
            raise InvalidFilter(f"where[{key!r}]: Chroma cannot order texts by {operator}")
        return {key: {operator: _stored(bound)}}
    by_type: dict[type, list[Any]] = {}
    for value in map(_stored, bound):
        by_type.setdefault(type(value), []).append(value)
    parts = [{key: {operator: values}} for values in by_type.values()]  # a list may hold one type only
    if parts:
        return _joined("$or" if operator == "$in" else "$and", parts)
    return dict(_ALWAYS_FALSE) if operator == "$in" else None


def _joined(operator: str, parts: Sequence[dict[str, Any] | None]) -> dict[str, Any]:
    return parts[0] if len(parts) == 1 and parts[0] is not None else {operator: list(parts)}


def _stored(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _whole(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers that were whole, as they were."""
    return {
        key: int(value) if isinstance(value, float) and value.is_integer() else value for key, value in metadata.items()
    }


def _checked(where: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not where:
        return None
    validate(where)
    return translate(where)


def _records(page: Mapping[str, Any]) -> Iterator[Record]:
    for id_, text, metadata in zip(page["ids"], page["documents"] or (), page["metadatas"] or (), strict=True):
        yield Record(id_, text or "", _whole(metadata or {}))


def _escaped(literal: str) -> str:
    """For Rust's regular expressions, which know fewer escapes than Python's."""
    return re.sub(r"[\\.+*?()|\[\]{}^$#&~-]", r"\\\g<0>", literal)
