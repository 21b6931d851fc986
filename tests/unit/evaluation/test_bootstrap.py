"""Intervals: where they lie, that they repeat, and that pairing counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_rlm.evaluation.bootstrap import interval, paired

scores = st.lists(st.floats(0, 1), min_size=1, max_size=30)


@given(scores)
def test_the_interval_holds_the_mean_and_stays_between_the_values(values: list[float]) -> None:
    found = interval(values, resamples=200)
    assert found is not None
    assert found.mean == pytest.approx(sum(values) / len(values))
    assert min(values) - 1e-9 <= found.low <= found.mean <= found.high <= max(values) + 1e-9
    assert found.n == len(values)
    assert interval(values, resamples=200) == found


@given(scores, st.floats(-5, 5))
def test_the_interval_moves_with_its_values(values: list[float], by: float) -> None:
    one, moved = interval(values, resamples=200), interval([value + by for value in values], resamples=200)
    assert one is not None
    assert moved is not None
    assert moved[:3] == pytest.approx([bound + by for bound in one[:3]], abs=1e-9)


@given(scores)
def test_equal_scores_differ_by_nothing_for_sure(values: list[float]) -> None:
    assert paired(values, values, resamples=100) == (0.0, 0.0, 0.0, len(values))


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=30))
def test_the_difference_turns_with_the_order(pairs: list[tuple[float, float]]) -> None:
    one, other = [a for a, _ in pairs], [b for _, b in pairs]
    there, back = paired(one, other, resamples=200), paired(other, one, resamples=200)
    assert there is not None
    assert back is not None
    assert [there.mean, there.low, there.high] == pytest.approx([-back.mean, -back.high, -back.low], abs=1e-9)


def test_more_tasks_make_the_interval_narrower() -> None:
    few, many = interval([0.0, 1.0] * 5), interval([0.0, 1.0] * 500)
    assert few is not None
    assert many is not None
    assert many.high - many.low < (few.high - few.low) / 5


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    import random

    draw, covered = random.Random(1), 0
    for _ in range(200):
        found = interval([float(draw.random() < 0.6) for _ in range(60)], resamples=400)
        assert found is not None
        covered += found.low <= 0.6 <= found.high
    assert 175 <= covered <= 199


def test_pairing_sees_a_small_difference_between_uneven_tasks() -> None:
    hard = [task / 40 for task in range(40)]
    better = [score + 0.01 for score in hard]
    apart = paired(better, hard)
    assert apart is not None
    assert apart.low > 0


def test_no_values_have_no_interval_and_a_missing_pair_is_an_error() -> None:
    assert interval([]) is None
    with pytest.raises(ValueError, match="shorter"):
        paired([1.0, 0.0], [1.0])


def test_a_large_set_is_resampled_in_parts_that_fit_the_memory() -> None:
    found = interval([0.0, 1.0] * 400_000, resamples=12)
    assert found is not None
    assert found.low <= 0.5 <= found.high
