"""Texts of documents and models without what a terminal would obey."""

from __future__ import annotations

import re

_ESCAPE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|[ -/]*[0-~])?"
)
# Control characters but tab and newline, marks that turn the direction of text, and lone surrogates.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_BREAK = re.compile(r"[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
"""What ends a line for some programs and not for others."""
_NOT_IN_A_NAME = re.compile(rf"{_CONTROL.pattern}|{_BREAK.pattern}|[\t\n]")


def clean(text: str) -> str:
    r"""``text`` without what a terminal would obey: escape sequences, control characters, direction marks.

    Example:
        >>> clean("safe\x1b[2J\x1b]0;title\x07 text\r\n")
        'safe text\n'
    """
    return _CONTROL.sub("", _BREAK.sub(" ", _ESCAPE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))))


def one_line(name: str) -> str:
    r"""A name on one line, with escapes for what :func:`clean` would remove and for the ends of lines.

    Example:
        >>> one_line("a\nb\x1b[2J.txt")
        'a\\nb\\x1b[2J.txt'
    """
    return _NOT_IN_A_NAME.sub(lambda found: found[0].encode("unicode_escape").decode(), name)
