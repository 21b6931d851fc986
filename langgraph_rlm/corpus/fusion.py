"""Joins several ranked lists into one by rank, since raw scores of different engines mean different things."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)

_DAMPING = 60
"""Reciprocal rank fusion's constant (Cormack, Clarke and Büttcher, SIGIR 2009)."""


def fuse(rankings: Sequence[Sequence[Key]], weights: Sequence[float] | None = None) -> list[tuple[Key, float]]:
    """Reciprocal rank fusion: each list gives ``weight / (60 + rank)`` to each of its members, ranks from 1.

    Args:
        rankings: lists, best first.
        weights: one per list; all 1 when left out. A list of weight 0 has no say.

    Returns:
        Members with their scores, best first; equal scores in the order in which they were met.

    Example:
        >>> [key for key, _ in fuse([["a", "b"], ["b"]])]
        ['b', 'a']
    """
    scores: dict[Key, float] = {}
    for ranking, weight in zip(rankings, weights or [1.0] * len(rankings), strict=True):
        if weight:
            for rank, key in enumerate(dict.fromkeys(ranking), start=1):
                scores[key] = scores.get(key, 0.0) + weight / (_DAMPING + rank)
    return sorted(scores.items(), key=lambda item: -item[1])
