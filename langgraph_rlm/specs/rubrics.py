"""Rubrics: weighted criteria for the events and for the outcome of a trace, and the scores that come of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langgraph_rlm.errors import InvalidInput, nearest
from langgraph_rlm.shortening import shortened

_PARTS = ("event", "outcome")
_MOST_CRITERIA = 100
"""Of one part: each costs calls of a model."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """One thing that is judged.

    Args:
        id: by which its score is known.
        description: what is asked for.
        weight: in the mean; above 0.
    """

    id: str
    description: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Rubric:
    """What a trace is judged by.

    Args:
        event: criteria for single events.
        outcome: criteria for the trace as a whole.

    Example:
        >>> Rubric.of({"outcome": [{"id": "done", "description": "The task is done.", "weight": 2}]}).outcome[0].weight
        2.0
    """

    event: tuple[Criterion, ...] = ()
    outcome: tuple[Criterion, ...] = ()

    @classmethod
    def of(cls, given: Any) -> Rubric:
        """From ``{"event": […], "outcome": […]}``, lists of ``{"id", "description", "weight"}``; a list alone is the outcome's.

        The dialect of data sets is read too: ``events`` for ``event``, ``{"criteria": […]}`` for a list, ``name`` for ``id``,
        ``expected_answer``, which is added to the description.

        Raises:
            InvalidInput: it is empty, or a criterion cannot be used.
        """
        if isinstance(given, Rubric):
            return given
        if isinstance(given, list | tuple):
            given = {"outcome": given}
        if not isinstance(given, Mapping):
            raise InvalidInput(f"rubric: a mapping with 'event' and 'outcome' is expected, not {type(given).__name__}")
        parts = {"event" if name == "events" else str(name): value for name, value in given.items()}
        for name in parts:
            if name not in _PARTS:
                raise InvalidInput(f"rubric: there is no {name!r}{nearest(name, _PARTS)}; there are event and outcome")
        rubric = cls(**{name: tuple(_criteria(name, value)) for name, value in parts.items()})
        if not rubric.event and not rubric.outcome:
            raise InvalidInput("rubric: it is empty; give at least one criterion")
        return rubric


def weighted_mean(criteria: Sequence[Criterion], scores: Mapping[str, float | None]) -> float | None:
    """The mean of the scores by weight; None when one is missing: no number stands for what was not judged.

    Example:
        >>> weighted_mean([Criterion("a", "", 3), Criterion("b", "", 1)], {"a": 1.0, "b": 0.0})
        0.75
    """
    pairs = [(scores.get(one.id), one.weight) for one in criteria]
    if not pairs or any(score is None for score, _ in pairs):
        return None
    whole = math.fsum(weight for _, weight in pairs)
    return math.fsum(float(score) * weight for score, weight in pairs if score is not None) / whole


def _criteria(part: str, given: Any) -> list[Criterion]:
    if isinstance(given, Mapping) and "criteria" in given:
        given = given["criteria"]
    if given is None:
        return []
    if not isinstance(given, list | tuple):
        raise InvalidInput(f"rubric.{part}: a list of criteria is expected, not {type(given).__name__}")
    if len(given) > _MOST_CRITERIA:
        raise InvalidInput(f"rubric.{part}: {len(given):,} criteria are too many (at most {_MOST_CRITERIA})")
    made = list[Criterion]()
    for number, one in enumerate(given):
        place = f"rubric.{part}[{number}]"
        if isinstance(one, Criterion):
            made.append(one)
            continue
        if not isinstance(one, Mapping):
            raise InvalidInput(f"{place}: {{'id', 'description', 'weight'}} is expected, not {type(one).__name__}")
        made.append(_criterion(place, one))
    ids = [one.id for one in made]
    if twice := [one for one in ids if ids.count(one) > 1]:
        raise InvalidInput(f"rubric.{part}: a second criterion {twice[0]!r}")
    return made


def _criterion(place: str, given: Mapping[str, Any]) -> Criterion:
    name, about, weight = given.get("id", given.get("name")), given.get("description"), given.get("weight", 1.0)
    for key, value in (("id", name), ("description", about)):
        if not isinstance(value, str) or not value.strip():
            raise InvalidInput(f"{place}: {key!r} must be a text that is not empty, not {shortened(repr(value))}")
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight) or weight <= 0:
        raise InvalidInput(f"{place}: 'weight' must be a number above 0, not {weight!r}")
    expected = given.get("expected_answer")
    return Criterion(
        str(name), f"{about} The expected answer: {expected}" if expected is not None else str(about), float(weight)
    )
