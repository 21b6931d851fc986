"""The last expression of a cell, found by its tokens: it must agree with Python's own parser."""

import ast

import pytest

from langgraph_rlm.repl.interpreters.last_expression import assigned_last

CELLS = [
    "x", "x = 1", "x;", "print('a'); 'b'", "f(a,\n b=1)", "lambda x: x", "a[1:2]", "x: int", "x: int = 3", "a == b",
    "for i in x: y", "if x: 1; 2", "def f():\n  5", "@d\ndef f(): pass", "'''a\nb'''", "(y := 1)", "f'{x:>3}'",
    "x # c", "\n\n  ", "(*a, b)", "import re; re", "not x", "x\n# end\n\n", "if True:\n  1\nelse:\n  2\n3", "x\\\n+1",
    "é = 1;é", "a, b = 1, 2", "{1: 2}", "raise ValueError", "x if y else z", "x += 1", "assert x", "None", "...",
    "while x:\n    y\n\nx", "with a: b", "try:\n  x\nfinally:\n  y", "global x", "[x for x in y]", "x\r\ny\r\n",
]  # fmt: skip


@pytest.mark.parametrize("code", CELLS)
def test_it_agrees_with_pythons_own_parser(code: str) -> None:
    body = ast.parse(code).body
    shown, _ = assigned_last(code, "last")
    if not body or not isinstance(body[-1], ast.Expr):
        assert shown == code
    else:
        last = ast.parse(shown).body[-1]
        assert isinstance(last, ast.Assign) and ast.dump(last.value) == ast.dump(body[-1].value)
        assert len(ast.parse(shown).body) == len(body)


@pytest.mark.parametrize("code", ["x = (1,\ny = 2", "'''open", "\tx", "((((", "x)", "$", "  a\n b"])
def test_what_is_no_python_stays_as_it_is_or_stays_no_python(code: str) -> None:
    shown, _ = assigned_last(code, "last")
    with pytest.raises(SyntaxError):
        ast.parse(shown)


def test_names_are_those_of_the_code_and_not_of_its_strings_and_comments() -> None:
    assert assigned_last("x = y.z  # why\n'not this'", "last")[1] == ["x", "y", "z"]


def test_text_that_would_break_a_recursive_parser_is_only_tokens_here() -> None:
    assert assigned_last("-" * 100_000 + "1", "last")[0].startswith("last = -")
