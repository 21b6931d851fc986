"""Where the lines of a text begin, counted from 1. A line ends with ``\\n``, which belongs to it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate
from typing import Any

import numpy as np

from langgraph_rlm.text.lines import BLOCK, Data

_LF = 0x0A
"""Line feed, as a byte."""


class LineIndex:
    """Finds the bytes of any line of one text by its number.

    One number per 64 KB of text is kept. The first and the last lines are found without it, and it is made when it is
    first needed.

    Args:
        data: the UTF-8 of the text.
        counts: line ends in each 64 KB, where they are known.
    """

    def __init__(self, data: Data, counts: Iterable[int] | None = None) -> None:
        self._data = data
        self._ends = None if counts is None else list(accumulate(counts))

    def count(self) -> int:
        """Lines of the text; what follows the last line end is one too, unless it is empty."""
        size = len(self._data)
        if not size:
            return 0
        ends = self._ends_by_block()
        return ends[-1] + (self._data[size - 1] != _LF)

    def start_of(self, line: int) -> int:
        """Byte offset at which a line (from 1) begins; the size of the data when there is no such line."""
        wanted = line - 1  # line ends before it
        if wanted <= 0:
            return 0
        ends = self._ends_by_block()
        block = bisect_left(ends, wanted)
        if block == len(ends):
            return len(self._data)
        return self._behind(block * BLOCK, wanted - (ends[block - 1] if block else 0))

    def number_at(self, byte: int) -> int:
        """Number of the line in which a byte stands."""
        ends = self._ends_by_block()
        block = min(byte // BLOCK, len(ends) - 1)
        before = ends[block - 1] if block > 0 else 0
        return 1 + before + self._ends_in(max(block, 0) * BLOCK, byte)

    def head(self, lines: int) -> int:
        """Byte offset behind the first so many lines; nothing beyond them is looked at."""
        at, size = 0, len(self._data)
        while lines > 0 and at < size:
            found = self._ends_in(at, at + BLOCK)
            if found >= lines:
                return self._behind(at, lines)
            lines -= found
            at += BLOCK
        return min(at, size)

    def tail(self, lines: int) -> int:
        """Byte offset at which the last so many lines begin; nothing before them is looked at."""
        size = len(self._data)
        if lines <= 0:
            return size
        end = size - 1  # the line end of the last line ends no line before it
        while end > 0:
            start = max(0, end - BLOCK)
            found = self._ends_in(start, end)
            if found >= lines:
                return self._behind(start, found - lines + 1)
            lines -= found
            end = start
        return 0

    def _behind(self, at: int, ends: int) -> int:
        """Byte offset behind so many line ends (at least 1) from ``at`` on; all of them are within 64 KB."""
        return at + int(np.flatnonzero(self._marks(at, at + BLOCK))[ends - 1]) + 1

    def _ends_by_block(self) -> list[int]:
        """Line ends up to the end of each block."""
        if self._ends is None:
            starts = range(0, len(self._data), BLOCK)
            self._ends = list(accumulate(self._ends_in(at, at + BLOCK) for at in starts))
        return self._ends

    def _ends_in(self, start: int, end: int) -> int:
        return int(np.count_nonzero(self._marks(start, end)))

    def _marks(self, start: int, end: int) -> Any:
        """For each byte whether it is a line end."""
        return np.frombuffer(self._data[start:end], np.uint8) == _LF
