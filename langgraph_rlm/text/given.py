"""What somebody gives as a context, taken apart into texts."""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.documents import Document

from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.text.document_ids import document_id
from langgraph_rlm.text.encoding import utf8
from langgraph_rlm.text.lines import Data
from langgraph_rlm.types import ContextKind, ContextRef

ContextLike = ContextRef | str | Sequence[str] | Mapping[str, str] | Sequence[Document]
"""A context, or the reference of one: a text, a list of texts, texts by name, or LangChain documents."""

_PIECE = 1 << 20
"""Bytes that are decoded at a time: much larger than what a call costs, and little memory."""


def taken_apart(context: Any) -> tuple[ContextKind, list[str], list[str]]:
    """Kind, names and texts; the names of a text and of a list are only for messages."""
    if isinstance(context, str):
        return "text", [""], [context]
    if isinstance(context, Mapping):
        for key, value in context.items():
            if not isinstance(key, str) or not key:
                raise InvalidInput(f"context: keys must be str and not empty, not {key!r}")
            if not isinstance(value, str):
                raise InvalidInput(
                    f"context[{key!r}]: expected a str, got {type(value).__name__}. A mapping is taken as texts by name; an "
                    "app that has data of its own in 'context' (agent-chat-ui: its artifact) needs another name for ours, "
                    "keys={'context': …}, or a graph that hands on the messages alone"
                )
        return "fields", list(context), list(context.values())
    if isinstance(context, Sequence) and not isinstance(context, bytes | bytearray | memoryview):
        first = Document if context and isinstance(context[0], Document) else str
        for number, item in enumerate(context):
            if not isinstance(item, first):
                raise InvalidInput(f"context[{number}]: expected a {first.__name__}, got {type(item).__name__}")
        if first is str:
            return "list", [""] * len(context), list(context)
        names = [document_id(item) or f"context/{n}" for n, item in enumerate(context)]
        seen: set[str] = set()
        for number, name in enumerate(names):
            if name in seen:
                raise InvalidInput(
                    f"context[{number}]: a second document with the id {name!r}; ids must differ: give Document(id=…), or split with add_start_index=True"
                )
            seen.add(name)
        return "documents", names, [item.page_content for item in context]
    raise InvalidInput(
        "context: expected a str, a list of str, a dict of str, a list of Documents or a ContextRef, "
        f"got {type(context).__name__}"
    )


def checked_chars(text: Data) -> int:
    """Characters of a text that is there as UTF-8, looked at piece by piece.

    Raises:
        InvalidInput: it is empty, or no UTF-8; the message says where.
    """
    decoder, view, chars = codecs.getincrementaldecoder("utf-8")(), memoryview(text), 0
    for start in range(0, len(view), _PIECE):
        try:
            chars += len(decoder.decode(view[start : start + _PIECE], start + _PIECE >= len(view)))
        except UnicodeDecodeError as error:
            at = max(0, start + error.start)
            raise InvalidInput(
                f"context: it is no UTF-8 (about byte {at:,}): {error.reason}; send text as UTF-8"
            ) from None
    if not chars:
        raise InvalidInput("context: it is empty; give a text with at least one character")
    return chars


def encoded(name: str, text: str) -> Data:
    """The UTF-8 of a text, or InvalidInput that names what is no text."""
    try:
        name.encode()
        return utf8(text)
    except UnicodeEncodeError as error:
        where = f" of {name!r}" if name else ""
        raise InvalidInput(
            f"context: character {error.start}{where} is the lone surrogate {error.object[error.start]!a}, "
            'which is no text; repair it, e.g. by text.encode("utf-8", "replace").decode()'
        ) from None
