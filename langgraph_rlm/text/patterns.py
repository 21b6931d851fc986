"""Rewrites a regular expression from Python's syntax into re2's, with Unicode meaning for ``\\w``, ``\\d`` and ``\\s``.

re2 knows these three for ASCII only, and a negated one inside a character class (``[^\\W_]``) cannot be written there
at all: it becomes an alternative of two classes, or the class with what is taken away left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

import re2

from langgraph_rlm.errors import PatternError

LINE_END = r"(?:\r?$)"
"""What ``$`` becomes, so that it also finds the end of a line that ends with CR LF."""

_WORD = (r"\p{L}", r"\p{M}", r"\p{Nd}", r"\p{Nl}\p{No}", "_")
_SPACE = (
    "\\t",
    "\\n",
    "\\v",
    "\\f",
    "\\r",
    "\\x20",
    r"\x{1C}-\x{1F}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}",
)
_DIGIT = r"\p{Nd}"
WORD_CLASS = f"[{''.join(_WORD)}]"
DIGIT_LEADS = tuple(bytes([byte]) for byte in (0xD9, 0xDB, 0xDF, 0xE0, 0xE1, 0xEA, 0xEF, 0xF0))
"""First bytes, in UTF-8, of the digits that are not ASCII."""
_IN_CLASS = {"w": "".join(_WORD), "d": _DIGIT, "s": "".join(_SPACE)}
_COMPLEMENTS = {"W": _WORD, "S": _SPACE}
_OUTSIDE = {
    "w": f"[{_IN_CLASS['w']}]",
    "W": f"[^{_IN_CLASS['w']}]",
    "d": _DIGIT,
    "D": r"\P{Nd}",
    "s": f"[{_IN_CLASS['s']}]",
    "S": f"[^{_IN_CLASS['s']}]",
    "Z": r"\z",
}
_SAME = {"\t": "\\t", "\n": "\\n", "\v": "\\v", "\f": "\\f", "\r": "\\r", " ": "\\x20", "\\ ": "\\x20"}
_LOOKAROUND = {"(?=": "lookahead", "(?!": "negative lookahead", "(?<=": "lookbehind", "(?<!": "negative lookbehind"}
_CODE_POINT = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8}))")
_CODED = re.compile(r"\\(?:[pP](?:\{[^{}]*+\}|[A-Za-z])|x(?:\{[^{}]*+\}|[0-9A-Fa-f]{2})|0[0-7]{0,2})")
_OPENING = re.compile(r"\((?:\?(?:P?<\w+>|[a-zA-Z]*(?:-[a-zA-Z]+)?[:)]))?")
_REPEAT = re.compile(r"(?:[*+?]|\{\d+(?:,\d*)?\})\??")
_UP_TO = re.compile(r"\{,(\d+)\}(\??)")


class Token(NamedTuple):
    """A part of a pattern.

    ``kind`` is ``atom`` (stands for one character), ``boundary`` (``\\b``, ``\\B``), ``line_start``, ``line_end``,
    ``text_end`` (``\\A``, ``\\z``), ``repeat`` or ``group`` (brackets, flags and ``|``).
    """

    kind: Literal["atom", "boundary", "line_start", "line_end", "text_end", "repeat", "group"]
    source: str
    """In Python's syntax."""
    re2: str
    """In re2's."""


def translate(pattern: str) -> str:
    """The pattern in re2's syntax; what is invalid in both is left for re2 to report.

    Raises:
        PatternError: lookaround, a backreference or ``\\C``, none of which can be found in linear time.
    """
    return "".join(token.re2 for token in tokens(pattern))


def tokens(pattern: str) -> Iterator[Token]:
    """The parts of a pattern, in order; comments are left out. Raises as :func:`translate`."""
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            if pattern.startswith("\\Q", at):
                end = pattern.find("\\E", at)
                quoted, at = (pattern[at + 2 :], len(pattern)) if end < 0 else (pattern[at + 2 : end], end + 2)
                yield from (Token("atom", re.escape(char), re2.escape(char)) for char in quoted)
                continue
            piece, end = _escape(pattern, at)
            yield _escaped(pattern[at:end], piece)
            at = end
        elif char == "[":
            piece, end = _character_class(pattern, at)
            yield Token("atom", pattern[at:end], piece)
            at = end
        elif char == "$":
            yield Token("line_end", "$", LINE_END)
            at += 1
        elif char == "^":
            yield Token("line_start", "^", "^")
            at += 1
        elif char == "(":
            piece, at = _group(pattern, at)
            if piece:
                yield Token("group", piece, piece)
        elif char in ")|":
            yield Token("group", char, char)
            at += 1
        elif found := _UP_TO.match(pattern, at):
            yield Token("repeat", found[0], f"{{0,{found[1]}}}{found[2]}")  # re2 would take it literally
            at = found.end()
        elif found := _REPEAT.match(pattern, at):
            yield Token("repeat", found[0], found[0])
            at = found.end()
        else:
            yield Token("atom", char, char)
            at += 1


