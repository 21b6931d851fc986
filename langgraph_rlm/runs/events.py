"""The events of a run: one record for each kind, and the stamp that all of them carry.

They go to LangGraph's stream writer (``stream_mode="custom"``), and to callback handlers as custom events named ``rlm``
(``astream_events``, tracers). They show previews and references, never a context as a whole.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from langgraph_rlm.types import ContextRef, Decision, Usage

VERSION = 2
"""Of these records; raised when a field changes its meaning or goes. New fields and new kinds do not raise it."""
SHOWN_CHARS = 500
"""Of a question, a prompt, an argument or a result in an event."""


class Stamp(TypedDict):
    """What every event carries."""

    type: Literal["rlm"]
    version: int
    run: str
    """Id of the question; the same after a resume."""
    sequence: int
    """From 1, in the order in which the events were sent by this process."""
    time: float
    """Seconds since 1970."""
    depth: int
    """0 for the root, 1 for its children, …"""
    path: list[str]
    """Of the child, from the root; empty for the root itself."""
    turn: int
    """Of the root model or the child; 0 outside of any turn."""


class RunEvent(Stamp):
    """A question has begun; ``run`` is its id."""

    event: Literal["run"]
    question: str
    """Shortened."""
    context: ContextRef | None


class RouteEvent(Stamp):
    """The router has decided."""

    event: Literal["route"]
    decision: Decision


class RetrievalEvent(Stamp):
    """The corpus was searched."""

    event: Literal["retrieval"]
    hits: int
    mode: str
    queries: NotRequired[list[str]]
    """Of a cell: what was asked, each shortened."""
    plan: NotRequired[dict[str, Any]]
    """How the question was taken apart."""


class ThinkEvent(Stamp):
    """The root model is asked for the cells of this turn."""

    event: Literal["think"]


class CellStartEvent(Stamp):
    """A cell starts."""

    event: Literal["cell_start"]
    code: str


class CellOutputEvent(Stamp):
    """What a cell has printed, before its end is told; a cell that prints nothing has none."""

    event: Literal["cell_output"]
    output: str
    """At most ``output_chars`` characters."""


class CellEndEvent(Stamp):
    """A cell has ended."""

    event: Literal["cell_end"]
    error: str | None
    seconds: float
    final: bool
    """Whether it has submitted an answer."""
    calls: dict[str, int]
    """How often it called each function."""


class CallStartEvent(Stamp):
    """A model, or a tool of the user's own, is called."""

    event: Literal["call_start"]
    name: str
    """Of the model or the tool."""
    role: str
    """``root``, ``sub``, ``reader``, ``grader``, ``condense``, ``structure``, …; ``tool`` for a tool."""
    input: NotRequired[str]
    """Arguments of a tool, shortened."""


class CallEndEvent(Stamp):
    """A call has ended."""

    event: Literal["call_end"]
    started: int
    """``sequence`` of its ``call_start``."""
    name: str
    role: str
    seconds: float
    error: str | None
    """The kind of failure; None when it was answered."""


class ChildStartEvent(Stamp):
    """A recursive child starts; ``depth`` and ``path`` are its own."""

    event: Literal["child_start"]
    prompt: str
    """Shortened."""
    context: ContextRef


class ChildEndEvent(Stamp):
    """A child has ended."""

    event: Literal["child_end"]
    error: str | None


class BudgetEvent(Stamp):
    """What the question has spent so far, after each turn and each answer."""

    event: Literal["budget"]
    usage: Usage
    left: str
    """What is left, in words."""


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


class EscalateEvent(Stamp):
    """The answer of a route is not supported: the question goes on to the recursive one."""

    event: Literal["escalate"]
    reason: str


class WithdrawnEvent(Stamp):
    """What was streamed of a message does not stand: take it off the screen. The answer comes as another message."""

    event: Literal["withdrawn"]
    message_id: str


class StepEvent(Stamp):
    """A step of a declarative graph has ended."""

    event: Literal["step"]
    step: str
    skipped: bool
    seconds: float
    coverage: NotRequired[dict[str, Any]]
    """Of a mapped step: ``items``, ``answered``, and ``failed`` by category."""


class AnswerEvent(Stamp):
    """A route has its answer. One that escalates is followed by ``escalate`` and another answer."""

    event: Literal["answer"]
    stop_reason: str
    message_id: str
    """Of the message that holds it."""
    supported: NotRequired[bool]
    """By the retrieved text, where it was graded."""


Event = (
    RunEvent
    | RouteEvent
    | RetrievalEvent
    | ThinkEvent
    | CellStartEvent
    | CellOutputEvent
    | CellEndEvent
    | CallStartEvent
    | CallEndEvent
    | ChildStartEvent
    | ChildEndEvent
    | BudgetEvent
    | WaitEvent
    | TruncatedEvent
    | EscalateEvent
    | WithdrawnEvent
    | StepEvent
    | AnswerEvent
)
