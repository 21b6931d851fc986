"""The custom events of a run: one record for each kind, and the stamp that all of them carry.

They go to LangGraph's stream writer (``stream_mode="custom"``), and to callback handlers as custom events named ``rlm``
(``astream_events``, tracers). They show previews and references, never a context as a whole.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from langgraph_rlm.types import Decision

VERSION = 1
"""Of these records; raised when a field changes its meaning or goes. New fields and new kinds do not raise it."""


class Stamp(TypedDict):
    """What every event carries. ``Run.emit`` adds what is not required."""

    type: NotRequired[Literal["rlm"]]
    version: NotRequired[int]
    run: NotRequired[str]
    """Id of the question; the same after a resume."""
    sequence: NotRequired[int]
    """From 1, in the order in which the events were sent by this process."""
    time: NotRequired[float]
    """Seconds since 1970."""
    depth: int
    """0 for the root, 1 for its children, …"""
    path: list[str]
    """Of the child, from the root; empty for the root itself."""


class RouteEvent(Stamp):
    """The router has decided."""

    event: Literal["route"]
    decision: Decision


class RetrieveEvent(Stamp):
    """The corpus was searched."""

    event: Literal["retrieve"]
    hits: int
    mode: str
    queries: NotRequired[list[str]]
    """Of a cell: what was asked, each shortened."""
    plan: NotRequired[dict[str, Any]]
    """How the question was taken apart."""


class ThinkEvent(Stamp):
    """The root model is asked for the cells of this turn."""

    event: Literal["think"]
    turn: int


class CellEvent(Stamp):
    """A cell starts."""

    event: Literal["cell"]
    turn: int
    code: str


class TurnEvent(Stamp):
    """A cell has ended."""

    event: Literal["turn"]
    turn: int
    output: str
    error: str | None
    calls: dict[str, int]
    """How often it called each function."""


class EscalateEvent(Stamp):
    """The answer of a route is not supported: the question goes on to the recursive one."""

    event: Literal["escalate"]
    reason: str


class WaitEvent(Stamp):
    """Calls wait: a model's server asks for fewer requests. Told once for each pause, however many calls wait."""

    event: Literal["wait"]
    model: str
    seconds: float


class TruncatedEvent(Stamp):
    """A model's server has read far less than it was sent: it cuts prompts to its window without a word."""

    event: Literal["truncated"]
    model: str
    sent_tokens: int
    """Estimated."""
    read_tokens: int
    """As the server reports."""


class AnswerEvent(Stamp):
    """A route has its answer."""

    event: Literal["answer"]
    stop_reason: NotRequired[str]
    supported: NotRequired[bool]
    """By the retrieved text, where it was graded."""


Event = (
    RouteEvent
    | RetrieveEvent
    | ThinkEvent
    | CellEvent
    | TurnEvent
    | EscalateEvent
    | WaitEvent
    | TruncatedEvent
    | AnswerEvent
)
