"""How a node gives its answer: to who streams, as it is written or at the end, and as a message for the state."""

from __future__ import annotations

from langchain_core.messages import AIMessage, AnyMessage

from langgraph_rlm.graphs.live import Live
from langgraph_rlm.runs.answers import AnswerMessage
from langgraph_rlm.runs.run import Run


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
