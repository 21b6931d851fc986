"""Code that no fence names as such: whether a model meant it for the REPL."""

from __future__ import annotations

import ast
import re
from typing import NamedTuple

from langgraph_rlm.calls.functions import ALIASES, FUNCTIONS
from langgraph_rlm.calls.python_source import parsed

_GIVEN = frozenset(("context", "context_chunks", "FINAL", "FINAL_VAR", "SHOW_VARS", "CallError", *FUNCTIONS, *ALIASES))
_CALLED = _GIVEN - {"context", "context_chunks"} | {"print"}
_LANGUAGE_LINE = re.compile(r"(?:repl|python|py|tool_code)[ \t]*+\n", re.IGNORECASE)
_STATEMENTS = (ast.Assign, ast.AugAssign, ast.Import, ast.ImportFrom, ast.For, ast.While, ast.If, ast.With, ast.Try, ast.FunctionDef, ast.ClassDef)  # fmt: skip
_MOST_CUTS = 8
"""Places at which code may begin; more are not tried, as each is parsed."""
_BREAK = re.compile(r":[ \t]*+\n|\n[ \t]*+\n")


class Found(NamedTuple):
    """A reply without fences that ends with code."""

    prose: str
    code: str


def is_code(source: str, *, alone: bool) -> bool:
    """Whether this is Python that looks at what only the REPL has.

    Args:
        source: what a fence without a language holds.
        alone: no other block of the reply is a cell: then it need only do something, for names of earlier cells are not
            known here.

    Example:
        >>> is_code("print(len(context))", alone=False), is_code("Total: 500", alone=True)
        (True, False)
    """
    tree = parsed(source)
    if tree is None or not tree.body:
        return False
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    if not all(isinstance(statement, (*_STATEMENTS, ast.Expr)) for statement in tree.body):
        return False
    called = _called(tree)
    if names & _GIVEN and (called or any(isinstance(statement, _STATEMENTS) for statement in tree.body)):
        return True
    return alone and "print" in called


def code_behind_prose(text: str) -> Found | None:
    """The code of a reply that has no fence: all of it, or all that follows an empty line or a colon.

    Args:
        text: a reply.

    Returns:
        None unless the code is certain: it parses, and it calls a function of the REPL. A mere ``FINAL(…)`` is no code:
        what it submits may be plain words.
    """
    text = text.strip()
    if not any(f"{name}(" in text for name in _CALLED):
        return None
    starts = [0]
    for found in _BREAK.finditer(text):
        starts.append(found.end())
        if len(starts) == _MOST_CUTS:
            break
    for start in starts:
        code = text[start:].strip("\n")
        if (language := _LANGUAGE_LINE.match(code)) is not None:
            code = code[language.end() :].strip("\n")
        tree = parsed(code)
        if tree is None:
            continue
        if _is_certain(tree):
            return Found(text[:start].strip(), code)
        return None
    return None


def with_quoted_names(cells: list[str]) -> list[str]:
    """The cells with ``FINAL_VAR(name)`` as ``FINAL_VAR('name')``: a text in that variable is no name of one.

    Args:
        cells: of one reply; where one of them puts another variable's name into the variable, nothing is changed.

    Example:
        >>> with_quoted_names(["report = 'Rome'\\nFINAL_VAR(report)"])
        ["report = 'Rome'\\nFINAL_VAR('report')"]
    """
    if not any("FINAL_VAR(" in cell for cell in cells):
        return cells
    trees = [parsed(cell) for cell in cells]
    nodes = [node for tree in trees if tree is not None for node in ast.walk(tree)]
    stored = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    kept = {
        target.id
        for node in nodes
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and node.value.value in stored
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return [cell if tree is None else _quoted(cell, tree, kept) for cell, tree in zip(cells, trees, strict=True)]


def _quoted(cell: str, tree: ast.Module, kept: set[str]) -> str:
    lines = cell.encode().split(b"\n")
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and len(node.args) == 1]
    for call in sorted(calls, key=lambda call: (call.lineno, call.col_offset), reverse=True):
        name, at = call.args[0], call.args[0].col_offset
        if isinstance(call.func, ast.Name) and call.func.id == "FINAL_VAR" and isinstance(name, ast.Name):
            line, word = lines[name.lineno - 1], name.id.encode()
            if name.id not in kept and line[at : at + len(word)] == word:
                lines[name.lineno - 1] = line[:at] + repr(name.id).encode() + line[at + len(word) :]
    return b"\n".join(lines).decode()


def _is_certain(tree: ast.Module) -> bool:
    for statement in tree.body:
        if isinstance(statement, ast.Expr):
            if not isinstance(statement.value, ast.Call | ast.Constant):
                return False
        elif not isinstance(statement, _STATEMENTS):
            return False
    first = _called(ast.Module(tree.body[:1], []))
    return bool(_called(tree) & _CALLED) and not (len(tree.body) == 1 and first & {"FINAL", "FINAL_VAR"})


def _called(tree: ast.Module) -> set[str]:
    """Names of the functions that are called; of methods only that some are, as an empty name."""
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {func.id if isinstance(func, ast.Name) else "" for func in calls}
