"""What every match of a regular expression must contain, so that a store can leave out texts which cannot match."""

from __future__ import annotations

import re
import warnings
from typing import Any

LEAST_CHARS = 3
"""Shorter strings stand in too many texts to be worth a request."""
MOST_LITERALS = 16
_MOST_CHARS = 200  # of one literal; a part of a string that is required is required too


def required_literals(pattern: str) -> list[str] | None:
    """Strings of which every match holds at least one, exactly as they stand; None when there are no useful ones.

    Args:
        pattern: a regular expression in Python's syntax.

    Example:
        >>> required_literals(r"(?:time|read)out: \\d+ ms")
        ['out: ']
    """
    if "[:" in pattern:  # [[:alpha:]] means something else to re
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compiled = re.compile(pattern, re.MULTILINE)
            if compiled.flags & (re.IGNORECASE | re.VERBOSE):
                return None
            parsed: Any = re._parser.parse(pattern, re.MULTILINE)  # type: ignore[attr-defined]
    except (re.error, RecursionError, OverflowError):  # re2 knows forms that re does not
        return None
    found = _best(parsed)
    if not found or len(found) > MOST_LITERALS or min(map(len, found)) < LEAST_CHARS:
        return None
    return sorted({literal[:_MOST_CHARS] for literal in found})


def _best(sequence: Any) -> list[str] | None:
    """The alternatives of the most telling part of a sequence; None when nothing is required."""
    options: list[list[str]] = []
    run: list[str] = []

    def end_run() -> None:
        if run:
            options.append(["".join(run)])
            run.clear()

    for kind, value in sequence:
        name = str(kind)
        if name == "LITERAL":
            run.append(chr(value))
            continue
        if name == "AT":  # an anchor has no length, and what stands at its two sides is adjacent
            if str(value) in ("AT_BOUNDARY", "AT_NON_BOUNDARY"):
                continue
            end_run()
            continue
        end_run()
        inner: list[str] | None = None
        if name == "SUBPATTERN":
            _, added, removed, body = value
            inner = None if (added | removed) & re.IGNORECASE else _best(body)
        elif name == "ATOMIC_GROUP":
            inner = _best(value)
        elif name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            inner = _best(value[2]) if value[0] >= 1 else None
        elif name == "BRANCH":
            branches = [_best(branch) for branch in value[1]]
            inner = [one for branch in branches for one in branch or ()] if all(branches) else None
        if inner:
            options.append(inner)
    end_run()
    return max(options, key=lambda option: (min(map(len, option)), -len(option)), default=None)
