"""What a model's message says: its text, whether it was cut off, and why it holds no answer when it holds none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from langchain_core.messages import AIMessage

from langgraph_rlm.calls.thinking import without_thinking

_CHARS_PER_TOKEN = 32
"""Of a reply at most: no model's language has longer tokens on average. A reply becomes a part of the state."""
_LEAST_KEPT_CHARS = 100_000
"""However few tokens were asked for: some servers know no cap, and what was paid is worth reading."""
_REFUSAL_CHARS = 500
"""Of the words of a refusal: providers write a sentence or two."""

_CUT = frozenset(
    [
        "length",
        "max_tokens",
        "max_output_tokens",
        "max_completion_tokens",
        "max_new_tokens",
        "model_length",
        "token_limit",
        "limit",
        "model_context_window_exceeded",
        "max_context_length",
        "error_limit",
        "truncated",
    ]
)
"""How providers say that an answer was cut off: the reason of its end, in lower case."""
_REFUSED = frozenset(
    [
        "content_filter",
        "content_filtered",
        "refusal",
        "refused",
        "safety",
        "recitation",
        "blocklist",
        "prohibited_content",
        "spii",
        "image_safety",
        "guardrail_intervened",
        "error_toxic",
        "language",
        "sensitive",
    ]
)
"""How they say that the model refused, or that a filter withheld what it said."""
_REASONS = ("finish_reason", "stop_reason", "stopReason", "done_reason", "finishReason", "stop_type")
_THOUGHTS = ("reasoning_content", "reasoning", "thinking")


class Answer(NamedTuple):
    """What a model said.

    Args:
        text: of its answer, without what it thought; empty when it gave none.
        cut: it was not at its end when the output cap was reached.
        refusal: the words in which it refused, or the reason that its provider's filter gave; None when it did not.
        thought: it holds reasoning beside the text.
    """

    text: str
    cut: bool = False
    refusal: str | None = None
    thought: bool = False

    def marked(self) -> str:
        """The text, with a line that says so when it was cut: nobody may take a part for the whole."""
        if self.refusal is not None and self.text:
            return f"{self.text}\n[the answer ends here: {self.refusal}]"
        return f"{self.text}\n[the answer was cut off here, at its output cap]" if self.cut else self.text

    @property
    def missing(self) -> str | None:
        """Why nothing was answered, in words for a user or a model; None when there is an answer.

        Example:
            >>> Answer("").missing
            'the reply is empty'
            >>> Answer("16 weeks").missing is None
            True
        """
        if self.text.strip():
            return None
        if self.refusal is not None:
            return f"the model gave no answer: {self.refusal}"
        if self.cut:
            return "the output cap was reached before there was an answer"
        return "the reply holds reasoning only, and no answer" if self.thought else "the reply is empty"

    def as_record(self) -> dict[str, Any]:
        """For the memo."""
        return {"text": self.text, "cut": self.cut, "refusal": self.refusal, "thought": self.thought}

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Answer:
        """From the memo; records of an earlier release know text and cut only."""
        return cls(record["text"], record["cut"], record.get("refusal"), record.get("thought", False))


def read_reply(message: AIMessage, most_tokens: int) -> Answer:
    """What a message says. Every reply of every model comes through here.

    Args:
        message: as the client gave it.
        most_tokens: that the answer was allowed to have.
    """
    most_chars = max(_LEAST_KEPT_CHARS, most_tokens * _CHARS_PER_TOKEN)
    said = message.text
    too_long = len(said) > most_chars
    text = without_thinking(_mended(said[:most_chars]))
    return Answer(
        text=text,
        cut=too_long or not _CUT.isdisjoint(_reasons(message)),
        refusal=_refusal(message),
        thought=_has_thoughts(message) or (not text.strip() and bool(said.strip())),
    )


def _mended(text: str) -> str:
    """The text without halves of surrogate pairs: no request could be sent that quotes them."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _reasons(message: AIMessage) -> Iterator[str]:
    """Why the message ended, in every spelling that providers have for it."""
    said = message.response_metadata
    for name in _REASONS:
        if (reason := said.get(name)) is not None:
            yield _plain(reason)
    details = said.get("incomplete_details")  # OpenAI's Responses API: status "incomplete"
    if isinstance(details, Mapping) and (reason := details.get("reason")) is not None:
        yield _plain(reason)
    feedback = said.get("prompt_feedback")  # Gemini
    if isinstance(feedback, Mapping) and feedback.get("block_reason"):
        yield "safety"


def _plain(reason: Any) -> str:
    """``FinishReason.MAX_TOKENS`` and ``MAX_TOKENS`` are ``max_tokens``."""
    name = getattr(reason, "name", None)
    return str(name if isinstance(name, str) else reason).rpartition(".")[2].lower()


def _refusal(message: AIMessage) -> str | None:
    words = message.additional_kwargs.get("refusal")
    for block in message.content if isinstance(message.content, list) else ():
        if not words and isinstance(block, Mapping):
            inner = block.get("value") if block.get("type") == "non_standard" else None
            words = block.get("refusal") or (inner.get("refusal") if isinstance(inner, Mapping) else None)
    if isinstance(words, str) and words.strip():
        return f"it refused ({' '.join(words.split())[:_REFUSAL_CHARS]})"
    reason = next((reason for reason in _reasons(message) if reason in _REFUSED), None)
    if reason is None:
        return None
    return "it refused" if reason in ("refusal", "refused") else f"the provider's filter withheld it ({reason})"


def _has_thoughts(message: AIMessage) -> bool:
    if any(message.additional_kwargs.get(name) for name in _THOUGHTS):
        return True
    return isinstance(message.content, list) and any(
        isinstance(block, Mapping) and block.get("type") in ("reasoning", "thinking", "redacted_thinking")
        for block in message.content
    )
