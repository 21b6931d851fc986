"""A loopback server that speaks Qdrant's REST API: requests are parsed by qdrant-client's models, `:memory:` answers."""

from __future__ import annotations

import re
import threading
import warnings
from typing import Any

from pydantic import ValidationError
from qdrant_client import QdrantClient, models
from qdrant_client.http.models import models as http

from tests.loopback import JsonServer, Refusal


class QdrantServer(JsonServer):
    """One server; ``api_key`` None lets everybody in."""

    def __init__(
        self, port: int = 0, api_key: str | None = None, version: str = "1.20.0", memory: QdrantClient | None = None
    ) -> None:
        super().__init__(port)
        self.api_key = api_key
        self.version = version
        self.memory = memory or QdrantClient(":memory:")
        self._one_at_a_time = threading.Lock()

    def refusal(self, status: int) -> Any:
        return {"status": {"error": f"planned {status}"}, "time": 0.0}

    def answer(self, method: str, path: str, query: dict[str, str], headers: Any, body: Any) -> Any:
        if path == "/":
            return {"title": "qdrant", "version": self.version}
        if self.api_key is not None and headers.get("api-key") != self.api_key:
            raise Refusal(401 if not headers.get("api-key") else 403, {"status": {"error": "Invalid API key"}})
        try:
            with self._one_at_a_time, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                result = self._route(method, path, body)
        except ValidationError as error:
            raise _refused(400, f"Format error in JSON body: {error.errors()[0]['msg']}") from None
        return {"result": result, "status": "ok", "time": 0.0}

    def _route(self, method: str, path: str, body: Any) -> Any:
        if path == "/collections":
            return _plain(self.memory.get_collections())
        found = re.fullmatch(r"/collections/([^/]+)(/.+)?", path)
        if found is None:
            raise _refused(404, "no such path")
        name, rest = found[1], found[2] or ""
        there = self.memory.collection_exists(name)
        if rest == "/exists":
            return {"exists": there}
        if (method, rest) == ("PUT", ""):
            if there:
                raise _refused(409, f"Wrong input: Collection `{name}` already exists!")
            made = http.CreateCollection.model_validate(body)
            return self.memory.create_collection(name, vectors_config=made.vectors, metadata=made.metadata)
        if not there:
            raise _refused(404, f"Not found: Collection `{name}` doesn't exist!")
        return self._in_collection(name, method, rest, body)

    def _in_collection(self, name: str, method: str, rest: str, body: Any) -> Any:
        memory = self.memory
        done = {"operation_id": 0, "status": "completed"}
        match method, rest:
            case "GET", "":
                return _plain(memory.get_collection(name))
            case "DELETE", "":
                return memory.delete_collection(name)
            case "PATCH", "":
                return memory.update_collection(name, metadata=http.UpdateCollection.model_validate(body).metadata)
            case "PUT", "/index":
                index = http.CreateFieldIndex.model_validate(body)
                memory.create_payload_index(name, index.field_name, index.field_schema)
                return done
            case "PUT", "/points":
                points = http.PointsList.model_validate(body).points
                for point in points:
                    self._check_dimension(name, point.vector)
                memory.upsert(name, points)
                return done
            case "POST", "/points":
                asked = http.PointRequest.model_validate(body)
                found = memory.retrieve(name, asked.ids, with_payload=asked.with_payload)
                return [_plain(one) for one in found]
            case "POST", "/points/delete":
                memory.delete(name, http.PointIdsList.model_validate(body))
                return done
            case "POST", "/points/count":
                counted = http.CountRequest.model_validate(body)
                return _plain(memory.count(name, counted.filter, exact=True))
            case "POST", "/points/scroll":
                page = http.ScrollRequest.model_validate(body)
                records, offset = memory.scroll(
                    name, page.filter, limit=page.limit or 10, offset=page.offset, with_payload=page.with_payload
                )
                return {"points": [_plain(one) for one in records], "next_page_offset": offset}
            case "POST", "/points/query":
                request = http.QueryRequest.model_validate(body)
                if isinstance(request.query, models.NearestQuery):
                    self._check_dimension(name, request.query.nearest)
                answer = memory.query_points(
                    name,
                    query=request.query,
                    using=request.using,
                    prefetch=request.prefetch,
                    query_filter=request.filter,
                    limit=request.limit or 10,
                    with_payload=request.with_payload,
                )
                return _plain(answer)
        raise _refused(404, "no such path")

    def _check_dimension(self, name: str, vector: Any) -> None:
        size = self.memory.get_collection(name).config.params.vectors.size
        if len(vector) != size:
            raise _refused(400, f"Wrong input: Vector dimension error: expected dim: {size}, got {len(vector)}")


def _plain(record: Any) -> Any:
    return record.model_dump(mode="json", exclude_none=True)


def _refused(status: int, error: str) -> Refusal:
    return Refusal(status, {"status": {"error": error}, "time": 0.0})
