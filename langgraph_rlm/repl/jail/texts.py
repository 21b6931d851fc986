"""Many parts of a context on a few long texts."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence

_BLOCK = 1 << 22


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

    __slots__ = ("_ends", "_first", "_starts", "_texts")

    def __init__(self, sizes: Sequence[int], data: bytes | memoryview) -> None:
        self._texts: list[str] = []
        self._first = array("Q", [0])
        self._starts, self._ends = array("Q"), array("Q")
        begin = end = 0
        for at, size in enumerate(sizes, 1):
            end += size
            if end - begin >= _BLOCK or at == len(sizes):
                self._add(sizes[self._first[-1] : at], data[begin:end])
                self._first.append(at)
                begin = end

    def _add(self, sizes: Sequence[int], data: bytes | memoryview) -> None:
        text = str(data, "utf-8")
        self._texts.append(text)
        begin = start = 0
        for size in sizes:
            self._starts.append(start)
            # Where all characters are ASCII, bytes are characters.
            start += size if len(text) == len(data) else len(str(data[begin : begin + size], "utf-8"))
            begin += size
            self._ends.append(start)

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, at: int) -> str:
        text = self._texts[bisect_right(self._first, at) - 1]
        return text[self._starts[at] : self._ends[at]]

    def __iter__(self) -> Iterator[str]:
        for number, text in enumerate(self._texts):
            block = slice(self._first[number], self._first[number + 1])
            for start, end in zip(self._starts[block], self._ends[block], strict=True):
                yield text[start:end]

    @property
    def size(self) -> int:
        """Bytes in memory."""
        texts = sum(text.__sizeof__() for text in self._texts)
        return texts + 16 * len(self._starts)
