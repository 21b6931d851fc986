"""What a root model's reply asks for: its cells in order, and the prose around them."""

from __future__ import annotations

import ast
import re
from typing import NamedTuple

# As in CommonMark, what follows the language holds no backtick: ```x``` on one line opens nothing. Possessive, because a
# long line that opens nothing would else be split in every way into marks, blanks, language and the rest.
_FENCE = re.compile(
    r"^([ \t]*+)(`{3,}+|~{3,}+)[ \t]*+([\w+-]*+)[^\n`]*+\n(.*?)(?:^[ \t]*+\2[ \t]*$|\Z)", re.MULTILINE | re.DOTALL
)
_CELL_LANGUAGES = {"repl", "python", "py"}
# FINAL(total) means the variable where there is one of that name, and the word where there is none.
_NAMED = (
    "FINAL({name!r} if {name!r} in ('context', 'answer') or callable(globals().get({name!r}, print)) "
    "else globals()[{name!r}])"
)
_FINAL_LINE = re.compile(r"\AFINAL\((.*)\)")
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
    text = text.replace("\r\n", "\n")
    cells: list[str] = []

    def take(match: re.Match[str]) -> str:
        if match[3].lower() not in _CELL_LANGUAGES:
            return match[0]
        code = re.sub(rf"^[ \t]{{1,{len(match[1])}}}", "", match[4], flags=re.MULTILINE) if match[1] else match[4]
        code = code.strip("\n").rstrip()
        if code.strip():
            cells.append(code)
        return "\n"

    prose = _FENCE.sub(take, text).strip()
    last = _FENCE.sub("\n", text).strip().rsplit("\n", 1)[-1].strip()
    if named := _FINAL_VAR_LINE.fullmatch(last):
        cells.append(f"FINAL_VAR({named[1]!r})")
    elif (given := _FINAL_LINE.fullmatch(last)) and (answer := given[1].strip()):
        value = _literal(answer)
        if answer.isidentifier() and value == answer:
            cells.append(_NAMED.format(name=answer))
        elif value != answer or _is_one_argument(answer):
            cells.append(f"FINAL({value!r})")
    return Reply(prose, cells)


def _is_one_argument(argument: str) -> bool:
    """Whether the parenthesis opened before it stays open: in ``FINAL(a) or FINAL(b)`` it does not, that is prose."""
    depth = 0
    for character in argument:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            return False
    return True


def _literal(argument: str) -> object:
    """The value of a Python literal, else the words as they stand: models write both ``FINAL("Rome")`` and ``FINAL(Rome)``."""
    try:
        value = ast.literal_eval(argument)
        repr(value)  # an int may have too many digits to be written
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return argument
    return value if isinstance(value, str | int | float | list | dict | bool) else argument
