"""How sure a mean is: percentile bootstrap over tasks, paired where two routes answered the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

RESAMPLES = 10_000
_AT_ONCE = 1 << 22
"""Drawn numbers in memory at a time."""


class Interval(NamedTuple):
    """A mean and the bounds between which 95 % of its resampled values lie."""

    mean: float
    low: float
    high: float
    n: int


def interval(values: Sequence[float], *, resamples: int = RESAMPLES, seed: int = 0) -> Interval | None:
    """The mean of ``values`` with its 95 % interval; the same values give the same interval. None for no values.

    Args:
        values: one for each task.
        resamples: how often to draw as many tasks again, with replacement.
        seed: of the draws.

    Example:
        >>> interval([1.0, 1.0, 1.0])
        Interval(mean=1.0, low=1.0, high=1.0, n=3)
    """
    if not values:
        return None
    given = np.asarray(values, dtype=float)
    random, means = np.random.default_rng(seed), list[np.ndarray]()
    for start in range(0, resamples, step := max(1, _AT_ONCE // len(given))):
        drawn = random.integers(0, len(given), size=(min(step, resamples - start), len(given)))
        means.append(given[drawn].mean(axis=1))
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    mean = float(given.mean())
    return Interval(mean, min(mean, float(low)), max(mean, float(high)), len(given))


def paired(one: Sequence[float], other: Sequence[float], *, resamples: int = RESAMPLES) -> Interval | None:
    """The mean difference ``one - other`` over the same tasks, with its interval.

    Example:
        >>> paired([1.0, 0.0], [0.0, 0.0]).mean
        0.5
    """
    return interval([a - b for a, b in zip(one, other, strict=True)], resamples=resamples)
