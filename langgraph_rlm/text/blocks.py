"""Which parts of a large text can hold a string: three bytes each, hashed, for every 64 KB.

A rare string is then looked for in the few blocks that hold all of its trigrams. The idea is the trigram index of Russ
Cox (Regular Expression Matching with a Trigram Index, 2012), over blocks of one text instead of files; it costs an
eighth of the text. Upper and lower case of ASCII letters are the same in it, so that it serves both kinds of search.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import struct
import tempfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from langgraph_rlm.text.lines import BLOCK, Data

LONGEST = 256
"""Bytes of a string that are looked up; a longer one is looked up by its beginning."""
MOST_SHARE = 0.5
"""Of the blocks; when more of them are left, the whole text is searched as fast."""

_ROWS = 1 << 16
"""Of hashed trigrams: an eighth of the text for blocks of 64 KB; twice as many find hardly fewer blocks."""
_TOGETHER = 64
"""Columns that are put into the rows at once: one by one, each byte of them would cost a look into memory."""
_TRIGRAM = 3
_FIRST_BYTES = -64
"""From here on, when bytes are signed, they begin a character."""
_LF = 0x0A
"""Line feed, as a byte."""
_FACTORS = np.array([0x9E37, 0x79B9, 0x1F35], np.uint16)
_MAGIC = b"rlmblock"
_VERSION = 2
"""Of the file; raised with each change."""
_HEADER = struct.Struct("<8sI32sQI")  # magic, version, digest of the text, its bytes, checksum of all but the rows
_NUMBER = np.dtype("<u4")
_SUMS = _NUMBER.itemsize * _ROWS


class IndexDamaged(Exception):
    """What a file says is not what was written into it."""


class BlockIndex:
    """For each trigram, in which blocks of a text it stands.

    Args:
        rows: a bit for each trigram (row) and block.
        size: bytes of the text.
        counts: the characters that begin in each block, and the line ends in each.
        sums: a checksum for each row, which is compared when the row is looked at; None: the rows are in memory.
    """

    def __init__(self, rows: Any, size: int, counts: Any, sums: Any = None) -> None:
        self._rows = rows
        self._size = size
        self._sums = sums
        self.counts = counts

    @classmethod
    def of(cls, data: Data, on_progress: Callable[[int], object] | None = None) -> BlockIndex:
        """Index a text.

        Args:
            data: the UTF-8 of the text.
            on_progress: told the bytes that are done, after each half a megabyte; what it raises ends the work.
        """
        size, columns, counts = len(data), _columns(len(data)), _no_counts(len(data))
        rows, gathered = np.zeros((_ROWS, columns), np.uint8), np.zeros((min(_TOGETHER, columns), _ROWS), np.uint8)
        for first in range(0, columns, _TOGETHER):
            some = gathered[: columns - first]
            some.fill(0)
            for number, column in enumerate(some, first):
                _fill(column, counts, data, number)
                if on_progress is not None:
                    on_progress(min(size, (number + 1) * 8 * BLOCK))
            rows[:, first : first + len(some)] = some.T
        return cls(rows, size, counts)

    def blocks(self, strings: Sequence[bytes], *, fold: bool = False) -> list[int] | None:
        """Numbers of the blocks in which one of these strings can begin; None when that is too many to be of use.

        Args:
            strings: looked for.
            fold: they stand for all of their forms in upper and lower case, as far as these are ASCII.

        Raises:
            IndexDamaged: a row is not what was written.
        """
        found = np.zeros(self._rows.shape[1], np.uint8)
        for string in strings:
            hashes = _hashes(string[:LONGEST])
            if fold:
                hashes = hashes[_plain_trigrams(string[:LONGEST])]
            if not len(hashes):
                return None
            found |= np.bitwise_and.reduce(self._checked(sorted({*hashes.tolist()})), axis=0)
        numbers = np.flatnonzero(np.unpackbits(found, bitorder="little")[: _blocks(self._size)])
        return None if len(numbers) > MOST_SHARE * _blocks(self._size) else [int(number) for number in numbers]

    def write(self, path: Path, digest: str) -> None:
        """Keep it in a file, whole or not at all.

        Args:
            path: of the file.
            digest: of the text, in hexadecimal digits.
        """
        sums = np.fromiter((zlib.crc32(row) for row in self._rows), _NUMBER, _ROWS)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")  # mode 0600
        try:
            with os.fdopen(handle, "wb") as file:
                with contextlib.suppress(OSError):  # tells those who tidy up that it is being written
                    fcntl.flock(handle, fcntl.LOCK_SH)
                file.write(_header(digest, self._size, sums, self.counts))
                file.write(sums.data)
                file.write(self.counts)
                file.write(self._rows)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, path)  # noqa: PTH105
        finally:
            Path(name).unlink(missing_ok=True)

    @classmethod
    def read(cls, path: Path, digest: str, size: int, *, whole: bool = False) -> BlockIndex | None:
        """The index in a file; None when there is none, or not a sound one of this text and release.

        Args:
            path: of the file.
            digest: of the text, in hexadecimal digits.
            size: bytes of the text.
            whole: look at all rows now. Else each is looked at when it is used, and opening costs next to nothing.
        """
        try:
            with path.open("rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):
            return None
        columns, counts = _columns(size), _no_counts(size)
        start = _HEADER.size + _SUMS + counts.nbytes
        if len(mapped) != start + columns * _ROWS:
            return None
        sums = np.frombuffer(mapped, _NUMBER, _ROWS, _HEADER.size)
        counts[:] = np.frombuffer(mapped, _NUMBER, counts.size, _HEADER.size + _SUMS).reshape(counts.shape)
        if mapped[: _HEADER.size] != _header(digest, size, sums, counts):
            return None
        rows = np.frombuffer(mapped, np.uint8, columns * _ROWS, start).reshape(_ROWS, columns)
        index = cls(rows, size, counts, sums)
        try:
            if whole:
                index._check(rows, sums)
        except IndexDamaged:
            return None
        return index

    def _checked(self, numbers: list[int]) -> Any:
        rows = self._rows[numbers]
        if self._sums is not None:
            self._check(rows, self._sums[numbers])
        return rows

    def _check(self, rows: Any, sums: Any) -> None:
        if any(zlib.crc32(row) != known for row, known in zip(rows, sums.tolist(), strict=True)):
            raise IndexDamaged


def _blocks(size: int) -> int:
    """Blocks of a text of so many bytes."""
    return -(-size // BLOCK)


def _columns(size: int) -> int:
    """Bytes of its rows."""
    return -(-_blocks(size) // 8)


def _no_counts(size: int) -> Any:
    return np.zeros((2, _blocks(size)), _NUMBER)


def _header(digest: str, size: int, sums: Any, counts: Any) -> bytes:
    fields = (_MAGIC, _VERSION, bytes.fromhex(digest), size)
    checksum = zlib.crc32(counts, zlib.crc32(sums, zlib.crc32(_HEADER.pack(*fields, 0))))
    return _HEADER.pack(*fields, checksum)


def _fill(column: Any, counts: Any, data: Data, number: int) -> None:
    """Set the bits of eight blocks, and count in them; a string may begin in one and end behind it."""
    view, met = memoryview(data), np.zeros(_ROWS, np.uint8)
    for bit, block in enumerate(range(number * 8, min(number * 8 + 8, counts.shape[1]))):
        text = bytes(view[block * BLOCK : (block + 1) * BLOCK + LONGEST])
        met.fill(0)
        met[_hashes(text).astype(np.intp)] = 1 << bit
        column |= met
        inside = np.frombuffer(text[:BLOCK], np.int8)
        counts[:, block] = np.count_nonzero(inside >= _FIRST_BYTES), np.count_nonzero(inside == _LF)


def _hashes(text: bytes) -> Any:
    """A row number for each trigram, without regard to the case of ASCII letters."""
    data = np.frombuffer(text.lower(), np.uint8).astype(np.uint16)
    if len(data) < _TRIGRAM:
        return np.zeros(0, np.uint16)
    first, second, third = _FACTORS
    return data[:-2] * first + data[1:-1] * second + data[2:] * third


def _plain_trigrams(text: bytes) -> Any:
    """Which trigrams have no other forms than those of ASCII: k and s are also the Kelvin sign and the long s."""
    data = np.frombuffer(text.lower(), np.uint8)
    plain = (data < 0x80) & (data != ord("k")) & (data != ord("s"))
    return plain[:-2] & plain[1:-1] & plain[2:]
