"""What ``reduce`` makes of many values: a text, a number, or the one that is said most often."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.specs.templates import shown

FAILED = "failed"
"""Key of an item that failed: why, in a word."""
_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,3})?")
_MAIN = ("text", "value", "answer")


def reduced(items: Any, how: str, field: str | None = None, weights: Any = None) -> dict[str, Any]:
    """One value from a list; ``None`` where no item has one: nothing is made up.

    Args:
        items: values, or mappings with ``field``; those that failed are passed over.
        how: see :class:`langgraph_rlm.specs.toolbox.Reduce`.
        field: of mappings; ``text``, ``value``, ``answer`` or the only field when None.
        weights: for ``weighted_mean``: one for each item, or the name of their field.

    Returns:
        ``value``, ``count`` of the items that count, ``skipped`` of the others.

    Example:
        >>> reduced([{"text": "3"}, {"text": "none"}, 4], "sum")
        {'value': 7, 'count': 2, 'skipped': 1}
    """
    if not isinstance(items, list):
        raise InvalidInput(f"reduce: items must be a list, not {type(items).__name__}")
    if how == "weighted_mean":
        return _weighted(items, field, weights)
    values = [value for one in items if (value := _value(one, field)) is not None]
    if how in ("sum", "mean", "min", "max"):
        numbers = [number for value in values if (number := as_number(value)) is not None]
        value = None if not numbers else {"sum": _sum, "mean": _mean, "min": min, "max": max}[how](numbers)  # type: ignore[operator]
        return {"value": value, "count": len(numbers), "skipped": len(items) - len(numbers)}
    texts = [text for value in values if (text := shown(value).strip())]
    if how == "majority":
        most = Counter(" ".join(text.lower().split()) for text in texts).most_common(1)
        value = next((text for text in texts if most and " ".join(text.lower().split()) == most[0][0]), None)
    else:
        value = "\n".join(texts) if how == "join" else next(iter(texts), None)
    return {"value": value, "count": len(texts), "skipped": len(items) - len(texts)}


def as_number(value: Any) -> int | float | None:
    """The number that a value or a text is as a whole; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        plain = value.strip().replace(",", "")
        if len(plain) > 40 or _NUMBER.fullmatch(plain) is None:
            return None
        value = float(plain) if any(mark in plain for mark in ".eE") else int(plain)
    return value if isinstance(value, int | float) and math.isfinite(value) else None


def _value(one: Any, field: str | None) -> Any:
    if not isinstance(one, Mapping):
        return one if field is None else None
    if FAILED in one:
        return None
    if field is not None:
        return one.get(field)
    main = next((name for name in _MAIN if name in one), None)
    return one[main] if main is not None else next(iter(one.values())) if len(one) == 1 else one


def _weighted(items: list[Any], field: str | None, weights: Any) -> dict[str, Any]:
    named = (
        [one.get(weights) if isinstance(one, Mapping) else None for one in items]
        if isinstance(weights, str)
        else weights
    )
    if not isinstance(named, list) or len(named) != len(items):
        raise InvalidInput(
            f"reduce: weights must be one number for each of the {len(items):,} items, or the name of their field"
        )
    pairs = list[tuple[float, float]]()
    for one, weight in zip(items, named, strict=True):
        value, heavy = as_number(_value(one, field)), as_number(weight)
        if value is not None and heavy is not None and heavy > 0:
            pairs.append((value, heavy))
    total = math.fsum(weight for _, weight in pairs)
    mean = None if not pairs else math.fsum(value * weight for value, weight in pairs) / total
    return {"value": mean, "count": len(pairs), "skipped": len(items) - len(pairs)}


def _sum(numbers: list[int | float]) -> int | float:
    return sum(numbers) if all(isinstance(one, int) for one in numbers) else math.fsum(numbers)


def _mean(numbers: list[int | float]) -> float:
    return math.fsum(numbers) / len(numbers)
