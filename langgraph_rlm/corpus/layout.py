"""Where the chunks of one source stand in its text: by what splitters tell, and by the characters that they repeat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langgraph_rlm.corpus.sources import Part

LEAST_OVERLAP = 12
"""Characters. Fewer at the end of one chunk and the start of the next are often the same by chance."""
MOST_OVERLAP = 4_000
"""Characters that two chunks are compared in: ten times what splitters repeat."""
MOST_CHAINED = 200
"""Chunks that are put in order by their overlaps, each compared with each; more stay as the store lists them."""
MOST_GAP = 10_000
"""Characters between two chunks that their ``start_index`` may leave out; beyond it the number is not believed."""

_PAGES = ("page", "page_number")
_START = "start_index"
_NUMBERS = ("chunk_index", "chunk", "chunk_number", "chunk_id", "seq_num", "row", "position", "index")
"""By which people number their chunks."""


def laid_out(doc_id: str, parts: Sequence[Part]) -> list[Part]:
    """The chunks of a source at their places in its text, in their order.

    Pages follow one another. A chunk with ``start_index`` stands where that says, if the characters agree; else behind the
    one before, which it may overlap. A newline stands between chunks that do not touch.

    Args:
        doc_id: the id that they get.
        parts: the chunks, as the store lists them.

    Example:
        >>> from langgraph_rlm.corpus.sources import Part
        >>> chunks = [Part("2", 0, 18, "one two three four", {}), Part("1", 0, 23, "zero zero one two three", {})]
        >>> [(part.start, part.end) for part in laid_out("a.txt", chunks)]
        [(0, 23), (10, 28)]
    """
    text, placed = "", list[Part]()
    page: Any = None
    base = counted = lines = 0
    for part in _in_order(parts):
        begins, index = _page_of(part.metadata), part.metadata.get(_START)
        start, gap = (len(text) + 1, "\n") if placed else (0, " ")
        if begins != page and placed:
            base = start  # what two pages have in common is no overlap
        elif repeated := overlap(text, part.text):
            start, gap = len(text) - repeated, " "
        page = begins
        if isinstance(index, int) and _fits(text, base + index, part.text):
            start, gap = base + index, " "
        text += gap * (start - len(text))
        text += part.text[len(text) - start :]
        lines = lines + text.count("\n", counted, start) if start >= counted else text.count("\n", 0, start)
        counted = start
        placed.append(
            part._replace(
                doc_id=doc_id,
                record=part.doc_id,
                start=start,
                end=start + len(part.text),
                line=lines + 1,
                placed=True,
                gap=gap,
            )
        )
    return placed


def overlap(before: str, after: str) -> int:
    """Characters at the end of one text with which another one begins; 0 for fewer than ``LEAST_OVERLAP``.

    Example:
        >>> overlap("a cat sat on the mat", "sat on the mat and slept")
        14
    """
    if len(after) < LEAST_OVERLAP:
        return 0
    tail, first = before[-MOST_OVERLAP:], after[:LEAST_OVERLAP]
    at = tail.find(first)
    while at >= 0:
        if after.startswith(tail[at:]) or tail.startswith(after, at):
            return len(tail) - at
        at = tail.find(first, at + 1)
    return 0


def common(metadatas: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What all chunks of a source say alike, which is said of the source.

    Example:
        >>> common([{"source": "a.pdf", "page": 1}, {"source": "a.pdf", "page": 2}])
        {'source': 'a.pdf'}
    """
    first, *others = metadatas
    return {
        key: value
        for key, value in first.items()
        if all(key in one and type(one[key]) is type(value) and one[key] == value for one in others)
    }


def _fits(text: str, start: int, chunk: str) -> bool:
    """Whether a chunk can stand there: near the text so far, and with its characters where they overlap."""
    if not 0 <= start <= len(text) + MOST_GAP:
        return False
    return chunk.startswith(text[start : start + len(chunk)])


def _in_order(parts: Sequence[Part]) -> list[Part]:
    pages: dict[Any, list[Part]] = {}
    for part in parts:
        pages.setdefault(_page_of(part.metadata), []).append(part)
    numbers = sorted(one for one in pages if isinstance(one, int))
    names = [one for one in pages if not isinstance(one, int)]
    return [part for page in [*numbers, *names] for part in _in_order_on_page(pages[page])]


def _in_order_on_page(parts: list[Part]) -> list[Part]:
    if len(parts) == 1:
        return parts
    for name in (_START, *_NUMBERS):
        numbers = [part.metadata.get(name) for part in parts]
        if all(map(_is_index, numbers)) and len(set(numbers)) > 1:
            return sorted(parts, key=lambda part: part.metadata[name])
    return _chained(parts) if len(parts) <= MOST_CHAINED else parts


def _chained(parts: list[Part]) -> list[Part]:
    """Chunks of which each overlaps the next, one after the other; chains begin in the order of the store."""
    pairs = [
        (size, before, after)
        for before, one in enumerate(parts)
        for after, other in enumerate(parts)
        if before != after and one.text != other.text and (size := overlap(one.text, other.text))
    ]
    next_of, has_one = dict[int, int](), set[int]()
    for _, before, after in sorted(pairs, key=lambda pair: -pair[0]):
        if before not in next_of and after not in has_one:
            next_of[before] = after
            has_one.add(after)
    ordered, taken = list[Part](), set[int]()
    for head in [*(at for at in range(len(parts)) if at not in has_one), *range(len(parts))]:
        at: int | None = head
        while at is not None and at not in taken:
            taken.add(at)
            ordered.append(parts[at])
            at = next_of.get(at)
    return ordered


def _page_of(metadata: Mapping[str, Any]) -> Any:
    return next((metadata[name] for name in _PAGES if isinstance(metadata.get(name), int | str)), None)


def _is_index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
