"""The shape of a model step's reply: short names of types, or JSON schemas, by field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TYPES = ("string", "number", "integer", "boolean", "object", "array")


def schema_of_output(output: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON schema of a reply with these fields; all are required, and no others are taken.

    Args:
        output: by field: the name of a JSON type, ``any``, a list of one type (an array of it), or a JSON schema.

    Example:
        >>> schema_of_output({"names": ["string"]})["properties"]
        {'names': {'type': 'array', 'items': {'type': 'string'}}}
    """
    return {
        "type": "object",
        "properties": {name: _schema(kind) for name, kind in output.items()},
        "required": list(output),
        "additionalProperties": False,
    }


def _schema(kind: Any) -> Any:
    if isinstance(kind, str):
        return {} if kind == "any" else {"type": kind}
    if isinstance(kind, list) and len(kind) == 1:
        return {"type": "array", "items": _schema(kind[0])}
    return kind
