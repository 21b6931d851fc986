"""JSON schemas that models and users give, and the values that models reply with.

Schemas come from model-written cells as well: nothing that they point to outside of themselves is ever fetched.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from langgraph_rlm.errors import InvalidInput

_NOTHING_ELSE: Registry[Any] = Registry()
"""Resolves no address: jsonschema's own default would open URLs and files."""


def check_schema(schema: Mapping[str, Any], name: str) -> None:
    """Refuse what is no JSON schema, or points to something that is not in it.

    Args:
        schema: draft 2020-12.
        name: of the argument, for the message.

    Raises:
        InvalidInput: what is wrong with it.
    """
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise InvalidInput(f"{name}: not a JSON schema: {error.message}") from error
    resource = DRAFT202012.create_resource(schema)
    resolver = _NOTHING_ELSE.with_resource(resource.id() or "", resource).resolver(resource.id() or "")
    for ref in _refs(schema):
        try:
            resolver.lookup(ref)
        except Unresolvable as error:
            raise InvalidInput(f"{name}: {ref!r} points to nothing in this schema, and nothing else is read") from error


def read_json(text: str, schema: Mapping[str, Any]) -> tuple[Any, str | None]:
    """The JSON value in a reply, fenced or bare, and what is wrong with it (None when it satisfies the schema)."""
    fenced = re.search(r"```(?:json)?\s*\n(.*?)```", text, re.DOTALL)
    try:
        value = json.loads(fenced[1] if fenced else text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        return None, f"not JSON ({error})"
    validator = jsonschema.Draft202012Validator(schema, registry=_NOTHING_ELSE)
    problem = jsonschema.exceptions.best_match(validator.iter_errors(value))
    return (value, None) if problem is None else (None, f"{problem.json_path}: {problem.message}")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number in JSON")


def _refs(schema: Any) -> Iterator[str]:
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Mapping):
            if isinstance(ref := part.get("$ref"), str):
                yield ref
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)
