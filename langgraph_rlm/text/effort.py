"""How much work a pattern can make, and a matcher that is never long at it.

re2 takes linear time, but not the same for each byte: an automaton that it cannot keep in memory is worked out anew for each
byte, in time that grows with the compiled program. ``\\pL{500}\\pL{500}z`` took 50 microseconds for each. So programs are bounded,
and those that can take long look at no more of a text at once than they are done with in a part of the time.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from langgraph_rlm.text.boundaries import Span
from langgraph_rlm.text.clock import Clock
from langgraph_rlm.text.lines import Data
from langgraph_rlm.text.patterns import Token

MOST_PROGRAM_BYTES = 2_400_000
"""Of re2's memory while it compiles: 150,000 instructions, which take a quarter of a second. ``\\w{1,100}`` has 144,000."""
CERTAINLY_SMALL = 60
"""Characters that a pattern stands for: so many of the largest class, of 2,400 instructions, are a program of that size."""
FEW = 12
"""Characters that a pattern stands for: the automaton of fewer has so few states that it stays in memory."""

_SECONDS_PER_STEP = 2e-9
"""For each byte and instruction at worst; 1.0 was measured on a slow core."""
_SHARE = 0.25
"""Of the time, for one look."""
_LEAST = 256
"""Bytes of one look: starting it takes as long as some hundred bytes."""
_LARGEST = 1 << 22
"""Bytes of one look from which on nothing is gained."""
_SAMPLES = 8
"""Looks at a long line before all of it; together they take a part of the time that one look may."""
_UTF8 = 4
"""Bytes of a character, and …"""
_BESIDE = 2 * _UTF8
"""… of those beside a match that say whether it is one."""


Matcher = Callable[[Data, int, int], Iterator[Span]]
"""Byte spans of the matches between two offsets, each an end of a line or of the data; some are empty or not wanted."""


class Effort(NamedTuple):
    """What a pattern stands for when its repeats are written out."""

    characters: int
    """Places that stand for a character."""
    width: int | None
    """Characters of the longest match, at most; None: without a bound."""


def effort_of(parts: Sequence[Token]) -> Effort:
    """The effort of a pattern that re2 has taken.

    Example:
        >>> from langgraph_rlm.text.patterns import tokens
        >>> effort_of(list(tokens(r"(?:ab){3}\\d?x")))
        Effort(characters=8, width=8)
    """
    open_: list[list[Effort]] = [[]]
    for part in parts:
        pieces = open_[-1]
        if part.kind in ("atom", "line_end"):
            pieces.append(Effort(1, 1))
        elif part.kind == "group" and part.re2 == ")" and len(open_) > 1:
            inner = _sum(open_.pop())
            open_[-1].append(inner)
        elif part.kind == "group" and part.re2.startswith("(") and not part.re2.endswith(")"):
            open_.append([])
        elif part.kind == "repeat" and pieces:
            pieces.append(_repeated(pieces.pop(), part.re2))
        else:
            pieces.append(Effort(0, 0))
    return _sum([one for pieces in open_ for one in pieces])


def _sum(pieces: Sequence[Effort]) -> Effort:
    widths = [one.width for one in pieces]
    return Effort(
        sum(one.characters for one in pieces),
        None if None in widths else sum(width for width in widths if width is not None),
    )


def _repeated(one: Effort, repeat: str) -> Effort:
    if repeat[0] == "?":
        return one
    least, comma, most = repeat.strip("{?}").partition(",") if repeat[0] == "{" else ("1", ",", "")
    if comma and not most:
        return Effort(one.characters * max(1, int(least)), 0 if one.width == 0 else None)
    times = int(most or least)
    return Effort(one.characters * times, None if one.width is None else one.width * times)


def bytes_at_once(effort: Effort, program: int, clock: Clock) -> int | None:
    """How much of a text a pattern may look at in one go; None: all of it.

    Args:
        effort: of the pattern.
        program: its instructions.
        clock: the time of the search.
    """
    if clock.seconds is None or effort.characters <= FEW:
        return None
    most = max(_LEAST, int(clock.seconds * _SHARE / (program * _SECONDS_PER_STEP)))
    return None if most >= _LARGEST else most


def overlapping(
    matcher: Matcher, data: Data, start: int, end: int, most: int, width: int, clock: Clock
) -> Iterator[Span]:
    """The matches of a pattern whose matches have a bound, by windows that overlap by it.

    Args:
        matcher: byte spans of the matches between two offsets.
        data: UTF-8 text.
        start, end: where.
        most: bytes of a window.
        width: characters of the longest match.
        clock: looked at before each window.
    """
    reach = width * _UTF8 + _BESIDE
    while not clock():
        stop = min(end, start + max(most, 2 * reach))
        done = start
        for first, last in matcher(data, start, stop):
            if stop < end and first >= stop - reach:
                break  # it may go on behind the window
            yield first, last
            done = max(last, first)
        if stop >= end:
            return
        start = max(done, stop - reach)
        while data[start] & 0xC0 == 0x80:  # within a character
            start += 1


def affordable(matcher: Matcher, data: Data, start: int, end: int, most: int, clock: Clock) -> bool:
    """Whether a look at so much is done in time, judged by some small looks at places that nobody can foresee."""
    size = max(_LEAST, most // _SAMPLES)
    slowest = 0.0
    for number in range(_SAMPLES):
        if clock():
            return False
        at = start if number == 0 else random.randrange(start, max(start + 1, end - size))
        begun = time.perf_counter()
        next(iter(matcher(data, at, min(end, at + size))), None)
        slowest = max(slowest, (time.perf_counter() - begun) / size)
    return slowest * (end - start) <= clock.left + (clock.seconds or 0.0) / 2
