"""What every match of a regular expression must contain, so that a text can be searched for that first.

Finding a string runs at the speed of memory, a regular expression at a tenth of it or less.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from itertools import product
from math import prod
from typing import Any, NamedTuple

from langgraph_rlm.text.patterns import DIGIT_LEADS

_MOST_EXACT = 5_000
"""Strings, and …"""
_MOST_EXACT_CHARS = 100_000
"""… their characters, that an automaton is made of in a few milliseconds."""
_MOST_OF_A_CLASS = 64
"""Characters that a class is written out to; a larger one tells little about a text."""
_LONGEST = 200  # a part of what is required is required too


class Option(NamedTuple):
    """Strings of which every match contains at least one, and the bytes that may stand right before it (None: any)."""

    strings: tuple[bytes, ...]
    before: frozenset[int] | None = None


class Literals(NamedTuple):
    """What is known of a pattern's matches.

    ``exact``: the matches are these strings and nothing else, the first in the list where several begin at one place.
    ``required``: what every match contains. Either is None when nothing is known.
    """

    exact: list[bytes] | None
    required: Option | None


def literals_of(pattern: str, *, most: int, least: int = 1, classes: bool = True, fold: bool = False) -> Literals:
    """What every match of a pattern is, or contains, in UTF-8.

    Args:
        pattern: a regular expression in Python's syntax.
        most: strings in ``required``.
        least: bytes of each of them.
        classes: small character classes may be written out; then a string may end within a character.
        fold: also for patterns that ignore case; then a match contains a string up to upper and lower case.

    Example:
        >>> literals_of(r"(?:time|read)out: \\d+ ms", most=16, classes=False).required.strings
        (b'out: ',)
    """
    parsed = _parsed(pattern, fold)
    if parsed is None:
        return Literals(None, None)
    exact = _exact(parsed)
    if exact is not None and (not all(exact) or sum(map(len, exact)) > _MOST_EXACT_CHARS):
        exact = None
    return Literals(exact, _Finder(most, least, classes).best(parsed))


def _parsed(pattern: str, fold: bool) -> Any:
    """The syntax tree; None when Python reads the pattern differently, or it ignores case."""
    if "[:" in pattern:  # [[:alpha:]] means something else to re
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compiled = re.compile(pattern, re.MULTILINE)
            if compiled.flags & (re.VERBOSE if fold else re.VERBOSE | re.IGNORECASE):
                return None
            return re._parser.parse(pattern, re.MULTILINE)  # type: ignore[attr-defined]
    except (re.error, RecursionError, OverflowError):  # re2 knows forms that re does not
        return None


def _exact(sequence: Any) -> list[bytes] | None:
    """All strings that a sequence can match, the preferred one first."""
    found = [b""]
    for kind, value in sequence:
        name = str(kind)
        options: list[bytes] | None = None
        if name == "LITERAL":
            options = [_utf8(value)]
        elif name == "SUBPATTERN" and not (value[1] | value[2]):
            options = _exact(value[3])
        elif name == "BRANCH":
            branches = [_exact(branch) for branch in value[1]]
            options = [one for branch in branches for one in branch or ()] if None not in branches else None
        elif name == "IN":
            listed = _members(value)
            options = None if listed is None or listed.open else listed.choice
        if not options or len(found) * len(options) > _MOST_EXACT:
            return None
        found = [left + right for left in found for right in options]
    return list(dict.fromkeys(found))


class _Finder:
    """Looks for the most telling part of a sequence: long strings of rare characters, of which there are few."""

    def __init__(self, most: int, least: int, classes: bool) -> None:
        self._most = most
        self._least = least
        self._classes = classes

    def best(self, sequence: Any) -> Option | None:
        """The alternatives of that part; None when nothing is required."""
        run = _Run(self._most, self._least)
        for kind, value in sequence:
            name = str(kind)
            if name == "AT" and str(value) in ("AT_BOUNDARY", "AT_NON_BOUNDARY"):
                continue  # it has no length, and what stands at its two sides is adjacent
            if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
                self._repeat(run, *value)
            elif (choice := self._choice(name, value)) is not None:
                run.add(choice)
            else:
                run.end()
                run.offer(self._inner(name, value))
        return run.best()

    def _repeat(self, run: _Run, least: int, most: int, body: Any) -> None:
        single = self._choice(str(body[0][0]), body[0][1]) if len(body) == 1 else None
        if single is None or not least:
            run.end()
            run.offer(self.best(body) if least else None)
            return
        for _ in range(min(least, _LONGEST)):
            run.add(single)
        if most != least or least > _LONGEST:
            run.end()
            run.add(single)  # the last one stands before what follows

    def _choice(self, name: str, value: Any) -> _Members | None:
        if name == "LITERAL":
            return _Members([_utf8(value)], False)
        return _members(value) if name == "IN" and self._classes else None

    def _inner(self, name: str, value: Any) -> Option | None:
        if name == "SUBPATTERN":
            _, added, removed, body = value
            return None if (added | removed) & re.IGNORECASE else self.best(body)
        if name == "ATOMIC_GROUP":
            return self.best(value)
        if name == "BRANCH":
            branches = [self.best(branch) for branch in value[1]]
            if None in branches:
                return None
            return Option(tuple(one for branch in branches if branch for one in branch.strings))
        return None


class _Members(NamedTuple):
    choice: list[bytes]
    open: bool
    """Only the first bytes of some characters are listed, so that nothing can follow."""


class _Run:
    """Places that stand side by side, and the best part of them so far."""

    def __init__(self, most: int, least: int) -> None:
        self._most = most
        self._least = least
        self._places: list[list[bytes]] = []
        self._before: frozenset[int] | None = None
        self._options: list[Option] = []

    def add(self, members: _Members) -> None:
        while self._places and (
            len(self._places) >= _LONGEST or prod(map(len, self._places)) * len(members.choice) > self._most
        ):
            self._keep()
            self._before = frozenset(one[-1] for one in self._places.pop(0))
        self._places.append(members.choice)
        if members.open:
            self.end()

    def end(self) -> None:
        self._keep()
        self._places.clear()
        self._before = None

    def offer(self, option: Option | None) -> None:
        if option and len(option.strings) <= self._most and min(map(len, option.strings)) >= self._least:
            self._options.append(option)

    def best(self) -> Option | None:
        self.end()
        return min(self._options, key=_commonness, default=None)

    def _keep(self) -> None:
        if self._places:
            strings = tuple(sorted(b"".join(parts) for parts in product(*self._places)))
            self.offer(Option(strings, None if _overlap(strings) else self._before))


def _overlap(strings: Sequence[bytes]) -> bool:
    """Whether one can begin within another: then finding the other could hide it."""
    return any(
        other.startswith(one[at:]) or one[at:].startswith(other)
        for one in strings
        for at in range(1, len(one))
        for other in strings
    )


def _commonness(option: Option) -> float:
    """How often one of the strings is met in usual text, roughly."""
    before = 1.0 if option.before is None else sum(_share(byte) for byte in option.before)
    return before * sum(prod(map(_share, string)) for string in option.strings)


def _share(byte: int) -> float:
    return _SHARES.get(byte, _RARE)


_RARE = 0.004
"""Share of a byte that is not in the table, about that of a letter like j or q with its neighbours."""
_SHARES = {
    ord(char): share / 100
    for chars, share in (
        (" ", 15),
        ("e", 9),
        ("taoinsr", 6),
        ("lhd", 3.5),
        ("cumpfg", 2),
        ("ywbv_.,\n", 1.2),
        ("01", 1),
    )
    for char in chars
}
"""Of bytes in English text and code; all others count as rare."""


def _members(items: Iterable[Any]) -> _Members | None:
    """What a character class stands for; None when that is much."""
    chars: set[int] = set()
    leads: set[bytes] = set()
    for kind, value in items:
        name = str(kind)
        if name == "LITERAL":
            chars.add(value)
        elif name == "RANGE" and value[1] - value[0] < _MOST_OF_A_CLASS:
            chars.update(range(value[0], value[1] + 1))
        elif name == "CATEGORY" and str(value) == "CATEGORY_DIGIT":
            chars.update(b"0123456789")
            leads.update(DIGIT_LEADS)
        else:
            return None
    return (
        None if len(chars) > _MOST_OF_A_CLASS else _Members([*map(_utf8, sorted(chars)), *sorted(leads)], bool(leads))
    )


def _utf8(code_point: int) -> bytes:
    return chr(code_point).encode(errors="surrogatepass")
