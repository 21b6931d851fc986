r"""``\b`` and ``\B`` for all of Unicode: re2 knows them for ASCII only.

There are two ways. A boundary at the very beginning or end of a pattern is written as the character that must stand
beside the match, and taken off the match afterwards. Where that is not possible, a line is rewritten with marks in each
gap between two characters, which say whether it is a boundary, and the pattern with it.
"""

from __future__ import annotations

import re
import unicodedata
import warnings
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from langgraph_rlm.text.lines import Data
from langgraph_rlm.text.patterns import WORD_CLASS, Token

Compile = Callable[[str], Any]
"""Compiles a pattern in re2's syntax."""
Span = tuple[int, int]
"""Byte offsets."""

_OTHER_CLASS = f"[^{WORD_CLASS[1:]}"
_BOUNDARY, _INSIDE, _INSTEAD = "\ufdd0", "\ufdd1", "\ufdd2"
"""Marks, and what a mark in the text is replaced by: characters that Unicode keeps free of any use."""
_MARKS = r"\x{FDD0}\x{FDD1}"
_MARKS_OF_A_GAP = 2  # the boundary behind a match may be the one before the next
_NEVER = r"[^\x00-\x{10FFFF}]"
_EITHER = frozenset({True, False})
_LARGEST_RANGE = 1_000
"""Characters of a range that are looked at one by one; what is larger is taken for either kind."""


def is_word(char: str) -> bool:
    r"""Whether ``\w`` matches a character."""
    category = unicodedata.category(char)
    return category[0] in "LM" or category in ("Nd", "Nl", "No") or char == "_"


# --- the characters beside a match ----------------------------------------------------------------------------------


class Edges:
    """A pattern whose boundaries stand at its ends only, or can be told from what stands beside them.

    Args:
        parts: the pattern.
        compiled: makes the expressions.

    Raises:
        ValueError: it is another pattern.
    """

    def __init__(self, parts: Sequence[Token], compiled: Compile) -> None:
        parts = _settled(parts)
        flags = 1 if parts and parts[0].kind == "group" and parts[0].re2.endswith(")") else 0  # (?i) and the like
        last = len(parts)
        before = after = None
        if last > flags and parts[flags].kind == "boundary":
            before = parts[flags]
        if last > flags + 1 and parts[-1].kind == "boundary":
            after = parts[-1]
        body = parts[flags + (before is not None) : last - (after is not None)]
        if any(part.kind == "boundary" for part in body) or ((before or after) and _has_choice(body)):
            raise ValueError("a boundary within the pattern")
        first, end = _natures("".join(part.source for part in body)) if before or after else (_EITHER, _EITHER)
        self._before = _beside(before, first)
        self._after = _beside(after, end)
        lead = "".join(part.re2 for part in parts[:flags])
        middle = "".join(part.re2 for part in body)
        tail = {None: "", True: WORD_CLASS, False: rf"(?:{_OTHER_CLASS}|\z)"}[self._after]
        self._first = compiled(
            lead + {None: "", True: WORD_CLASS, False: rf"(?:\A|{_OTHER_CLASS})"}[self._before] + middle + tail
        )
        self._further = compiled(lead + {None: "", True: WORD_CLASS, False: _OTHER_CLASS}[self._before] + middle + tail)

    def spans(self, data: Data, start: int, end: int) -> Iterator[Span]:
        """Byte spans of the matches between two offsets, each the end of a line or of the data."""
        if self._before is None and self._after is None:
            yield from (found.span() for found in self._first.finditer(data, start, end))
            return
        at = start
        while at <= end:
            begin = _char_before(data, at) if self._before is not None and at else at
            found = next((self._further if at else self._first).finditer(data, begin, end), None)
            if found is None:
                return
            first, last = found.span()
            if self._before is not None and (at or self._before or not _is_word_at(data, first)):
                first = _char_after(data, first)
            if self._after is not None and (self._after or not _is_word_at(data, _char_before(data, last))):
                last = _char_before(data, last)
            yield first, last
            at = last


