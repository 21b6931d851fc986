"""Weights of the router's features: the ones that ship, and others learnt from a user's own questions.

A linear model in log-odds. What is learnt starts from the weights that ship and leaves them only as far as the examples
ask for, so that a hundred questions are enough to gain by and ten do no harm.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.graphs.routing.evidence import leaning
from langgraph_rlm.graphs.signals import KINDS, QUESTION_WEIGHTS

FORMAT = 2
"""2: with a second set of weights, for what a recursive run adds to 20 passages. 1 is read, and has none."""
THRESHOLD = 1.5
EVIDENCE = "evidence"
WITH_EVIDENCE = 0.25
"""What signs of calculation still count when a corpus was looked at: one passage may hold all that is calculated with."""

MORE = math.log((2.5 - 1) / (10 - 1))
"""Log-odds below the threshold from which 20 passages are read in the place of 8. The same chance is worth less the more it
costs: they cost 2.5 answers from 8 passages, a recursive run some 10."""

_PRECISION = 1.0  # of the normal distribution around the weight that ships, in log-odds
_STEPS = 100
"""Newton's method takes some ten."""


def _shipped() -> dict[str, float]:
    return {**QUESTION_WEIGHTS, EVIDENCE: 1.0}


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each feature tells for the recursive route, and from where on that route is taken.

    Args:
        weights: log-odds by feature.
        threshold: log-odds from which on a question goes to the recursive route.
        learned_from: examples; 0 for what ships.
        further: weights learnt for what a recursive run adds where RAG reads 20 passages and follows names; None for what ships.

    Example:
        >>> Weights().above_threshold({"enumeration": 1.0})
        1.0
    """

    weights: Mapping[str, float] = field(default_factory=_shipped)
    threshold: float = THRESHOLD
    learned_from: int = 0
    further: Weights | None = None

    def above_threshold(self, features: Mapping[str, float]) -> float:
        """Log-odds above the threshold: from 0 on a question needs the recursive route."""
        return sum(self.weights[name] * value for name, value in inputs_of(features).items()) - self.threshold

    def beyond(self, features: Mapping[str, float], *, hops: bool) -> float:
        """Log-odds above the threshold that a recursive run finds what RAG with 20 passages does not.

        As it ships only signs of a whole collection count, and signs of steps where RAG cannot follow names: on the development
        data the stand-in for a recursive run completes no more of the other questions than such a reading does.
        """
        if self.further is not None:
            return self.further.above_threshold(features)
        kinds = ("wide",) if hops else ("wide", "steps")
        seen = {name: value for name, value in inputs_of(features).items() if KINDS.get(name) in kinds}
        return sum(self.weights[name] * value for name, value in seen.items()) - self.threshold

    def for_further(self) -> Weights:
        """Where learning what a recursive run adds starts from."""
        wide = {name: value if KINDS.get(name) == "wide" else 0.0 for name, value in self.weights.items()}
        return self.further or Weights(wide, self.threshold)

    def fitted(
        self, examples: Sequence[Mapping[str, float]], complex_: Sequence[bool], *, missing: float, needless: float
    ) -> Weights:
        """Weights learnt from features and whether each question was complex; costs as in :meth:`SmartRouter.fit`."""
        _check(complex_, missing, needless)
        names = list(self.weights)
        rows = [inputs_of(one) for one in examples]
        x = np.array([[row.get(name, 0.0) for name in names] + [-1.0] for row in rows])
        start = np.array([*(self.weights[name] for name in names), self.threshold])
        found = _most_likely(x, np.array(complex_, float), start)
        weights = {name: float(value) for name, value in zip(names, found[:-1], strict=True)}
        # Above this probability the recursive route costs less on average than it saves.
        return Weights(weights, float(found[-1]) + math.log(needless / missing), len(rows))

    def calibrated(
        self, examples: Sequence[Mapping[str, float]], complex_: Sequence[bool], *, missing: float, needless: float
    ) -> Weights:
        """The same weights with the threshold that would have cost least on these examples."""
        _check(complex_, missing, needless)
        scores = np.array([self.above_threshold(one) for one in examples])
        wanted = np.array(complex_, bool)
        steps = np.unique(scores)
        cuts = np.concatenate([[steps[0] - 0.5], (steps[1:] + steps[:-1]) / 2, [steps[-1] + 0.5]])
        costs = [
            missing * (wanted & (scores < cut)).sum() + needless * (~wanted & (scores >= cut)).sum() for cut in cuts
        ]
        least = min(costs)
        moved = min((float(cut) for cut, cost in zip(cuts, costs, strict=True) if cost == least), key=abs)
        return Weights(self.weights, self.threshold + moved, len(scores))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a small JSON file; it replaces one that is there."""
        record = {
            "format": FORMAT,
            **self._record(),
            "further": None if self.further is None else self.further._record(),
        }
        Path(path).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")

    def _record(self) -> dict[str, Any]:
        return {
            "threshold": round(self.threshold, 6),
            "learned_from": self.learned_from,
            "weights": {name: round(value, 6) for name, value in self.weights.items()},
        }

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what :meth:`save` wrote.

        Raises:
            InvalidInput: the file is not there, or holds something else; what is wrong with it is said.
        """
        try:
            record = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InvalidInput(f"router weights: {path} cannot be read: {error}") from error
        if not isinstance(record, dict) or record.get("format") not in (1, FORMAT):
            raise InvalidInput(f"router weights: {path} is not of format {FORMAT}: make it again with SmartRouter.fit")
        first = cls._of(record, path)
        if record["format"] == 1:  # learnt for the recursive route, whatever RAG would have read
            return replace(first, further=first if first.learned_from else None)
        further = record.get("further")
        return first if further is None else replace(first, further=cls._of(further, path))

    @classmethod
    def _of(cls, record: Any, path: str | os.PathLike[str]) -> Self:
        if not isinstance(record, dict):
            raise InvalidInput(f"router weights: {path} holds no weights: make it again with SmartRouter.fit")
        weights, threshold, count = record.get("weights"), record.get("threshold", math.nan), record.get("learned_from")
        expected = set(_shipped())
        if not isinstance(weights, dict) or set(weights) != expected:
            wrong = sorted(expected ^ set(weights)) if isinstance(weights, dict) else ["weights"]
            raise InvalidInput(
                f"router weights: {path} is of another release ({', '.join(wrong[:3])}): make it again with SmartRouter.fit"
            )
        if not all(_is_number(value) for value in (*weights.values(), threshold)) or type(count) is not int:
            raise InvalidInput(f"router weights: {path} holds a value that is no finite number")
        return cls({name: float(value) for name, value in weights.items()}, float(threshold), count)


def inputs_of(features: Mapping[str, float]) -> dict[str, float]:
    """What the linear model sees of a question's features."""
    looked = "fall_off" in features
    inputs = {
        name: value * (WITH_EVIDENCE if looked and KINDS[name] == "calculation" else 1.0)
        for name, value in features.items()
        if name in KINDS
    }
    leaned = leaning(features)
    if leaned < 0 and any(KINDS[name] == "wide" for name in inputs):
        leaned = 0.0  # one passage that stands out is not all of them
    return inputs | ({EVIDENCE: leaned} if looked else {})


