"""JSON schemas that models and users give, and the values that models reply with.

Schemas come from model-written cells as well: nothing that they point to outside of themselves is ever fetched, and a
check ends within a second. Whatever goes wrong with one is a problem that is told, never an exception of a library: the
other answers of a batch are paid for.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import jsonschema
from jsonschema_specifications import REGISTRY as SPECIFICATIONS  # type: ignore[import-untyped]
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from langgraph_rlm.calls.schema_keywords import GivenUp, compiled, problems
from langgraph_rlm.errors import InvalidInput, PatternError

_FENCED = re.compile(r"```(?:json)?[ \t\r]*\n(.*?)```", re.DOTALL)
_PROBLEM_CHARS = 500
"""Of what a model is told about its reply; it quotes the reply, which may be of any size."""
_MOST_PROBLEMS = 100
"""Among which the one to tell is chosen."""
_DEPTH = 100
"""Levels of a value: as many as the arguments of a cell's call may have."""
_SMALLEST, _LARGEST = -(1 << 63), (1 << 64) - 1
"""Numbers that can be handed to a cell, and kept in a checkpoint."""
_DIGITS = 20
"""Of the largest of them."""
ENTANGLED = "the schema is too entangled to check this value against it; use a simpler one"
"""The problem of a schema, which no other reply mends."""
_META: Mapping[str, Any] = jsonschema.Draft202012Validator.META_SCHEMA


def check_schema(schema: Mapping[str, Any], name: str) -> None:
    """Refuse what is no JSON schema, or points to something that is not in it.

    Args:
        schema: draft 2020-12.
        name: of the argument, for the message.

    Raises:
        InvalidInput: what is wrong with it.
    """
    try:
        json.dumps(schema, allow_nan=False)  # it goes into prompts
        wrong = _most_telling(problems(_META, schema, SPECIFICATIONS))
        if wrong is not None:
            raise InvalidInput(f"{name}: not a JSON schema: {_shortened(wrong.message)}")
        for pattern in _patterns(schema):
            compiled(pattern)
    except PatternError as error:
        raise InvalidInput(f"{name}: {error}") from error
    except (GivenUp, RecursionError) as error:
        raise InvalidInput(f"{name}: too large or nested too deep for a JSON schema; use a simpler one") from error
    except (ValueError, TypeError) as error:
        raise InvalidInput(f"{name}: not a JSON schema: {error}") from error
    _check_references(schema, name)
    try:  # what fails for every value is found before an answer is paid for
        _most_telling(problems(schema, None))
    except (GivenUp, RecursionError) as error:
        raise InvalidInput(f"{name}: it refers to itself without end, or is too large; use a simpler one") from error
    except Exception as error:  # libraries stumble over schemas in many ways
        raise InvalidInput(f"{name}: no value can be checked against it ({type(error).__name__}: {error})") from error


def read_json(text: str, schema: Mapping[str, Any]) -> tuple[Any, str | None]:
    """The JSON value in a reply, and what is wrong with it.

    Args:
        text: the reply: JSON, fenced or bare.
        schema: that the value has to satisfy, checked by :func:`check_schema`.

    Returns:
        The value and None, or None and the problem in words. Numbers of more than 64 bits, NaN, infinities and values
        nested more than 100 deep are problems as well: nothing behind could carry them.
    """
    fenced = _FENCED.search(text)
    try:
        value = json.loads(
            fenced[1] if fenced else text, parse_constant=_refuse, parse_float=_float, parse_int=_int
        )  # fmt: skip
        _check_depth(value)
    except (ValueError, RecursionError) as error:
        return None, f"not JSON ({_shortened(str(error))})"
    wrong = problem_of(value, schema)
    return (value, None) if wrong is None else (None, wrong)


def problem_of(value: Any, schema: Mapping[str, Any]) -> str | None:
    """What is wrong with a value, in words; None when it satisfies the schema."""
    try:
        problem = _most_telling(problems(schema, value))
    except (GivenUp, RecursionError):
        return ENTANGLED
    except Exception as error:  # noqa: BLE001 - a schema can make its libraries stumble in many ways; nothing may be lost
        return f"the value cannot be checked against the schema ({type(error).__name__}: {_shortened(str(error))})"
    return None if problem is None else _shortened(f"{problem.json_path}: {problem.message}")


def _most_telling(found: Iterator[Any]) -> Any:
    return jsonschema.exceptions.best_match(islice(found, _MOST_PROBLEMS))


def _shortened(problem: str) -> str:
    """Both ends: the place and the beginning of the value, and what is wrong with it."""
    half = _PROBLEM_CHARS // 2
    return problem if len(problem) <= _PROBLEM_CHARS else f"{problem[:half]}…{problem[-half:]}"


# --- what JSON of others may hold -----------------------------------------------------------------------------------


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number in JSON")


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{_shortened(digits)} is too large for a number; give it as a string")
    return number


def _int(digits: str) -> int:
    if len(digits.lstrip("-")) > _DIGITS or not _SMALLEST <= (number := int(digits)) <= _LARGEST:
        raise ValueError(f"a whole number of {len(digits):,} digits is more than 64 bits; give it as a string")
    return number


def _check_depth(value: Any) -> None:
    level = [value] if isinstance(value, (list, dict)) else []
    for _ in range(_DEPTH):
        inside = (item for one in level for item in (one.values() if isinstance(one, dict) else one))
        level = [item for item in inside if isinstance(item, (list, dict))]
        if not level:
            return
    raise ValueError(f"nested more than {_DEPTH} deep")


# --- what a schema refers to ----------------------------------------------------------------------------------------


def _check_references(schema: Mapping[str, Any], name: str) -> None:
    references = list(_references(schema))
    if not references:
        return
    try:
        resource = DRAFT202012.create_resource(schema)
        registry: Registry[Any] = Registry()  # resolves no address
        resolver = registry.with_resource(resource.id() or "", resource).resolver(resource.id() or "")
    except Exception as error:  # an $id that is no address, two equal anchors
        raise InvalidInput(f"{name}: its $id or $anchor cannot be read: {error}") from error
    for reference in references:
        try:
            resolver.lookup(reference)
        except Unresolvable as error:
            raise InvalidInput(
                f"{name}: {reference!r} points to nothing in this schema, and nothing else is read"
            ) from error
        except Exception as error:  # as above, found when it is looked for
            raise InvalidInput(f"{name}: the reference {reference!r} cannot be resolved: {error}") from error


def _references(schema: Any) -> Iterator[str]:
    for part in _parts(schema):
        for keyword in ("$ref", "$dynamicRef"):
            if isinstance(reference := part.get(keyword), str):
                yield reference


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