def _beside(boundary: Token | None, nature: frozenset[bool]) -> bool | None:
    """What must stand beside a match: a word character (True), another or none (False), anything (None)."""
    if boundary is None:
        return None
    if len(nature) != 1:
        raise ValueError("a boundary beside what may be either")
    [is_word_inside] = nature
    wanted = is_word_inside == (boundary.re2 == r"\B")
    if not wanted and not is_word_inside:
        raise ValueError("what stands beside the match cannot be told from the match")
    return wanted


def _settled(parts: Sequence[Token]) -> list[Token]:
    """The pattern without the boundaries that are always there, or never."""
    out: list[Token] = []
    for at, part in enumerate(parts):
        if part.kind == "boundary":
            left, right = _known_left(parts, at), _known_right(parts, at)
            if left is not None and right is not None:
                if (left != right) == (part.re2 == r"\b"):
                    continue
                part = Token("atom", part.source, _NEVER)
        out.append(part)
    return out


def _known_left(parts: Sequence[Token], at: int) -> bool | None:
    at -= 1
    if at >= 0 and parts[at].kind == "repeat":
        if _may_be_none(parts[at]):
            return None
        at -= 1
    return _nature_of(parts[at]) if at >= 0 else None


def _known_right(parts: Sequence[Token], at: int) -> bool | None:
    if at + 1 == len(parts) or (at + 2 < len(parts) and parts[at + 2].kind == "repeat" and _may_be_none(parts[at + 2])):
        return None
    return _nature_of(parts[at + 1])


def _may_be_none(repeat: Token) -> bool:
    return repeat.re2[0] in "*?" or repeat.re2.startswith("{0")


def _nature_of(part: Token) -> bool | None:
    if part.kind != "atom":
        return None
    first, _ = _natures(part.source)
    return next(iter(first)) if len(first) == 1 else None


def _has_choice(parts: Iterable[Token]) -> bool:
    depth = 0
    for part in parts:
        if part.kind == "group":
            if part.re2 == "|" and not depth:
                return True
            depth += {"(": 1, ")": -1}.get(part.re2[0], 0) if not part.re2.endswith(")") or part.re2 == ")" else 0
    return False


# --- whether matches begin and end with word characters -------------------------------------------------------------


