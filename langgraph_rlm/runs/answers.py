"""The message that carries a run's answer, told in pieces to whoever streams messages or tokens.

To ``stream_mode="messages"`` and ``astream_events`` it looks like the message of a chat model, of the run ``rlm:answer``.
Everybody gets the same pieces of the same message id, which together are the message that ends up in the state.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID, uuid4

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, LLMResult

from langgraph_rlm.runs.listeners import segments, shows_messages
from langgraph_rlm.runs.run import Run, new_id

_NAME = "rlm:answer"
_PIECE_CHARS = 40
"""Of an answer that is told at the end: some words, as models send them."""
_MOST_PIECES = 500
"""Of one answer; those of a very long one are larger."""


class AnswerMessage:
    """The message of one answer, on its way to those who stream.

    Its methods may be called from any thread, by one at a time.

    Args:
        run: the request, in the node that answers.
        message_id: of the message.
    """

    def __init__(self, run: Run, message_id: str) -> None:
        self.id = message_id
        self.told = ""
        """What was told of it so far."""
        self._run = run
        self._voices: list[_Voice] = []

    @property
    def heard(self) -> bool:
        """Whether anybody streams tokens."""
        return bool(self._run.listening)

    def write(self, piece: str) -> None:
        """Tell the next piece of it."""
        if not piece or not self.heard:
            return
        if not self.told:
            self._voices = [voice for one in self._run.listening if (voice := _Voice.of(one, self.id, self._run))]
        self.told += piece
        for voice in self._voices:
            voice.write(piece)

    def end(self, text: str) -> str:
        """Tell what is missing of the text, which is now known; the id of the message that holds it.

        What was told and is not the beginning of it is withdrawn, and the text is told under another id.
        """
        if not text.startswith(self.told):
            self.withdraw()
        if self.heard:
            for piece in _pieces(text[len(self.told) :]):
                self.write(piece)
            for voice in self._voices:
                voice.end(text)
        return self.id

    def withdraw(self) -> None:
        """What was told does not stand: say so, and go on with another message."""
        withdrawn, self.id = self.id, new_id()
        for voice in self._voices:
            voice.end(self.told)
        self._voices, self.told = [], ""
        self._run.emit("withdrawn", message_id=withdrawn)

    def hold(self) -> None:
        """Let nobody show the message when the node returns it: whether it stands is decided later."""
        not_shown(self._run, self.id)


def not_shown(run: Run, message_id: str) -> None:
    """Let ``stream_mode="messages"`` leave out a message that the node returns: LangGraph shows all that it does not know."""
    for handler in run.listening:
        if shows_messages(handler):
            handler.seen.add(message_id)


class _Voice:
    """Tells the message to one handler."""

    def __init__(self, handler: Any, message_id: str, run: Run, metadata: dict[str, Any]) -> None:
        self._handler, self._id, self._run = handler, message_id, run
        self._run_id = uuid4()
        callbacks: Any = run.config.get("callbacks")
        self._parent: UUID | None = getattr(callbacks, "parent_run_id", None)
        self._by_events = hasattr(handler, "_streamed_run_ids")  # of stream_events(version="v3")
        self._tell(
            handler.on_chat_model_start, {}, [[]], tags=[*(run.config.get("tags") or []), _NAME], metadata=metadata,
            name=_NAME,
        )  # fmt: skip
        if self._by_events:
            self._event(event="message-start", role="ai", id=message_id, message_id=message_id)
            self._event(event="content-block-start", index=0, content={"type": "text", "text": ""})

    @classmethod
    def of(cls, handler: Any, message_id: str, run: Run) -> _Voice | None:
        """None for a handler that shows nothing of this graph."""
        callbacks: Any = run.config.get("callbacks")
        metadata = {**(getattr(callbacks, "metadata", None) or {}), **(run.config.get("metadata") or {})}
        metadata["rlm_role"] = "answer"
        if shows_messages(handler) and not handler.subgraphs:
            place = _place_in(handler, run)
            if place is None:
                return None
            metadata |= place
        return cls(handler, message_id, run, metadata)

    def write(self, piece: str) -> None:
        if self._by_events:
            self._event(event="content-block-delta", index=0, delta={"type": "text-delta", "text": piece})
            return
        chunk = ChatGenerationChunk(message=AIMessageChunk(content=piece, id=self._id))
        self._tell(self._handler.on_llm_new_token, piece, chunk=chunk)

    def end(self, text: str) -> None:
        if self._by_events:
            self._event(event="content-block-finish", index=0, content={"type": "text", "text": text})
            self._event(event="message-finish")
        result = LLMResult(generations=[[ChatGeneration(message=AIMessage(text, id=self._id))]])
        self._tell(self._handler.on_llm_end, result)
        if shows_messages(self._handler):
            self._handler.seen.add(self._id)

    def _event(self, **event: Any) -> None:
        self._tell(self._handler.on_stream_event, event)

    def _tell(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        kwargs |= {"run_id": self._run_id, "parent_run_id": self._parent}
        if not inspect.iscoroutinefunction(method):
            method(*args, **kwargs)
            return

        def later() -> Awaitable[None]:
            told: Awaitable[None] = method(*args, **kwargs)
            return told

        self._run.tell(later)


def _place_in(handler: Any, run: Run) -> Mapping[str, Any] | None:
    """Metadata by which a handler that shows one graph alone takes the message for that graph's; None where it is not."""
    above = tuple(getattr(handler, "parent_ns", None) or ())
    place = segments(run.config)
    if len(place) <= len(above) or place[: len(above)] != above:
        return None
    if len(above) < run.open.depth and not run.open.is_node:
        return None
    if len(above) == len(place) - 1:
        return {}
    node = place[len(above)]
    return {
        "langgraph_node": node.partition(":")[0],
        "langgraph_checkpoint_ns": "|".join([*above, node]),
        "checkpoint_ns": "|".join([*above, node]),
        "langgraph_path": ("__pregel_pull", node.partition(":")[0]),
    }


def _pieces(text: str) -> list[str]:
    """The text in pieces of some words."""
    size = max(_PIECE_CHARS, len(text) // _MOST_PIECES + 1)
    pieces, at = list[str](), 0
    while at < len(text):
        end = at + size
        if end < len(text) and (space := text.rfind(" ", at + 1, end)) > at:
            end = space + 1
        pieces.append(text[at:end])
        at = end
    return pieces
