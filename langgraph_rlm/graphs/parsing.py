"""What a root model's reply asks for: its cells in order, and the prose around them."""

from __future__ import annotations

import ast
import re
from typing import NamedTuple

_FENCE = re.compile(
    r"^[ \t]*(`{3,}|~{3,})[ \t]*([\w+-]*)[^\n]*\n(.*?)(?:^[ \t]*\1[ \t]*$|\Z)", re.MULTILINE | re.DOTALL
)
_CELL_LANGUAGES = {"repl", "python", "py"}
_FINAL_LINE = re.compile(r"FINAL\((.*)\)")
_FINAL_VAR_LINE = re.compile(r"FINAL_VAR\(\s*[\"']?([A-Za-z_]\w*)[\"']?\s*\)")


class Reply(NamedTuple):
    """A parsed reply."""

    thought: str
    """The prose outside the cells."""
    cells: list[str]
    """Code to run, in order; a ``FINAL(…)`` on the last line of the prose comes as the last cell."""


def parse_reply(text: str) -> Reply:
    r"""Split a reply into prose and cells.

    Cells are the contents of ``repl``, ``python`` and ``py`` fences; a fence that is never closed counts to the end of
    the reply. Prose is never taken for an answer, except a last line that is exactly ``FINAL(…)`` or ``FINAL_VAR(…)``.

    Example:
        >>> parse_reply("Look first.\n```repl\nprint(1)\n```")
        Reply(thought='Look first.', cells=['print(1)'])
    """
    cells: list[str] = []

    def take(match: re.Match[str]) -> str:
        if match[2].lower() not in _CELL_LANGUAGES:
            return match[0]
        code = match[3].strip("\n").rstrip()
        if code.strip():
            cells.append(code)
        return "\n"

    prose = _FENCE.sub(take, text).strip()
    last = prose.rsplit("\n", 1)[-1].strip()
    if named := _FINAL_VAR_LINE.fullmatch(last):
        cells.append(f"FINAL_VAR({named[1]!r})")
    elif (given := _FINAL_LINE.fullmatch(last)) and given[1].strip():
        cells.append(f"FINAL({_literal(given[1].strip())!r})")
    return Reply(prose, cells)


def _literal(argument: str) -> object:
    """The value of a Python literal, else the words as they stand: models write both ``FINAL("Rome")`` and ``FINAL(Rome)``."""
    try:
        value = ast.literal_eval(argument)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return argument
    return value if isinstance(value, str | int | float | list | dict | bool) else argument
