"""ChromaIndex: vectors in Chroma, in this process or on a server (``pip install "langgraph-rlm[chroma]"``)."""

from __future__ import annotations

import math
import os
import re
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from langgraph_rlm.stores import (
    FIRST_INEXACT,
    PAGE,
    RESERVED_PREFIX,
    Address,
    Capability,
    CorpusError,
    Dialect,
    Found,
    MissingDependency,
    Record,
    StoreAuthenticationFailed,
    StoreIndex,
    StoreUnavailable,
    split_address,
    whole,
)

from . import chroma_files

COLLECTION = "langgraph-rlm"
PORT = 8000
"""Of ``chroma run``, where an address names none."""

_INT64 = 1 << 63
"""Chroma keeps whole numbers as 64 bits with a sign."""


class ChromaDialect(Dialect[dict[str, Any]]):
    """Chroma's own: one operator per dict. It compares a number only with numbers of its own type."""

    nothing = {f"{RESERVED_PREFIX}doc_id": {"$eq": ""}}  # noqa: RUF012 - no document has an empty id

    def compared(self, key: str, operator: str, bound: Any) -> dict[str, Any]:
        """A number is compared with floats and with whole numbers."""
        numbers = [one for one in (bound if isinstance(bound, list) else [bound]) if not isinstance(one, str | bool)]
        if not numbers:
            return {key: {operator: bound}}
        if operator in ("$in", "$nin"):
            wholes = [whole(one) for one in numbers if _is_whole(one)]
            lists = [[float(one) for one in numbers], *([wholes] if wholes else [])]
            parts = [{key: {operator: values}} for values in lists]
            return parts[0] if len(parts) == 1 else self.joined("$or" if operator == "$in" else "$and", parts)
        as_float = {key: {operator: float(bound)}}
        if operator in ("$eq", "$ne"):
            if not _is_whole(bound):
                return as_float
            return self.joined("$or" if operator == "$eq" else "$and", [as_float, {key: {operator: whole(bound)}}])
        upwards = operator in ("$gt", "$gte")
        edge = (
            math.ceil(bound) if upwards else math.floor(bound)
        )  # the whole number that is next to it on the right side
        if edge != bound:
            operator = "$gte" if upwards else "$lte"
        if not -_INT64 <= edge < _INT64:  # all whole numbers are on one side of it
            every = {key: {"$gte": -_INT64}}
            return self.joined("$or", [as_float, every]) if (edge < 0) == upwards else as_float
        return self.joined("$or", [as_float, {key: {operator: edge}}])

    def joined(self, operator: str, parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """A list under the operator."""
        return {operator: list(parts)}


class ChromaIndex(StoreIndex[dict[str, Any]]):
    """One collection of Chroma with cosine distance.

    Numbers are kept as floats, but for whole numbers from 2^53 on, which floats do not hold exactly.

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

    store = "chroma"
    dialect = ChromaDialect(store)
    transports = ("http", "https")
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
        if address is not None:
            collection = address.collection
        elif directory is None:
            collection = f"{collection}-{uuid.uuid4().hex}"  # all clients in memory share one store
        super().__init__(address or str(directory or "memory"), collection)
        self._opening = threading.Lock()
        self._opened: Any = None
        settings = Settings(anonymized_telemetry=False)
        with self._request("opening"):
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
                self._client = self._persistent(directory, settings)
            else:
                self._client = chromadb.EphemeralClient(settings=settings)

    def _persistent(self, directory: Path, settings: Any) -> Any:
        """A client of a directory; what Chroma remembers of one that could not be opened is taken back."""
        import chromadb

        chroma_files.check_files(directory, self.place)
        known = chroma_files.is_open(directory)
        try:
            return chromadb.PersistentClient(str(directory), settings=settings)
        except BaseException:
            if not known:
                chroma_files.forget(directory)
            raise

    @classmethod
    def open(cls, location: str, directory: Path) -> ChromaIndex:
        """The collection of ``"chroma://host:port/collection"``, or that of ``"chroma:PATH"`` inside the directory."""
        address = split_address(location)
        return cls(address=address) if address else cls(directory / "chroma")

    def _make(self, dimension: int) -> None:
        with self._opening:
            if self._opened is None:
                self._opened = self._client.get_or_create_collection(
                    self.place.collection, embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
                )

    def _is_there(self) -> bool:
        from chromadb import errors

        with self._opening:
            if self._opened is None:
                try:
                    self._opened = self._client.get_collection(self.place.collection, embedding_function=None)
                except errors.NotFoundError:
                    return False
            return True

    def _stamp(self) -> Mapping[str, Any]:
        return self._collection.metadata or {}

    def _set_stamp(self, stamp: Mapping[str, Any]) -> None:
        self._collection.modify(metadata={**self._stamp(), **stamp})

    def _write(
        self,
        ids: Sequence[str],
        vectors: Sequence[Sequence[float]],
        texts: Sequence[str],
        metadatas: Sequence[Mapping[str, Any]],
    ) -> None:
        """Metadata keys of an older record stay unless it is deleted first."""
        self._collection.upsert(
            ids=list(ids),
            embeddings=np.asarray(vectors, dtype=np.float32),
            documents=list(texts),
            metadatas=[{key: _kept(value) for key, value in one.items()} for one in metadatas],
        )

    def _near(self, vector: Sequence[float], k: int, where: dict[str, Any] | None) -> list[Found]:
        found = self._collection.query(
            query_embeddings=np.asarray([vector], dtype=np.float32),
            n_results=k,
            where=where,
            include=["metadatas", "distances"],
        )
        distances, metadatas = found["distances"] or [[]], found["metadatas"] or [[]]
        rows = zip(found["ids"][0], distances[0], metadatas[0], strict=True)
        # a record that is being replaced by another thread has no metadata for a moment
        return [Found(id_, 1.0 - distance, _metadata(metadata)) for id_, distance, metadata in rows if metadata]

    def _fetch(self, ids: Sequence[str]) -> Iterator[Record]:
        return _records(self._collection.get(ids=list(ids), include=["documents", "metadatas"]))

    def _pages(self, where: dict[str, Any] | None, texts: dict[str, Any] | None = None) -> Iterator[Sequence[Record]]:
        offset = 0
        while True:
            page = self._collection.get(
                where=where, where_document=texts, limit=PAGE, offset=offset, include=["documents", "metadatas"]
            )
            yield list(_records(page))
            offset += PAGE
            if len(page["ids"]) < PAGE:
                return

    def _holding(
        self, literals: Sequence[str], where: dict[str, Any] | None, ignore_case: bool
    ) -> Iterator[Sequence[Record]]:
        """By Chroma's regular expressions."""
        alternatives = "|".join(map(_escaped, literals))
        return self._pages(where, {"$regex": f"(?i){alternatives}" if ignore_case else alternatives})

    def _remove(self, ids: Sequence[str]) -> None:
        self._collection.delete(ids=list(ids))

    def _held(self, ids: Sequence[str]) -> Iterator[str]:
        return iter(self._collection.get(ids=list(ids), include=[])["ids"])

    def _count(self) -> int:
        return int(self._collection.count())

    def _close(self) -> None:
        self._client.close()  # type: ignore[attr-defined]

    def _error(self, doing: str, error: Exception) -> CorpusError | None:
        import httpx
        from chromadb import errors

        match error:
            case errors.InvalidArgumentError() | errors.InvalidDimensionException():
                if "dimension" in str(error).lower():
                    return self.place.wrong_dimension(doing, error)
                return self.place.error(CorpusError, doing, error, "The request was refused as it stands")
            case errors.NotFoundError():
                self._opened = None
                return self.place.missing(doing)
            case errors.ChromaAuthError() | errors.AuthorizationError():
                reason, out = error or "the key was refused", "Set CHROMA_API_KEY or give api_key="
                return self.place.error(StoreAuthenticationFailed, doing, reason, out)
            case errors.ChromaError() | httpx.HTTPError() | OSError():
                out = "Another process may be writing to it, its files may be damaged, or its server may be down"
                return self.place.error(StoreUnavailable, doing, error or type(error).__name__, out)
            case AttributeError() if "bindings" in str(error):  # of a client whose engine did not start
                out = "Close all corpora on it in this process, or start another one"
                return self.place.error(StoreUnavailable, doing, "its engine does not run", out)
            case ValueError() if "connect" in str(error).lower():  # what the client says when no server answers
                out = "Start it (`chroma run`), or check host and port"
                return self.place.error(StoreUnavailable, doing, error, out)
        return None

    @property
    def _collection(self) -> Any:
        if not self._is_there():
            raise self.place.missing("opening")
        return self._opened


def _kept(value: Any) -> Any:
    """A number as Chroma keeps it: a float where that is exact, a whole number beyond."""
    if isinstance(value, bool | str):
        return value
    return whole(value) if abs(value) >= FIRST_INEXACT and _is_whole(value) else float(value)


def _is_whole(number: Any) -> bool:
    """Whether it is among Chroma's whole numbers, perhaps as a float."""
    return isinstance(whole(number), int) and -_INT64 <= number < _INT64


def _metadata(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers that were whole, as they were."""
    return {key: whole(value) if isinstance(value, float) else value for key, value in stored.items()}


def _records(page: Mapping[str, Any]) -> Iterator[Record]:
    for id_, text, metadata in zip(page["ids"], page["documents"] or (), page["metadatas"] or (), strict=True):
        yield Record(id_, text or "", _metadata(metadata or {}))


def _escaped(literal: str) -> str:
    """For Rust's regular expressions, which know fewer escapes than Python's."""
    return re.sub(r"[\\.+*?()|\[\]{}^$#&~-]", r"\\\g<0>", literal)
