"""What every match of a regular expression must contain, so that a text can be searched for that first.

Finding a string runs at the speed of memory, a regular expression at a tenth of it or less.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from itertools import product
from math import prod
from typing import Any, NamedTuple

from langgraph_rlm.text.patterns import DIGIT_LEADS

_MOST_EXACT = 5_000
_MOST_EXACT_CHARS = 100_000
_MOST_OF_A_CLASS = 20
_LONGEST = 200  # a part of what is required is required too

Choice = tuple[bytes, ...]
"""What one place of a pattern may be."""


class Literals(NamedTuple):
    """What is known of a pattern's matches.

    ``exact``: the matches are these strings and nothing else, the first in the list where several begin at one place.
    ``required``: every match contains at least one of these. Either is None when there is no such list.
    """

    exact: list[bytes] | None
    required: list[bytes] | None


def literals_of(pattern: str, *, most: int, classes: bool = True) -> Literals:
    """What every match of a pattern is, or contains, in UTF-8.

    Args:
        pattern: a regular expression in Python's syntax.
        most: strings in ``required``.
        classes: small character classes may be written out; then a string may end within a character.

    Example:
        >>> literals_of(r"(?:time|read)out: \\d+ ms", most=16, classes=False).required
        [b'out: ']
    """
    parsed = _parsed(pattern)
    if parsed is None:
        return Literals(None, None)
    exact = _exact(parsed)
    if exact is not None and (not all(exact) or sum(map(len, exact)) > _MOST_EXACT_CHARS):
        exact = None
    found = _Finder(most, classes).best(parsed)
    return Literals(exact, None if found is None else sorted({literal[:_LONGEST] for literal in found}))


def _parsed(pattern: str) -> Any:
    """The syntax tree; None when Python reads the pattern differently, or upper and lower case are the same."""
    if "[:" in pattern:  # [[:alpha:]] means something else to re
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compiled = re.compile(pattern, re.MULTILINE)
            if compiled.flags & (re.IGNORECASE | re.VERBOSE):
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
    """Looks for the most telling part of a sequence: the longest strings, of which there are few."""

    def __init__(self, most: int, classes: bool) -> None:
        self._most = most
        self._classes = classes

    def best(self, sequence: Any) -> Choice | None:
        """The alternatives of that part; None when nothing is required."""
        run = _Run(self._most)
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

    def _inner(self, name: str, value: Any) -> Choice | None:
        if name == "SUBPATTERN":
            _, added, removed, body = value
            return None if (added | removed) & re.IGNORECASE else self.best(body)
        if name == "ATOMIC_GROUP":
            return self.best(value)
        if name == "BRANCH":
            branches = [self.best(branch) for branch in value[1]]
            return tuple(one for branch in branches for one in branch or ()) if all(branches) else None
        return None


class _Members(NamedTuple):
    choice: list[bytes]
    open: bool
    """Only the first bytes of some characters are listed, so that nothing can follow."""


class _Run:
    """Places that stand side by side, and the best part of them so far."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._places: list[list[bytes]] = []
        self._options: list[Choice] = []

    def add(self, members: _Members) -> None:
        while self._places and prod(map(len, self._places)) * len(members.choice) > self._most:
            self._keep()
            del self._places[0]
        self._places.append(members.choice)
        if members.open:
            self.end()

    def end(self) -> None:
        self._keep()
        self._places.clear()

    def offer(self, option: Choice | None) -> None:
        if option and len(option) <= self._most:
            self._options.append(option)

    def best(self) -> Choice | None:
        self.end()
        return max(self._options, key=lambda option: (min(map(len, option)), -len(option)), default=None)

    def _keep(self) -> None:
        if self._places:
            self._options.append(tuple(b"".join(parts) for parts in product(*self._places)))


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
