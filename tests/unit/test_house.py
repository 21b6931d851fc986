"""Files stay small enough to be read at one sitting, and a number says where it comes from."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import QUICK
from tests.unit.test_layering import MODULES, ROOT

MOST_LINES = 450


def lines_of(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


def test_no_file_is_too_large() -> None:
    sizes = {str(path.relative_to(ROOT)): lines_of(path) for path in MODULES.values()}
    assert {name: lines for name, lines in sizes.items() if lines > MOST_LINES} == {}


def test_the_list_of_quick_tests_names_what_is_there() -> None:
    assert [name for name in QUICK if not (ROOT / "tests" / name).exists()] == []


# --- numbers ----------------------------------------------------------------------------------------------------------


def is_number(node: ast.expr | None) -> bool:
    """A number, or numbers that are reckoned with: ``1 << 20``, ``60 * 60.0``, ``-1``."""
    if isinstance(node, ast.BinOp):
        return is_number(node.left) and is_number(node.right)
    if isinstance(node, ast.UnaryOp):
        return is_number(node.operand)
    return isinstance(node, ast.Constant) and type(node.value) in (int, float)


def unexplained(source: str) -> Iterator[str]:
    """Names of numeric constants of a module that have no comment and no docstring.

    A comment above, or a docstring below, holds for all constants that stand between without a blank line.
    """
    lines, body = source.splitlines(), ast.parse(source).body
    for number, node in enumerate(body):
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if not isinstance(node, ast.Assign | ast.AnnAssign) or not is_number(node.value):
            continue
        if not isinstance(target, ast.Name) or "#" in lines[(node.end_lineno or node.lineno) - 1]:
            continue
        above = node.lineno - 1
        while above > 0 and lines[above - 1].strip() and not lines[above - 1].startswith("#"):
            above -= 1
        below = [node, *body[number + 1 :]]
        together = 1
        while together < len(below) and below[together].lineno == (below[together - 1].end_lineno or 0) + 1:
            together += 1
        if lines[above - 1].startswith("#") or any(
            isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant) and isinstance(one.value.value, str)
            for one in below[1:together]
        ):
            continue
        yield target.id


FOUND = {name: list(unexplained(path.read_text("utf-8"))) for name, path in MODULES.items()}


def test_every_number_says_where_it_comes_from() -> None:
    assert {module: names for module, names in FOUND.items() if names} == {}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("A = 1", ["A"]),
        ("A: int = 60 * 60", ["A"]),
        ("A = -(1 << 20)", ["A"]),
        ("A = 1  # seconds: twice what a slow server took", []),
        ("# twice what a slow server took\nA = 1\nB = 2\n\nC = 3", ["C"]),
        ('A = 1\nB = 2\n"""Both measured."""\n\nC = 3', ["C"]),
        ('A = 1\n"""Measured."""\nB = 2', ["B"]),
        ("A = True\nB = 'x'\nC = (1, 2)\nD = len('x')", []),
        ("def f():\n    A = 1", []),
    ],
)
def test_every_number_without_a_word_is_found(source: str, expected: list[str]) -> None:
    assert list(unexplained(source)) == expected
