"""Texts of others where there is little room: shortened, and names on one line."""

from __future__ import annotations

import re

SHOWN_CHARS = 80
"""Of a value in a message: one line of a terminal."""
NAME_CHARS = 200
"""Of a name on a line: paths are seldom longer, and more of one says nothing to a reader."""

_NO_TEXT = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
"""Control characters, line ends of any kind, marks that turn the direction of text, and lone surrogates."""


def shortened(text: str, most: int = SHOWN_CHARS) -> str:
    """A text, or its beginning and an ellipsis.

    Args:
        text: the text.
        most: characters of the beginning.

    Example:
        >>> shortened("a long text", most=6)
        'a long…'
    """
    return text if len(text) <= most else f"{text[:most]}…"


def one_line(name: str, most: int = NAME_CHARS) -> str:
    r"""A name as it may stand on a line with other things: nothing in it ends the line or turns its direction.

    Args:
        name: such as the id of a document.
        most: characters.

    Example:
        >>> one_line("a\nb\u2028c\u061cd")
        'a b c d'
    """
    head = name[: 2 * most]  # a longer look changes nothing that is shown, but for names that are mostly blank
    return shortened(" ".join(_NO_TEXT.sub(" ", head).split()), most)
