"""The constants of hopping chosen on all sets but one, and what they find on that one.

For each of 2WikiMultihopQA, HotpotQA and MuSiQue every constant starts at what says nothing (weights 1, powers 0) and is moved,
one after the other and twice, to the value of its grid that is best for the other two. So no constant has seen the set it is
measured on. The last lines are what all three choose: that is what ships. Words alone, no model. The data is looked for
where ``retrieval.py`` looks.

Best is not what finds all evidence of most questions among five hits: in that only the two or three questions count whose
evidence stands at the border. It is the mean gain of the last document of evidence, 1 / log2(1 + its rank) as in discounted
cumulative gain, in which every question has a say. Of the values that are no further than one standard error behind the best
(of the differences, question by question) the one nearest to what says nothing is taken.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[1]))

from _questions import QuestionSet, Span, all_found, load
from _report import save

from langgraph_rlm import Corpus
from langgraph_rlm.corpus.names import hopping

SETS = ("2wiki", "hotpot_100", "musique_100")
NEUTRAL = {"_NAMED": 1.0, "_CROWD": 0.0, "_ALIKE": 1.0}
GRID: Mapping[str, Sequence[float]] = {
    "_NAMED": (0.5, 1.0, 1.5, 2.0, 3.0),
    "_CROWD": (0.0, 0.15, 0.3, 0.5, 1.0),
    "_ALIKE": (0.0, 0.25, 0.5, 1.0),
}
ROUNDS = 2
DEPTH = 20
"""Hits; evidence beyond them gains nothing."""


class Found(NamedTuple):
    """What was found of the evidence of one set."""

    ranks: list[float]
    """By question, the rank, from 1, with which its evidence is complete; infinite when it is not."""

    def within(self, k: int) -> float:
        """Percent of the questions all of whose evidence is among so many hits."""
        return 100 * sum(rank <= k for rank in self.ranks) / len(self.ranks)

    def gains(self) -> list[float]:
        """By question."""
        return [1 / math.log2(1 + rank) for rank in self.ranks]


class Asked:
    """The questions of one set, asked with some constants.

    Args:
        questions: the set.
        directory: for its corpus.
    """

    def __init__(self, questions: QuestionSet, directory: Path) -> None:
        self._questions = questions.questions
        self.corpus = Corpus.open(
            f"chroma:{directory}", chunk_size=questions.chunk_size, chunk_overlap=questions.chunk_overlap
        )
        self.corpus.add(questions.documents)
        self._known: dict[tuple[tuple[str, float], ...], Found] = {}

    def __call__(self, constants: Mapping[str, float]) -> Found:
        """What is found with these constants."""
        key = tuple(sorted(constants.items()))
        if key not in self._known:
            with patch.multiple(hopping, **constants):
                hits = [self.corpus.retrieve(asked.text, DEPTH, "hop") for asked in self._questions]
            places = [[(hit["doc_id"], hit["start"], hit["end"]) for hit in some] for some in hits]
            golds = (asked.gold for asked in self._questions)
            self._known[key] = Found([_complete(*one) for one in zip(places, golds, strict=True)])
        return self._known[key]


def _complete(places: Sequence[Span], gold: Sequence[Span]) -> float:
    ranks = (rank for rank in range(1, len(places) + 1) if all_found(places[:rank], gold))
    return next(ranks, math.inf)


def chosen(others: Sequence[Asked]) -> dict[str, float]:
    """The constants that are best for these sets."""
    constants = dict(NEUTRAL)
    for _ in range(ROUNDS):
        for name, values in GRID.items():
            gains = {
                value: [gain for one in others for gain in one(constants | {name: value}).gains()] for value in values
            }
            constants[name] = plainest(gains, NEUTRAL[name])
    return constants


def plainest(gains: Mapping[float, Sequence[float]], neutral: float) -> float:
    """Of the values within one standard error of the best, the one nearest to what says nothing.

    Args:
        gains: of all questions, by value.
        neutral: what says nothing.

    Example:
        >>> plainest({0.0: [0.5, 0.4, 0.6], 1.0: [0.5, 0.5, 0.6], 2.0: [0.9, 0.8, 0.9]}, 0.0)
        2.0
        >>> plainest({0.0: [0.5, 0.4, 0.6], 1.0: [0.5, 0.5, 0.6]}, 0.0)
        0.0
    """
    best = max(gains.values(), key=sum)

    def is_as_good(some: Sequence[float]) -> bool:
        behind = [most - one for most, one in zip(best, some, strict=True)]
        return statistics.mean(behind) <= statistics.stdev(behind) / math.sqrt(len(behind))

    return min((value for value in gains if is_as_good(gains[value])), key=lambda value: abs(value - neutral))


@contextmanager
def asked_sets(names: Sequence[str]) -> Iterator[dict[str, Asked]]:
    """The sets with their corpora."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        made = {name: Asked(load(name), directory / name) for name in names}
        for one in made.values():
            stack.callback(one.corpus.close)
        yield made


def _told(constants: Mapping[str, float]) -> str:
    return ", ".join(f"{name[1:].lower()} {value:g}" for name, value in constants.items())


def main() -> None:
    """Choose, measure, print, write."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None).parse_args()
    shipped = {name: getattr(hopping, name) for name in GRID}
    rows = []
    with asked_sets(SETS) as sets:
        print(f"{'set':<14}{'constants':<28}{'all@5':>8}{'all@8':>8}")
        for name, left_out in sets.items():
            learnt = chosen([one for other, one in sets.items() if other != name])
            for what, constants in (("neutral", NEUTRAL), ("chosen on the others", learnt), ("as shipped", shipped)):
                found = left_out(constants)
                figures = {"all@5": found.within(5), "all@8": found.within(8)}
                rows.append({"set": name, "constants": what, "values": constants, **figures})
                print(f"{name:<14}{what:<28}{found.within(5):>8.1f}{found.within(8):>8.1f}", flush=True)
            print(f"{'':<14}{_told(learnt)}", flush=True)
        print(f"chosen on all: {_told(chosen(list(sets.values())))}\nas shipped:    {_told(shipped)}")
    save("hops", rows)


if __name__ == "__main__":
    main()
