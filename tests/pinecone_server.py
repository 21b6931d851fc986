"""A loopback server that speaks Pinecone's API, version 2026-07: control plane and data plane of serverless indexes."""

from __future__ import annotations

import json
from collections import deque
from typing import Any
from urllib.parse import parse_qs

import numpy as np

from tests.loopback import JsonServer, Refusal
from tests.pinecone_documents import Documents
from tests.pinecone_filters import CODES, passes
from tests.pinecone_filters import error_of as _error

VERSION = "2026-07"


class PineconeServer(Documents, JsonServer):
    """One project.

    Args:
        api_key: the only one let in.
        lag: a write is seen only after so many reads of its index.

    ``failing_upserts`` holds statuses that the next upserts get: the SDK reports them as a partial failure.
    """

    def __init__(self, api_key: str = "key", lag: int = 0) -> None:
        super().__init__()
        self.api_key = api_key
        self.lag = lag
        self.indexes: dict[str, dict[str, Any]] = {}
        self.written: dict[str, dict[str, dict[str, Any]]] = {}  # by namespace, as it will be
        self.failing_upserts: deque[int] = deque()
        self.upserts: list[tuple[int, int]] = []
        self._late: deque[list[Any]] = deque()
        self._seen: dict[str, dict[str, dict[str, Any]]] = {}

    def create(self, name: str, dimension: int, fields: dict[str, Any] | None = None) -> None:
        """An index of vectors; one of documents, where ``fields`` of a schema are given beside its ``embedding``."""
        field = {"type": "dense_vector", "dimension": dimension, "metric": "cosine"}
        self.fields = {} if fields is None else {"embedding": field, **fields}
        self.indexes[name] = {
            "name": name,
            "schema": {"fields": self.fields or {"_values": field}},
            "deployment": {"deployment_type": "managed", "cloud": "aws", "region": "us-east-1", "environment": "aws"},
            "host": self.url,
            "status": {"ready": True, "state": "Ready"},
            "deletion_protection": "disabled",
            "tags": {},
            "read_capacity": {"mode": "OnDemand", "status": {"state": "Ready"}},
        }
        self.dimension = dimension

    def refusal(self, status: int) -> Any:
        return {"code": CODES.get(status, 2), "message": f"planned {status}", "details": []}

    def reply(self, method: str, target: str, headers: Any, raw: bytes) -> tuple[int, Any, dict[str, str]]:
        if headers.get("Api-Key") != self.api_key:
            return 401, {"error": {"code": "UNAUTHENTICATED", "message": "Invalid API Key"}, "status": 401}, {}
        if headers.get("X-Pinecone-Api-Version") != VERSION:
            return 400, _error(400, f"this server speaks {VERSION}"), {}
        if len(raw) > 2 * 1024 * 1024:
            return 400, _error(400, "Request size 2MB limit exceeded"), {}
        if "/vectors/upsert" in target or "/documents/upsert" in target:
            with self._lock:
                failing = self.failing_upserts.popleft() if self.failing_upserts else 0
            if failing:
                return failing, self.refusal(failing), {}
        path, _, asked = target.partition("?")
        with self._lock:
            self.requests.append((method, path))
            if self.planned and (planned := self.planned.popleft()):
                return planned, self.refusal(planned), {}
            try:
                return 200, self._answer(method, path, parse_qs(asked), json.loads(raw) if raw else {}), {}
            except Refusal as refusal:
                return refusal.status, refusal.body, {}

    def _answer(self, method: str, path: str, asked: dict[str, list[str]], body: Any) -> Any:
        if path.startswith("/indexes/"):
            name = path.removeprefix("/indexes/")
            if name not in self.indexes:
                message = f"Resource {name} not found"
                raise Refusal(404, {"error": {"code": "NOT_FOUND", "message": message}, "status": 404})
            if method == "PATCH":
                self.indexes[name]["tags"].update(body["tags"])
            return self.indexes[name]
        if path == "/vectors/upsert":
            return self._upsert(body)
        if path.startswith("/namespaces/") and "/documents/" in path:
            return self.answer_documents(path, body)
        if path == "/vectors/delete":
            if body.get("namespace", "") not in self.written:
                raise Refusal(404, _error(404, "Namespace not found"))
            for id_ in body["ids"]:
                self._write(body["namespace"], id_, None)
            return {}
        self._catch_up()
        namespace = self._seen.get((asked.get("namespace") or [body.get("namespace", "")])[0], {})
        if path == "/query":
            return self._query(namespace, body)
        if path == "/vectors/fetch":
            return {"vectors": {id_: namespace[id_] for id_ in asked["ids"] if id_ in namespace}, "namespace": ""}
        if path == "/vectors/fetch_by_metadata":
            passing = sorted(id_ for id_, one in namespace.items() if passes(body["filter"], one["metadata"]))
            page, token = _page(passing, int(body.get("limit", 100)), body.get("paginationToken"))
            return {"vectors": {id_: namespace[id_] for id_ in page}, "namespace": "", **token}
        if path == "/vectors/list":
            page, token = _page(
                sorted(namespace), int((asked.get("limit") or ["100"])[0]), (asked.get("paginationToken") or [None])[0]
            )
            return {"vectors": [{"id": id_} for id_ in page], "namespace": "", **token}
        if path == "/describe_index_stats":
            sizes = {name: {"vectorCount": len(held)} for name, held in self._seen.items()}
            total = sum(len(held) for held in self._seen.values())
            return {"namespaces": sizes, "dimension": self.dimension, "totalVectorCount": total}
        raise Refusal(404, _error(404, "no such path"))

    def _upsert(self, body: Any) -> Any:
        vectors = body["vectors"]
        self.upserts.append((len(vectors), len(json.dumps(body))))
        if len(vectors) > 1000:
            raise Refusal(400, _error(400, "The number of vectors exceeds the limit of 1000"))
        for one in vectors:
            if len(one["values"]) != self.dimension:
                found = len(one["values"])
                text = f"Vector dimension {found} does not match the dimension of the index {self.dimension}"
                raise Refusal(400, _error(400, text))
            if (size := len(json.dumps(one["metadata"], ensure_ascii=False).encode())) > 40_960:
                text = f"Metadata size is {size} bytes, which exceeds the limit of 40960 bytes per vector"
                raise Refusal(400, _error(400, text))
            if not one["id"].isascii() or len(one["id"]) > 512:
                raise Refusal(400, _error(400, "Vector ID must be ASCII of at most 512 characters"))
            for value in one["metadata"].values():
                if not isinstance(value, str | int | float | bool):
                    raise Refusal(400, _error(400, "Metadata value must be a string, number, boolean or list"))
        for one in vectors:
            floats = {
                key: float(value) if isinstance(value, int) and not isinstance(value, bool) else value
                for key, value in one["metadata"].items()
            }
            self._write(body["namespace"], one["id"], one | {"metadata": floats})
        return {"upsertedCount": len(vectors)}

    def _query(self, namespace: dict[str, Any], body: Any) -> Any:
        vector = body["vector"]
        if len(vector) != self.dimension:
            raise Refusal(400, _error(400, f"Vector dimension {len(vector)} does not match {self.dimension}"))
        if not 1 <= body["topK"] <= 10_000:
            raise Refusal(400, _error(400, "top_k must be from 1 to 10000"))
        passing = [one for one in namespace.values() if passes(body.get("filter"), one["metadata"])]
        if not passing:
            return {"matches": [], "namespace": ""}
        matrix = np.asarray([one["values"] for one in passing])
        scores = matrix @ np.asarray(vector) / (np.linalg.norm(matrix, axis=1) * np.linalg.norm(vector))
        best = np.argsort(-scores, kind="stable")[: body["topK"]]
        matches = [
            {"id": passing[at]["id"], "score": float(scores[at]), "metadata": passing[at]["metadata"]} for at in best
        ]
        return {"matches": matches, "namespace": ""}

    def _write(self, namespace: str, id_: str, record: Any) -> None:
        for held in (self.written,) if self.lag else (self.written, self._seen):
            _apply(held, namespace, id_, record)
        if self.lag:
            self._late.append([self.lag, namespace, id_, record])

    def _catch_up(self) -> None:
        for waiting in self._late:
            waiting[0] -= 1
        while self._late and self._late[0][0] < 0:
            _, namespace, id_, record = self._late.popleft()
            _apply(self._seen, namespace, id_, record)


def _apply(held: dict[str, Any], namespace: str, id_: str, record: Any) -> None:
    if record is None:
        held.get(namespace, {}).pop(id_, None)
    else:
        held.setdefault(namespace, {})[id_] = record


def _page(ids: list[str], limit: int, token: str | None) -> tuple[list[str], dict[str, Any]]:
    if not 1 <= limit <= 100:
        raise Refusal(400, _error(400, "limit must be from 1 to 100"))
    start = int(token or 0)
    more = {"pagination": {"next": str(start + limit)}} if start + limit < len(ids) else {}
    return ids[start : start + limit], more
