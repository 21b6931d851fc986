r"""What a reasoning model thinks aloud in its reply (``<think>…</think>`` and its kin), taken off before anybody reads it.

Servers with a reasoning parser keep thoughts apart; the others put them into the content. A draft in them must not be run,
and a tag must not stand in an answer. A tag in a fenced block or in quotes is spoken about, and stays.
"""

from __future__ import annotations

import re

from langgraph_rlm.calls.fences import Fence, FencedText

_NAMES = (
    "think|thinking|thought|thoughts|reasoning|reason|scratchpad|chain[-_ ]of[-_ ]thought|inner[-_ ]thoughts?|"
    "inner[-_ ]monologue|internal[-_ ]monologue|(?:ant|seed):?think(?:ing)?"
)
TAG = re.compile(
    rf"<[ \t]*+(?P<close1>/?)[ \t]*+(?:{_NAMES})(?:[ \t][^<>\n]{{0,200}})?(?P<alone>/?)>"
    r"|\[(?P<close2>/?)THINK(?:ING)?\]"
    r"|◁(?P<close3>/?)think▷"
    r"|<\|(?:(?P<open4>begin|start)|(?P<close4>end))_(?:of_)?(?:thought|thinking)\|>",
    re.IGNORECASE,
)
_WRAPPED = re.compile(r"<(answer|final_answer|final|response)>(.*)</\1>", re.DOTALL | re.IGNORECASE)
_WRAPPED_BY_MARKS = re.compile(
    r"<\|(?:begin|start)_(?:of_)?(?:solution|response)\|>(.*?)(?:<\|end_(?:of_)?(?:solution|response)\|>)?+\Z",
    re.DOTALL | re.IGNORECASE,
)
_CHANNEL = re.compile(r"<\|channel\|>[ \t]*+(\w++)[^<\n]{0,200}<\|message\|>")
_END_OF_MESSAGE = re.compile(r"<\|(?:end|return|call|start)\|>")
_QUOTES = {"'": "'", '"': '"', "“": "”", "‘": "’", "«": "»", "„": "“", "「": "」"}


def without_thinking(text: str) -> str:
    r"""The reply without what was thought aloud in it; empty when all of it was.

    A block that is never closed reaches to the end. A closing tag without an opening one ends thoughts that began with the
    reply: some servers give the opening tag to the model as part of the prompt.

    Example:
        >>> without_thinking("<think>Rome? No.</think>\nParis")
        'Paris'
        >>> without_thinking('The tag "<think>" opens a thought.')
        'The tag "<think>" opens a thought.'
    """
    if "<|channel|>" in text[:100] and text.lstrip().startswith(("<|channel|>", "<|start|>")):
        return _last_channel(text)
    text = text.replace("\r\n", "\n")
    if TAG.search(text) is None:
        return text
    spoken = _Reply(text).spoken()
    if spoken == text:
        return text
    spoken = spoken.strip()
    wrapped = _WRAPPED.fullmatch(spoken)
    if wrapped is not None:
        return wrapped[2].strip()
    return wrapped[1].strip() if (wrapped := _WRAPPED_BY_MARKS.match(spoken)) is not None else spoken


def _last_channel(text: str) -> str:
    """The message on the channel ``final``: what is said on ``analysis`` and ``commentary`` is not for the user."""
    final = [match for match in _CHANNEL.finditer(text) if match[1] == "final"]
    if not final:
        return ""
    said = text[final[-1].end() :]
    end = _END_OF_MESSAGE.search(said)
    return (said if end is None else said[: end.start()]).strip()


class _Tag:
    """One tag of a reply."""

    __slots__ = ("closes", "empty", "end", "first", "last", "quoted", "start")

    def __init__(self, match: re.Match[str], text: str, quoted: bool) -> None:
        self.start, self.end = match.span()
        found = match.groupdict()
        self.closes = bool(found["close1"] or found["close2"] or found["close3"] or found["close4"])
        self.empty = bool(found["alone"]) and not self.closes
        self.quoted = quoted
        self.first = not text[max(0, self.start - 200) : self.start].rpartition("\n")[2].strip()
        self.last = not text[self.end : self.end + 200].partition("\n")[0].strip()


