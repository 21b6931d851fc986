"""The state of the graphs: what goes in, what comes out, and the private keys (prefix ``rlm_``) between.

``question`` and ``context`` are ephemeral: they live for the step after they were given. Were they plain keys, the
second question of a thread would be answered with what the first one left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, cast

from langchain_core.messages import AnyMessage
from langgraph.channels import EphemeralValue
from langgraph.graph.message import add_messages
from langgraph.managed import RemainingSteps
from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from langgraph_rlm.budget import no_usage
from langgraph_rlm.types import Citation, ContextRef, Decision, Grade, Hit, StopReason, Turn, Usage

MOST_CARRIED = 1_000
"""Hits, as many as ``k`` may ask for."""


class EarlierAnswer(TypedDict):
    """An answer whose passages do not support all of it."""

    answer: str
    citations: list[Citation]


class Carry(TypedDict, total=False):
    """What a router hands to the route it chose, so that one question has one budget and one message."""

    usage: Usage
    run: str
    """Id of the question: one account for all its routes."""
    answer_id: str
    standalone: bool
    """The question needs no rewriting any more."""
    hits: list[Hit]
    """Retrieved already, by the route that escalates."""
    held: bool
    """The route's answer is shown to nobody yet: it may not be supported, and go on to another route."""
    earlier: EarlierAnswer
    """That route's answer: better than none when a limit ends the next one."""


class QuestionInput(TypedDict, total=False):
    """``question`` or ``messages`` (the last human message)."""

    messages: Annotated[list[AnyMessage], add_messages]
    question: Annotated[str, EphemeralValue]
    rlm_carry: Annotated[Carry, EphemeralValue]
    rlm_options: Annotated[dict[str, Any], EphemeralValue]
    """How a router's node says that the chosen route should work."""


class ContextInput(QuestionInput, total=False):
    """With the context where there is one: a ``ContextRef``, or raw text that becomes one before it is written."""

    context: Annotated[Any, EphemeralValue]
    rlm_taken: Annotated[list[str], EphemeralValue]
    """Fields of the input that became the context, where ``keys={"context": "auto"}`` asks for that."""


class GraphOutput(TypedDict, total=False):
    """What every graph answers with."""

    messages: Annotated[list[AnyMessage], add_messages]
    answer: str
    found: bool
    """Whether there is an answer; else ``answer`` says in plain words that there is none, and why."""
    structured_response: Any
    citations: list[Citation]
    usage: Usage
    stop_reason: StopReason


def fresh_output() -> dict[str, Any]:
    """The values of ``GraphOutput`` at the start of a question, so that nothing of the one before is left."""
    return {
        "answer": "", "found": False, "structured_response": None, "citations": [], "usage": no_usage(), "stop_reason": "",
    }  # fmt: skip


def carried(state: Mapping[str, Any]) -> Carry:
    """What the router handed over, or nothing. The edge of a graph lets nobody else write it."""
    return cast(Carry, state.get("rlm_carry") or {})


def earlier_answer(answer: Any, citations: Any) -> EarlierAnswer | None:
    """What a route has answered, for the route that it escalates to; None when it has cited nothing: it found nothing.

    A user's own route may have left anything there.
    """
    try:
        found = _EARLIER.validate_python({"answer": answer, "citations": (citations or [])[:MOST_CARRIED]}, strict=True)
    except (ValidationError, TypeError):
        return None
    return found if found["citations"] else None


def carried_hits(hits: Any) -> list[Hit]:
    """What a route has retrieved, for the route that it escalates to; a user's own may have left anything there."""
    try:
        return _HITS.validate_python((hits or [])[:MOST_CARRIED], strict=True)
    except (ValidationError, TypeError):
        return []


_EARLIER = TypeAdapter(EarlierAnswer)
_HITS = TypeAdapter(list[Hit])


class RAGState(QuestionInput, GraphOutput, total=False):
    """Classic RAG."""

    grade: Grade
    rlm_how: dict[str, Any]
    """How the router says that it should be retrieved."""
    rlm_run: str
    rlm_question: str
    rlm_hits: list[Hit]
    rlm_answer_id: str
    rlm_held: bool


class RAGOutput(GraphOutput, total=False):
    """``grade`` says whether the retrieved text supports the answer."""

    grade: Grade
    rlm_hits: list[Hit]
    rlm_answer_id: str
    rlm_held: bool


class RLMState(ContextInput, GraphOutput, total=False):
    """The recursive route."""

    turns: list[Turn]
    rlm_steps: RemainingSteps
    """That LangGraph's ``recursion_limit`` leaves to this graph."""
    rlm_run: str
    """Id of the question: whose calls and answers are whose."""
    rlm_question: str
    rlm_context: ContextRef | None
    rlm_session: str
    rlm_task: str
    """First message to the root model, rendered once."""
    rlm_hits: list[Hit]
    """Preloaded as ``context_chunks``."""
    rlm_earlier: EarlierAnswer | None
    rlm_reply: dict[str, Any]
    """The root's latest reply, parsed: thought and cells."""
    rlm_final: Any
    rlm_answer_id: str


class RLMOutput(GraphOutput, total=False):
    """``turns`` are previews of the cells that ran."""

    turns: list[Turn]


class SmartState(ContextInput, GraphOutput, total=False):
    """Router, RAG and the recursive route together."""

    route: str
    decision: Decision
    turns: list[Turn]
    grade: Grade | None
    rlm_run: str
    rlm_question: str
    rlm_context: ContextRef | None
    rlm_answer_id: str
    rlm_hits: list[Hit]
    rlm_forced: bool
    """The request chose the route, so its answer stands."""
    rlm_held: bool
    """The answer was shown to nobody yet."""


class SmartOutput(GraphOutput, total=False):
    """``route`` is the one that answered; ``decision`` says why it was chosen."""

    route: str
    decision: Decision
    turns: list[Turn]
    grade: Grade | None
