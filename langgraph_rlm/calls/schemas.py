"""JSON schemas that models and users give, and the values that models reply with.

Schemas come from model-written cells as well: nothing that they point to outside of themselves is ever fetched, their
patterns are matched in linear time, and a check takes no more than so many steps.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import jsonschema
import re2
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from langgraph_rlm.errors import InvalidInput, PatternError
from langgraph_rlm.text.patterns import translate

MOST_STEPS = 100_000
"""Keywords looked at in one check: references and combined schemas can multiply without end."""

_FENCED = re.compile(r"```(?:json)?[ \t\r]*\n(.*?)```", re.DOTALL)
_PROBLEM_CHARS = 500
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
        for pattern in _patterns(schema):
            _compiled(pattern)
        keywords = {keyword for part in _parts(schema) for keyword in part}
        if {"patternProperties", "unevaluatedProperties"} <= keywords:  # jsonschema has no seam for that
            raise InvalidInput(f"{name}: patternProperties and unevaluatedProperties cannot be in one schema here")
    except PatternError as error:
        raise InvalidInput(f"{name}: {error}") from error
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
    fenced = _FENCED.search(text)
    try:
        value = json.loads(fenced[1] if fenced else text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        return None, f"not JSON ({error})"
    _steps.set([MOST_STEPS])
    validator = _Validator(schema, registry=_NOTHING_ELSE)
    try:
        problem = jsonschema.exceptions.best_match(validator.iter_errors(value))
    except (_TooManySteps, RecursionError):
        return None, "the schema is too entangled to check this value against it; use a simpler one"
    return (value, None) if problem is None else (None, _shortened(f"{problem.json_path}: {problem.message}"))


def _shortened(problem: str) -> str:
    """Both ends: the place and the beginning of the value, and what is wrong with it."""
    half = _PROBLEM_CHARS // 2
    return problem if len(problem) <= _PROBLEM_CHARS else f"{problem[:half]}…{problem[-half:]}"


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number in JSON")


# --- a check that ends ----------------------------------------------------------------------------------------------


class _TooManySteps(Exception):
    """The check has looked at more keywords than it may."""


_steps: ContextVar[list[int]] = ContextVar("steps")
"""How many are left to the check that runs in this thread or task."""


def _counted(keyword: Callable[..., Any]) -> Callable[..., Any]:
    def check(validator: Any, wanted: Any, value: Any, schema: Any) -> Any:
        left = _steps.get()
        left[0] -= 1
        if left[0] < 0:
            raise _TooManySteps
        return keyword(validator, wanted, value, schema)

    return check


@lru_cache(maxsize=1_000)
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(translate(pattern).encode(), options)
    except (re2.error, UnicodeEncodeError):
        raise PatternError(f"pattern {pattern[:200]!r} is no regular expression that takes linear time (RE2)") from None


def _found(pattern: str, text: str) -> bool:
    return _compiled(pattern).search(text.encode("utf-8", "replace")) is not None


def _pattern(_validator: Any, pattern: str, value: Any, _schema: Any) -> Iterator[jsonschema.ValidationError]:
    if isinstance(value, str) and not _found(pattern, value):
        yield jsonschema.ValidationError(f"{value!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: Any, value: Any, _schema: Any) -> Iterator[Any]:
    for pattern, part in patterns.items() if isinstance(value, dict) else ():
        for key in value:
            if _found(pattern, key):
                yield from validator.descend(value[key], part, path=key, schema_path=pattern)


def _additional_properties(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[Any]:
    patterns = schema.get("patternProperties", {})
    for key in value if isinstance(value, dict) else ():
        if key not in schema.get("properties", {}) and not any(_found(pattern, key) for pattern in patterns):
            if wanted is False:
                yield jsonschema.ValidationError(f"Additional properties are not allowed ({key!r} was unexpected)")
            else:
                yield from validator.descend(value[key], wanted, path=key)


# jsonschema's own match with an engine that backtracks: `^(a+)+$` could stop the whole process.
_KEYWORDS = {
    **jsonschema.Draft202012Validator.VALIDATORS,
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
}
_Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator, {name: _counted(keyword) for name, keyword in _KEYWORDS.items()}
)


def _refs(schema: Any) -> Iterator[str]:
    for part in _parts(schema):
        if isinstance(ref := part.get("$ref"), str):
            yield ref


def _patterns(schema: Any) -> Iterator[str]:
    for part in _parts(schema):
        if isinstance(pattern := part.get("pattern"), str):
            yield pattern
        if isinstance(named := part.get("patternProperties"), Mapping):
            yield from named


def _parts(schema: Any) -> Iterator[Mapping[str, Any]]:
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Mapping):
            yield part
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)
