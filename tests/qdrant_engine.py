"""Qdrant's real engine in the place of the client's local mode: collections in memory, points in an edge shard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import qdrant_edge as edge
from qdrant_client import QdrantClient, models
from qdrant_client.http.models import models as http

_BOOLS: dict[Any, bool] = {"\0True": True, "\0False": False}


class EngineClient(QdrantClient):
    """As far as our index asks for it; what is missing raises.

    Args:
        directory: of the shards.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(":memory:")  # knows which collections there are
        self._directory = directory
        self._shards: dict[str, edge.EdgeShard] = {}
        self._made = 0

    def create_collection(self, name: str, vectors_config: Any, metadata: Any = None) -> bool:
        made = super().create_collection(name, vectors_config=vectors_config, metadata=metadata)
        self._made += 1
        params = edge.EdgeVectorParams(vectors_config.size, edge.Distance.Cosine)
        folder = self._directory / str(self._made)
        folder.mkdir()
        self._shards[name] = edge.EdgeShard.create(str(folder), edge.EdgeConfig(vectors=params))
        return made

    def delete_collection(self, name: str) -> bool:
        self._shards.pop(name).close()
        return super().delete_collection(name)

    def create_payload_index(self, name: str, field: str, schema: Any) -> None:
        params: Any
        if isinstance(schema, models.TextIndexParams):
            params = edge.TextIndexParams(scoring=schema.scoring)
        else:
            params = edge.KeywordIndexParams(is_tenant=schema.is_tenant)
        self._shards[name].update(edge.UpdateOperation.create_field_index(field, params))

    def upsert(self, name: str, points: Any) -> None:
        converted = [
            edge.Point(one.id, one.vector, {key: _kept(value) for key, value in one.payload.items()}) for one in points
        ]
        self._shards[name].update(edge.UpdateOperation.upsert_points(converted))

    def delete(self, name: str, selector: Any) -> None:
        self._shards[name].update(edge.UpdateOperation.delete_points(selector.points))

    def count(self, name: str, where: Any, exact: bool) -> models.CountResult:
        return models.CountResult(count=self._shards[name].count(edge.CountRequest(exact=exact, filter=_filter(where))))

    def retrieve(self, name: str, ids: Any, with_payload: Any) -> list[models.Record]:
        return [
            _record(one, with_payload) for one in self._shards[name].retrieve(ids, with_payload=True, with_vector=False)
        ]

    def scroll(self, name: str, where: Any, limit: int, offset: Any, with_payload: Any) -> Any:
        asked = edge.ScrollRequest(offset=offset, limit=limit, filter=_filter(where), with_payload=True)
        found, following = self._shards[name].scroll(asked)
        return [_record(one, with_payload) for one in found], following and str(following)

    def query_points(
        self, name: str, *, query: Any, using: Any, prefetch: Any, query_filter: Any, limit: int, with_payload: Any
    ) -> http.QueryResponse:
        before = [
            edge.Prefetch(limit=one.limit, query=_query(one.query, one.using), filter=_filter(one.filter))
            for one in prefetch or ()
        ]
        found = self._shards[name].query(
            edge.QueryRequest(
                limit=limit,
                query=_query(query, using),
                prefetches=before,
                filter=_filter(query_filter),
                with_payload=True,
            )
        )
        points = [
            models.ScoredPoint(id=str(one.id), version=0, score=one.score, payload=_shown(one.payload, with_payload))
            for one in found
        ]
        return http.QueryResponse(points=points)

    def close(self) -> None:
        while self._shards:
            self._shards.popitem()[1].close()
        super().close()


def _query(query: Any, using: str | None) -> Any:
    match query:
        case list():
            return edge.Query.Nearest(query)
        case models.NearestQuery():
            return edge.Query.Nearest(query.nearest)
        case models.TextQuery():
            return edge.TextQuery(str(using), query.text)
        case models.FusionQuery(fusion=models.Fusion.RRF):
            return edge.Fusion.Rrf(2)  # the server's default
    raise NotImplementedError(query)


def _filter(where: models.Filter | None) -> edge.Filter | None:
    if where is None:
        return None
    parts = {name: getattr(where, name) for name in ("must", "should", "must_not")}
    return edge.Filter(**{name: list(map(_condition, part)) for name, part in parts.items() if part is not None})


def _condition(condition: Any) -> Any:
    match condition:
        case models.Filter():
            return _filter(condition)
        case models.HasIdCondition():
            return edge.HasIdCondition(set(condition.has_id))
        case models.FieldCondition(match=models.MatchSubstring() as match):
            return edge.FieldCondition(condition.key, match=edge.MatchSubstring(match.substring))
        case models.FieldCondition(match=models.MatchAny() as match):
            return edge.FieldCondition(condition.key, match=edge.MatchAny(match.any))
        case models.FieldCondition(match=models.MatchValue() as match):
            return edge.FieldCondition(condition.key, match=edge.MatchValue(_kept(match.value)))
        case models.FieldCondition(range=models.Range() as bounds):
            return edge.FieldCondition(condition.key, range=edge.RangeFloat(**bounds.model_dump()))
    raise NotImplementedError(condition)


def _record(record: Any, shown: Any) -> models.Record:
    return models.Record(id=str(record.id), payload=_shown(record.payload, shown))


def _shown(payload: Any, selector: Any) -> dict[str, Any]:
    hidden = selector.exclude if isinstance(selector, models.PayloadSelectorExclude) else () if selector else payload
    return {key: _BOOLS.get(value, value) for key, value in payload.items() if key not in hidden}


def _kept(value: Any) -> Any:
    """The binding takes True for 1 in a condition, so that bools are kept as texts of their own."""
    return f"\0{value}" if isinstance(value, bool) else value
