"""The documents of the loopback server that speaks Pinecone's API: a schema, full text ranked by BM25, partial reads."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import Any
from urllib.parse import unquote

import numpy as np

from tests.loopback import Refusal
from tests.pinecone_filters import error_of, passes

FULL_TEXT = {
    "type": "string",
    "full_text_search": {"language": "en", "stemming": False, "stop_words": False},
    "filterable": False,
    "store_text": True,
}


class Documents:
    """Mixed into the server, whose writes may lag."""

    fields: dict[str, Any]
    upserts: list[tuple[int, int]]
    written: dict[str, dict[str, dict[str, Any]]]
    _seen: dict[str, dict[str, dict[str, Any]]]

    def answer_documents(self, path: str, body: Any) -> Any:
        """``/namespaces/{namespace}/documents/{verb}``."""
        _, _, escaped, _, verb = path.split("/")
        namespace = unquote(escaped)
        if not self.fields:
            raise _refused("this index holds vectors: it has no documents")
        if verb == "upsert":
            return self._upsert_documents(namespace, body["documents"])
        if namespace not in self.written:
            raise Refusal(404, error_of(404, f"Namespace {namespace} not found"))
        if verb == "delete":
            for id_ in body["ids"]:
                self._write(namespace, id_, None)  # type: ignore[attr-defined]
            return {}
        self._catch_up()  # type: ignore[attr-defined]
        held = self._seen.get(namespace, {})
        answer = {"namespace": namespace, "usage": {"read_units": 1}}
        if verb == "search":
            return answer | {"matches": self._search(held, body)}
        if verb == "list":
            page, more = _page(sorted(held), body.get("limit", 100), 100, body)
            return answer | {"documents": [{"_id": id_} for id_ in page]} | more
        if verb == "fetch" and "ids" in body:
            there = [id_ for id_ in body["ids"] if id_ in held]
            return answer | {
                "documents": {id_: _shown(held[id_], body.get("include_fields") or ["*"]) for id_ in there}
            }
        if verb == "fetch":
            passing = sorted(id_ for id_, one in held.items() if self._passes(body["filter"], one))
            page, more = _page(passing, body.get("limit", 100), 10_000, body)
            return answer | {"documents": {id_: _shown(held[id_], ["*"]) for id_ in page}} | more
        raise Refusal(404, error_of(404, "no such path"))

    def _upsert_documents(self, namespace: str, documents: list[dict[str, Any]]) -> Any:
        self.upserts.append((len(documents), len(json.dumps(documents))))
        if len(documents) > 1000:
            raise _refused("at most 1000 documents a request")
        for one in documents:
            self._check(one)
        for one in documents:
            self._write(namespace, one["_id"], {key: _as_kept(value) for key, value in one.items()})  # type: ignore[attr-defined]
        return {"upserted_count": len(documents)}

    def _check(self, document: dict[str, Any]) -> None:
        for name, field in self.fields.items():
            if field["type"] == "dense_vector" and len(document.get(name, ())) != field["dimension"]:
                raise _refused(f"document {document['_id']}: field {name} takes {field['dimension']} numbers")
            if field["type"] == "string" and not isinstance(document.get(name, ""), str):
                raise _refused(f"document {document['_id']}: field {name} takes a string")
        free = {key: value for key, value in document.items() if key not in self.fields and key != "_id"}
        for key, value in free.items():
            if key.startswith(("_", "$")) or not isinstance(value, str | int | float | bool):
                raise _refused(f"document {document['_id']}: field {key} is reserved, or has no value that is kept")
        if len(json.dumps(free, ensure_ascii=False).encode()) > 40_960:
            raise _refused("metadata exceeds 40960 bytes")

    def _passes(self, where: Any, document: dict[str, Any]) -> bool:
        if any(f'"{name}"' in json.dumps(where or {}) for name in self.fields):
            raise _refused("a field that is searched takes no comparisons")
        return passes(where, document)

    def _search(self, held: dict[str, Any], body: Any) -> list[dict[str, Any]]:
        (clause,) = body["score_by"]
        if not 1 <= body["top_k"] <= 10_000:
            raise _refused("top_k must be from 1 to 10000")
        passing = [one for one in held.values() if self._passes(body.get("filter"), one)]
        if clause["type"] == "text":
            scores = bm25(clause["query"], [one.get(clause["fields"][0], "") for one in held.values()])
            scored = {one["_id"]: score for one, score in zip(held.values(), scores, strict=True) if score > 0}
        else:
            name, query = clause["field"], np.asarray(clause["values"])
            if len(query) != self.fields[name]["dimension"]:
                raise _refused(f"field {name} takes {self.fields[name]['dimension']} numbers")
            scored = {one["_id"]: _cosine(np.asarray(one[name]), query) for one in passing}
        best = sorted((one for one in passing if one["_id"] in scored), key=lambda one: -scored[one["_id"]])
        shown = body.get("include_fields") or []
        return [_shown(one, shown) | {"_score": scored[one["_id"]]} for one in best[: body["top_k"]]]


def bm25(query: str, texts: list[str], k1: float = 1.2, b: float = 0.75) -> list[float]:
    """Okapi BM25 of every text; 0 where no word of the query stands."""
    words = [Counter(re.findall(r"\w+", text.lower())) for text in texts]
    mean = sum(map(Counter.total, words)) / max(1, len(words))
    scores = [0.0] * len(texts)
    for word in set(re.findall(r"\w+", query.lower())):
        having = sum(word in one for one in words)
        rarity = math.log(1 + (len(texts) - having + 0.5) / (having + 0.5))
        for at, one in enumerate(words):
            scores[at] += rarity * one[word] * (k1 + 1) / (one[word] + k1 * (1 - b + b * one.total() / mean))
    return scores


def _cosine(one: Any, other: Any) -> float:
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))


def _shown(document: dict[str, Any], fields: list[str]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key == "_id" or key in fields or "*" in fields}


def _as_kept(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _page(ids: list[str], limit: int, most: int, body: Any) -> tuple[list[str], dict[str, Any]]:
    if not 1 <= limit <= most:
        raise _refused(f"limit must be from 1 to {most}")
    start = int(body.get("pagination_token") or 0)
    more = {"pagination": {"next": str(start + limit)}} if start + limit < len(ids) else {}
    return ids[start : start + limit], more


def _refused(message: str) -> Refusal:
    return Refusal(400, error_of(400, message))
