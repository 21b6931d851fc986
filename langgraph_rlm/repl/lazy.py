"""Contexts beyond the size that a session may load: the host keeps them and hands over the pieces that cells ask for."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from langgraph_rlm.repl.base import ReplContext
from langgraph_rlm.repl.worker.lazy import MOST_CHARS

if TYPE_CHECKING:  # a REPL whose contexts are loaded needs nothing of the text engine, nor what that imports
    from langgraph_rlm.text.lines import CharIndex

_SCAN = 1 << 22
"""Bytes looked at at once: few calls, and little memory beside the context."""
_PAGE = 1_000
"""Parts, or names of parts, in one answer to a session."""
_HEADER = {
    width: sys.getsizeof("".join((char, char))) - 2 * max(1, width)
    for width, char in {0: "a", 1: "\xe9", 2: "\u6f22", 4: "\U0001f352"}.items()
}
"""Bytes of a ``str`` beside its characters, by their width (0 for ASCII); they differ between versions of Python."""

MOST_CONTEXT_BYTES = 512 << 20
"""In memory, unless the user says otherwise."""
NOTE = (
    "The context is too large to be loaded: `context` is {what}. Its len(), slices, iteration and find(), rfind(), index(), "
    "count() and `in` go through the host; everything else of a str needs a slice first. Narrow it down with grep, find or "
    "read, and work on slices of at most some million characters; {walk}"
)
_WHAT = {
    "text": ("a lazy text, not a str", "`for line in context.lines()` walks through all of it."),
    "list": ("a lazy list of texts", "`for text in context` walks through all of it."),
    "fields": ("a lazy dict of texts", "`for name, text in context.items()` walks through all of it."),
    "documents": ("a lazy dict of texts", "`for name, text in context.items()` walks through all of it."),
}


def note_of(context: ReplContext) -> str:
    """What the model has to know of a context that is not loaded."""
    what, walk = _WHAT[context.kind]
    return NOTE.format(what=what, walk=walk)


class Sizes:
    """Which contexts may be loaded.

    Args:
        most: bytes in memory, as ``sys.getsizeof`` counts.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[str, bool] = {}

    def loads(self, context: ReplContext | None) -> bool:
        """Whether a context takes no more than that. Its bytes are looked at only where their number does not tell."""
        if context is None or 4 * len(context.data) + 128 * (len(context.sizes) + 1) <= self._most:
            return True
        if len(context.data) > 2 * self._most:  # no encoding in memory is half as large as UTF-8
            return False
        if context.digest and (known := self._known.get(context.digest)) is not None:
            return known
        loads = memory_of(context) <= self._most
        if context.digest:
            self._known[context.digest] = loads
        return loads


def memory_of(context: ReplContext) -> int:
    """Bytes that a context takes as ``str`` objects, without making them."""
    from langgraph_rlm.repl.worker.context.views import pieces_of  # the jail's factory needs this module
    from langgraph_rlm.text.lines import count_chars

    view, total = memoryview(context.data), 0
    for start, end in pieces_of(context.kind, context.sizes, len(context.data)):
        width, chars = _width(view[start:end]), count_chars(view[start:end])
        total += _HEADER[width] + chars * max(1, width)
    return total


def _width(data: memoryview) -> int:
    """Bytes of each character of a ``str``: 0 for ASCII, 1 up to U+00FF, 2 up to U+FFFF, else 4."""
    import numpy as np

    top = max(
        (int(np.frombuffer(data[at : at + _SCAN], np.uint8).max()) for at in range(0, len(data), _SCAN)), default=0
    )
    return 4 if top >= 0xF0 else 2 if top >= 0xC4 else 1 if top >= 0x80 else 0


