"""A model's reply: what is a cell, what is prose, and what is an answer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from langgraph_rlm.graphs.parsing import parse_reply


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
        ("FINAL_VAR(result)", "FINAL_VAR('result')"),
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
    ("variables", "submitted"),
    [
        ({}, "total"),
        ({"total": 42}, 42),
        ({"total": "forty-two"}, "forty-two"),
        ({"total": print}, "total"),
    ],
)
def test_a_spoken_name_means_the_variable_where_there_is_one(variables: dict[str, Any], submitted: Any) -> None:
    taken: list[Any] = []
    (cell,) = parse_reply("The sum is ready.\nFINAL(total)").cells
    exec(cell, {**variables, "FINAL": taken.append})
    assert taken == [submitted]


@pytest.mark.parametrize("word", ["context", "answer", "grep"])
def test_a_spoken_word_is_never_one_of_the_names_that_are_always_there(word: str) -> None:
    taken: list[Any] = []
    (cell,) = parse_reply(f"FINAL({word})").cells
    exec(cell, {"context": "x" * 9, "answer": {}, "grep": print, "FINAL": taken.append})
    assert taken == [word]


LONG = 100_000


@pytest.mark.parametrize(
    "text",
    ["```" + "a" * LONG, "```" + " " * LONG, "```" + "a" * LONG + "`\n", "~" * LONG, "```py\n" + " \n" * LONG],
    ids=["word", "blanks", "backtick", "tildes", "blank lines"],
)
def test_a_long_line_that_opens_no_fence_takes_no_time(text: str) -> None:
    assert len(parse_reply(text).cells) == 0  # quadratic time would be minutes
