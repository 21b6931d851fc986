"""Answers that were written before what they rest on could be seen, and answers that were computed."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_rlm.graphs.premature import is_premature

LOOK = "print(context[:40])"


@pytest.mark.parametrize(
    ("cells", "final"),
    [
        ([LOOK, "FINAL('500')"], "500"),
        ([LOOK, "FINAL(500)"], 500),
        ([f"{LOOK}\nFINAL('500')"], "500"),
        ([f"FINAL('500')\n{LOOK}"], "500"),
        (["context[:40]", "FINAL('500')"], "500"),
        (["for line in context.splitlines():\n    print(line)", "FINAL(['a', 1])"], ["a", 1]),
        ([LOOK, "total = 500\nFINAL(total)"], 500),
        ([LOOK, "total = 500\nFINAL(f'It is {total}.')"], "It is 500."),
        ([LOOK, "text = 'It ' + 'is 500.'\nFINAL(text)"], "It is 500."),
        ([LOOK, "total = '500'\nFINAL_VAR('total')"], "500"),
        ([LOOK, "answer['content'] = '500'\nanswer['ready'] = True"], "500"),
        ([LOOK, "try:\n    FINAL(Paris)\nexcept NameError:\n    FINAL('Paris')"], "Paris"),
        ([LOOK, "FINAL({'total': 500})"], {"total": 500}),
        ([LOOK, "FINAL((1, 2))"], [1, 2]),
        (["hits = grep('total')", "show(hits)", "FINAL('500')"], "500"),
    ],
)
def test_a_literal_behind_a_look_is_premature(cells: list[str], final: Any) -> None:
    assert is_premature(cells, final, [])
    assert is_premature(cells, final, ["Total: 5001", "another 1500"])


@pytest.mark.parametrize(
    ("cells", "final"),
    [
        (["n = context.count('x')\nprint(n)\nFINAL(n)"], 3),
        ([LOOK, "FINAL(context.count('x'))"], 500),
        ([LOOK, "FINAL(f'{n} of 500')"], "3 of 500"),
        ([LOOK, "n = 0\nfor line in lines:\n    n += 1\nFINAL(n)"], 0),
        ([LOOK, "if n > 3:\n    FINAL('yes')\nelse:\n    FINAL('no')"], "yes"),
        ([LOOK, "FINAL('yes' if n > 3 else 'no')"], "yes"),
        (
            [LOOK, "best = 'Anna'\nfor name in names:\n    best = max(best, name, key=context.count)\nFINAL(best)"],
            "Anna",
        ),
        (["FINAL('500')"], "500"),  # nothing was looked at
        (["hits = grep('total')", "FINAL('500')"], "500"),
        (["hits = grep('total')\ncite(hits[0])\nFINAL('500')"], "500"),
        (["text = 'It is 500.'\nprint(text)\nFINAL(text)"], "It is 500."),  # shows nothing but itself
        (["print('done')\nFINAL('500')"], "500"),
        ([LOOK, "FINAL('500')\nFINAL(n)"], 3),
        ([LOOK, "FINAL("], "500"),
        ([LOOK, f"x = '{'a' * 60_000}'\nFINAL('500')"], "500"),  # too long to be looked at
        ([LOOK, "answer['ready'] = True"], "500"),
    ],
)
def test_what_was_computed_or_hides_nothing_is_taken(cells: list[str], final: Any) -> None:
    assert not is_premature(cells, final, [])


@pytest.mark.parametrize("shown", ["Total: 500.", "'500'", "it is\n500 now"])
def test_what_stood_in_an_earlier_output_may_have_been_read_there(shown: str) -> None:
    assert not is_premature([LOOK, "FINAL('500')"], "500", ["nothing", shown])
    assert not is_premature([LOOK, "FINAL(500)"], 500, ["nothing", shown])


def test_a_digit_stands_in_every_output() -> None:
    assert is_premature([LOOK, "FINAL(5)"], 5, ["line 5 of 9"])
