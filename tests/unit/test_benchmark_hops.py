"""The benchmark of hopping: the rank it measures, and which value it takes."""

from __future__ import annotations

import math

import hops as benchmark
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_rlm.corpus.names import hopping

questions = st.integers(2, 12)
gains = questions.flatmap(
    lambda count: st.dictionaries(
        st.sampled_from([0.0, 0.5, 1.0, 2.0]), st.lists(st.floats(0, 1), min_size=count, max_size=count), min_size=1
    )
)


def test_evidence_is_complete_with_its_last_document() -> None:
    places = [("a", 0, 9), ("x", 0, 9), ("b", 0, 9)]
    assert benchmark._complete(places, [("a", 0, 9)]) == 1
    assert benchmark._complete(places, [("b", 0, 9), ("a", 0, 9)]) == 3
    assert benchmark._complete(places, [("c", 0, 9)]) == math.inf


def test_figures_are_shares_and_what_is_not_found_gains_nothing() -> None:
    found = benchmark.Found([1, 5, 8, math.inf])
    assert (found.within(5), found.within(8)) == (50, 75)
    assert found.gains() == pytest.approx([1, 1 / math.log2(6), 1 / math.log2(9), 0])


@given(gains, st.sampled_from([0.0, 1.0]))
def test_the_plainest_value_is_taken_among_those_as_good_as_the_best(
    by_value: dict[float, list[float]], neutral: float
) -> None:
    taken = benchmark.plainest(by_value, neutral)
    best = max(by_value, key=lambda value: sum(by_value[value]))
    assert abs(taken - neutral) <= abs(best - neutral)
    if neutral in by_value and by_value[neutral] == by_value[best]:
        assert taken == neutral


def test_a_value_that_is_clearly_better_is_taken_however_far() -> None:
    worse = [0.1, 0.2, 0.1, 0.2]
    assert benchmark.plainest({1.0: worse, 3.0: [one + 0.5 for one in worse]}, 1.0) == 3.0


def test_the_grid_holds_what_ships_and_what_says_nothing() -> None:
    for name, values in benchmark.GRID.items():
        assert {getattr(hopping, name), benchmark.NEUTRAL[name]} <= set(values)
