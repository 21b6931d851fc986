"""Whether the files of Chroma's vectors are as its engine writes them: it follows their numbers unchecked, out of its memory.

The files of one collection are an HNSW graph as hnswlib keeps it, of version 1: a header of 100 bytes, the lowest level
(for each vector its links, its numbers, its label), the links of the levels above, the length of each vector.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

_FILES = ("header.bin", "data_level0.bin", "link_lists.bin", "length.bin")
_IDS = "index_metadata.pickle"
"""Written with the first vectors: a collection that is still in the engine's log alone has the other files without it."""
_VERSION, _LATER_VERSIONS = 1, 100
"""There is one by now; a greater number than that is garbage."""
_HEADER = struct.Struct("<iQQQQQQiIQQQdQ")
_MOST_NEIGHBOURS = 10_000
"""More than that hnswlib itself makes 10,000."""
_MOST_LEVELS = 64
"""hnswlib draws level L with a chance of 1 in M^L."""
_MOST_EF = 1_000_000
"""Candidates per insertion; hundreds are usual, and the engine reserves memory for them."""
_BLOCK = 1 << 14
"""Vectors looked at together."""
_LABEL = 8
"""Bytes; hnswlib's are 64-bit numbers."""


class Damaged(Exception):
    """What is wrong with which file."""


class _Header(NamedTuple):
    """By hnswlib's names."""

    version: int
    offset_level0: int
    max_elements: int
    elements: int
    element_bytes: int
    label_offset: int
    vector_offset: int
    max_level: int
    entry: int
    most_above: int
    most_lowest: int
    neighbours: int
    level_factor: float
    candidates: int


def check_vectors(folder: Path, dimension: int | None = None) -> None:
    """Raise when the engine could not use the files of one collection safely.

    All links are followed; vectors and labels are looked at as well, so each file is read once. What a file of another
    version holds is the engine's to say.

    Args:
        folder: of the collection's vectors.
        dimension: of the vectors, where it is known.

    Raises:
        Damaged: a file is missing, no file, or not as it was written.
        OSError: a file cannot be read.
    """
    for name in _FILES:
        _check_file(folder / name)
    data = (folder / "header.bin").read_bytes()
    if len(data) >= 4 and _VERSION < int.from_bytes(data[:4], "little") <= _LATER_VERSIONS:
        return
    if len(data) < _HEADER.size:
        raise Damaged(f"{folder / 'header.bin'} has {len(data)} bytes of {_HEADER.size}")
    header = _Header(*_HEADER.unpack_from(data))
    if not _is_sound(header, dimension):
        raise Damaged(f"{folder / 'header.bin'} holds numbers that do not fit each other")
    if not header.elements:
        if (folder / _IDS).exists():
            _mapped(folder / "data_level0.bin", 0)
    else:
        _check_file(folder / _IDS)
        levels = _checked_above(folder / "link_lists.bin", header)
        _check_lowest(folder / "data_level0.bin", header)
        lengths = _mapped(folder / "length.bin", header.elements * 4).view(np.float32)
        if not (np.isfinite(lengths) & (lengths >= 0)).all():
            raise Damaged(f"{folder / 'length.bin'} holds lengths that are none")
        if levels[header.entry] != header.max_level:
            raise Damaged(f"{folder / 'header.bin'} begins the search at a vector of another level")


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise Damaged(f"{path} is {'no file' if path.exists() else 'missing'}")


def _is_sound(header: _Header, dimension: int | None) -> bool:
    floats, odd = divmod(header.label_offset - header.vector_offset, 4)
    entered = header.entry < header.elements and 0 <= header.max_level <= _MOST_LEVELS
    return (
        header.version == _VERSION
        and header.offset_level0 == 0
        and header.elements <= header.max_elements
        and 2 <= header.neighbours <= _MOST_NEIGHBOURS
        and header.most_above == header.neighbours
        and header.most_lowest == 2 * header.neighbours
        and header.vector_offset == 4 * header.most_lowest + 4
        and floats >= 1
        and odd == 0
        and dimension in (None, floats)
        and header.element_bytes == header.label_offset + _LABEL
        and math.isclose(header.level_factor, 1 / math.log(header.neighbours), rel_tol=1e-6)
        and header.candidates <= _MOST_EF
        and (entered or not header.elements)
    )


