"""Whether an answer was written before what it should rest on could be seen.

A model that does not stop behind its cell goes on as if it knew the output, and submits what it imagined. What is computed
in the REPL is no such answer; what it wrote down itself, in the reply whose cells have just shown something, is.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from langgraph_rlm.calls.python_source import parsed

HELD_BACK = (
    "(The answer of this reply was not taken yet: it was written before this output could be seen. Compare the two, then "
    "submit the answer.)\n"
)
_SILENT = {"FINAL", "FINAL_VAR", "cite"}
_UNKNOWN = object()


def is_premature(cells: Sequence[str], final: Any, shown: Sequence[str]) -> bool:
    """Whether the submitted value is a literal of a reply that looks at something first.

    Args:
        cells: of one reply, up to the one that submitted.
        final: what was submitted.
        shown: the outputs of earlier turns; what stands in them may have been read there.

    Returns:
        False for values that were computed, chosen by a condition, or cannot be told from such.

    Example:
        >>> is_premature(["print(context[:40])", "FINAL('500')"], "500", [])
        True
        >>> is_premature(["n = context.count('x')\\nprint(n)\\nFINAL(n)"], 3, [])
        False
    """
    trees = [tree for tree in map(parsed, cells) if tree is not None]
    if len(trees) != len(cells):
        return False
    literals = _Literals(trees)
    if not any(literals.looks(tree) for tree in trees):
        return False
    text = final if isinstance(final, str) else json.dumps(final, ensure_ascii=False)
    if not any(_plain(value) == _plain(final) for value in literals.submitted(trees[-1])):
        return False
    return not _stands_in(text, shown)


def _plain(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    except (TypeError, ValueError, RecursionError):
        return repr(value)


def _stands_in(text: str, shown: Sequence[str]) -> bool:
    word = " ".join(text.split())
    if len(word) < 2:  # a digit is in every output
        return False
    pattern = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)")
    return any(pattern.search(" ".join(output.split())) is not None for output in shown)


class _Literals:
    """What the code of a reply says by itself, without running."""

    def __init__(self, trees: Sequence[ast.Module]) -> None:
        self._values: dict[str, Any] = {}
        stored: dict[str, int] = {}
        for tree in trees:
            for node in ast.walk(tree):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    stored[node.id] = stored.get(node.id, 0) + 1
        for tree in trees:
            for statement in _unconditional(tree.body):
                if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
                    target, value = statement.targets[0], self.value(statement.value)
                    if isinstance(target, ast.Name) and stored[target.id] == 1 and value is not _UNKNOWN:
                        self._values[target.id] = value

    def value(self, node: ast.AST) -> Any:
        """The value of a literal, or of what is put together of literals alone."""
        if isinstance(node, ast.Name):
            return self._values.get(node.id, _UNKNOWN)
        if isinstance(node, ast.JoinedStr):
            parts = [self.value(part.value if isinstance(part, ast.FormattedValue) else part) for part in node.values]
            return _UNKNOWN if any(part is _UNKNOWN for part in parts) else "".join(map(str, parts))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            left, right = self.value(node.left), self.value(node.right)
            return left + right if isinstance(left, str) and isinstance(right, str) else _UNKNOWN
        if isinstance(node, ast.Dict):
            items = [(self.value(k), self.value(v)) for k, v in zip(node.keys, node.values, strict=True) if k]
            known = len(items) == len(node.keys) and not any(_UNKNOWN in item for item in items)
            return {k: v for k, v in items if isinstance(k, str | int | float)} if known else _UNKNOWN
        if isinstance(node, ast.List | ast.Tuple):
            values = [self.value(part) for part in node.elts]
            return _UNKNOWN if any(value is _UNKNOWN for value in values) else values
        try:
            return ast.literal_eval(node)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            return _UNKNOWN

    def submitted(self, tree: ast.Module) -> Iterator[Any]:
        """The literals that a cell submits whatever it finds."""
        for statement in _unconditional(tree.body):
            if isinstance(statement, ast.Expr) and isinstance(call := statement.value, ast.Call) and call.args:
                name = call.func.id if isinstance(call.func, ast.Name) else ""
                value = self.value(call.args[0])
                if name == "FINAL_VAR" and isinstance(value, str):
                    value = self._values.get(value, value)
                if name in ("FINAL", "FINAL_VAR") and value is not _UNKNOWN:
                    yield value
            elif isinstance(statement, ast.Assign) and isinstance(target := statement.targets[0], ast.Subscript):
                of_answer = isinstance(target.value, ast.Name) and target.value.id == "answer"
                if of_answer and (value := self.value(statement.value)) is not _UNKNOWN:
                    yield value

    def looks(self, tree: ast.Module) -> bool:
        """Whether a cell shows anything beside its own literals."""
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                if any(self.value(part) is _UNKNOWN for part in node.args):
                    return True
            elif isinstance(node, ast.Expr) and self.value(value := node.value) is _UNKNOWN:
                called = value.func.id if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) else ""
                if called not in _SILENT and called != "print":
                    return True
        return False


def _unconditional(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that always run; of a ``try`` the handlers too, as they may have."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.With):
            yield from _unconditional(statement.body)
        elif isinstance(statement, ast.Try):
            yield from _unconditional(statement.body)
            for handler in statement.handlers:
                yield from _unconditional(handler.body)
