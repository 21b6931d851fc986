"""Python source that a model wrote, as a syntax tree that is only looked at. Nothing of it is run here."""

from __future__ import annotations

import ast
import re
import textwrap

MOST_CHARS = 50_000
"""Longer source is not looked at: the parser is in the host's process, and its work grows with the text."""
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_KNOWN_ESCAPES = frozenset("\\'\"abfnrtvx01234567NuU\n\r")


def parsed(source: str, *, dedent: bool = False) -> ast.Module | None:
    """The syntax tree; None for what is no Python, or more than :data:`MOST_CHARS`.

    Args:
        source: of a cell, or of an expression.
        dedent: take off the indentation that all lines share.

    Example:
        >>> parsed("x = 1") is None, parsed("The value is 1") is None
        (False, True)
    """
    if len(source) > MOST_CHARS:
        return None
    # `"\d"` is what Python takes it for, a backslash and a d, but the parser would warn of it on the host's stderr.
    quiet = _ESCAPE.sub(lambda found: found[0] if found[1] in _KNOWN_ESCAPES else "\\" + found[0], source)
    try:
        return ast.parse(textwrap.dedent(quiet) if dedent else quiet)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
