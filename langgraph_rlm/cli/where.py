"""``--where``: a filter on metadata as JSON or as ``field=value``, checked before anything is opened."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from langgraph_rlm.cli.wording import worded
from langgraph_rlm.corpus.filters import validate
from langgraph_rlm.errors import InvalidFilter

_COMPARED = (">", "<", "!", "~", ":")
_JSON_EXAMPLE = '\'{"year": {"$gte": 2020}}\''


def where_of(given: Sequence[str]) -> dict[str, Any] | None:
    """One filter of all values of ``--where``, each of which must hold; None when there are none.

    ``year=2024`` finds the number and the text, ``team=hr`` the text.

    Raises:
        InvalidFilter: a value that is neither; the message says what is wrong and where.

    Example:
        >>> where_of(["team=hr"])
        {'team': 'hr'}
        >>> where_of(["year=2024"])
        {'$or': [{'year': 2024}, {'year': '2024'}]}
    """
    parts = [_of_json(one) if one.lstrip().startswith(("{", "[")) else _of_pair(one) for one in given]
    if not parts:
        return None
    where = parts[0] if len(parts) == 1 else {"$and": parts}
    try:
        validate(where)
    except InvalidFilter as error:
        raise InvalidFilter(worded(str(error))) from None
    return where


def _of_json(given: str) -> dict[str, Any]:
    try:
        read = json.loads(given)
    except json.JSONDecodeError as error:
        raise InvalidFilter(
            f"--where: not valid JSON ({error.msg} at character {error.pos + 1}); write {_JSON_EXAMPLE} or field=value"
        ) from None
    except (RecursionError, ValueError):
        raise InvalidFilter("--where: this JSON is too deep, or a number in it is too long") from None
    if not isinstance(read, dict):
        raise InvalidFilter(f"--where: a JSON object is needed, such as {_JSON_EXAMPLE}, or field=value")
    return read


def _of_pair(given: str) -> dict[str, Any]:
    field, equals, text = given.partition("=")
    field = field.strip()
    if not equals or not field:
        raise InvalidFilter(f"--where: {given!r} is neither field=value nor a JSON object such as {_JSON_EXAMPLE}")
    if field.endswith(_COMPARED) or text.startswith("="):
        raise InvalidFilter(f"--where: {given!r} compares; write that as JSON, such as {_JSON_EXAMPLE}")
    if field.startswith("$"):
        raise InvalidFilter(f"--where: {field!r} is no field; write operators as JSON, such as {_JSON_EXAMPLE}")
    value = _scalar(text)
    if isinstance(value, str):
        return {field: value}
    return {"$or": [{field: value}, {field: text}]}


def _scalar(text: str) -> str | int | float | bool:
    """What a value means: a number, true, false, a text in quotes; any other is the text that it is."""

    def constant(name: str) -> None:
        raise ValueError(name)  # NaN and Infinity are no JSON, and no filter takes them

    try:
        value = json.loads(text, parse_constant=constant)
    except (ValueError, RecursionError):
        return text
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return text
    return value if isinstance(value, str | int | float | bool) else text
