"""QdrantIndex: vectors in Qdrant, in this process or on a server (``pip install "langgraph-rlm[qdrant]"``)."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langgraph_rlm.corpus.filters import comparisons, validate
from langgraph_rlm.corpus.finding.fusion import fusion_depth
from langgraph_rlm.corpus.index import (
    MAX_BATCH,
    PAGE,
    RESERVED_PREFIX,
    STAMP,
    TENANT,
    TEXT,
    Address,
    AsyncTwins,
    Capability,
    Found,
    Place,
    Record,
    batches,
    floats,
    split_address,
)
from langgraph_rlm.errors import (
    CorpusError,
    InvalidFilter,
    MissingDependency,
    StoreAuthenticationFailed,
    StoreUnavailable,
)

if TYPE_CHECKING:
    from qdrant_client import models

COLLECTION = "langgraph-rlm"
PORT, GRPC_PORT = 6333, 6334
MAX_BYTES = 16 << 20
"""Of one request; servers take 32 MB."""
TIMEOUT = 60
"""Seconds that a request may take."""

_NEWEST = (1, 20)  # has BM25 by TextQuery and MatchSubstring


class QdrantIndex(AsyncTwins):
    """One collection of Qdrant with cosine distance.

    Args:
        directory: where the collection lives, made when it is missing; None keeps it in memory. Qdrant's local mode is
            made for tests and small collections, and one process at a time may open a directory.
        collection: its name there.
        address: a server's collection instead; the transports are ``http`` (as without one), ``https`` and ``grpc``.
        api_key: the server's key; ``QDRANT_API_KEY`` when left out.

    Raises:
        MissingDependency: qdrant-client is not installed.
        StoreUnavailable: the directory is in use, or the server does not answer.
        StoreAuthenticationFailed: the server refuses the key.

    Example:
        >>> index, record = QdrantIndex(), "7f0e9c1e-2b1f-4d0a-9a53-0e8f1c2d3b4a"
        >>> index.upsert([record], [[0.1, 0.9]], ["text"], [{"path": "a.txt"}])
        >>> index.query([0.2, 0.8], k=1)[0].metadata
        {'path': 'a.txt'}
    """

    capabilities: frozenset[Capability] = frozenset({"candidates", "bm25", "hybrid"})

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
        self._lock: Any = contextlib.nullcontext() if address else threading.RLock()  # local mode knows one thread
        self._dimension: int | None = None
        self._name = address.collection if address else collection
        self._place = Place("qdrant", str(address or directory or "memory"), self._name)
        with self._mapped("opening"):
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
                if directory is not None:
                    directory.mkdir(parents=True, exist_ok=True)
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

    def claim(self, embeddings: str, dimension: int) -> None:
        """Make the collection, or check that it was made for these vectors."""
        self._make(dimension)
        with self._mapped("claiming"):
            stamp = dict(self._client.get_collection(self._name).config.metadata or {})
            stamp.setdefault(STAMP[1], self._known_dimension())
        if refused := self._place.made_with(stamp, embeddings, dimension):
            raise refused
        if STAMP[0] not in stamp:
            with self._mapped("claiming"):
                metadata = dict(zip(STAMP, (embeddings, dimension), strict=True))
                self._client.update_collection(self._name, metadata=metadata)

    def check(self, metadata: Mapping[str, Any]) -> None:
        """Qdrant keeps all flat metadata."""

    def upsert(
        self,
        ids: Sequence[str],
        vectors: Sequence[Sequence[float]],
        texts: Sequence[str],
        metadatas: Sequence[Mapping[str, Any]],
    ) -> None:
        """Add or replace records, at most 1000 and 16 MB at a time."""
        from qdrant_client import models

        if not ids:
            return
        self._make(len(vectors[0]))
        self._place.check_dimension("writing", self._dimension, *vectors)
        for batch in batches(vectors, texts, metadatas, MAX_BYTES):
            rows = zip(ids[batch], map(floats, vectors[batch]), texts[batch], metadatas[batch], strict=True)
            # nothing is left that the models would have to validate
            points = [
                models.PointStruct.model_construct(id=id_, vector=vector, payload={**metadata, TEXT: text})
                for id_, vector, text, metadata in rows
            ]
            with self._mapped("writing"):
                self._client.upsert(self._name, points=points, wait=True)

    def query(self, vector: Sequence[float], k: int, where: Mapping[str, Any] | None = None) -> list[Found]:
        """The nearest records, best first; the score is the cosine similarity."""
        translated = _checked(where)
        with self._mapped("searching"):
            self._place.check_dimension("searching", self._known_dimension(), vector)
            found = self._client.query_points(
                self._name, query=floats(vector), limit=k, query_filter=translated, with_payload=_without_text()
            )
        return [Found(str(one.id), one.score, _metadata(one)) for one in found.points]

    def bm25(self, text: str, k: int, where: Mapping[str, Any] | None = None) -> list[Found]:
        """Ranked by BM25."""
        from qdrant_client import models

        translated = _checked(where)
        with self._mapped("searching"):
            found = self._client.query_points(
                self._name,
                query=models.TextQuery(text=text),
                using=TEXT,
                query_filter=translated,
                limit=k,
                with_payload=_without_text(),
            )
        return [Found(str(one.id), one.score, _metadata(one)) for one in found.points]

    def hybrid(self, text: str, vector: Sequence[float], k: int, where: Mapping[str, Any] | None = None) -> list[Found]:
        """Ranked by BM25 and by vector in one request, fused by reciprocal ranks."""
        from qdrant_client import models

        translated, depth = _checked(where), fusion_depth(k)
        with self._mapped("searching"):
            self._place.check_dimension("searching", self._known_dimension(), vector)
            found = self._client.query_points(
                self._name,
                prefetch=[
                    models.Prefetch(query=floats(vector), filter=translated, limit=depth),
                    models.Prefetch(query=models.TextQuery(text=text), using=TEXT, filter=translated, limit=depth),
                ],
                query=models.FusionQuery(fusion=models.Fusion.RRF),
                limit=k,
                with_payload=_without_text(),
            )
        return [Found(str(one.id), one.score, _metadata(one)) for one in found.points]

    def get(self, ids: Sequence[str]) -> list[Record]:
        """The records of these ids, in their order."""
        found: dict[str, Record] = {}
        for at in range(0, len(ids), MAX_BATCH):
            with self._mapped("reading"):
                page = self._client.retrieve(self._name, ids=list(ids[at : at + MAX_BATCH]), with_payload=True)
            found.update((str(one.id), _record(one)) for one in page)
        return [found[id_] for id_ in ids if id_ in found]

    def scroll(self, where: Mapping[str, Any] | None = None) -> Iterator[Record]:
        """All records that pass the filter, page by page."""
        return self._scrolled(_checked(where))

    def candidates(
        self, literals: Sequence[str], where: Mapping[str, Any] | None = None, *, ignore_case: bool = False
    ) -> Iterator[Record]:
        """Records that hold one of these strings, by ``MatchSubstring``; all when upper and lower case are the same."""
        from qdrant_client import models

        if ignore_case:
            return self.scroll(where)
        holds: list[Any] = [
            models.FieldCondition(key=TEXT, match=models.MatchSubstring(substring=literal)) for literal in literals
        ]
        return self._scrolled(models.Filter(should=holds, must=_all(_checked(where))))

    def delete(self, ids: Sequence[str]) -> None:
        """Remove records; unknown ids do no harm."""
        from qdrant_client import models

        for at in range(0, len(ids), MAX_BATCH):
            with self._mapped("deleting"):
                if self._is_there():
                    some = models.PointIdsList(points=list(ids[at : at + MAX_BATCH]))
                    self._client.delete(self._name, points_selector=some, wait=True)

    def existing(self, ids: Sequence[str]) -> set[str]:
        """Which of these ids are there."""
        found: set[str] = set()
        for at in range(0, len(ids), MAX_BATCH):
            with self._mapped("reading"):
                if self._is_there():
                    some = list(ids[at : at + MAX_BATCH])
                    found.update(str(one.id) for one in self._client.retrieve(self._name, ids=some, with_payload=False))
        return found

    def count(self) -> int:
        """Records in the collection."""
        with self._mapped("counting"):
            return int(self._client.count(self._name, exact=True).count) if self._is_there() else 0

    def close(self) -> None:
        """Release files and connections."""
        self._client.close()

    def _scrolled(self, where: models.Filter | None) -> Iterator[Record]:
        offset: Any = None
        while True:
            with self._mapped("reading"):
                page, offset = self._client.scroll(
                    self._name, scroll_filter=where, limit=PAGE, offset=offset, with_payload=True
                )
            yield from map(_record, page)
            if offset is None:
                return

    def _is_old(self) -> bool:
        numbers = self._client.info().version.split(".")[:2]
        return all(map(str.isdigit, numbers)) and tuple(map(int, numbers)) < _NEWEST

    def _is_there(self) -> bool:
        return self._dimension is not None or self._client.collection_exists(self._name)

    def _known_dimension(self) -> int | None:
        if self._dimension is None:
            params = self._client.get_collection(self._name).config.params.vectors
            self._dimension = getattr(params, "size", None)
        return self._dimension

    def _make(self, dimension: int) -> None:
        """The collection and its indexes: words for BM25, and the tenant, whose records Qdrant then keeps together."""
        from qdrant_client import models

        if self._dimension is not None:
            return
        with self._mapped("making"):
            if not self._client.collection_exists(self._name):
                size = models.VectorParams(size=dimension, distance=models.Distance.COSINE)
                with self._made_meanwhile():
                    self._client.create_collection(self._name, vectors_config=size)
                indexes: dict[str, Any] = {TEXT: models.TextIndexParams(type=models.TextIndexType.TEXT, scoring=True)}
                if not self.capabilities:
                    indexes = {}
                keyword = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD)
                indexes[f"{RESERVED_PREFIX}doc_id"] = keyword
                indexes[TENANT] = keyword.model_copy(update={"is_tenant": True})
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # local mode says that it makes no use of them
                    for key, params in indexes.items():
                        self._client.create_payload_index(self._name, key, field_schema=params, wait=True)
            self._known_dimension()

    @contextmanager
    def _made_meanwhile(self) -> Iterator[None]:
        """Another thread or process may have made the collection since it was looked for."""
        try:
            yield
        except Exception:
            if not self._client.collection_exists(self._name):
                raise

    @contextmanager
    def _mapped(self, doing: str) -> Iterator[None]:
        from grpc import RpcError
        from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

        down = "Start the server, check host and port, or try again"
        try:
            with self._lock:
                yield
        except UnexpectedResponse as error:
            raise self._refused(doing, error.status_code, _reason(error.content) or error) from error
        except RpcError as error:
            name = getattr(error, "code", lambda: None)()
            status = {"NOT_FOUND": 404, "UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "UNAVAILABLE": 503,
                      "DEADLINE_EXCEEDED": 504}.get(getattr(name, "name", ""), 400)  # fmt: skip
            raise self._refused(doing, status, getattr(error, "details", lambda: "")() or error) from error
        except (ResponseHandlingException, OSError) as error:
            raise StoreUnavailable(self._place.says(doing, error, down)) from error
        except RuntimeError as error:
            if "already accessed" not in str(error):
                raise
            out = "Close it there; for several processes, run a server"
            raise StoreUnavailable(self._place.says(doing, "another process or object has it open", out)) from error
        except ValueError as error:
            if "not found" not in str(error):  # local mode's word for a missing collection
                raise
            self._dimension = None
            raise self._place.missing(doing) from error

    def _refused(self, doing: str, status: int | None, reason: object) -> CorpusError:
        if status in (401, 403):
            return StoreAuthenticationFailed(self._place.says(doing, reason, "Set QDRANT_API_KEY or give api_key="))
        if status == 404:
            self._dimension = None
            return self._place.missing(doing)
        if status == 429 or (status or 500) >= 500:
            return StoreUnavailable(self._place.says(doing, reason, "Try again; see the server's log"))
        return CorpusError(self._place.says(doing, reason, "The request was refused as it stands"))


def translate(where: Mapping[str, Any]) -> models.Filter:
    """A filter in Qdrant's dialect. Numbers are compared by ranges, as Qdrant tells 1 from 1.0.

    Raises:
        InvalidFilter: an order of texts, which Qdrant does not know, or a field name that it cannot express.
    """
    from qdrant_client import models

    must: list[Any] = []
    for key, condition in where.items():
        if key == "$and":
            must += [translate(part) for part in condition]
        elif key == "$or":
            must.append(models.Filter(should=[_not_empty(translate(part)) for part in condition]))
        else:
            must += [_comparison(key, operator, bound) for operator, bound in comparisons(condition)]
    return models.Filter(must=must)


def _comparison(key: str, operator: str, bound: Any) -> Any:
    from qdrant_client import models

    path = _path(key)
    if operator in ("$eq", "$ne"):
        equal = _equal(path, [bound])
        return equal if operator == "$eq" else models.Filter(must_not=[equal])
    if operator in ("$in", "$nin"):
        among = _equal(path, bound)
        return among if operator == "$in" else models.Filter(must_not=[among])
    if isinstance(bound, str):
        raise InvalidFilter(f"where[{key!r}]: Qdrant cannot order texts by {operator}")
    return models.FieldCondition(key=path, range=models.Range(**{operator[1:]: bound}))


def _equal(path: str, values: Sequence[Any]) -> Any:
    """Equal to one of these, each by the comparison that its type has."""
    from qdrant_client import models

    texts = [value for value in values if isinstance(value, str)]
    options: list[Any] = [models.FieldCondition(key=path, match=models.MatchAny(any=texts))] if texts else []
    for value in values:
        if isinstance(value, bool):
            options.append(models.FieldCondition(key=path, match=models.MatchValue(value=value)))
        elif isinstance(value, int | float):
            options.append(models.FieldCondition(key=path, range=models.Range(gte=value, lte=value)))
    if not options:
        return models.HasIdCondition(has_id=[])  # nothing is among nothing
    return options[0] if len(options) == 1 else models.Filter(should=options)


def _not_empty(part: models.Filter) -> models.Filter:
    """A filter that lets everything pass must do so as an alternative too."""
    from qdrant_client import models

    return part if part.must else models.Filter(must_not=[models.HasIdCondition(has_id=[])])


def _path(key: str) -> str:
    """A field name as a JSON path, in which dots and brackets would mean something."""
    if '"' in key:
        raise InvalidFilter(f"where[{key!r}]: Qdrant cannot filter by names that hold a quotation mark")
    return key if key.replace("_", "a").isalnum() and key.isascii() else f'"{key}"'


def _all(where: models.Filter | None) -> list[Any] | None:
    return [where] if where is not None else None


def _checked(where: Mapping[str, Any] | None) -> models.Filter | None:
    if not where:
        return None
    validate(where)
    return translate(where)


def _without_text() -> Any:
    from qdrant_client import models

    return models.PayloadSelectorExclude(exclude=[TEXT])


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
