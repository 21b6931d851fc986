"""What the user allows a run to spend."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from langgraph_rlm.errors import InvalidInput, nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one question may use; None means no limit. A request may narrow them, never widen them.

    Args:
        max_turns: rounds of think → execute of the root model.
        max_depth: 0 no sub-calls at all; 1 ``rlm_query`` asks the sub-model directly; 2 and more recursive children.
        max_calls: model calls of the whole tree.
        max_tokens: input and output tokens of the whole tree.
        max_cost_usd: USD of the whole tree, for models whose price is known.
        max_seconds: seconds at work; pauses between a checkpoint and its resume do not count.
        max_searches: queries to the corpus of the whole tree; each of a list counts, ``grep`` and ``read`` do not.
        max_concurrency: sub-calls in flight at once in the whole tree; as many children of each depth.
        cell_timeout: seconds one cell may run, without the time it waits for host calls.
        output_chars: characters of a cell's output that are kept.

    Example:
        >>> Limits(max_cost_usd=0.5).narrowed({"max_turns": 5}).max_turns
        5
    """

    max_turns: int = 20
    max_depth: int = 1
    max_calls: int | None = 500
    max_tokens: int | None = None
    max_cost_usd: float | None = 1.0
    max_seconds: float | None = 600
    max_searches: int | None = 1_000
    max_concurrency: int = 32
    cell_timeout: float = 60.0
    output_chars: int = 8_000

    def __post_init__(self) -> None:
        for limit in fields(self):
            value = getattr(self, limit.name)
            if value is None and limit.name in _OPTIONAL:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise InvalidInput(f"limits: {limit.name} must be a number, not {value!r}")
            if isinstance(value, float) and not math.isfinite(value):  # no sum is ever above NaN: it would not limit
                raise InvalidInput(f"limits: {limit.name} must be a finite number, not {value!r}")
            if limit.name in _WHOLE and not isinstance(value, int):
                raise InvalidInput(f"limits: {limit.name} must be a whole number, not {value!r}")
            least = 0 if limit.name in _MAY_BE_ZERO else 1 if limit.name in _WHOLE else None
            if (value <= 0) if least is None else (value < least):
                bound = "above 0" if least is None else f"at least {least}"
                raise InvalidInput(f"limits: {limit.name} must be {bound}, not {value!r}")

    @classmethod
    def of(cls, given: Limits | Mapping[str, Any] | None) -> Limits:
        """What a factory's ``limits=`` means: the defaults, or these with the values that a mapping names.

        Raises:
            InvalidInput: an unknown name or an unusable value.

        Example:
            >>> Limits.of({"max_turns": 5}).max_turns
            5
        """
        if given is None or isinstance(given, Limits):
            return given or cls()
        return replace(cls(), **named(given))

    def narrowed(self, wanted: Limits | Mapping[str, Any] | None) -> Limits:
        """These limits with the narrower of both values wherever ``wanted`` names one.

        Raises:
            InvalidInput: an unknown name or an unusable value.
        """
        if wanted is None:
            return self
        names = named(wanted)
        asked = replace(self, **names)  # validates the values
        return replace(self, **{name: narrower(getattr(self, name), getattr(asked, name)) for name in names})


def named(given: Limits | Mapping[str, Any]) -> dict[str, Any]:
    """Limits by name.

    Raises:
        InvalidInput: an unknown name; the nearest is told.
    """
    if isinstance(given, Limits):
        return asdict(given)
    if not isinstance(given, Mapping):
        raise InvalidInput(f"limits: expected Limits or a mapping of names to numbers, got {type(given).__name__}")
    names = [limit.name for limit in fields(Limits)]
    if unknown := [str(name) for name in given if name not in names]:
        named = ", ".join(map(repr, unknown))
        raise InvalidInput(f"limits: unknown {named}{nearest(unknown[0], names)}; known are {', '.join(names)}")
    return dict(given)


_OPTIONAL = {"max_calls", "max_tokens", "max_cost_usd", "max_seconds", "max_searches"}
_WHOLE = {"max_turns", "max_depth", "max_calls", "max_tokens", "max_searches", "max_concurrency", "output_chars"}
_MAY_BE_ZERO = {"max_depth", "max_calls", "max_tokens", "max_cost_usd", "max_searches"}


def narrower(mine: Any, wanted: Any) -> Any:
    """The smaller of two limits; None is no limit."""
    if mine is None or wanted is None:
        return wanted if mine is None else mine
    return min(mine, wanted)
