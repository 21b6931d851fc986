"""Matches of a pattern, block after block: in two threads where that pays, and never long past a deadline.

A pattern whose matches stay within a line is looked for in blocks that end with a line, so that every block is scanned
by itself. Where the pattern tells which strings a match must contain, those are looked for first, and the expression
only on their lines. Boundaries (``\\b``) in text that is not ASCII go ways of their own (see ``boundaries``).
"""

from __future__ import annotations

import _thread
import os
import time
from collections.abc import Generator, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np

from langgraph_rlm.text.boundaries import Span
from langgraph_rlm.text.clock import Clock
from langgraph_rlm.text.effort import Matcher, affordable, bytes_at_once, overlapping
from langgraph_rlm.text.lines import Data
from langgraph_rlm.text.plan import Needles, Plan

_FIRST = 1 << 16
"""Bytes of the first block: matches at the beginning of a large text are found at once."""
_BLOCK = 1 << 19
"""Bytes of a block of which nothing better is known."""
_LARGEST = 1 << 22
"""Bytes of a block from which on the blocks' beginnings cost nothing any more."""
_WHILE = 0.003
"""Seconds that a block should take: enough to make up for its beginning, too few to be late."""
_STRING_BLOCK = 1 << 21
"""Bytes of a block that is searched for strings alone, at the speed of memory."""
_ALONE = 1 << 20
"""Bytes up to which a second thread does not pay."""
_LINE = 1 << 9
"""Bytes in which the end of a usual line is found at once."""
_NEAR = 1 << 10
"""Bytes that are searched in the time that starting a search takes."""
_MOST_MARKED = 1 << 20
"""Bytes of a line or text that is written out with marks."""
_MOST_CAREFUL = 1 << 16
"""Bytes of lines between two looks at the clock where each character is looked at: they take a fifth of a second."""
_MOMENT = 0.005
"""Seconds after which what was found is handed on."""
_LOOKS = 4
"""Matches between two looks at the clock."""
_LF, _CR = 0x0A, 0x0D


def scan(
    plan: Plan, data: Data, over: Clock, most: int | None = None, windows: Sequence[Span] | None = None
) -> Generator[list[Span]]:
    """Byte spans of the matches in order, in lists of any length.

    When the time is over the last list may end too early: whoever reads on has to look at the clock.

    Args:
        plan: the pattern.
        data: UTF-8 text.
        over: the clock.
        most: matches wanted; there may be more.
        windows: byte spans, in order and apart, in which the lines with matches begin, or hold what they must contain;
            None: anywhere. Only for patterns whose matches stay within a line.

    Raises:
        PatternError: the pattern has a boundary that cannot be found in this text.
    """
    if windows is not None:
        yield from _in_windows(plan, data, over, most, windows)
    elif plan.exact is not None and (len(plan.exact.strings) == 1 or plan.exact.cross_lines):
        for at, found in _strings(plan.exact, data, over):
            yield [(at + first, at + last) for _, first, last in found]
    elif plan.crosses_lines:
        yield from _clean(plan, data, 0, len(data), _whole(plan, data, over)(data, 0, len(data)), over, most)
    else:
        yield from _blocks(plan, data, over, most)


def _in_windows(plan: Plan, data: Data, over: Clock, most: int | None, windows: Sequence[Span]) -> Iterator[list[Span]]:
    look, done = _Look(plan, data, over, most), 0
    for start, end in windows:
        if over():
            return
        if end > done:
            start, done = _line_start(data, max(start, done), done), line_end(data, end)
            yield look(start, done)


def count(plan: Plan, data: Data, over: Clock, windows: Sequence[Span] | None = None) -> int:
    """How many matches there are, up to the end of the time; errors as :func:`scan`."""
    strings_only = plan.exact is not None and (len(plan.exact.strings) == 1 or plan.exact.cross_lines)
    if windows is None and plan.exact is not None and strings_only:
        return sum(len(found) for _, found in _strings(plan.exact, data, over))
    return sum(map(len, scan(plan, data, over, windows=windows)))


