"""QdrantIndex: vectors in Qdrant, in this process or on a server (``pip install "langgraph-rlm[qdrant]"``)."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langgraph_rlm.stores import (
    PAGE,
    RESERVED_PREFIX,
    STAMP,
    TENANT,
    TEXT,
    Address,
    Capability,
    CorpusError,
    Dialect,
    Found,
    InvalidFilter,
    MissingDependency,
    Record,
    StoreAuthenticationFailed,
    StoreIndex,
    StoreUnavailable,
    floats,
    split_address,
)

from .qdrant_files import check_files

if TYPE_CHECKING:
    from qdrant_client import models

COLLECTION = "langgraph-rlm"
PORT, GRPC_PORT = 6333, 6334
MAX_BYTES = 16 << 20
"""Of one request; servers take 32 MB."""
TIMEOUT = 60
"""Seconds that a request may take."""

_NEWEST = (1, 20)  # has BM25 by TextQuery and MatchSubstring
_GRPC_STATUS = {"NOT_FOUND": 404, "UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "UNAVAILABLE": 503,
                "DEADLINE_EXCEEDED": 504}  # fmt: skip


class QdrantDialect(Dialect[Any]):
    """Conditions of Qdrant's client. Numbers are compared by ranges, as Qdrant tells 1 from 1.0."""

    @property
    def nothing(self) -> Any:
        """No record is among none."""
        from qdrant_client import models

        return models.HasIdCondition(has_id=[])

    def compared(self, key: str, operator: str, bound: Any) -> Any:
        """By the condition that the type of the bound has; InvalidFilter for a name that no path can hold."""
        from qdrant_client import models

        path = _path(key)
        if operator in ("$ne", "$nin"):
            return models.Filter(must_not=[self.compared(key, {"$ne": "$eq", "$nin": "$in"}[operator], bound)])
        if operator not in ("$eq", "$in"):
            return models.FieldCondition(key=path, range=models.Range(**{operator[1:]: bound}))
        values = bound if operator == "$in" else [bound]
        if isinstance(values[0], str):
            return models.FieldCondition(key=path, match=models.MatchAny(any=values))
        if isinstance(values[0], bool):
            conditions: list[Any] = [
                models.FieldCondition(key=path, match=models.MatchValue(value=one)) for one in values
            ]
        else:
            conditions = [models.FieldCondition(key=path, range=models.Range(gte=one, lte=one)) for one in values]
        return conditions[0] if len(conditions) == 1 else self.joined("$or", conditions)

    def joined(self, operator: str, parts: Sequence[Any]) -> Any:
        """Conditions in one filter."""
        from qdrant_client import models

        return models.Filter(must=list(parts)) if operator == "$and" else models.Filter(should=list(parts))


