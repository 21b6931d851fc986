"""One search over several places, as one result: what ``file=`` and ``max_matches=`` mean wherever they are written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langgraph_rlm.calls.files import Place
from langgraph_rlm.repl import HitList

Dispatch = Callable[[Place, dict[str, Any]], Awaitable[tuple[Any, list[str]]]]
"""Calls the function at one place: ``(place, arguments)`` → its result and notes."""


@dataclass(slots=True)
class Searched:
    """What a search has found.

    Args:
        hits: with the ids by which their documents are known outside, ranked over all places.
        total: of a count.
        seen: matches met.
        complete: everything was looked at.
        notes: on what was not found.
    """

    hits: list[dict[str, Any]] = field(default_factory=list)
    total: int = 0
    seen: int = 0
    complete: bool = True
    notes: list[str] = field(default_factory=list)


async def searched(where: Sequence[Place], given: Mapping[str, Any], dispatch: Dispatch) -> Searched:
    """Search the places in turn, until there are as many matches as are wanted.

    Args:
        where: to look.
        given: the function's arguments; ``max_matches`` holds for all places together.
        dispatch: calls the function.
    """
    found, most = Searched(), given.get("max_matches")
    for place in where:
        if most is not None and len(found.hits) >= most:
            found.complete = False
            break
        options = dict(given) if most is None else {**given, "max_matches": most - len(found.hits)}
        result, said = await dispatch(place, options)
        found.notes += [f"{place.name}: {note}" if place.name else note for note in said]
        if isinstance(result, HitList):
            found.hits += [{**hit, "doc_id": place.shown(hit["doc_id"])} for hit in result.hits]
            found.seen, found.complete = found.seen + result.seen, found.complete and result.complete
        else:
            found.total += result
    for rank, hit in enumerate(found.hits):
        hit["rank"] = rank
    return found
