"""Which texts of messages are stored, and what stands in their place: size, kind and a bounded preview."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage

from langgraph_rlm.calls.files import FILES_IN_STATE
from langgraph_rlm.calls.usage import estimated_tokens
from langgraph_rlm.errors import ContextStoreError, InvalidInput
from langgraph_rlm.shortening import one_line, shortened
from langgraph_rlm.text import ContextStore
from langgraph_rlm.types import ContextRef

M = TypeVar("M", bound=BaseMessage)

_LINE_CHARS = 80
"""Of a line in a preview: one line of a terminal, whatever a log or a minified file has."""
_QUESTION_CHARS = 160
"""Of a line in the preview of a human message, whose last line is often the question."""
_SHORT_CHARS = 400
"""All that stays of a very large text, with the sentence about it."""
_NAME_CHARS = 40
_TOP_CHARS = 64_000
"""Of which it is guessed what kind of text it is, and previews are made."""


class Stub(NamedTuple):
    """What stands in the place of a text."""

    text: str
    files: dict[str, ContextRef]


class Bands:
    """What is done with a text, by its size in estimated tokens (four UTF-8 bytes each, which holds for all languages).

    | size | a tool's result | a human message |
    |---|---|---|
    | up to ``pass_below`` | stays | stays |
    | up to ``preview_below`` | stored; its beginning and end stay | stays: it is what the agent is asked |
    | beyond | stored; some 400 characters stay | the same |

    Args:
        pass_below: tokens.
        preview_below: tokens.

    Raises:
        InvalidInput: the bounds are no numbers, or in the wrong order.

    Example:
        >>> from langchain_core.messages import ToolMessage
        >>> from langgraph_rlm import ContextStore
        >>> store = ContextStore()
        >>> long = ToolMessage("an error " * 100_000, tool_call_id="1", name="read_log")
        >>> short, files = Bands().replaced(long, store)
        >>> short.text.splitlines()[0]
        '[read_log-ac10d1b11e: 900,000 characters of text, about 225,001 tokens, are stored as this file.'
    """

    def __init__(self, pass_below: int = 2_000, preview_below: int = 20_000) -> None:
        for name, value in {"pass_below": pass_below, "preview_below": preview_below}.items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InvalidInput(f"{name}: expected a whole number of tokens from 1 on, got {value!r}")
        if preview_below < pass_below:
            raise InvalidInput(f"preview_below: {preview_below:,} is less than pass_below, {pass_below:,}")
        self.pass_below, self.preview_below = pass_below, preview_below

    def is_long(self, message: BaseMessage) -> bool:
        """Whether anything of a message is to be stored; looks at its size alone."""
        most = self.preview_below if isinstance(message, HumanMessage) else self.pass_below
        return isinstance(message, HumanMessage | ToolMessage) and _tokens_at_least(_texts_of(message.content), most)

    def replaced(self, message: M, contexts: ContextStore) -> tuple[M, dict[str, ContextRef]]:
        """The message with a reference in the place of its text, and the files; blocks. Images and other blocks stay.

        A text that the store does not take stays in part, with a warning in it.
        """
        if not self.is_long(message):
            return message, {}
        text = "\n".join(_texts_of(message.content))
        stub = self._stub(text, message, contexts)
        content: Any = stub.text
        if isinstance(message.content, list):
            others = [block for block in message.content if not _is_text(block)]
            content = [{"type": "text", "text": stub.text}, *others] if others else stub.text
        kwargs = message.additional_kwargs | ({FILES_IN_STATE: stub.files} if stub.files else {})
        return message.model_copy(update={"content": content, "additional_kwargs": kwargs}), stub.files

    def _stub(self, text: str, message: BaseMessage, contexts: ContextStore) -> Stub:
        try:
            ref = contexts.put(text)
        except (ContextStoreError, InvalidInput) as error:
            warnings.warn(f"a long {message.type} message could not be stored and was cut: {error}", stacklevel=2)
            kept = _preview(text, 2 * self.pass_below)
            return Stub(f"[cut: {len(text):,} characters could not be stored]\n{kept}", {})
        digest = ref["context_ref"].removeprefix("sha256:")[:10]
        what = message.name or ("message" if isinstance(message, HumanMessage) else "result")
        name = f"{_plain(what)}-{digest}"
        tokens = estimated_tokens(text)
        head = (
            f"[{name}: {len(text):,} characters of {_kind_of(text)}, about {tokens:,} tokens, are stored as this file.\n"
            f"Search it with local_grep(pattern, file={name!r}), read parts with read_context.]\n"
        )
        # Between the bands a quarter of what may pass: as many characters as that has tokens.
        room = _SHORT_CHARS - len(head) - 3 if tokens > self.preview_below else self.pass_below
        is_asked = isinstance(message, HumanMessage)
        return Stub(head + _preview(text, room, 0.8 if is_asked else 0.5, is_asked), {name: ref})


def files_of(message: BaseMessage) -> dict[str, ContextRef]:
    """The files that a message stands for."""
    found = message.additional_kwargs.get(FILES_IN_STATE)
    return dict(found) if isinstance(found, Mapping) else {}


def without_files(message: M) -> M:
    """The message without references, which a client could have made up."""
    if FILES_IN_STATE not in message.additional_kwargs:
        return message
    kept = {name: value for name, value in message.additional_kwargs.items() if name != FILES_IN_STATE}
    return message.model_copy(update={"additional_kwargs": kept})


def mapped(messages: list[M], change: Callable[[M], tuple[M, dict[str, ContextRef]]]) -> tuple[list[M], dict[str, Any]]:
    """Each message changed, and all files."""
    changed, files = list[M](), dict[str, Any]()
    for message in messages:
        new, found = change(message)
        changed.append(new)
        files |= found
    return changed, files


def _texts_of(content: Any) -> list[str]:
    if isinstance(content, str):
        return [content]
    return [block if isinstance(block, str) else _text_of(block) for block in content if _is_text(block)]


def _is_text(block: Any) -> bool:
    """Text blocks, and files that are given as text."""
    if isinstance(block, str):
        return True
    kind = block.get("type") if isinstance(block, Mapping) else None
    return kind in ("text", "text-plain", "file") and isinstance(block.get("text"), str)


def _text_of(block: Mapping[str, Any]) -> str:
    return str(block["text"])


def _tokens_at_least(texts: list[str], tokens: int) -> bool:
    """Whether texts have more tokens than this; long ones are not looked at, since no character has less than a byte."""
    if sum(map(len, texts)) > 4 * tokens:
        return True
    return sum(map(estimated_tokens, texts)) > tokens


def _kind_of(text: str) -> str:
    """A word on what a text is, for who decides how to read it."""
    top = text[:_TOP_CHARS].lstrip()
    if top[:1] in "{[" and top:
        try:
            json.loads(text if len(text) <= _TOP_CHARS else top.splitlines()[0])
        except ValueError:
            return "JSON" if len(text) > _TOP_CHARS and top[1:40].lstrip()[:1] in '"{[]' else "text"
        return "JSON" if len(text) <= _TOP_CHARS else "JSON lines"
    if top[:15].lower().startswith(("<!doctype html", "<html")):
        return "HTML"
    if top.startswith("<?xml"):
        return "XML"
    return "binary data" if "\x00" in top else "text"


def _preview(text: str, chars: int, of_the_end: float = 0.5, is_asked: bool = False) -> str:
    """Beginning and end, no line of it longer than a line of a terminal."""
    end = int(chars * of_the_end)
    width = _QUESTION_CHARS if is_asked else _LINE_CHARS
    first = _lines(text[: 4 * chars].splitlines(), chars - end, width)
    last = _lines(text[-4 * chars :].splitlines()[::-1], end, width)[::-1]
    return "\n".join([*first, "…", *last])


def _lines(lines: list[str], room: int, width: int) -> list[str]:
    kept = list[str]()
    for line in lines:
        shown = one_line(line, width)
        if (len(shown) > room and kept) or room <= 0:
            break
        kept.append(shown if len(shown) <= room else shortened(shown, max(room - 1, 0)))
        room -= len(kept[-1]) + 1
    return kept


def _plain(name: str) -> str:
    """A tool's name as a part of a file's."""
    return "".join(char if char.isalnum() or char in "_-." else "_" for char in name[:_NAME_CHARS]) or "result"
