"""A validator of JSON schemas whose checks end: jsonschema's keywords, each counted, with a limit of steps and of time.

Schemas and the values they are applied to come from models and documents. jsonschema's own keywords match patterns with
an engine that backtracks, compare all elements of a list with all others, and walk through combined schemas without a
bound; those are replaced here by ones that take linear time, and all of them count what they look at.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import jsonschema
import re2
from referencing import Registry

from langgraph_rlm.errors import PatternError
from langgraph_rlm.text.patterns import translate

MOST_STEPS = 2_000_000
"""Keywords looked at in one check, with the elements that they walk over: 5,000 records of 20 fields take half of them."""
MOST_SECONDS = 1.0
"""Of one check, which holds a thread of the host. 300 records of 20 fields (a reply of 32,000 tokens) take 0.1 s."""
_MOST_PATTERN_STEPS = 1_000_000_000
"""Instructions of a pattern times bytes of the text; RE2 takes below a second for them in the worst case."""

_NOTHING_ELSE: Registry[Any] = Registry()
"""Resolves no address: jsonschema's own default would open URLs and files."""


class GivenUp(Exception):
    """The check would take too long."""


class _Left:
    """What is left to a check.

    Args:
        steps: keywords and elements.
        seconds: of wall time.
    """

    def __init__(self, steps: int, seconds: float) -> None:
        self._steps = steps
        self._until = time.monotonic() + seconds

    def take(self, steps: int) -> None:
        self._steps -= steps
        if self._steps < 0 or time.monotonic() > self._until:
            raise GivenUp


_left: ContextVar[_Left] = ContextVar("left")
"""Of the check that runs in this thread or task."""


def problems(schema: Mapping[str, Any] | bool, value: Any, registry: Registry[Any] = _NOTHING_ELSE) -> Iterator[Any]:
    """What is wrong with a value, one ``ValidationError`` after the other.

    Args:
        schema: draft 2020-12.
        value: JSON values.
        registry: other schemas that it may refer to; none unless given.

    Raises:
        GivenUp: it would take too long. RecursionError: the schema refers to itself without end.
    """
    _left.set(_Left(MOST_STEPS, MOST_SECONDS))
    yield from _Validator(schema, registry=registry).iter_errors(value)


# --- patterns -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1_000)  # some kilobytes each; a run has a few schemas
def compiled(pattern: str) -> Any:
    """A pattern of a schema, for matches in linear time.

    Raises:
        PatternError: RE2 cannot do it.
    """
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(translate(pattern).encode(), options)
    except (re2.error, UnicodeEncodeError):
        raise PatternError(f"pattern {pattern[:200]!r} is no regular expression that takes linear time (RE2)") from None


def _found(pattern: str, text: str) -> bool:
    data, found = text.encode("utf-8", "replace"), compiled(pattern)
    if found.programsize * len(data) > _MOST_PATTERN_STEPS:
        raise GivenUp
    _left.get().take(1)
    return found.search(data) is not None


# --- keywords -------------------------------------------------------------------------------------------------------


def _pattern(_validator: Any, pattern: str, value: Any, _schema: Any) -> Iterator[Any]:
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


def _unique_items(_validator: Any, wanted: Any, value: Any, _schema: Any) -> Iterator[Any]:
    if wanted is True and isinstance(value, list):
        seen = set()
        for item in value:
            _left.get().take(1)
            if (key := _identity(item)) in seen:
                yield jsonschema.ValidationError(f"{value!r} has non-unique elements")
                return
            seen.add(key)


