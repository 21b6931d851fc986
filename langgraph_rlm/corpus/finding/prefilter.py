"""What every match of a regular expression must contain, so that a store can leave out texts which cannot match."""

from __future__ import annotations

from langgraph_rlm.text.literals import literals_of

LEAST_CHARS = 3
"""Shorter strings stand in too many texts to be worth a request."""
MOST_LITERALS = 16
"""Strings of one question to a store: more make it slower than reading the texts."""


def required_literals(pattern: str) -> list[str] | None:
    """Strings of which every match holds at least one, exactly as they stand; None when there are no useful ones.

    Args:
        pattern: a regular expression in Python's syntax.

    Example:
        >>> required_literals(r"(?:time|read)out: \\d+ ms")
        ['out: ']
    """
    required = literals_of(pattern, most=MOST_LITERALS, least=LEAST_CHARS, classes=False).required
    found = [] if required is None else sorted({literal.decode() for literal in required.strings})
    return found if found and min(map(len, found)) >= LEAST_CHARS else None
