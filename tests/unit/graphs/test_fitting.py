"""Shortening of old outputs when the window is full."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from langgraph_rlm.graphs.fitting import CELL_TOKENS, KEPT_CHARS, fitting
from langgraph_rlm.types import Turn


def turn(number: int, output: str, code: str = "print(1)") -> Turn:
    return Turn(
        number=number, thought="", code=code, output=output, error=None, digest="", seconds=0.0, killed=False, calls={}
    )


def test_what_fits_is_not_touched() -> None:
    turns = [turn(1, "a" * 1_000), turn(2, "b" * 1_000)]
    assert fitting(turns, 10_000) == turns


def test_the_oldest_output_is_shortened_first_and_the_model_is_told() -> None:
    turns = [turn(1, "a" * 8_000), turn(2, "b" * 8_000), turn(3, "c" * 8_000)]
    fitted = fitting(turns, 4_500)
    assert fitted[0]["output"].startswith("a" * KEPT_CHARS + "\n[7,700 more characters of this output are not shown")
    assert fitted[1:] == turns[1:]
    assert turns[0]["output"] == "a" * 8_000


def test_the_last_output_is_cut_only_as_far_as_needed() -> None:
    fitted = fitting([turn(1, "a" * 8_000), turn(2, "b" * 8_000)], 1_500)
    assert 3_000 < len(fitted[1]["output"]) < 6_000


@given(st.lists(st.integers(0, 20_000), max_size=12), st.integers(0, 30_000))
def test_they_fit_wherever_the_heads_do_and_nothing_else_changes(sizes: list[int], tokens: int) -> None:
    turns = [turn(number, "x" * size) for number, size in enumerate(sizes, 1)]
    fitted = fitting(turns, tokens)
    assert [(t["number"], t["code"], t["digest"]) for t in fitted] == [
        (t["number"], t["code"], t["digest"]) for t in turns
    ]
    cost = sum(len(t["output"]) // 4 + len(t["code"]) // 4 + 4 + CELL_TOKENS for t in fitted)
    heads = len(turns) * ((2 * KEPT_CHARS + 200) // 4 + 10 + CELL_TOKENS)
    assert cost <= max(tokens, heads) + 2 * len(turns) + 200
    untouched = [new is old or new == old for new, old in zip(fitted, turns, strict=True)]
    if sum(len(t["output"]) // 4 + 6 + CELL_TOKENS for t in turns) < tokens:
        assert all(untouched)