def _identity(value: Any) -> Any:
    """The same for two JSON values exactly when they are equal: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, (bool, str)) or value is None:
        return value.__class__, value
    if isinstance(value, (int, float)):
        return value
    return json.dumps(_even(value), sort_keys=True)


def _even(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_even(item) for item in value]
    return {key: _even(item) for key, item in value.items()} if isinstance(value, dict) else value


def _unevaluated_properties(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[Any]:
    if not isinstance(value, dict):
        return
    seen = _evaluated(validator, value, {**schema, "unevaluatedProperties": True, "rlm_own": True}, _properties_of)
    for key in value:
        if key not in seen:
            if wanted is False:
                yield jsonschema.ValidationError(f"Unevaluated properties are not allowed ({key!r} was unexpected)")
            else:
                yield from validator.descend(value[key], wanted, path=key)


def _unevaluated_items(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[Any]:
    if not isinstance(value, list):
        return
    seen = _evaluated(validator, value, {**schema, "unevaluatedItems": True, "rlm_own": True}, _items_of)
    for at, item in enumerate(value):
        if at not in seen:
            if wanted is False:
                yield jsonschema.ValidationError(f"Unevaluated items are not allowed ({item!r} was unexpected)")
            else:
                yield from validator.descend(item, wanted, path=at)


_Places = set[Any]
_Local = Callable[[Any, Any, Mapping[str, Any]], _Places]


def _evaluated(validator: Any, value: Any, schema: Any, local: _Local) -> _Places:
    """Which properties or items of a value some keyword of a schema, or of what it combines, has looked at.

    Args:
        validator: of the schema; it knows what references mean there.
        value: the object or list.
        schema: the schema.
        local: finds those that the keywords of one schema by itself look at.
    """
    _left.get().take(1)
    if not isinstance(schema, Mapping):
        return set()
    seen = local(validator, value, schema)
    for keyword in ("$ref", "$dynamicRef"):
        if isinstance(schema.get(keyword), str):
            found = validator._resolver.lookup(schema[keyword])
            there = validator.evolve(schema=found.contents, _resolver=found.resolver)
            seen |= _evaluated(there, value, found.contents, local)
    for part in _in_force(validator, value, schema):
        seen |= _evaluated(validator.evolve(schema=part), value, part, local)
    return seen


def _in_force(validator: Any, value: Any, schema: Mapping[str, Any]) -> Iterator[Any]:
    """The combined schemas that apply to a value: those that it satisfies, and those behind a condition that holds."""

    def holds(part: Any) -> bool:
        holding: bool = validator.evolve(schema=part).is_valid(value)
        return holding

    for keyword in ("allOf", "anyOf", "oneOf"):
        yield from (part for part in schema.get(keyword, ()) if holds(part))
    if "if" in schema:
        if holds(schema["if"]):
            yield schema["if"]
            yield schema.get("then", True)
        else:
            yield schema.get("else", True)
    if isinstance(value, dict):
        yield from (part for key, part in schema.get("dependentSchemas", {}).items() if key in value)


def _properties_of(_validator: Any, value: Any, schema: Mapping[str, Any]) -> _Places:
    _left.get().take(len(value))
    # A schema that says something of all other properties has looked at all; that of the keyword itself does not count.
    everything = "additionalProperties" in schema or ("unevaluatedProperties" in schema and "rlm_own" not in schema)
    if everything:
        return set(value)
    seen = {key for key in value if key in schema.get("properties", {})}
    return seen | {key for key in value for pattern in schema.get("patternProperties", {}) if _found(pattern, key)}


def _items_of(validator: Any, value: Any, schema: Mapping[str, Any]) -> _Places:
    _left.get().take(len(value))
    if "items" in schema or ("unevaluatedItems" in schema and "rlm_own" not in schema):
        return set(range(len(value)))
    seen = set(range(min(len(value), len(schema.get("prefixItems", ())))))
    if "contains" in schema:
        matching = validator.evolve(schema=schema["contains"]).is_valid
        seen |= {at for at, item in enumerate(value) if matching(item)}
    return seen


def _counted(keyword: Callable[..., Any]) -> Callable[..., Any]:
    def check(validator: Any, wanted: Any, value: Any, schema: Any) -> Any:
        _left.get().take(
            1
            + (len(wanted) if isinstance(wanted, (list, dict)) else 0)
            + (len(value) if isinstance(value, (list, dict)) else 0)
        )
        return keyword(validator, wanted, value, schema)

    return check


_KEYWORDS = {
    **jsonschema.Draft202012Validator.VALIDATORS,
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "uniqueItems": _unique_items,
    "unevaluatedProperties": _unevaluated_properties,
    "unevaluatedItems": _unevaluated_items,
}
_Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator, {name: _counted(keyword) for name, keyword in _KEYWORDS.items()}
)
