"""The context in memory: a string, strings of their own for a few large parts, a view for many small ones.

A million small strings cannot be shared between processes: each time one is looked at, its reference count is written,
and the page it lies on is copied. A few long texts have a few counts. The views over them are subclasses of ``list``
and ``dict`` and behave as these do; a cell that changes one turns it into an ordinary list or dict of its own.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Any

from .fields import Fields
from .lines import Lines
from .texts import _BLOCK, Texts

_SHARED = 1 << 20
"""Below this many bytes a context is a plain list or dict: there is nothing to be gained."""
_SMALL = 1 << 15
"""Parts that are larger on average are strings of their own: their counts touch one page each."""


def decoded(kind: str, names: list[str], sizes: bytes, data: memoryview) -> Any:
    """The context from the UTF-8 of its parts.

    Args:
        kind: as in ``ReplContext``.
        names: keys of a dict.
        sizes: bytes of each part, as an array of 64-bit numbers.
        data: the parts, joined.

    Raises:
        UnicodeDecodeError: a part that is not UTF-8.
    """
    lengths = array("Q", sizes)
    if kind == "text":
        return str(data, "utf-8")
    if _SHARED <= len(data) < _SMALL * len(lengths):
        texts = Texts(lengths, data)
        return Lines(texts) if kind == "list" else Fields(texts, names)
    parts, start = [], 0
    for size in lengths:
        parts.append(str(data[start : start + size], "utf-8"))
        start += size
    return parts if kind == "list" else dict(zip(names, parts, strict=True))


def pieces_of(kind: str, sizes: Sequence[int], size: int) -> Iterator[tuple[int, int]]:
    """Beginning and end, in bytes, of each string that :func:`decoded` makes."""
    if kind == "text":
        yield 0, size
        return
    whole = _BLOCK if _SHARED <= size < _SMALL * len(sizes) else 0
    begin = end = 0
    for at, part in enumerate(sizes, 1):
        end += part
        if end - begin >= whole or at == len(sizes):
            yield begin, end
            begin = end
