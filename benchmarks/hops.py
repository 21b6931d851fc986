"""The constants of hopping chosen on all sets but one, and what they find on that one.

For each of 2WikiMultihopQA, HotpotQA and MuSiQue every constant starts at what says nothing (weights 1, powers 0) and is moved,
one after the other and twice, to the value of its grid that finds most of the evidence of the other two. So no constant has
seen the set it is measured on. Words alone, no model. The data is looked for where ``retrieval.py`` looks.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[1]))

from _questions import QuestionSet, all_found, load
from _report import save

from langgraph_rlm import Corpus
from langgraph_rlm.corpus import hopping

SETS = ("2wiki", "hotpot_100", "musique_100")
NEUTRAL = {"_NAMED": 1.0, "_FORWARD": 1.0, "_CROWD": 0.0, "_SHARED": 0.0, "_OWN": 0.4, "_BACK": 1.0, "_ALIKE": 1.0}
GRID: Mapping[str, Sequence[float]] = {
    "_NAMED": (0.5, 1.0, 1.5, 2.0, 3.0),
    "_FORWARD": (0.5, 1.0, 1.5, 2.0, 3.0),
    "_CROWD": (0.0, 0.15, 0.3, 0.5, 1.0),
    "_SHARED": (0.0, 0.25, 0.5, 1.0),
    "_OWN": (0.2, 0.4, 0.7, 1.0),
    "_BACK": (0.0, 0.1, 0.2, 0.5, 1.0),
    "_ALIKE": (0.0, 0.25, 0.5, 1.0),
}
ROUNDS = 2


class Found(NamedTuple):
    """Percent of the questions of which all evidence was found."""

    at_5: float
    at_8: float


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
                hits = [self.corpus.retrieve(asked.text, 8, "hop") for asked in self._questions]
            places = [[(hit["doc_id"], hit["start"], hit["end"]) for hit in some] for some in hits]
            self._known[key] = Found(*(self._share(places, k) for k in (5, 8)))
        return self._known[key]

    def _share(self, places: Sequence[Sequence[tuple[str, int, int]]], k: int) -> float:
        found = [all_found(some[:k], asked.gold) for some, asked in zip(places, self._questions, strict=True)]
        return 100 * sum(found) / len(found)


def chosen(others: Sequence[Asked]) -> dict[str, float]:
    """The constants that find most on these sets; of equal values the first of the grid."""
    constants = dict(NEUTRAL)
    for _ in range(ROUNDS):
        for name, values in GRID.items():
            constants[name] = max(values, key=lambda value: sum(sum(one(constants | {name: value})) for one in others))
    return constants


@contextmanager
def asked_sets(names: Sequence[str]) -> Iterator[dict[str, Asked]]:
    """The sets with their corpora."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        made = {name: Asked(load(name), directory / name) for name in names}
        for one in made.values():
            stack.callback(one.corpus.close)
        yield made


def main() -> None:
    """Choose, measure, print, write."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None).parse_args()
    shipped = {name: getattr(hopping, name) for name in GRID}
    rows = []
    with asked_sets(SETS) as sets:
        print(f"{'left out':<14}{'constants':<28}{'all@5':>8}{'all@8':>8}")
        for name, left_out in sets.items():
            learnt = chosen([one for other, one in sets.items() if other != name])
            for what, constants in (("neutral", NEUTRAL), ("chosen on the others", learnt), ("as shipped", shipped)):
                found = left_out(constants)
                rows.append({"set": name, "constants": what, "values": constants, **found._asdict()})
                print(f"{name:<14}{what:<28}{found.at_5:>8.1f}{found.at_8:>8.1f}", flush=True)
            print(f"{'':<14}{', '.join(f'{key[1:].lower()} {value:g}' for key, value in learnt.items())}", flush=True)
    save("hops", rows)


if __name__ == "__main__":
    main()