def _strings(needles: Needles, data: Data, over: Clock) -> Iterator[tuple[int, list[tuple[int, int, int]]]]:
    """For strings that are the matches: where a block begins, and what was found from there."""
    view, size, at, block = memoryview(data), len(data), 0, _FIRST
    while at < size and not over():
        end = min(size, at + block)
        until = min(size, end + needles.longest - 1)  # one that begins in this block may end behind it
        found = needles.found(view[at:until])
        while found and at + found[-1][1] >= end:
            found.pop()
        yield at, found
        at, block = max(end, at + found[-1][2] if found else 0), _STRING_BLOCK


# --- blocks of lines --------------------------------------------------------------------------------------------------


def _blocks(plan: Plan, data: Data, over: Clock, most: int | None) -> Iterator[list[Span]]:
    look = _Look(plan, data, over, most)
    size, start, end = len(data), 0, line_end(data, _FIRST)
    began = time.perf_counter()
    yield look(0, end)
    two = _processors() > 1
    while end < size and not over():
        block = _block(end - start, time.perf_counter() - began)
        start, began = end, time.perf_counter()
        if not two or size - end <= _ALONE:
            end = line_end(data, end + block)
            yield look(start, end)
            continue
        middle = line_end(data, end + min(block, (size - end) // 2))
        end = line_end(data, middle + block) if middle < size else size
        other = _Beside(look, middle, end) if middle < end else None
        try:
            yield look(start, middle)
            if other is not None:
                yield other.result()
        finally:
            if other is not None:
                other.wait()


def _block(size: int, seconds: float) -> int:
    """Bytes of the next block, from those of the last and the time that they took."""
    return max(_BLOCK, min(_LARGEST, int(size * _WHILE / max(seconds, 1e-6))))


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Beside:
    """One look in another thread. A pool takes several times as long to begin, as long as a small text takes to search."""

    def __init__(self, look: _Look, start: int, end: int) -> None:
        self._work = look, start, end
        self._found: list[Span] = []
        self._error: BaseException | None = None
        self._done = _thread.allocate_lock()
        self._done.acquire()
        _thread.start_new_thread(self._run, ())

    def _run(self) -> None:
        look, start, end = self._work
        try:
            self._found = look(start, end)
        except BaseException as error:  # noqa: BLE001  # raised by result
            self._error = error
        finally:
            self._done.release()

    def result(self) -> list[Span]:
        """What was found; waits for it."""
        self.wait()
        if self._error is not None:
            raise self._error
        return self._found

    def wait(self) -> None:
        """Until it is done."""
        with self._done:
            pass


class _Look:
    """Finds the matches of one block; two threads may do so at once."""

    def __init__(self, plan: Plan, data: Data, over: Clock, most: int | None) -> None:
        self._plan = plan
        self._data = data
        self._over = over
        self._most = most
        self._required = plan.required or plan.folded

    def __call__(self, start: int, end: int) -> list[Span]:
        if self._plan.exact is not None:
            strings = self._plan.exact.found(memoryview(self._data)[start:end])
            return [(start + first, start + last) for _, first, last in strings]
        found: list[Span] = []
        for some in _clean(self._plan, self._data, start, end, self._matches(start, end), self._over, self._most):
            found += some
        return found

    def _matches(self, start: int, end: int) -> Iterator[Span]:
        if self._plan.has_boundaries and not bytes(self._data[start:end]).isascii():
            matcher = _by_lines(self._plan, _mixed(self._plan), self._over, _MOST_CAREFUL)
        else:
            matcher = _by_lines(self._plan, self._plan.spans, self._over)
        required = self._required
        if required is None:
            return matcher(self._data, start, end)
        places = _places(required, self._data, start, end)
        first, size = next(places), min(end - start, _BLOCK)
        if len(first) * _NEAR > size > _NEAR:
            self._required = None  # they are everywhere: not looked for in the blocks that follow
            return matcher(self._data, start, end)
        return _on_lines(chain.from_iterable(chain((first,), places)), self._data, start, end, matcher)


def _places(needles: Needles, data: Data, start: int, end: int) -> Iterator[list[int]]:
    """Byte offsets at which one of the strings begins, in pieces: a line may be long, and the strings many."""
    view, more = memoryview(data), needles.longest - 1
    yield [start + place for place in needles.places(view[start : min(end, start + _BLOCK + more)])]
    for at in range(start + _BLOCK, end, _BLOCK):
        before = at - 1  # the byte that may have to stand before the first
        found = needles.places(view[before : min(end, at + _BLOCK + more)])
        yield [before + place for place in found if place]


def _on_lines(places: Iterator[int], data: Data, done: int, end: int, matcher: Matcher) -> Iterator[Span]:
    """Matches on the lines of these places; ``done`` is where the first of these lines may begin, ``end`` where all end."""
    place = next(places, None)
    while place is not None:
        start, done = _line_start(data, place, done), line_end(data, place + 1)
        while done < end and (place := next(places, None)) is not None and place < done + _NEAR:
            done = max(done, line_end(data, place + 1))
        yield from _within(matcher, data, start, done)
        if done >= end:
            return


def _within(matcher: Matcher, data: Data, start: int, end: int) -> Iterator[Span]:
    for span in matcher(data, start, end):
        if span[0] < end or end == len(data):  # an empty match there belongs to the next line
            yield span


def _by_lines(plan: Plan, matcher: Matcher, over: Clock, least: int | None = None) -> Matcher:
    """The matcher, so that it looks at the clock, where it can take long: by some lines at a time, and parts of a long one.

    Args:
        plan: the pattern, whose matches stay within a line.
        matcher: finds them.
        over: the clock.
        least: bytes of lines at a time at most, whatever the pattern; None: as many as it takes.
    """
    most = bytes_at_once(plan.effort, plan.program, over)
    if most is None and (least is None or over.seconds is None):
        return matcher
    step = min(one for one in (most, least) if one is not None)
    parts = _in_parts(plan, matcher, over, most) if most is not None else matcher

    def matches(data: Data, start: int, end: int) -> Iterator[Span]:
        if end - start <= step:  # the usual case: one line that holds what a match must hold
            return iter(()) if over() else matcher(data, start, end)
        return by_steps(data, start, end)

    def by_steps(data: Data, start: int, end: int) -> Iterator[Span]:
        while not over():
            stop = (
                end if end - start <= step else max(_line_start(data, start + step, start), line_end(data, start + 1))
            )
            if stop - start <= 2 * step:
                yield from _within(matcher, data, start, stop)
            else:
                yield from _within(parts, data, start, stop)
            if stop >= end:
                return
            start = stop

    return matches


def _in_parts(plan: Plan, matcher: Matcher, over: Clock, most: int) -> Matcher:
    """The matcher for a long line or text: by windows where matches have a bound, else where the time suffices."""

    def matches(data: Data, start: int, end: int) -> Iterator[Span]:
        if plan.effort.width is not None and matcher == plan.spans:
            yield from overlapping(matcher, data, start, end, most, plan.effort.width, over)
        elif affordable(matcher, data, start, end, most, over):
            for span in matcher(data, start, end):
                yield span
                if over():
                    return
        else:
            over.give_up()

    return matches


def _mixed(plan: Plan) -> Matcher:
    """For boundaries: stretches that are ASCII need no care."""
    plain, careful = plan.spans, plan.edges.spans if plan.edges is not None else _line_by_line(plan)

    def matches(data: Data, start: int, end: int) -> Iterator[Span]:
        for begin, stop, ascii in _stretches(data, start, end):
            yield from _within(plain if ascii else careful, data, begin, stop)

    return matches


def _stretches(data: Data, start: int, end: int) -> Iterator[tuple[int, int, bool]]:
    """Byte spans of whole lines, and whether they are ASCII; those that are not may hold some lines that are."""
    if end - start <= _NEAR:
        yield start, end, bytes(data[start:end]).isascii()
        return
    done = start
    for first, last in _runs(np.flatnonzero(np.frombuffer(data[start:end], np.int8) < 0) // _NEAR):
        begin = _line_start(data, max(done, start + first * _NEAR), done)
        stop = min(end, line_end(data, start + (last + 1) * _NEAR))
        if begin > done:
            yield done, begin, True
        if stop > done:
            yield begin, stop, False
            done = stop
    if done < end:
        yield done, end, True


def _runs(numbers: Any) -> list[tuple[int, int]]:
    """First and last of the runs in ascending numbers."""
    if not len(numbers):
        return []
    cuts = np.flatnonzero(np.diff(numbers) > 1)
    firsts, lasts = numbers[np.concatenate(([0], cuts + 1))], numbers[np.concatenate((cuts, [len(numbers) - 1]))]
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


def _line_by_line(plan: Plan) -> Matcher:
    """For boundaries anywhere in the pattern: lines that match without them are looked at one by one."""
    plain = plan.spans

    def matches(data: Data, start: int, end: int) -> Iterator[Span]:
        behind = end == len(data) and (end == start or data[end - 1] == _LF)  # an empty last line
        for match in plan.relaxed.finditer(data, start, end):
            place = match.start()
            if place < start or (place == end and not behind):
                continue
            first, start = _line_start(data, place, start), line_end(data, place + 1)
            yield from _within(on_a_line, data, first, start)

    def on_a_line(data: Data, start: int, end: int) -> Iterator[Span]:
        line = bytes(data[start : end - (end > start and data[end - 1] == _LF)])
        yield from plain(data, start, end) if line.isascii() else _with_marks(plan, line, start)

    return matches


def _with_marks(plan: Plan, line: bytes, start: int) -> Iterator[Span]:
    if len(line) > _MOST_MARKED:
        raise plan.no_boundary()
    text = line.decode()
    byte, char = start, 0
    for first, last in plan.marked.spans(text):
        begin = byte + len(text[char:first].encode())
        byte, char = begin + len(text[first:last].encode()), last
        yield begin, byte


# --- patterns whose matches may go over lines -------------------------------------------------------------------------


def _whole(plan: Plan, data: Data, over: Clock) -> Matcher:
    if not plan.has_boundaries or is_ascii(data):
        matcher: Matcher = plan.spans
    elif plan.edges is not None:
        matcher = plan.edges.spans
    else:
        return lambda data, start, end: _with_marks(plan, bytes(data[start:end]), start)
    most = bytes_at_once(plan.effort, plan.program, over)
    return matcher if most is None or len(data) <= 2 * most else _in_parts(plan, matcher, over, most)


def is_ascii(data: Data) -> bool:
    """Whether all characters are ASCII."""
    return all(bytes(data[at : at + _FIRST]).isascii() for at in range(0, len(data), _FIRST))


# --- what is a match --------------------------------------------------------------------------------------------------


def _clean(
    plan: Plan, data: Data, start: int, end: int, matches: Iterator[Span], over: Clock, most: int | None = None
) -> Iterator[list[Span]]:
    """Without empty matches inside a character, right behind another match, or at the beginning of the next block."""
    found: list[Span] = []
    last, size, trims = -1, len(data), plan.ends_lines
    until = time.monotonic() + _MOMENT
    for number, (first, to) in enumerate(matches):
        if first < to:
            last = to
            if trims and to < size and data[to] == _LF and data[to - 1] == _CR:
                to -= 1
            found.append((first, to))
        elif first != last and (first < end or end == size) and not (first < size and data[first] & 0xC0 == 0x80):
            last = to
            found.append((first, to))
        if len(found) == most:
            break
        if not number % _LOOKS and time.monotonic() > until:
            yield found
            if over():
                return
            found, until = [], time.monotonic() + _MOMENT
    yield found


# --- lines ------------------------------------------------------------------------------------------------------------


def line_end(data: Data, at: int) -> int:
    """The first byte offset from ``at`` on at which a line has ended; ``at`` itself when it is behind a line end."""
    size, at = len(data), max(at - 1, 0)
    while at < size:
        block = bytes(data[at : at + _LINE])
        if (found := block.find(b"\n")) >= 0:
            return at + found + 1
        at += len(block)
    return size


def _line_start(data: Data, at: int, least: int) -> int:
    """Where the line of a byte begins, or ``least`` if it begins before."""
    while at > least:
        begin = max(least, at - _LINE)
        if (found := bytes(data[begin:at]).rfind(b"\n")) >= 0:
            return begin + found + 1
        at = begin
    return least
