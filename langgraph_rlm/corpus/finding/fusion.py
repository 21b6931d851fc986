"""Joins several ranked lists into one by rank, since raw scores of different engines mean different things."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)

_DAMPING = 1
"""Reciprocal rank fusion's constant. The usual 60 (Cormack, Clarke and Büttcher, SIGIR 2009) is for dozens of runs: with two
lists, what both rank 60th beats what one ranks first and the other misses. With 1 the third place of both is worth as
much as the first of one, so that the list that knows better keeps its best. ``benchmarks/retrieval.py`` measures it.
Qdrant's own fusion has the same constant."""
_DEPTH, _MOST = 4, 1000


def fusion_depth(k: int) -> int:
    """How many hits of each list are fused for ``k`` hits: more, to see what several lists hold.

    Example:
        >>> fusion_depth(8)
        32
    """
    return max(k, min(_MOST, _DEPTH * k))


def fuse(rankings: Sequence[Sequence[Key]], weights: Sequence[float] | None = None) -> list[tuple[Key, float]]:
    """Reciprocal rank fusion: each list gives ``weight / (1 + rank)`` to each of its members, ranks from 1.

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