class LazyContext:
    """Answers what a session asks about a context that it has not loaded; an ``OnCall``.

    Whatever a cell sends is checked here: it gets pieces of this context, of bounded size, or an error.

    Args:
        context: the context.
    """

    def __init__(self, context: ReplContext) -> None:
        self._context = context
        self._data = memoryview(context.data)
        self._indexes: dict[int, CharIndex] = {}

    @property
    def description(self) -> dict[str, Any]:
        """For the session: kind, and number of parts."""
        return {"kind": self._context.kind, "parts": len(self._context.sizes)}

    def __call__(self, _name: str, args: list[Any], kwargs: dict[str, Any]) -> Any | Future[Any]:
        """The answer, or a Future of it where all of the text may have to be looked at."""
        how = args[0] if args and isinstance(args[0], str) else ""
        known: dict[str, tuple[Callable[..., Any], tuple[type, ...]]] = {
            "chars": (self._chars, (int,)),
            "read": (self._read, (int, int, int)),
            "find": (self._find, (int, str, int, int)),
            "rfind": (self._rfind, (int, str, int, int)),
            "count": (self._count, (int, str, int, int)),
            "parts": (self._parts, (int, int)),
            "names": (self._names, (int,)),
            "place": (self._place, (str,)),
        }
        if how not in known or kwargs or [type(value) for value in args[1:]] != list(known[how][1]):
            raise TypeError("the context does not know this request")
        function, given = known[how][0], args[1:]
        if any(value < 0 for value in given if isinstance(value, int)):
            raise ValueError("offsets are whole numbers from 0 on")
        if how in ("parts", "names", "place"):
            return function(*given)
        if given[0] >= len(self._context.sizes):
            raise IndexError("the context has no such part")
        if how == "read" and given[0] in self._indexes:
            return function(*given)
        return self._threads.submit(function, *given)

    # --- one part -----------------------------------------------------------------------------------------------------

    def _chars(self, part: int) -> int:
        return self._index(part).chars

    def _read(self, part: int, start: int, end: int) -> str:
        index = self._index(part)
        if end - start > MOST_CHARS:
            raise ValueError(f"at most {MOST_CHARS:,} characters at once")
        start, end = min(start, index.chars), min(end, index.chars)
        return index.slice(start, end) if start < end else ""

    def _span(self, part: int, start: int, end: int) -> tuple[int, int]:
        index, first = self._index(part), self._starts[part]
        return first + index.byte_of(min(start, index.chars)), first + index.byte_of(min(end, index.chars))

    def _char(self, part: int, at: int) -> int:
        return self._index(part).char_of(at - self._starts[part])

    def _find(self, part: int, sub: str, start: int, end: int) -> int:
        if not sub:
            return start if start <= end else -1
        wanted = _encoded(sub)
        low, high = self._span(part, start, end)
        for at in range(low, high, _SCAN):
            found = bytes(self._data[at : min(high, at + _SCAN + len(wanted) - 1)]).find(wanted)
            if found >= 0:
                return self._char(part, at + found)
        return -1

    def _rfind(self, part: int, sub: str, start: int, end: int) -> int:
        if not sub:
            return end if start <= end else -1
        wanted = _encoded(sub)
        low, high = self._span(part, start, end)
        for at in reversed(range(low, high, _SCAN)):
            found = bytes(self._data[at : min(high, at + _SCAN + len(wanted) - 1)]).rfind(wanted)
            if found >= 0:
                return self._char(part, at + found)
        return -1

    def _count(self, part: int, sub: str, start: int, end: int) -> int:
        if not sub:
            return end - start + 1 if start <= end else 0
        wanted = _encoded(sub)
        at, high = self._span(part, start, end)
        total = 0
        while at < high:
            # Matches that begin before the block's end; the next block begins there, or after the last of them.
            block = bytes(self._data[at : min(high, at + _SCAN + len(wanted) - 1)])
            total += block.count(wanted)
            at += max(min(_SCAN, len(block)), _end_of_last(block, wanted))
        return total

    # --- many parts ---------------------------------------------------------------------------------------------------

    def _parts(self, at: int, end: int) -> list[str | None]:
        """Parts from ``at`` on, as many as fit one answer; None for one that is too large for any."""
        page: list[str | None] = []
        size = 0
        for part in range(at, min(end, len(self._context.sizes), at + _PAGE)):
            bytes_of = self._context.sizes[part]
            size += min(bytes_of, MOST_CHARS)
            if page and size > MOST_CHARS:
                break
            start = self._starts[part]
            large = bytes_of > MOST_CHARS
            page.append(None if large else str(self._data[start : start + bytes_of], "utf-8"))
        if not page:
            raise IndexError("the context has no such part")
        return page

    def _names(self, at: int) -> Sequence[str]:
        names = list(self._context.names[at : at + _PAGE])
        if not names:
            raise IndexError("the context has no such part")
        return names

    def _place(self, name: str) -> int:
        return self._places.get(name, -1)

    # --- what is found out once ---------------------------------------------------------------------------------------

    def _index(self, part: int) -> CharIndex:
        from langgraph_rlm.text.lines import CharIndex

        if (index := self._indexes.get(part)) is None:
            start = self._starts[part]
            index = self._indexes[part] = CharIndex(self._data[start : start + self._context.sizes[part]])
        return index

    @cached_property
    def _starts(self) -> list[int]:
        return list(accumulate(self._context.sizes, initial=0))

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: at for at, name in enumerate(self._context.names)}

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        threads = ThreadPoolExecutor(2, "rlm-context")
        weakref.finalize(self, threads.shutdown, wait=False, cancel_futures=True)
        return threads


def _encoded(sub: str) -> bytes:
    if len(sub) > MOST_CHARS:
        raise ValueError(f"at most {MOST_CHARS:,} characters can be looked for")
    return sub.encode("utf-8", "surrogatepass")  # half a character is in no text


def _end_of_last(block: bytes, wanted: bytes) -> int:
    """Where the last match ends, of those that ``bytes.count`` counts: from the left, none inside another."""
    last = block.rfind(wanted)
    if last < 0:
        return 0
    if (wanted + wanted).find(wanted, 1) == len(wanted) and not any(
        wanted.endswith(wanted[:size]) for size in range(1, len(wanted))
    ):
        return last + len(wanted)  # it cannot overlap itself
    at = end = 0
    while (at := block.find(wanted, end)) >= 0:
        end = at + len(wanted)
    return end
