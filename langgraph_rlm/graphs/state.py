"""The state of the graphs: what goes in, what comes out, and the private keys (prefix ``rlm_``) between.

``question`` and ``context`` are ephemeral: they live for the step after they were given. Were they plain keys, the
second question of a thread would be answered with what the first one left.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from typing import Annotated, Any, TypedDict, cast

from langchain_core.messages import AIMessage, AnyMessage
from langgraph.channels import EphemeralValue
from langgraph.graph.message import add_messages

from langgraph_rlm.budget import no_usage
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.types import Citation, ContextRef, Decision, Grade, Hit, Turn, Usage

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
    earlier: EarlierAnswer
    """That route's answer: better than none when a limit ends the next one."""


class QuestionInput(TypedDict, total=False):
    """``question`` or ``messages`` (the last human message)."""

    messages: Annotated[list[AnyMessage], add_messages]
    question: Annotated[str, EphemeralValue]
    rlm_carry: Annotated[Carry, EphemeralValue]


class ContextInput(QuestionInput, total=False):
    """With the context where there is one: a ``ContextRef``, or raw text that becomes one before it is written."""

    context: Annotated[Any, EphemeralValue]


class GraphOutput(TypedDict, total=False):
    """What every graph answers with."""

    messages: Annotated[list[AnyMessage], add_messages]
    answer: str
    structured_response: Any
    citations: list[Citation]
    usage: Usage
    stop_reason: str


def fresh_output() -> dict[str, Any]:
    """The values of ``GraphOutput`` at the start of a question, so that nothing of the one before is left."""
    return {"answer": "", "structured_response": None, "citations": [], "usage": no_usage(), "stop_reason": ""}


def carried(state: Mapping[str, Any]) -> Carry:
    """What the router handed over, or nothing. A client could send it: usage that would widen the limits is refused."""
    carry = state.get("rlm_carry") or {}
    if not isinstance(carry, Mapping) or not _is_usage(carry.get("usage", no_usage())):
        raise InvalidInput("rlm_carry: only routers write it, and this one holds no usage of a run (or one below zero)")
    if not all(isinstance(carry.get(key, ""), str) for key in ("answer_id", "run")) or not _are_hits(
        carry.get("hits") or []
    ):
        raise InvalidInput("rlm_carry: only routers write it, and this one holds no hits or no id of an answer")
    if not _is_earlier(carry.get("earlier", {"answer": "", "citations": []})):
        raise InvalidInput("rlm_carry: only routers write it, and this one holds no answer with its citations")
    return cast(Carry, carry)


def earlier_answer(answer: Any, citations: Any) -> EarlierAnswer | None:
    """What a route has answered, for the route that it escalates to; None when it has cited nothing: it found nothing."""
    earlier = {"answer": answer, "citations": citations[:MOST_CARRIED] if isinstance(citations, list) else None}
    return cast(EarlierAnswer, earlier) if citations and _is_earlier(earlier) else None  # a user's own route: any shape


def _is_earlier(earlier: Any) -> bool:
    if not isinstance(earlier, Mapping) or not isinstance(earlier.get("answer"), str):
        return False
    shape = {"doc_id": str, "start": int, "end": int, "quote": str, "verified": bool, "line": int}
    citations = earlier.get("citations")
    return (
        isinstance(citations, list)
        and len(citations) <= MOST_CARRIED
        and all(
            isinstance(c, Mapping) and all(isinstance(c.get(k), kind) for k, kind in shape.items()) for c in citations
        )
    )


def _are_hits(hits: Any) -> bool:
    shape = {"doc_id": str, "start": int, "end": int, "line": int, "text": str}
    return (
        isinstance(hits, list)
        and len(hits) <= MOST_CARRIED
        and all(isinstance(h, Mapping) and all(isinstance(h.get(k), kind) for k, kind in shape.items()) for h in hits)
    )


def _is_usage(usage: Any) -> bool:
    by_model = usage.get("by_model") if isinstance(usage, Mapping) else None
    if not isinstance(by_model, Mapping) or not _is_amount(usage.get("seconds")):
        return False
    records = [usage, *by_model.values()]
    counts = ("calls", "input_tokens", "cached_tokens", "output_tokens")
    return all(
        isinstance(record, Mapping)
        and all(type(record.get(name)) is int and record[name] >= 0 for name in counts)
        and (record.get("cost_usd") is None or _is_amount(record["cost_usd"]))
        for record in records
    )


def _is_amount(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < math.inf


def new_id() -> str:
    """A fresh id for a session or a message."""
    return uuid.uuid4().hex


def answer_message(text: str, message_id: str) -> list[AnyMessage]:
    """The answer for the ``messages`` of the state; the same id replaces an earlier answer to the same question."""
    return [AIMessage(text, id=message_id)]


class RAGState(QuestionInput, GraphOutput, total=False):
    """Classic RAG."""

    grade: Grade
    rlm_run: str
    rlm_question: str
    rlm_hits: list[Hit]
    rlm_found: bool
    """The model found an answer in the passages."""
    rlm_answer_id: str


class RAGOutput(GraphOutput, total=False):
    """``grade`` says whether the retrieved text supports the answer."""

    grade: Grade
    rlm_hits: list[Hit]


class RLMState(ContextInput, GraphOutput, total=False):
    """The recursive route."""

    turns: list[Turn]
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


class SmartOutput(GraphOutput, total=False):
    """``route`` is the one that answered; ``decision`` says why it was chosen."""

    route: str
    decision: Decision
    turns: list[Turn]
    grade: Grade | None
