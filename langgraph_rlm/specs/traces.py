"""Traces as contexts: sessions, event histories, runs of LangSmith and OpenTelemetry, and our own, one line for each event."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.shortening import shortened

_STEPS, _HISTORY, _OTEL = "session_time_steps", "event_history", "resourceSpans"
_KINDS = ("event_type", "type", "run_type", "event", "kind", "role", "name")
"""Keys that say what an event is, the first that there is."""
_MOST_DEPTH = 100
"""Of runs inside of runs."""


class TraceEvent(NamedTuple):
    """One event of a trace.

    Args:
        id: of its own where it has a whole number that no other has, else its number, from 0.
        turn: in which it happened; None where the trace does not say.
        kind: what it is.
        data: all of it.
    """

    id: int
    turn: int | None
    kind: str
    data: Any


def trace_context(trace: Any) -> str:
    """A trace as text, one line for each event: ``#id kind {…}``, so that it can be searched and split at events.

    Args:
        trace: a V3 session (``session_time_steps``), ``{"event_history": […]}``, OTLP JSON (``resourceSpans``), LangSmith runs
            (with ``child_runs``), a list of events of any kind, such as ours, or JSON or JSON Lines text of one of these; any
            other text has an event on each line.

    Raises:
        InvalidInput: it is none of these, or has no event.

    Example:
        >>> trace_context({"event_history": [{"event_id": 7, "event_type": "tool", "output": "ok"}]})
        '#7 tool {"event_id": 7, "event_type": "tool", "output": "ok"}\\n'
    """
    lines = [line_of(event) for event in events_of(trace)]
    if not lines:
        raise InvalidInput("trace: it has no event")
    return "".join(lines)


def line_of(event: TraceEvent) -> str:
    """The line of an event, with its end; nothing in it is another line end."""
    turn = "" if event.turn is None else f" turn {event.turn}"
    data = event.data if isinstance(event.data, str) else json.dumps(event.data, ensure_ascii=False, default=str)
    return f"#{event.id}{turn} {' '.join(event.kind.split())} {' '.join(data.splitlines())}\n"


def events_of(trace: Any) -> Iterator[TraceEvent]:
    """The events of a trace, in order; see :func:`trace_context`.

    Raises:
        InvalidInput: it is no trace.
    """
    found = list(_found(_parsed(trace)))
    ids = [data.get("event_id") if isinstance(data, Mapping) else None for _, data in found]
    own = all(isinstance(one, int) and not isinstance(one, bool) for one in ids) and len(set(ids)) == len(ids)
    for number, (turn, data) in enumerate(found):
        yield TraceEvent(int(ids[number]) if own else number, turn, _kind_of(data), data)  # type: ignore[arg-type]


def _parsed(trace: Any) -> Any:
    if not isinstance(trace, str):
        return trace
    text = trace.strip()
    if not text:
        raise InvalidInput("trace: it is empty")
    if text[0] in "[{":
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            pass
        try:
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        except (ValueError, RecursionError):
            pass
    return [line for line in text.splitlines() if line.strip()]


def _found(trace: Any, depth: int = 0) -> Iterator[tuple[int | None, Any]]:
    """Pairs of turn and event."""
    if depth > _MOST_DEPTH:
        raise InvalidInput(f"trace: runs are nested more than {_MOST_DEPTH} deep")
    if isinstance(trace, Mapping):
        yield from _of_mapping(trace, depth)
    elif isinstance(trace, Sequence) and not isinstance(trace, str | bytes | bytearray):
        for one in trace:
            if isinstance(one, Mapping) and (_OTEL in one or "child_runs" in one or _STEPS in one or _HISTORY in one):
                yield from _of_mapping(one, depth)
            else:
                yield _turn_of(one), one
    else:
        raise InvalidInput(f"trace: a session, runs, spans or a list of events is expected, not {type(trace).__name__}")


def _of_mapping(trace: Mapping[str, Any], depth: int) -> Iterator[tuple[int | None, Any]]:
    if _STEPS in trace:
        for step in _list(trace, _STEPS):
            turn = _turn_of(step)
            for event in _list(step, "events"):
                yield (_turn_of(event) if turn is None else turn), event
    elif _HISTORY in trace:
        yield from _found(_list(trace, _HISTORY), depth + 1)
    elif _OTEL in trace:
        for resource in _list(trace, _OTEL):
            for scope in _list(resource, "scopeSpans"):
                yield from ((None, span) for span in _list(scope, "spans"))
    elif "run_type" in trace or "child_runs" in trace:
        yield None, {key: value for key, value in trace.items() if key != "child_runs"}
        yield from _found(trace.get("child_runs") or [], depth + 1)
    elif isinstance(trace.get("trace"), Mapping | list):
        yield from _found(trace["trace"], depth + 1)
    elif isinstance(trace.get("runs"), list):
        yield from _found(trace["runs"], depth + 1)
    else:
        hint = f"; write {_STEPS!r} for 'timesteps'" if "timesteps" in trace else ""
        known = ", ".join(map(str, list(trace)[:8]))
        raise InvalidInput(
            f"trace: it has none of {_STEPS!r}, {_HISTORY!r}, {_OTEL!r} and 'run_type', but {shortened(known)}{hint}"
        )


def _list(holder: Any, key: str) -> Sequence[Any]:
    value = holder.get(key) if isinstance(holder, Mapping) else None
    if not isinstance(value, list | tuple):
        raise InvalidInput(f"trace: {key!r} must be a list, not {type(value).__name__}")
    return value


def _turn_of(event: Any) -> int | None:
    for key in ("turn_number", "turn", "step_index"):
        if isinstance(event, Mapping) and isinstance(turn := event.get(key), int) and not isinstance(turn, bool):
            return turn
    return None


def _kind_of(data: Any) -> str:
    found = (
        next((data[key] for key in _KINDS if isinstance(data.get(key), str)), "") if isinstance(data, Mapping) else ""
    )
    return shortened(found or "event")
