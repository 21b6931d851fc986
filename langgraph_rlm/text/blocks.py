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

from langgraph_rlm.text.lines import Data

BLOCK = 1 << 16
LONGEST = 256
"""Bytes of a string that are looked up; a longer one is looked up by its beginning."""
MOST_SHARE = 0.5
"""Of the blocks; when more of them are left, the whole text is searched as fast."""

_ROWS = 1 << 16
_TRIGRAM = 3
_FACTORS = np.array([0x9E37, 0x79B9, 0x1F35], np.uint16)
_MAGIC = b"rlmblock"
_VERSION = 1
_HEADER = struct.Struct("<8sI32sQI")  # magic, version, digest of the text, its bytes, checksum of the rows


class BlockIndex:
    """For each trigram, in which blocks of a text it stands.

    Args:
        rows: a bit for each trigram (row) and block.
        size: bytes of the text.
    """

    def __init__(self, rows: Any, size: int) -> None:
        self._rows = rows
        self._size = size
        self._blocks = -(-size // BLOCK)

    @classmethod
    def of(cls, data: Data, on_progress: Callable[[int], object] | None = None) -> BlockIndex:
        """Index a text.

        Args:
            data: the UTF-8 of the text.
            on_progress: told the bytes that are done, after each half a megabyte; what it raises ends the work.
        """
        view, size = memoryview(data), len(data)
        columns = -(-size // (8 * BLOCK))
        gathered = np.zeros((columns, _ROWS), np.uint8)
        for column in range(columns):
            met = np.zeros((8, _ROWS), bool)
            for number in range(8):
                start = (column * 8 + number) * BLOCK
                met[number][_hashes(bytes(view[start : start + BLOCK + LONGEST]))] = True
            gathered[column] = np.packbits(met, axis=0, bitorder="little")[0]
            if on_progress is not None:
                on_progress(min(size, (column + 1) * 8 * BLOCK))
        return cls(np.ascontiguousarray(gathered.T), size)

    def blocks(self, strings: Sequence[bytes], *, fold: bool = False) -> list[int] | None:
        """Numbers of the blocks in which one of these strings can begin; None when that is too many to be of use.

        Args:
            strings: looked for.
            fold: they stand for all of their forms in upper and lower case, as far as these are ASCII.
        """
        found = np.zeros(self._rows.shape[1], np.uint8)
        for string in strings:
            hashes = _hashes(string[:LONGEST])
            if fold:
                hashes = hashes[_plain_trigrams(string[:LONGEST])]
            if not len(hashes):
                return None
            found |= np.bitwise_and.reduce(self._rows[np.unique(hashes)], axis=0)
        numbers = np.flatnonzero(np.unpackbits(found, bitorder="little")[: self._blocks])
        return None if len(numbers) > MOST_SHARE * self._blocks else [int(number) for number in numbers]

    def write(self, path: Path, digest: str) -> None:
        """Keep it in a file, whole or not at all.

        Args:
            path: of the file.
            digest: of the text, in hexadecimal digits.
        """
        rows = self._rows.tobytes()
        header = _HEADER.pack(_MAGIC, _VERSION, bytes.fromhex(digest), self._size, zlib.crc32(rows))
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")  # mode 0600
        try:
            with os.fdopen(handle, "wb") as file:
                with contextlib.suppress(OSError):  # tells those who tidy up that it is being written
                    fcntl.flock(handle, fcntl.LOCK_SH)
                file.write(header)
                file.write(rows)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, path)  # noqa: PTH105
        finally:
            Path(name).unlink(missing_ok=True)

    @classmethod
    def read(cls, path: Path, digest: str) -> BlockIndex | None:
        """The index in a file; None when there is none, or not a sound one of this text and release."""
        try:
            with path.open("rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):
            return None
        if len(mapped) < _HEADER.size:
            return None
        magic, version, of, size, checksum = _HEADER.unpack_from(mapped)
        rows = memoryview(mapped)[_HEADER.size :]
        columns = -(-size // (8 * BLOCK))
        sound = (magic, version, of.hex()) == (_MAGIC, _VERSION, digest) and len(rows) == columns * _ROWS
        if not sound or zlib.crc32(rows) != checksum:
            return None
        return cls(np.frombuffer(rows, np.uint8).reshape(_ROWS, columns), size)


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
