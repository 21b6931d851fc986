"""The question of a run: found in the state, and made to stand alone when it follows on earlier messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from langchain_core.messages import AnyMessage, HumanMessage

from langgraph_rlm.calls.account import Account
from langgraph_rlm.calls.models import ModelCaller
from langgraph_rlm.errors import InvalidInput, LimitReached
from langgraph_rlm.graphs.prompts import condense_messages
from langgraph_rlm.graphs.state import Carry
from langgraph_rlm.runs.answers import not_shown
from langgraph_rlm.runs.run import Run, new_id
from langgraph_rlm.runs.traces import shortened
from langgraph_rlm.types import ContextRef

MAX_QUESTION_CHARS = 100_000
"""A longer question is a text to be asked about: some 25,000 tokens."""


class Question(NamedTuple):
    """A question that stands alone."""

    text: str
    messages: list[AnyMessage]
    """To add to the state's ``messages``: the question, when it was not given as one of them."""


def question_in(state: Mapping[str, Any]) -> tuple[str, list[AnyMessage], list[AnyMessage]]:
    """The question as it was asked, the messages before it, and the message to add for it (none when it is one).

    Raises:
        InvalidInput: there is none, it is empty or no text, or so long that it is a context rather than a question.
    """
    messages: list[AnyMessage] = list(state.get("messages") or [])
    asked, added = state.get("question"), list[AnyMessage]()
    if asked is None:
        last = next((i for i in reversed(range(len(messages))) if messages[i].type == "human"), None)
        if last is None:
            raise InvalidInput("no question: give 'question', or 'messages' with a human message")
        asked, messages = messages[last].text, messages[:last]
    elif isinstance(asked, str):
        added = [HumanMessage(asked, id=new_id())]
    if not isinstance(asked, str):
        raise InvalidInput(f"question: expected a str, got {type(asked).__name__}")
    if not asked.strip():
        raise InvalidInput("the question is empty")
    if asked.encode("utf-8", "ignore").decode() != asked:
        raise InvalidInput("the question holds a lone surrogate, which is no text; repair it")
    if len(asked) > MAX_QUESTION_CHARS:
        raise InvalidInput(
            f"the question has {len(asked):,} characters (at most {MAX_QUESTION_CHARS:,}): give long text as 'context'"
        )
    return asked.strip(), messages, added


async def standing_alone(
    state: Mapping[str, Any], carry: Carry, model: ModelCaller, account: Account, run: Run,
    context: ContextRef | None = None,
) -> Question:  # fmt: skip
    """The run's question; a follow-up is rewritten by the sub-model first, which is billed like any call. An event tells
    that the run has begun."""
    asked, earlier, added = question_in(state)
    if carry.get("standalone"):
        return Question(asked, [])
    run.emit("run", question=shortened(asked), context=context)
    for message in added:
        not_shown(run, str(message.id))  # who asked knows it
    if not any(message.type in ("human", "ai") for message in earlier):
        return Question(asked, added)
    try:
        answer = await model.ask(condense_messages(earlier, asked), account=account, config=run.config, role="condense")
    except LimitReached:  # what is left of the run will say so; the words as asked are the best there is
        return Question(asked, added)
    rewritten = answer.text.strip()
    return Question(rewritten if 0 < len(rewritten) <= MAX_QUESTION_CHARS else asked, added)
