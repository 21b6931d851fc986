"""The context in memory: a string, strings of their own for a few large parts, a view for many small ones.

A million small strings cannot be shared between processes: each time one is looked at, its reference count is written,
and the page it lies on is copied. A few long texts have a few counts. The views over them are subclasses of ``list``
and ``dict`` and behave as these do; a cell that changes one turns it into an ordinary list or dict of its own.
"""

from __future__ import annotations

import sys
from array import array
from typing import Any

from .fields import Fields
from .lines import Lines
from .texts import Texts

_SHARED = 1 << 20
"""Below this many bytes a context is a plain list or dict: there is nothing to be gained."""
_SMALL = 1 << 15
"""Parts that are larger on average are strings of their own: their counts touch one page each."""


class TooLarge(Exception):
    """The context takes more memory than it may; the message says how much."""


def decoded(kind: str, names: list[str], sizes: bytes, data: memoryview, most: int) -> Any:
    """The context from the UTF-8 of its parts.

    Args:
        kind: as in ``ReplContext``.
        names: keys of a dict.
        sizes: bytes of each part, as an array of 64-bit numbers.
        data: the parts, joined.
        most: bytes in memory that the text may take.

    Raises:
        UnicodeDecodeError: a part that is not UTF-8.
        TooLarge: it takes more than ``most``.
    """
    lengths = array("Q", sizes)
    if kind == "text":
        text = str(data, "utf-8")
        _check(sys.getsizeof(text), most)
        return text
    if _SHARED <= len(data) < _SMALL * len(lengths):
        texts = Texts(lengths, data)
        _check(texts.size, most)
        return Lines(texts) if kind == "list" else Fields(texts, names)
    parts, start = [], 0
    for size in lengths:
        parts.append(str(data[start : start + size], "utf-8"))
        start += size
    _check(sum(map(sys.getsizeof, parts)), most)
    return parts if kind == "list" else dict(zip(names, parts, strict=True))


def _check(size: int, most: int) -> None:
    if size > most:
        raise TooLarge(
            f"the context takes {size:,} bytes in memory, more than the {most:,} that one may (max_context_bytes)"
        )