def _natures(pattern: str) -> tuple[frozenset[bool], frozenset[bool]]:
    """Whether the first and the last character of a match are word characters; both answers where that is not known."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parsed: Any = list(re._parser.parse(pattern))  # type: ignore[attr-defined]
    except (re.error, RecursionError, OverflowError):
        return _EITHER, _EITHER
    return tuple(_EITHER if empty else nature for nature, empty in (_edge(parsed, 1), _edge(parsed, -1)))  # type: ignore[return-value]


def _edge(sequence: Any, step: int) -> tuple[frozenset[bool], bool]:
    """What a sequence may begin (``step`` 1) or end (-1) with, and whether it may be empty."""
    natures: frozenset[bool] = frozenset()
    for kind, value in list(sequence)[::step]:
        nature, empty = _edge_of(str(kind), value, step)
        natures |= nature
        if not empty:
            return natures, False
    return natures, True


def _edge_of(name: str, value: Any, step: int) -> tuple[frozenset[bool], bool]:
    if name == "LITERAL":
        return frozenset({is_word(chr(value))}), False
    if name == "IN":
        return _nature_of_class(value), False
    if name in ("MAX_REPEAT", "MIN_REPEAT"):
        nature, empty = _edge(value[2], step)
        return nature, empty or not value[0]
    if name == "SUBPATTERN":
        return _edge(value[3], step)
    if name == "BRANCH":
        branches = [_edge(branch, step) for branch in value[1]]
        return frozenset().union(*(nature for nature, _ in branches)), any(empty for _, empty in branches)
    return _EITHER, False


def _nature_of_class(items: Any) -> frozenset[bool]:
    natures: frozenset[bool] = frozenset()
    for kind, value in items:
        name = str(kind)
        if name == "LITERAL":
            natures |= {is_word(chr(value))}
        elif name == "RANGE" and value[1] - value[0] < _LARGEST_RANGE:
            natures |= {is_word(chr(code)) for code in range(value[0], value[1] + 1)}
        elif name == "CATEGORY" and str(value) in _NATURES:
            natures |= {_NATURES[str(value)]}
        else:
            return _EITHER
    return natures


_NATURES = {"CATEGORY_WORD": True, "CATEGORY_DIGIT": True, "CATEGORY_NOT_WORD": False, "CATEGORY_SPACE": False}


# --- marks ------------------------------------------------------------------------------------------------------------


class Marked:
    """A pattern for text with marks in its gaps.

    Args:
        parts: the pattern.
        compiled: makes the expressions.

    Raises:
        ValueError: the pattern cannot be written so.
    """

    def __init__(self, parts: Sequence[Token], compiled: Compile) -> None:
        dots = any(part.kind == "atom" and part.re2 == "." for part in parts)
        if dots and any(part.kind == "group" and re.match(r"\(\?[a-zA-Z]*s", part.re2) for part in parts):
            raise ValueError("a dot that stands for line ends too")
        out: list[str] = []
        before: Token | None = None
        for part in parts:
            if part.kind != "boundary" or before is None or part.re2 != before.re2:  # twice is once
                out.append(self._written(part, before.kind if before else "", compiled))
            before = part
        self._compiled = compiled("".join(out))

    @staticmethod
    def _written(part: Token, before: str, compiled: Compile) -> str:
        if part.kind == "boundary":
            if before == "line_end":
                raise ValueError("a boundary behind the end of a line")
            return _BOUNDARY if part.re2 == r"\b" else _INSIDE
        if part.kind == "line_start" and before == "boundary":
            raise ValueError("a boundary before the beginning of a line")
        if part.kind == "line_end":
            return rf"(?:[{_MARKS}]*\r?[{_MARKS}]*$)"
        if part.kind == "text_end":
            raise ValueError("the end of the text")
        return f"(?:[{_MARKS}]*{_without_marks(part.re2, compiled)})" if part.kind == "atom" else part.re2

    def spans(self, text: str) -> Iterator[Span]:
        """Spans of the matches, in characters."""
        words = [False, *map(is_word, text), False]
        gaps = [0]
        pieces = []
        for at, char in enumerate((*text, "")):
            mark = _BOUNDARY if words[at] != words[at + 1] else _INSIDE
            piece = mark * _MARKS_OF_A_GAP + (_INSTEAD if char in (_BOUNDARY, _INSIDE) and char else char)
            pieces.append(piece)
            gaps.append(gaps[-1] + len(piece.encode()))
        last: Span | None = None
        for found in self._compiled.finditer("".join(pieces).encode()):
            start, end = (min(bisect_right(gaps, at) - 1, len(text)) for at in found.span())
            if (start, end) != last:  # a gap has more than one mark
                yield start, end
            last = start, end


def _without_marks(atom: str, compiled: Compile) -> str:
    if atom == ".":
        return rf"[^\n{_MARKS}]"
    if atom == r"\P{Nd}":
        return rf"[^\p{{Nd}}{_MARKS}]"
    if atom.startswith("[^"):
        return f"[^{_MARKS}{atom[2:]}"
    if next(compiled(atom).finditer((_BOUNDARY + _INSIDE).encode()), None) is not None:
        raise ValueError("a class that holds the marks")
    return atom


# --- characters around a byte offset ----------------------------------------------------------------------------------


def _char_before(data: Data, at: int) -> int:
    at -= 1
    while data[at] & 0xC0 == 0x80:
        at -= 1
    return at


def _char_after(data: Data, at: int) -> int:
    at += 1
    while at < len(data) and data[at] & 0xC0 == 0x80:
        at += 1
    return at


def _is_word_at(data: Data, at: int) -> bool:
    return is_word(bytes(data[at : _char_after(data, at)]).decode())
