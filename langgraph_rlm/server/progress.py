"""What the events of a run say to somebody who waits: one short line each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def progress_line(event: Mapping[str, Any]) -> str | None:
    """What a custom event of a run says; None for nothing new.

    Args:
        event: of :mod:`langgraph_rlm.runs.events`.

    Example:
        >>> progress_line({"event": "think", "turn": 2, "depth": 0})
        'turn 2: the model writes a cell'
    """
    kind, turn = event.get("event"), event.get("turn")
    deeper = f" (depth {event['depth']})" if event.get("depth") else ""
    if kind == "route":
        return f"route: {event.get('decision', {}).get('route', '?')}"
    if kind == "retrieval":
        return f"{event.get('hits', 0)} passages retrieved{deeper}" + ("" if "queries" in event else ", reading them")
    if kind == "think":
        return f"turn {turn}{deeper}: the model writes a cell"
    if kind == "cell_start":
        return f"turn {turn}{deeper}: the cell runs"
    if kind == "cell_end":
        calls = ", ".join(f"{name} × {count}" for name, count in (event.get("calls") or {}).items())
        return f"turn {turn}{deeper}: done" + (f" ({calls})" if calls else "")
    if kind == "escalate":
        return "the passages do not support an answer: on to the recursive route"
    return None
