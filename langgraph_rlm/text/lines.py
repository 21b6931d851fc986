"""From bytes of UTF-8 data to characters and line numbers, and back.

Searches run on bytes; spans are characters. A line ends at ``\\n``; a ``\\r`` before it belongs to the line's end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Data = bytes | memoryview
"""UTF-8 bytes, or a view of them."""

BLOCK = 1 << 16
"""Bytes for each of which one number is kept."""
_SMALL = 1 << 11
"""Bytes up to which Python's own counting is faster than numpy's."""
_FAR = 1 << 19
"""Bytes from which on an index of the document pays more than counting on."""
_LF = 0x0A
"""Line feed, as a byte."""


def count_chars(data: Data) -> int:
    """Characters in ``data``, which must start and end between two characters."""
    total = 0
    for at in range(0, len(data), BLOCK):
        block = bytes(data[at : at + BLOCK])
        total += len(block) if block.isascii() else _starts(block)
    return total


def count_lines(data: Data) -> int:
    """Line ends (``\\n``) in ``data``."""
    return sum(bytes(data[at : at + BLOCK]).count(b"\n") for at in range(0, len(data), BLOCK))


def _starts(block: bytes) -> int:
    """Bytes that begin a character: all but the continuation bytes 0x80 to 0xBF, which are below -64 when signed."""
    if len(block) <= _SMALL:  # such a block ends with a whole character; half of one at its start was counted before
        return len(block.decode(errors="ignore"))
    return int(np.count_nonzero(np.frombuffer(block, np.int8) >= -64))


def _line_ends(block: bytes) -> int:
    if len(block) <= _SMALL:
        return block.count(b"\n")
    return int(np.count_nonzero(np.frombuffer(block, np.uint8) == _LF))


class Cursor:
    """Walks forward through UTF-8 data and knows character and line of where it stands.

    Only what lies between two stops is looked at, so the first matches in a large text cost little.

    Args:
        data: the text.
        far: tells character offset and line number of a byte offset without a walk; asked for long ways.

    Example:
        >>> cursor = Cursor("é\\nb".encode())
        >>> cursor.to(3)
        (2, 2)
    """

    def __init__(self, data: Data, far: Callable[[int], tuple[int, int]] | None = None) -> None:
        self._data = data
        self._far = far
        self._at = 0
        self._char = 0
        self._line = 1
        self._plain = data if isinstance(data, bytes) and data.isascii() else None

    def to(self, at: int) -> tuple[int, int]:
        """Character offset and line number (from 1) of the byte offset ``at``, which must not lie before the last one."""
        if self._plain is not None:
            self._line += self._plain.count(b"\n", self._at, at)
            self._at = at
            return at, self._line
        if self._far is not None and at - self._at > _FAR:
            self._char, self._line = self._far(at)
            self._at = at
        while self._at < at:
            block = bytes(self._data[self._at : min(at, self._at + BLOCK)])
            self._char += len(block) if block.isascii() else _starts(block)
            self._line += _line_ends(block)
            self._at += len(block)
        return self._char, self._line


class CharIndex:
    """Finds the bytes of any character of one text without decoding what lies before it.

    One number per 64 KB of text is kept; none when the text is ASCII.

    Args:
        data: the UTF-8 of the text.
        counts: characters that begin in each 64 KB, where they are known.
    """

    def __init__(self, data: Data, counts: Sequence[int] | None = None) -> None:
        self._data = data
        if counts is None:
            blocks = (bytes(data[at : at + BLOCK]) for at in range(0, len(data), BLOCK))
            counts = [len(block) if block.isascii() else _starts(block) for block in blocks]
        self._chars = np.concatenate(([0], np.cumsum(counts, dtype=np.int64))) if counts else np.zeros(1, np.int64)
        self.chars = int(self._chars[-1])
        """Characters of the text."""
        self._ascii = self.chars == len(data)

    def byte_of(self, char: int) -> int:
        """Byte offset of a character offset between 0 and ``chars``."""
        if self._ascii or char <= 0:
            return max(0, char)
        if char >= self.chars:
            return len(self._data)
        block = int(np.searchsorted(self._chars, char, side="right")) - 1
        start = block * BLOCK
        starts = np.flatnonzero(np.frombuffer(self._data[start : start + BLOCK], np.int8) >= -64)
        return start + int(starts[char - int(self._chars[block])])

    def char_of(self, byte: int) -> int:
        """Character offset of a byte offset at which a character begins."""
        if self._ascii:
            return byte
        block = min(byte // BLOCK, len(self._chars) - 1)
        return int(self._chars[block]) + count_chars(self._data[block * BLOCK : byte])

    def slice(self, start: int, end: int) -> str:
        """The text between two character offsets."""
        return bytes(self._data[self.byte_of(start) : self.byte_of(end)]).decode()
