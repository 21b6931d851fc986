"""How a node gives its answer: to who streams, as it is written or at the end, and as a message for the state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage

from langgraph_rlm.graphs.live import Live
from langgraph_rlm.runs.answers import AnswerMessage
from langgraph_rlm.runs.run import Run

KEPT = ("citations", "usage", "found", "stop_reason")
"""Keys of an output that the message of an answer has too: a parent graph with ``messages`` alone keeps no others."""


def kept_by_parents(update: Mapping[str, Any], route: str, messages: Sequence[AnyMessage] = ()) -> dict[str, Any]:
    """An update whose last message of the answer has in its ``response_metadata`` what a parent graph would lose.

    Args:
        update: of the node that answers.
        route: that it took.
        messages: where the update has none: those of the state.

    Example:
        >>> from langchain_core.messages import AIMessage
        >>> update = {"messages": [AIMessage("Paris.", id="1")], "found": True}
        >>> kept_by_parents(update, "rag")["messages"][0].response_metadata
        {'route': 'rag', 'found': True}
    """
    given = update.get("messages") or messages
    if not given or not isinstance(given[-1], AIMessage):
        return dict(update)
    facts = {"route": route} | {name: update[name] for name in KEPT if name in update}
    last = given[-1]
    told = last.model_copy(update={"response_metadata": {**last.response_metadata, **facts}})
    return {**update, "messages": [*update.get("messages", ())[:-1], told]}


class Answering:
    """One answer of one node.

    Args:
        run: the request, in the node that answers.
        message_id: of the message that will hold the answer.
        held: nobody is shown anything of it yet: another route may take its place.

    Example:
        >>> from langgraph_rlm.runs.run import Run
        >>> said = Answering(Run.alone(is_async=True), "id")
        >>> said.messages("Paris.")[0].text
        'Paris.'
    """

    def __init__(self, run: Run, message_id: str, *, held: bool = False) -> None:
        self._message = AnswerMessage(run, message_id)
        self._held = held
        self.tokens = None if held else Live(self._message)
        """Takes the tokens of the model that writes it; None when they are not to be shown."""

    @property
    def id(self) -> str:
        """Of the message."""
        return self._message.id

    def messages(self, text: str) -> list[AnyMessage]:
        """Tell the rest of the answer, which is now known; it as ``messages`` of the state.

        The same id replaces an earlier answer to the same question.
        """
        if self._held:
            self._message.hold()
        else:
            self._message.end(text)
        return [AIMessage(text, id=self._message.id)]

    def release(self, text: str) -> None:
        """Tell an answer that was held."""
        self._message.end(text)