def _escaped(source: str, piece: str) -> Token:
    name = piece[1:] if len(piece) == 2 and piece[0] == "\\" else ""
    if name in ("b", "B"):
        return Token("boundary", source, piece)
    if name in ("A", "z", "Z"):
        return Token("text_end", source, _OUTSIDE.get(name, piece))
    return Token("atom", source, _OUTSIDE.get(name, piece))


def _group(pattern: str, at: int) -> tuple[str, int]:
    for opening, name in _LOOKAROUND.items():
        if pattern.startswith(opening, at):
            raise PatternError(
                f"pattern {pattern!r}: {name} {opening}…) is not available. Match the wider text with this part as "
                "plain groups, and check or cut the hits' text afterwards in Python"
            )
    if pattern.startswith("(?P=", at):
        raise PatternError(_no_backreference(pattern))
    if pattern.startswith("(?#", at) and (end := pattern.find(")", at)) > 0:
        return "", end + 1
    found = _OPENING.match(pattern, at)
    assert found is not None  # a bracket alone is one
    return found[0], found.end()


def _escape(pattern: str, at: int) -> tuple[str, int]:
    """The escape that starts at ``at``, as re2 wants it, and where it ends."""
    if found := _CODE_POINT.match(pattern, at):
        return f"\\x{{{found[1] or found[2]}}}", found.end()
    escaped = pattern[at + 1 : at + 2]
    if escaped in tuple("123456789"):
        raise PatternError(_no_backreference(pattern))
    if escaped == "C":
        raise PatternError(f"pattern {pattern!r}: \\C (any byte) is not available; write . or (?s:.) for any character")
    if found := _CODED.match(pattern, at):
        return found[0], found.end()
    if escaped == "_" or escaped > "\x7f":
        return escaped, at + 2  # re2 refuses an escape before a character that needs none
    return pattern[at : at + 2], at + 2


def _character_class(pattern: str, at: int) -> tuple[str, int]:
    start, at = at, at + 1
    negated = pattern.startswith("^", at)
    at += negated
    pieces: list[str] = []
    complements: list[str] = []
    while True:
        if at >= len(pattern):
            return pattern[start:], len(pattern)  # never closed: re2 says so
        char = pattern[at]
        if char == "]" and (pieces or complements):
            break
        if char == "\\":
            piece, at = _escape(pattern, at)
            name = piece[1:] if len(piece) == 2 and piece[0] == "\\" else ""
            if name in _COMPLEMENTS:
                complements.append(name)
                continue
            piece = r"\P{Nd}" if name == "D" else r"\x08" if name == "b" else _IN_CLASS.get(name, piece)
        elif char == "[" and pattern.startswith(":", at + 1) and (end := pattern.find(":]", at)) > 0:
            piece, at = pattern[at : end + 2], end + 2
        else:
            piece, at = char, at + 1
            piece = "\\[" if piece == "[" else piece
        pieces.append(piece)
    at += 1
    if not complements:
        return f"[{'^' if negated else ''}{''.join(pieces)}]", at
    if not negated:
        parts = [f"[{''.join(pieces)}]"] if pieces else []
        parts += [f"[^{''.join(_COMPLEMENTS[name])}]" for name in complements]
        return f"(?:{'|'.join(parts)})", at
    return _what_remains(pattern, pattern[start:at], set(complements), pieces), at


def _what_remains(pattern: str, written: str, complements: set[str], pieces: list[str]) -> str:
    """``[^\\W…]`` is every word character but ``…``: the class of word characters with these left out."""
    name = next(iter(complements))
    atoms = _COMPLEMENTS[name]
    other = _IN_CLASS["s" if name == "W" else "w"]
    taken = {_SAME.get(piece, piece) for piece in pieces} - {other}
    remaining = [atom for atom in atoms if atom not in taken]
    if len(complements) > 1 or not taken <= set(atoms) or not remaining:
        raise PatternError(
            f"pattern {pattern!r}: {written} mixes a negated class with others in a way that is not available. "
            r"Write the wanted characters, e.g. [\p{L}\p{Nd}] for letters and digits or [\p{L}] for letters"
        )
    return f"[{''.join(remaining)}]"


def _no_backreference(pattern: str) -> str:
    return (
        f"pattern {pattern!r}: backreferences are not available. Match with a group written out twice, and compare the "
        "two parts of the hits' text afterwards in Python"
    )