def probability(log_odds: float) -> float:
    """Of the log-odds."""
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, log_odds))))


def _most_likely(x: Any, y: Any, start: Any) -> Any:
    """The mode of a logistic regression with a normal prior around ``start``: Newton's method, halving steps that overshoot."""

    def loss(at: Any) -> float:
        z = x @ at
        return float(np.sum(np.logaddexp(0.0, z) - y * z) + _PRECISION / 2 * np.sum((at - start) ** 2))

    at, best = start.copy(), loss(start)
    for _ in range(_STEPS):
        p = 1.0 / (1.0 + np.exp(-np.clip(x @ at, -30, 30)))
        gradient = x.T @ (p - y) + _PRECISION * (at - start)
        curvature = (x * (p * (1 - p))[:, None]).T @ x + _PRECISION * np.eye(len(at))
        step = np.linalg.solve(curvature, gradient)
        while (reached := loss(at - step)) > best and np.abs(step).max() > 1e-9:
            step = step / 2
        at, gained, best = at - step, best - reached, reached
        if gained < 1e-9:
            break
    return at


def _check(complex_: Sequence[bool], missing: float, needless: float) -> None:
    for name, cost in (("cost_of_missing_complex", missing), ("cost_of_needless_rlm", needless)):
        if not _is_number(cost) or cost <= 0:
            raise InvalidInput(f"{name} must be a number above 0, not {cost!r}")
    if len(set(complex_)) < 2:
        raise InvalidInput("questions of both kinds are needed: some for rag, some for rlm")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