class QdrantIndex(StoreIndex[Any]):
    """One collection of Qdrant with cosine distance.

    Args:
        directory: where the collection lives, made when it is missing; None keeps it in memory. Qdrant's local mode is
            made for tests and small collections, and one process at a time may open a directory. One that others may
            write, or that holds more than Qdrant writes, is refused: local mode reads its files by pickle.
        collection: its name there.
        address: a server's collection instead; the transports are ``http`` (as without one), ``https`` and ``grpc``.
        api_key: the server's key; ``QDRANT_API_KEY`` when left out.

    Raises:
        MissingDependency: qdrant-client is not installed.
        StoreUnavailable: the directory is in use, or the server does not answer.
        StoreAuthenticationFailed: the server refuses the key.
        CorpusError: the directory is not safe to open.

    Example:
        >>> index, record = QdrantIndex(), "7f0e9c1e-2b1f-4d0a-9a53-0e8f1c2d3b4a"
        >>> index.upsert([record], [[0.1, 0.9]], ["text"], [{"path": "a.txt"}])
        >>> index.query([0.2, 0.8], k=1)[0].metadata
        {'path': 'a.txt'}
    """

    store = "qdrant"
    dialect = QdrantDialect(store)
    transports = ("http", "https", "grpc")
    capabilities: frozenset[Capability] = frozenset({"candidates", "bm25", "hybrid"})
    most_bytes = MAX_BYTES

    def __init__(
        self,
        directory: Path | None = None,
        collection: str = COLLECTION,
        *,
        address: Address | None = None,
        api_key: str | None = None,
    ) -> None:
        try:
            from qdrant_client import QdrantClient
        except ImportError as error:
            raise MissingDependency(
                f'a "qdrant:" corpus needs qdrant-client ({error}): pip install "langgraph-rlm[qdrant]"'
            ) from None
        super().__init__(address or str(directory or "memory"), address.collection if address else collection)
        self._in_files = directory is not None and address is None
        with self._request("opening"):
            if address is not None:
                grpc = address.transport == "grpc"
                key = api_key or os.environ.get("QDRANT_API_KEY")
                self._client = QdrantClient(
                    host=address.host,
                    port=PORT if grpc else address.port or PORT,
                    grpc_port=(address.port if grpc else None) or GRPC_PORT,
                    prefer_grpc=grpc,
                    https=address.transport == "https",
                    api_key=key,
                    timeout=TIMEOUT,
                    check_compatibility=False,
                )
                self._client.get_collections()  # a ping, with the key
                if not grpc and self._is_old():
                    self.capabilities = frozenset()
            else:
                self._lock = threading.RLock()  # local mode knows one thread
                if directory is not None:
                    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                    check_files(directory, self.place)
                self._client = QdrantClient(
                    location=":memory:" if directory is None else None,
                    path=None if directory is None else str(directory),
                    force_disable_check_same_thread=True,
                )

    @classmethod
    def open(cls, location: str, directory: Path) -> QdrantIndex:
        """The collection of ``"qdrant://host:port/collection"``, or that of ``"qdrant:PATH"`` inside the directory."""
        address = split_address(location)
        return cls(address=address) if address else cls(directory / "qdrant")

    def _make(self, dimension: int) -> None:
        """The collection and its indexes: words for BM25, and the tenant, whose records Qdrant then keeps together."""
        from qdrant_client import models

        if self._dimension is not None or self._is_there():
            return
        size = models.VectorParams(size=dimension, distance=models.Distance.COSINE)
        with self._made_meanwhile():
            self._client.create_collection(self.place.collection, vectors_config=size)
        indexes: dict[str, Any] = {TEXT: models.TextIndexParams(type=models.TextIndexType.TEXT, scoring=True)}
        if not self.capabilities:
            indexes = {}
        keyword = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD)
        indexes[f"{RESERVED_PREFIX}doc_id"] = keyword
        indexes[TENANT] = keyword.model_copy(update={"is_tenant": True})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # local mode says that it makes no use of them
            for key, params in indexes.items():
                self._client.create_payload_index(self.place.collection, key, field_schema=params, wait=True)

    def _is_there(self) -> bool:
        return self._dimension is not None or self._client.collection_exists(self.place.collection)

    def _stamp(self) -> Mapping[str, Any]:
        config = self._client.get_collection(self.place.collection).config
        return {STAMP[1]: getattr(config.params.vectors, "size", None), **(config.metadata or {})}

    def _set_stamp(self, stamp: Mapping[str, Any]) -> None:
        self._client.update_collection(self.place.collection, metadata=dict(stamp))

    def _write(
        self,
        ids: Sequence[str],
        vectors: Sequence[Sequence[float]],
        texts: Sequence[str],
        metadatas: Sequence[Mapping[str, Any]],
    ) -> None:
        from qdrant_client import models

        rows = zip(ids, map(floats, vectors), texts, metadatas, strict=True)
        # nothing is left that the models would have to validate
        points = [
            models.PointStruct.model_construct(id=id_, vector=vector, payload={**metadata, TEXT: text})
            for id_, vector, text, metadata in rows
        ]
        self._client.upsert(self.place.collection, points=points, wait=True)

    def _near(self, vector: Sequence[float], k: int, where: Any) -> list[Found]:
        return self._found(query=floats(vector), limit=k, query_filter=where)

    def _worded(self, text: str, k: int, where: Any) -> list[Found]:
        from qdrant_client import models

        return self._found(query=models.TextQuery(text=text), using=TEXT, limit=k, query_filter=where)

    def _fused(self, text: str, vector: Sequence[float], k: int, depth: int, where: Any) -> list[Found]:
        """Fused by reciprocal ranks."""
        from qdrant_client import models

        near = models.Prefetch(query=floats(vector), filter=_whole(where), limit=depth)
        worded = models.Prefetch(query=models.TextQuery(text=text), using=TEXT, filter=_whole(where), limit=depth)
        return self._found(query=models.FusionQuery(fusion=models.Fusion.RRF), prefetch=[near, worded], limit=k)

    def _fetch(self, ids: Sequence[str]) -> Iterator[Record]:
        return map(_record, self._client.retrieve(self.place.collection, ids=list(ids), with_payload=True))

    def _pages(self, where: Any) -> Iterator[Sequence[Record]]:
        offset: Any = None
        while True:
            page, offset = self._client.scroll(
                self.place.collection, scroll_filter=_whole(where), limit=PAGE, offset=offset, with_payload=True
            )
            yield list(map(_record, page))
            if offset is None:
                return

    def _holding(self, literals: Sequence[str], where: Any, ignore_case: bool) -> Iterator[Sequence[Record]]:
        """By ``MatchSubstring``; all when upper and lower case are the same."""
        from qdrant_client import models

        if ignore_case:
            return self._pages(where)
        holds: list[Any] = [
            models.FieldCondition(key=TEXT, match=models.MatchSubstring(substring=literal)) for literal in literals
        ]
        return self._pages(models.Filter(should=holds, must=None if where is None else [where]))

    def _remove(self, ids: Sequence[str]) -> None:
        from qdrant_client import models

        self._client.delete(self.place.collection, points_selector=models.PointIdsList(points=list(ids)), wait=True)

    def _held(self, ids: Sequence[str]) -> Iterator[str]:
        found = self._client.retrieve(self.place.collection, ids=list(ids), with_payload=False)
        return (str(one.id) for one in found)

    def _count(self) -> int:
        return int(self._client.count(self.place.collection, exact=True).count)

    def _close(self) -> None:
        self._client.close()

    def _error(self, doing: str, error: Exception) -> CorpusError | None:
        from grpc import RpcError
        from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

        match error:
            case UnexpectedResponse():
                return self._refused(doing, error.status_code, _reason(error.content) or error)
            case RpcError():
                name = getattr(getattr(error, "code", lambda: None)(), "name", "")
                return self._refused(doing, _GRPC_STATUS.get(name, 400), getattr(error, "details", str)() or error)
            case ResponseHandlingException() | OSError():
                return self.place.error(
                    StoreUnavailable, doing, error, "Start the server, check host and port, or try again"
                )
            case RuntimeError() if "already accessed" in str(error):
                what, out = (
                    "another process or object has it open",
                    "Close it there; for several processes, run a server",
                )
                return self.place.error(StoreUnavailable, doing, what, out)
            case ValueError() if "not found" in str(error):  # local mode's word for a missing collection
                return self.place.missing(doing)
            case sqlite3.Error():
                return self.place.error(StoreUnavailable, doing, error, "Its files may be damaged, or the disk full")
            case ValueError() | KeyError() | TypeError() if self._in_files and doing == "opening":
                what = f"{type(error).__name__}: {error}"
                return self.place.error(StoreUnavailable, doing, what, "Its files may be damaged")
        return None

    def _refused(self, doing: str, status: int | None, reason: object) -> CorpusError:
        if status in (401, 403):
            out = "Set QDRANT_API_KEY or give api_key="
            return self.place.error(StoreAuthenticationFailed, doing, reason, out)
        if status == 404 and "collection" in str(reason).lower():  # a server that does not know the call says 404 too
            return self.place.missing(doing)
        if status == 404:
            out = "Check the address: a proxy or an older Qdrant does not know this request"
            return self.place.error(CorpusError, doing, f"404 {reason}", out)
        if status == 429 or (status or 500) >= 500:
            return self.place.error(StoreUnavailable, doing, reason, "Try again; see the server's log")
        return self.place.error(CorpusError, doing, reason, "The request was refused as it stands")

    def _is_old(self) -> bool:
        numbers = self._client.info().version.split(".")[:2]
        return all(map(str.isdigit, numbers)) and tuple(map(int, numbers)) < _NEWEST

    @contextmanager
    def _made_meanwhile(self) -> Iterator[None]:
        """Another thread or process may have made the collection since it was looked for."""
        try:
            yield
        except Exception:
            if not self._client.collection_exists(self.place.collection):
                raise

    def _found(self, *, query_filter: Any = None, **asked: Any) -> list[Found]:
        from qdrant_client import models

        found = self._client.query_points(
            self.place.collection,
            query_filter=_whole(query_filter),
            with_payload=models.PayloadSelectorExclude(exclude=[TEXT]),
            **asked,
        )
        return [Found(str(one.id), one.score, _metadata(one)) for one in found.points]


def _whole(where: Any) -> models.Filter | None:
    """A condition as a filter, which is what requests take."""
    from qdrant_client import models

    return where if where is None or isinstance(where, models.Filter) else models.Filter(must=[where])


def _path(key: str) -> str:
    """A field name as a JSON path, in which dots and brackets would mean something."""
    if '"' in key:
        raise InvalidFilter(f"where[{key!r}]: Qdrant cannot filter by names that hold a quotation mark")
    return key if key.replace("_", "a").isalnum() and key.isascii() else f'"{key}"'


def _metadata(point: Any) -> dict[str, Any]:
    return {key: value for key, value in (point.payload or {}).items() if key != TEXT}


def _record(point: Any) -> Record:
    return Record(str(point.id), (point.payload or {}).get(TEXT, ""), _metadata(point))


def _reason(content: bytes) -> str:
    try:
        status = json.loads(content).get("status")
        return str(status["error"] if isinstance(status, dict) else status or "")
    except (ValueError, AttributeError, KeyError):
        return content.decode(errors="replace")[:200]