class _Reply:
    """A reply that holds tags."""

    def __init__(self, text: str) -> None:
        self._text = text
        lines = _Lines(text)
        self._tags = [_Tag(match, text, lines.quotes(match)) for match in TAG.finditer(text)]
        self._last_close = max((tag.start for tag in self._tags if tag.closes), default=-1)
        self._fenced = FencedText(text)
        self._fences = self._fenced.fences()
        self._fence: Fence | None = next(self._fences, None)

    def spoken(self) -> str:
        kept: list[str] = []
        at = number = 0
        while number < len(self._tags):
            tag = self._tags[number]
            number += 1
            if tag.quoted or self._in_fence(tag):
                continue
            if tag.empty:
                kept.append(self._text[at : tag.start])
                at = tag.end
            elif tag.closes:
                if self._is_mention(tag):
                    continue
                if at:  # another block was taken off before it: only the tag is one too many
                    kept.append(self._text[at : tag.start])
                at = tag.end
            elif (last := self._end_of_block(number)) is not None:
                kept.append(self._text[at : tag.start])
                at, number = self._tags[last].end, last + 1
            elif tag.first or tag.last or tag.start == 0:  # never closed
                kept.append(self._text[at : tag.start])
                return "".join(kept)
            else:
                continue
            if self._fence is not None and self._fence.start < at:  # what was open in a thought is not open behind it
                self._fences = self._fenced.fences(at)
                self._fence = next(self._fences, None)
        return "".join([*kept, self._text[at:]])

    def _end_of_block(self, number: int) -> int | None:
        """The tag that closes the block which the tag before this one opened; blocks may hold others."""
        if self._last_close < self._tags[number - 1].start:
            return None
        depth, last = 1, None
        for at in range(number, len(self._tags)):
            tag = self._tags[at]
            if tag.empty:
                continue
            if tag.closes:
                last = at if last is None or not tag.quoted else last
                depth -= not tag.quoted
            elif tag.first and not tag.quoted:
                depth += 1
            if not depth:
                return at
        return last

    def _in_fence(self, tag: _Tag) -> bool:
        while self._fence is not None and self._fence.end <= tag.start:
            self._fence = next(self._fences, None)
        fence = self._fence
        if fence is None or fence.start > tag.start:
            return False
        return fence.closed or not (tag.first and tag.last)

    def _is_mention(self, tag: _Tag) -> bool:
        """Whether a closing tag is spoken about: ``the tag </think> ends it``; a thought ends with a sentence or a line."""
        if tag.first or tag.last:
            return False
        before, after = self._text[tag.start - 1], self._text[tag.end]
        if after in ".,;:)":
            return True
        said = self._text[max(0, tag.start - 50) : tag.start].rstrip()
        return before == " " and after == " " and said[-1:].isalnum()


class _Lines:
    """Tells, for one tag after the other, whether it stands in quotes; a quotation ends with its line."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._end = -1
        self._read = 0
        self._open = {'"': False, "`": False}
        self._last = {'"': -1, "`": -1}

    def quotes(self, tag: re.Match[str]) -> bool:
        text, start, end = self._text, tag.start(), tag.end()
        if start > self._end:
            self._read = text.rfind("\n", 0, start) + 1
            self._end = found if (found := text.find("\n", start)) >= 0 else len(text)
            self._open = dict.fromkeys(self._open, False)
            self._last = {mark: text.rfind(mark, self._read, self._end) for mark in self._open}
        for mark in self._open:
            written = text.count(mark, self._read, start)
            if mark == '"':
                written -= text.count('\\"', self._read, start)
            self._open[mark] ^= bool(written % 2)
        self._read = start
        if any(self._open[mark] and self._last[mark] >= end for mark in self._open):
            return True
        return start > 0 and end < len(text) and _QUOTES.get(text[start - 1]) == text[end]
