"""What of an answer can be shown while the model still writes it: nothing that the finished answer would not begin with.

A reader's reply is prose, then a line QUOTES and the quotes. Of the prose, too, not all is the answer: thoughts, and words by
which the model says that it has none. So what may become one of these is kept back until that is decided.
"""

from __future__ import annotations

import re

from langgraph_rlm.calls.refusals import may_refuse
from langgraph_rlm.calls.thinking import TAG
from langgraph_rlm.graphs.prompts import NOT_FOUND, QUOTES
from langgraph_rlm.graphs.reading import in_plain_words
from langgraph_rlm.runs.answers import AnswerMessage

MOST_CHARS = 90_000
"""Shown as they come; of a longer reply a part may be cut, so that the rest waits for the end."""
_TAG_CHARS = 60
"""Of a tag that has begun; a longer one is none."""
_PARTS = "".join(f"(?:{letter}" for letter in QUOTES) + r"[:* \t\r]*" + ")?" * len(QUOTES)
_QUOTES_LINE = re.compile(rf"^[#* \t]*{QUOTES}[:* \t\r]*\n", re.MULTILINE)
_MAY_BE_QUOTES = re.compile(rf"[#* \t]*{_PARTS}")
_MAY_BE_TAG = re.compile(
    rf"(?:<[^>\n]{{0,{_TAG_CHARS}}}|◁[^▷\n]{{0,10}}|\[/?(?:T(?:H(?:I(?:N(?:K(?:I(?:N(?:G)?)?)?)?)?)?)?)?)\Z"
)
_MARKUP = " \t\r\n*_#>`\"'([“«"
_SURROGATE = re.compile("[\ud800-\udfff]")


class Live:
    """Takes a reply as it is written, and tells of it what can be shown.

    Args:
        message: that carries the answer.
    """

    def __init__(self, message: AnswerMessage) -> None:
        self._message = message
        self.restart()

    @property
    def heard(self) -> bool:
        """Whether anybody streams tokens, so that the model need write as they stream."""
        return self._message.heard

    def restart(self) -> None:
        """The model begins again: the call had failed."""
        self._shown = self._tail = ""
        self._begun = self._over = False
        self._in_line = False

    def write(self, text: str) -> None:
        """The model has written this."""
        if self._over:
            return
        self._tail += text
        piece = self._next()
        if not piece:
            return
        self._shown += piece
        told = self._message.told
        if told.startswith(self._shown):  # begun again, and so far as before
            return
        if not self._shown.startswith(told):
            self._message.withdraw()
        self._message.write(self._shown[len(self._message.told) :])
        self._over = len(self._shown) > MOST_CHARS

    def _next(self) -> str:
        if not self._begun:
            head = self._tail.lstrip()
            said = head.lstrip(_MARKUP)
            if not said or may_refuse(said) or _is_partly(NOT_FOUND.lower(), said.lower()):
                return ""
            if head.startswith("<|"):
                self._over = True
                return ""
            self._begun, self._tail = True, head
        end = self._safe_end()
        piece, self._tail = self._tail[:end], self._tail[end:]
        if piece:
            self._in_line = not piece.endswith("\n")
        return in_plain_words(piece.replace("\r\n", "\n"))  # no piece ends between the two

    def _safe_end(self) -> int:
        """How much of what was not shown yet stays as it is, whatever comes."""
        marked = "x" if self._in_line else ""
        text = marked + self._tail
        if (quotes := _QUOTES_LINE.search(text)) is not None:
            text, self._over = text[: quotes.start()], True
        elif _MAY_BE_QUOTES.fullmatch(text, last := text.rfind("\n") + 1):
            text = text[:last]
        if (tag := TAG.search(text)) is not None:
            text, self._over = text[: tag.start()], True
        elif (tag := _MAY_BE_TAG.search(text)) is not None:
            text = text[: tag.start()]
        if not text.isascii() and (half := _SURROGATE.search(text)) is not None:
            text, self._over = text[: half.start()], True
        text = text.rstrip()  # also a part of NOT_FOUND may end with a space
        kept = next((size for size in range(len(NOT_FOUND) - 1, 0, -1) if text.endswith(NOT_FOUND[:size].rstrip())), 0)
        if kept:
            text = text[: len(text) - len(NOT_FOUND[:kept].rstrip())].rstrip()
        return max(0, len(text) - len(marked))


def _is_partly(words: str, said: str) -> bool:
    return words.startswith(said) or said.startswith(words)
