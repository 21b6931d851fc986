"""Finds the expression that a cell ends with, without parsing the cell in the host's process.

Python's own parser recurses, and its documentation warns that hostile text may crash it. Cells are hostile by default,
so only their tokens are looked at.
"""

from __future__ import annotations

import io
import keyword
import tokenize
from dataclasses import dataclass, field

_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")
_IN_EXPRESSIONS = {"None", "True", "False", "not", "lambda", "await", "yield"}
_STATEMENTS = frozenset(keyword.kwlist) - _IN_EXPRESSIONS
_ASSIGNMENTS = {"=", "+=", "-=", "*=", "/=", "//=", "%=", "@=", "&=", "|=", "^=", ">>=", "<<=", "**=", ":="}
_SKIPPED = {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER}


@dataclass(slots=True)
class _Statement:
    row: int
    column: int
    first: str
    lambdas: int = 0
    colons: int = 0
    assigns: bool = False

    @property
    def is_expression(self) -> bool:
        return self.first not in _STATEMENTS and self.first != "@" and not self.assigns and self.colons <= self.lambdas


@dataclass(slots=True)
class _Line:
    """One logical line."""

    level: int
    statements: list[_Statement] = field(default_factory=list)


def assigned_last(code: str, target: str) -> tuple[str, list[str]]:
    """The cell with its last expression assigned to a variable, and the names that occur in the cell.

    Args:
        code: of the cell; text that is no Python comes back as it is.
        target: name of the variable.

    Example:
        >>> assigned_last("x = 1; x + y", "last")
        ('x = 1; last = x + y', ['x', 'y'])
    """
    names: dict[str, None] = {}
    try:
        line = _last_line(code, names)
    except (tokenize.TokenError, SyntaxError):  # the interpreter will say it better
        return code, list(names)
    if line is None or line.level or line.statements[0].first in _STATEMENTS & _BLOCKS:
        return code, list(names)
    last = line.statements[-1]
    if not last.is_expression:
        return code, list(names)
    rows = code.split("\n")
    row = rows[last.row]
    rows[last.row] = f"{row[: last.column]}{target} = {row[last.column :]}"
    return "\n".join(rows), list(names)


_BLOCKS = frozenset(("if", "for", "while", "try", "with", "def", "class", "async", "else", "elif", "except", "finally"))


def _last_line(code: str, names: dict[str, None]) -> _Line | None:
    level = depth = 0
    line: _Line | None = None
    complete = True
    fresh = True
    for token in tokenize.generate_tokens(io.StringIO(code, newline="\n").readline):
        kind, text = token.type, token.string
        if kind == tokenize.INDENT:
            level += 1
        elif kind == tokenize.DEDENT:
            level -= 1
        elif kind == tokenize.NEWLINE:
            complete = True
        elif kind not in _SKIPPED:
            if kind == tokenize.NAME and not keyword.iskeyword(text):
                names[text] = None
            if complete:
                line, complete, fresh = _Line(level), False, True
            assert line is not None
            if text == ";" and not depth:
                fresh = True
                continue
            if fresh:
                line.statements.append(_Statement(token.start[0] - 1, token.start[1], text))
                fresh = False
            depth = _note(line.statements[-1], kind, text, depth)
    return line if line is not None and line.statements else None


def _note(statement: _Statement, kind: int, text: str, depth: int) -> int:
    if kind == tokenize.NAME and text == "lambda" and not depth:
        statement.lambdas += 1
    if kind != tokenize.OP:
        return depth
    if text in _OPENING:
        return depth + 1
    if text in _CLOSING:
        return max(0, depth - 1)
    if not depth:
        statement.assigns |= text in _ASSIGNMENTS
        statement.colons += text == ":"
    return depth