def _mapped(path: Path, size: int) -> Any:
    """The so many bytes of a file, not read yet.

    Raises:
        Damaged: it has more or fewer.
    """
    if (found := path.stat().st_size) != size:
        raise Damaged(f"{path} has {found:,} bytes of {size:,}")
    return np.memmap(path, np.uint8, "r", shape=(size,)) if size else np.empty(0, np.uint8)


def _blocks(rows: Any) -> Iterator[Any]:
    for start in range(0, len(rows), _BLOCK):
        yield rows[start : start + _BLOCK]


def _lead_astray(links: Any, elements: int) -> bool:
    """Whether links lead out of the graph; each row has their number in its low 16 bits, and then the links."""
    counts = links[:, :1] & 0xFFFF
    used = np.arange(links.shape[1] - 1) < counts
    return bool((counts > links.shape[1] - 1).any() or (used & (links[:, 1:] >= elements)).any())


def _check_lowest(path: Path, header: _Header) -> None:
    rows = _mapped(path, header.elements * header.element_bytes).reshape(header.elements, header.element_bytes)
    labels, squares = [], []
    for block in _blocks(rows):
        if _lead_astray(_words(block[:, : header.vector_offset]), header.elements):
            raise Damaged(f"{path} has links that lead nowhere")
        vectors = block[:, header.vector_offset : header.label_offset].view(np.float32)
        with np.errstate(all="ignore"):
            squares.append(np.einsum("ij,ij->i", vectors, vectors))
        labels.append(np.ascontiguousarray(block[:, header.label_offset :]).view(np.uint64).ravel())
    if len(np.unique(np.concatenate(labels))) < header.elements:
        raise Damaged(f"{path} has two vectors of one label")
    if not np.isfinite(np.concatenate(squares)).all():  # garbage is mostly beyond 10^19, whose square is infinite
        raise Damaged(f"{path} has vectors that are no numbers")


def _checked_above(path: Path, header: _Header) -> Any:
    """The highest level of each vector, once the links above the lowest level are checked."""
    if (size := path.stat().st_size) % 4 or size < 4 * header.elements:
        raise Damaged(f"{path} has {size:,} bytes, which is no list for {header.elements:,} vectors")
    words = _words(_mapped(path, size))
    width = header.most_above + 1
    levels = np.zeros(header.elements, np.int64)
    starts: list[list[int]] = [[] for _ in range(header.max_level)]  # of the lists of each level, from 1
    filled = np.flatnonzero(words)
    element = place = 0
    while element < header.elements:
        following = int(np.searchsorted(filled, place))
        ahead = int(filled[following]) - place if following < len(filled) else len(words)
        ahead = min(ahead, header.elements - element)  # vectors of the lowest level alone, each one word of 0
        element, place = element + ahead, place + ahead
        if place > len(words) or (place == len(words) and element < header.elements):
            raise Damaged(f"{path} ends before its last vector")
        if element == header.elements:
            break
        level, odd = divmod(int(words[place]), 4 * width)
        if odd or level > header.max_level or place + 1 + level * width > len(words):
            raise Damaged(f"{path} holds numbers that do not fit each other")
        levels[element] = level
        for above in range(level):
            starts[above].append(place + 1 + above * width)
        element, place = element + 1, place + 1 + level * width
    if place != len(words):
        raise Damaged(f"{path} goes on after its last vector")
    for above, places in enumerate(starts, start=1):
        lists = words[np.asarray(places, np.int64)[:, None] + np.arange(width)]
        if _lead_astray(lists, header.elements):
            raise Damaged(f"{path} has links that lead nowhere")
        used = np.arange(width - 1) < (lists[:, :1] & 0xFFFF)
        if (levels[lists[:, 1:][used]] < above).any():
            raise Damaged(f"{path} has links to vectors of a lower level")
    return levels


def _words(data: Any) -> Any:
    return np.ascontiguousarray(data).view(np.uint32)
