"""Filters and errors of the loopback server that speaks Pinecone's API."""

from __future__ import annotations

from typing import Any

from tests.loopback import Refusal

CODES = {400: 3, 401: 16, 403: 7, 404: 5, 429: 8, 500: 13, 503: 14}


def error_of(status: int, message: str) -> dict[str, Any]:
    """A body of the data plane."""
    return {"code": CODES[status], "message": message, "details": []}


def passes(where: Any, metadata: dict[str, Any]) -> bool:
    """Pinecone's filters as its documentation has them; anything else is refused."""
    for key, condition in (where or {}).items():
        if key in ("$and", "$or"):
            if not condition:
                raise Refusal(400, error_of(400, f"{key} must not be empty"))
            if not (all if key == "$and" else any)(passes(part, metadata) for part in condition):
                return False
        else:
            for operator, bound in condition.items():
                if not _holds(operator, metadata.get(key), bound):
                    return False
    return True


def _holds(operator: str, value: Any, bound: Any) -> bool:
    if operator == "$exists":
        return (value is not None) == bound
    if operator in ("$in", "$nin"):
        if not bound or len({isinstance(one, str) for one in bound}) > 1 or any(isinstance(one, bool) for one in bound):
            raise Refusal(400, error_of(400, f"{operator} takes a list of strings or of numbers"))
        return any(_same(value, one) for one in bound) == (operator == "$in")
    if operator == "$eq":
        return _same(value, bound)
    if operator == "$ne":
        return value is not None and not _same(value, bound)
    if operator not in ("$gt", "$gte", "$lt", "$lte") or isinstance(bound, str | bool):
        raise Refusal(400, error_of(400, f"{operator} is not a known operator, or takes numbers only"))
    if value is None or isinstance(value, str | bool):
        return False
    return bool({"$gt": value > bound, "$gte": value >= bound, "$lt": value < bound, "$lte": value <= bound}[operator])


def _same(value: Any, bound: Any) -> bool:
    return value is not None and isinstance(value, bool) == isinstance(bound, bool) and value == bound
