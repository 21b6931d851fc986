"""Many parts of a context on a few long texts."""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise

_BLOCK = 1 << 22
"""Bytes decoded at once; texts shorter than this share a block."""


class Texts:
    """Parts that are cut out when they are asked for, from texts of a few megabytes each.

    More than one text, because one emoji makes all characters of its text take four bytes; few of them, because each
    has a reference count, and a page is copied where one is written.

    Args:
        sizes: bytes of each part.
        data: the UTF-8 of the parts, joined.

    Raises:
        UnicodeDecodeError: a part that is not UTF-8.
    """

    __slots__ = ("_bounds", "_first", "_texts")

    def __init__(self, sizes: Sequence[int], data: bytes | memoryview) -> None:
        self._texts: list[str] = []
        self._first = array("Q", [0])  # number of each text's first part
        blocks = len(data) // _BLOCK + 1
        # Each text has one bound more than parts. Made as long as it gets: one that grows leaves holes in the heap.
        kind = "I" if len(data) < 1 << 32 else "Q"
        self._bounds = array(kind, bytes((len(sizes) + blocks) * array(kind).itemsize))
        begin = end = 0
        for at, size in enumerate(sizes, 1):
            end += size
            if end - begin >= _BLOCK or at == len(sizes):
                self._add(sizes[self._first[-1] : at], data[begin:end])
                self._first.append(at)
                begin = end

    def _add(self, sizes: Sequence[int], data: bytes | memoryview) -> None:
        text = str(data, "utf-8")
        at = self._first[-1] + len(self._texts)
        self._texts.append(text)
        begin = start = 0
        for size in sizes:
            # Where all characters are ASCII, bytes are characters.
            start += size if len(text) == len(data) else len(str(data[begin : begin + size], "utf-8"))
            begin += size
            at += 1
            self._bounds[at] = start

    def __len__(self) -> int:
        return self._first[-1]

    def __getitem__(self, at: int) -> str:
        number = bisect_right(self._first, at) - 1
        at += number
        return self._texts[number][self._bounds[at] : self._bounds[at + 1]]

    def __iter__(self) -> Iterator[str]:
        for number, text in enumerate(self._texts):
            bounds = self._bounds[self._first[number] + number : self._first[number + 1] + number + 1]
            for start, end in pairwise(bounds):
                yield text[start:end]

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return sum(map(sys.getsizeof, (*self._texts, self._bounds)))
