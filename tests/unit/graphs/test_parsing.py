"""A model's reply: what is a cell, what is prose, and what is an answer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from langgraph_rlm.graphs.parsing import parse_reply
from tests.unit.graphs.replies_as_written import REPLIES


@pytest.mark.parametrize(("reply", "cells"), REPLIES.values(), ids=REPLIES)
def test_replies_as_models_write_them_are_read(reply: str, cells: list[str]) -> None:
    assert parse_reply(reply).cells == cells


@pytest.mark.parametrize("language", ["repl", "python", "py", "Python", "REPL"])
def test_fences_of_python_are_cells(language: str) -> None:
    reply = parse_reply(f"I look first.\n```{language}\nprint(1)\n```\nThen I think.")
    assert reply.cells == ["print(1)"]
    assert "I look first." in reply.thought
    assert "Then I think." in reply.thought
    assert "print" not in reply.thought


def test_several_fences_are_cells_in_their_order() -> None:
    assert parse_reply("```repl\na = 1\n```\nand\n```python\nb = 2\n```\n```py\nc = 3\n```").cells == [
        "a = 1",
        "b = 2",
        "c = 3",
    ]


@pytest.mark.parametrize("language", ["", "json", "text", "bash", "pycon", "javascript"])
def test_fences_of_other_languages_are_prose(language: str) -> None:
    reply = parse_reply(f"```{language}\nrm -rf /\n```")
    assert reply.cells == []
    assert "rm -rf" in reply.thought


def test_a_fence_that_is_never_closed_counts_to_the_end() -> None:
    assert parse_reply("```repl\na = 1\nprint(a)").cells == ["a = 1\nprint(a)"]


def test_line_ends_of_windows_close_a_fence() -> None:
    reply = parse_reply("First.\r\n```repl\r\na = 1\r\nprint(a)\r\n```\r\nThat was it.\r\n")
    assert reply.cells == ["a = 1\nprint(a)"]
    assert "That was it." in reply.thought


def test_a_fence_may_be_indented_and_made_of_tildes() -> None:
    assert parse_reply("1. Look:\n   ~~~python\n   x = 1\n   ~~~\nDone.").cells == ["x = 1"]


def test_the_indentation_inside_a_cell_stays() -> None:
    assert parse_reply("```repl\nfor i in range(3):\n    print(i)\n```").cells == ["for i in range(3):\n    print(i)"]


def test_shorter_fences_inside_a_cell_belong_to_it() -> None:
    code = 'text = """\n```json\n{}\n```\n"""'
    assert parse_reply(f"````repl\n{code}\n````").cells == [code]


def test_code_on_the_line_of_a_fence_opens_nothing() -> None:
    reply = parse_reply("Use ```python print(1)``` like this:\n```python print(1)```\nand this is prose.")
    assert reply.cells == []


@pytest.mark.parametrize(
    "made_up",
    [
        "```output\nTotal: 500\n```",
        "```\nTotal: 500\n```",
        "Output:\n```\nTotal: 500\n```",
        "Output: `Total: 500`",
        "**Output:**\nTotal: 500\nMean: 3",
        "REPL output:\nTotal: 500",
    ],
)
def test_an_output_that_the_model_made_up_is_taken_out_of_its_thought(made_up: str) -> None:
    reply = parse_reply(f"I look.\n```repl\nprint(context[:9])\n```\n{made_up}\n\nSo I know.\nFINAL(total)")
    assert reply.cells == ["print(context[:9])", "FINAL(total)"]
    assert "500" not in reply.thought
    assert "I look." in reply.thought and "So I know." in reply.thought


def test_an_empty_fence_is_no_cell() -> None:
    assert parse_reply("```repl\n\n```").cells == []


@pytest.mark.parametrize(
    ("line", "submitted"),
    [
        ("FINAL(Rome, in Italy)", "FINAL('Rome, in Italy')"),
        ('FINAL("Rome")', "FINAL('Rome')"),
        ("FINAL(42)", "FINAL(42)"),
        ("FINAL({'a': [1]})", "FINAL({'a': [1]})"),
        ("FINAL(The value (as of 2020) is 3)", "FINAL('The value (as of 2020) is 3')"),
        ("FINAL('a) and (b')", "FINAL('a) and (b')"),
        ("FINAL('He said \"no\"')", "FINAL('He said \"no\"')"),
        ('FINAL("one line\nand another")', "FINAL('one line\\nand another')"),
        ("FINAL(One line\nand another.)", "FINAL('One line\\nand another.')"),
        ('FINAL("left open)', "FINAL('left open')"),
        ('FINAL(left open")', "FINAL('left open')"),
        ("FINAL((a) one of two)", "FINAL('(a) one of two')"),
        ("FINAL(one too many))", "FINAL('one too many')"),
        ("FINAL(The total is 42.).", "FINAL('The total is 42.')"),
        ("**FINAL(The total is 42)**", "FINAL('The total is 42')"),
        ("**FINAL(The total is 42**)", "FINAL('The total is 42')"),
        ("## FINAL(42)", "FINAL(42)"),
        ("FINAL(C:\\dir)", "FINAL('C:\\\\dir')"),
        ("FINAL_VAR(result)", "FINAL_VAR('result')"),
        ("FINAL_VAR(`result`)", "FINAL_VAR('result')"),
        ('FINAL_VAR("result")', "FINAL_VAR('result')"),
    ],
)
def test_a_last_line_that_is_exactly_final_is_the_answer(line: str, submitted: str) -> None:
    assert parse_reply(f"I have it.\n{line}").cells == [submitted]
    assert parse_reply(f"```repl\nx = 1\n```\n\n{line}\n").cells == ["x = 1", submitted]


@pytest.mark.parametrize(
    "prose",
    [
        "The answer is Rome.",
        "I will now call FINAL(Rome).",
        "FINAL(Rome) is what I would say.",
        "FINAL(Rome)\nbut let me check first.",
        "FINAL(Rome) or FINAL(Athens)",
        "`FINAL(Rome)`",
        "FINAL()",
        "FINAL(...)",
        "FINAL(# nothing yet)",
        "Options:\n- FINAL(Rome)\n- FINAL(Athens)",
        "> FINAL(Rome)",
        "FINAL_VAR(not a name)",
        "FINAL",
        "final(Rome)",
        "```text\nFINAL(Rome)\n```",
        "```text\nFINAL(Rome)",
    ],
)
def test_prose_is_never_taken_for_an_answer(prose: str) -> None:
    assert parse_reply(prose).cells == []


_PIECES = st.sampled_from(
    [
        "```repl\n",
        "```python",
        "```",
        "~~~",
        "\n",
        "\r\n",
        "FINAL(",
        "FINAL_VAR(",
        ")",
        "x = 1",
        " ",
        "`",
        "'",
        "\\",
        "é",
    ]
)


@given(st.one_of(st.text(), st.lists(_PIECES, max_size=30).map("".join)))
@example("FINAL(" + "(" * 5_000 + ")")
@example("FINAL(" + "9" * 6_000 + ")")
@example("FINAL(\ud800)")
@example("FINAL('\\x00')")
def test_no_text_breaks_the_parser_and_every_cell_holds_code(text: str) -> None:
    reply = parse_reply(text)
    assert all(code.strip() for code in reply.cells)
    if "`" not in text and "~" not in text and "FINAL" not in text:
        assert reply.cells == []


@pytest.mark.parametrize(
    ("line", "variables", "submitted"),
    [
        ("FINAL(total)", {"total": 42}, 42),
        ("FINAL(total)", {"total": "forty-two"}, "forty-two"),
        ("FINAL(total)", {}, NameError),
        ("FINAL(final_answer)", {}, NameError),
        ("FINAL(TOTAL)", {}, NameError),
        ("FINAL(answer)", {"answer": "green"}, "green"),
        ("FINAL(context)", {"context": "x" * 9}, "context"),  # never the whole text
        ("FINAL(Paris)", {}, "Paris"),
        ("FINAL(Paris)", {"Paris": 1}, 1),
        ("FINAL(yes)", {}, "yes"),
        ("FINAL(München)", {}, "München"),
        ("FINAL(巴黎)", {}, "巴黎"),
        ("FINAL(str(n))", {"n": 3}, "3"),
        ("FINAL(n + 1)", {"n": 3}, 4),
        ("FINAL(n + 1)", {}, NameError),
        ('FINAL(f"{n} of {m}")', {"n": 3, "m": 4}, "3 of 4"),
        ("FINAL(f'{n:.1f} %')", {"n": 3}, "3.0 %"),
        ('FINAL(f"{n}")', {}, NameError),
        ("FINAL(results[0])", {"results": ["a"]}, "a"),
        ("FINAL(results[0])", {}, NameError),
        ("FINAL(d['total'])", {"d": {"total": 3}}, 3),
        ("FINAL(len(rows))", {"rows": [1, 2]}, 2),
        ("FINAL(', '.join(xs))", {"xs": ["a", "b"]}, "a, b"),
        ("FINAL([x for x in xs if x > 1])", {"xs": [1, 2]}, [2]),
        ("FINAL(a if n > 2 else b)", {"n": 3, "a": "A", "b": "B"}, "A"),
        ("FINAL(answer=total)", {"total": 3}, 3),
        ("FINAL(answer=42)", {}, 42),
        ("FINAL(\n  total\n)", {"total": 3}, 3),
        ("**FINAL(total)**", {"total": 3}, 3),
        ("FINAL_VAR(d['total'])", {"d": {"total": 3}}, 3),
        ("FINAL(3 * 4)", {}, 12),
        ("FINAL(-5)", {}, -5),
        ("FINAL(not found)", {"found": True}, "not found"),
        ("FINAL(well-known)", {}, "well-known"),
        ("FINAL(high - low)", {"high": 5, "low": 3}, 2),
        ("FINAL(README.md)", {}, "README.md"),
        ("FINAL(src/app/main.py)", {}, "src/app/main.py"),
        ("FINAL(red, green)", {}, "red, green"),
        ("FINAL(red, green)", {"red": 1, "green": 2}, (1, 2)),
        ("FINAL(Rome or Athens)", {}, "Rome or Athens"),
        ("FINAL(Rome (Italy))", {}, "Rome (Italy)"),
        ("FINAL(Smith & Jones)", {}, "Smith & Jones"),
        ("FINAL(R&D)", {}, "R&D"),
        ("FINAL(10-12)", {}, "10-12"),
        ("FINAL(2020-10-15)", {}, "2020-10-15"),
        ("FINAL(1/2)", {}, "1/2"),
        ("FINAL(42 %)", {}, "42 %"),
        ("FINAL(None)", {}, "None"),
        ('FINAL("a" "b")', {}, "ab"),
        ('FINAL("A" and "B")', {}, '"A" and "B"'),
    ],
)
def test_what_is_spoken_is_evaluated_where_the_variables_are(
    line: str, variables: dict[str, Any], submitted: Any
) -> None:
    taken: list[Any] = []
    (cell,) = parse_reply(f"The sum is ready.\n{line}").cells
    space = {**variables, "FINAL": taken.append}
    if submitted is NameError:
        with pytest.raises(NameError):
            exec(cell, space)
        assert taken == []
    else:
        exec(cell, space)
        assert taken == [submitted]
        assert type(taken[0]) is type(submitted)


LONG = 100_000
MANY = 10_000


@pytest.mark.parametrize(
    "text",
    [
        "```" + "a" * LONG,
        "```" + " " * LONG,
        "```" + "a" * LONG + "`\n",
        "~" * LONG,
        "```py\n" + " \n" * LONG,
        "```\n" * MANY,
        "a```json\n" * MANY,
        "```\n\n```json\n" * MANY,
        "````markdown\n```\n~~~\n" * MANY,
        "print(" * MANY,
        "a:\nprint(\n" * MANY,
        "FINAL(" * MANY,
        "FINAL(\n" * MANY + ")",
        "**" * MANY + "FINAL(1",
        "".join("`" * n + "\n" for n in range(400, 2, -1)),
    ],
    ids=range(15),
)
def test_hostile_replies_without_a_cell_take_linear_time(text: str) -> None:
    assert len(parse_reply(text).cells) == 0  # quadratic time would be minutes


@pytest.mark.parametrize(
    "piece",
    [
        "```py\n",
        "```py\n```\n",
        "```py\n'''\n```\n",
        '```py\n\\"""\n```\n',
        "```py\n```x\n",
        "a```py\n~~~\n",
        "- ```py\n  x\n",
        "x```",
    ],
)
def test_hostile_replies_with_cells_take_linear_time(piece: str) -> None:
    parse_reply(piece * MANY)
    parse_reply("```py\n" + piece * MANY)
