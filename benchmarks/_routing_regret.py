"""What a route costs and what it misses: whether the evidence of a question is complete on the route that it takes.

No language model takes part. Classic RAG sees its k passages. The recursive route is stood in for by what a program can
collect without a model: 20 passages for the question, and three for each of up to 24 names that stand in the best eight.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from _routing_data import EvidenceSet
from _words_only import WordsOnly

from langgraph_rlm import Corpus, HashingEmbeddings, SmartRouter
from langgraph_rlm.graphs.grading import not_covered
from langgraph_rlm.graphs.routing.weights import EVIDENCE, Weights, inputs_of

RATIOS = (5, 10, 20)
"""What a recursive run costs in units of one RAG answer."""
RATIO = 10
MORE = 2.5
"""What 20 passages cost in units of an answer from eight."""
TARGET = 0.97
FOLLOWED, EACH, FIRST, NAMED = 24, 3, 20, 8
RESAMPLES = 1_000
_NAME = re.compile(r"\b[A-Z][\w&.'-]+(?:\s+(?:(?:of|the|and|de)\s+)?[A-Z][\w&.'-]+)+|\b[A-Z][a-z]{3,}\b")


class Trial(NamedTuple):
    """One question on both routes."""

    set: str
    rag: bool
    """All of its evidence is in classic RAG's passages."""
    deep: bool
    """… or in what the recursive route collects."""
    doubted: bool
    """The rules of grading would send RAG's answer on, whatever it says."""
    score: float
    """Log-odds above the threshold that it needs the recursive route."""
    plain: float
    """The same without the corpus."""
    inputs: tuple[float, float, float]
    """Signs of the question without the evidence, fall-off, share covered: what the constants of the evidence are fitted on."""
    recursive: bool = False
    """The router as it ships sends it to the recursive route …"""
    reads_more: bool = False
    """… or has RAG read 20 passages."""
    more: bool = False
    """All of its evidence is in what RAG reads by the router's options."""


class Outcome(NamedTuple):
    """A policy on all questions."""

    policy: str
    questions: int
    complete: float
    """Percent of questions whose evidence is complete."""
    low: float
    high: float
    of_always_rlm: float
    """Percent of what the recursive route alone completes."""
    of_perfect: float
    """Percent of all, were everything found on the recursive route."""
    recursive: float
    """Percent of questions that took the recursive route, escalated ones among them."""
    cost: dict[int, float]
    """Percent of always-RLM's cost, by what one recursive run costs in RAG answers."""
    mean_complete: float
    mean_of_always_rlm: float
    mean_cost: float
    """Mean over the sets instead of over the questions."""


def trials(questions: EvidenceSet, k: int) -> list[Trial]:
    """Ask all questions of one set."""
    with corpus_of(questions) as corpus:
        router = SmartRouter(corpus=corpus)
        return [_trial(questions.name, case.text, case.complete, corpus, router, k) for case in questions.cases]


@contextmanager
def corpus_of(questions: EvidenceSet) -> Iterator[Corpus]:
    """The documents, indexed by words."""
    with (
        tempfile.TemporaryDirectory(prefix="routing-") as directory,
        Corpus.open(
            WordsOnly(), HashingEmbeddings(), directory=directory,
            chunk_size=questions.chunk_size, chunk_overlap=questions.chunk_overlap,
        ) as corpus,
    ):  # fmt: skip
        corpus.add(questions.documents)
        yield corpus


def outcomes(asked: Sequence[Trial]) -> list[Outcome]:
    """The policies side by side."""
    score = np.array([one.score for one in asked])
    plain = np.array([one.plain for one in asked])
    chosen, more = (np.array([getattr(one, name) for one in asked]) for name in ("recursive", "reads_more"))
    everything, nothing = np.ones(len(asked), bool), np.zeros(len(asked), bool)
    several = len({one.set for one in asked}) > 1
    found = [
        outcome("always RAG", asked, nothing, escalate=False),
        outcome("always RLM", asked, everything, escalate=False),
        outcome("RAG, escalation by rules", asked, nothing),
        outcome("auto by the question alone", asked, plain >= 0),
        outcome("auto", asked, chosen, more=more),
        outcome("recursive by signs and evidence", asked, score >= 0),
        outcome("auto without escalation", asked, chosen, escalate=False, more=more),
    ]
    return (
        [*found, outcome("recursive, constants fitted without the set", asked, left_out(asked))] if several else found
    )


def outcome(policy: str, asked: Sequence[Trial], recursive: Any, *, escalate: bool = True, more: Any = None) -> Outcome:
    """Completeness and cost of sending these questions to the recursive route, and of reading 20 passages for those of ``more``."""
    rag, deep, doubted = (np.array([getattr(one, name) for one in asked]) for name in ("rag", "deep", "doubted"))
    units = np.ones(len(asked))
    if more is not None:
        rag, units = np.where(more, [one.more for one in asked], rag), np.where(more, MORE, 1.0)
        deep = rag | deep  # what RAG has read is handed over
    sets = np.array([one.set for one in asked])
    escalated = ~recursive & doubted if escalate else np.zeros(len(asked), bool)
    complete = np.where(recursive | escalated, deep, rag)
    spent = {ratio: np.where(recursive, ratio, units + ratio * escalated) / ratio for ratio in RATIOS}
    always = np.array([one.deep for one in asked])
    rng = np.random.default_rng(0)
    drawn = [complete[some].mean() for some in (rng.choice(len(asked), len(asked)) for _ in range(RESAMPLES))]
    low, high = np.percentile(drawn, [2.5, 97.5])
    names = list(dict.fromkeys(sets))
    by_set = [
        (complete[sets == one].mean(), always[sets == one].mean(), spent[RATIO][sets == one].mean()) for one in names
    ]
    return Outcome(
        policy, len(asked), _percent(complete.mean()), _percent(low), _percent(high),
        _percent(complete.mean() / always.mean()), _percent((recursive | escalated | rag).mean()),
        _percent((recursive | escalated).mean()), {ratio: _percent(one.mean()) for ratio, one in spent.items()},
        *(_percent(np.mean(column)) for column in (
            [one for one, _, _ in by_set], [one / most for one, most, _ in by_set], [cost for _, _, cost in by_set])),
    )  # fmt: skip


def curve(asked: Sequence[Trial], scores: Sequence[float]) -> list[tuple[float, float]]:
    """Cost and completeness, both in percent of always-RLM's, as the threshold moves."""
    ranked = np.array(scores)
    cuts = np.quantile(ranked, np.linspace(0, 1, 60))
    found = [outcome("", asked, ranked >= cut) for cut in (*cuts, np.inf)]
    return [(one.cost[RATIO], one.of_always_rlm) for one in found]


def left_out(asked: Sequence[Trial]) -> Any:
    """Which questions each set would send on with constants and threshold made of the other sets alone."""
    sets = np.array([one.set for one in asked])
    recursive = np.zeros(len(asked), bool)
    for name in dict.fromkeys(sets):
        others = [one for one in asked if one.set != name]
        weights = _fitted(others)
        scores = [_leaned(weights, one) for one in others]
        cuts = np.quantile(scores, np.linspace(1, 0, 200))
        enough = (cut for cut in cuts if outcome_ratio(others, np.array(scores) >= cut) >= TARGET)
        recursive[sets == name] = np.array([_leaned(weights, one) for one in asked if one.set == name]) >= next(enough)
    return recursive


def outcome_ratio(asked: Sequence[Trial], recursive: Any) -> float:
    """Completeness in units of always-RLM's, with escalation."""
    rag, deep, doubted = (np.array([getattr(one, name) for one in asked]) for name in ("rag", "deep", "doubted"))
    return float(np.where(recursive | doubted, deep, rag).mean() / deep.mean())


def show(found: Sequence[Outcome], asked: Sequence[Trial]) -> None:
    """Print both tables."""
    print(f"\nEvidence: {len(asked)} questions with known evidence; no language model was used; percent")
    print(f"{'set':<14}{'n':>6}{'RAG complete':>14}{'RLM complete':>14}{'auto complete':>15}{'auto recursive':>16}")
    for name in dict.fromkeys(one.set for one in asked):
        own = [one for one in asked if one.set == name]
        chosen, more = (np.array([getattr(trial, kind) for trial in own]) for kind in ("recursive", "reads_more"))
        auto = outcome("auto", own, chosen, more=more)
        rag, deep = (_percent(np.mean([getattr(one, kind) for one in own])) for kind in ("rag", "deep"))
        print(f"{name:<14}{len(own):>6}{rag:>14.1f}{deep:>14.1f}{auto.complete:>15.1f}{auto.recursive:>16.1f}")
    costs = "".join(f"{f'cost, 1:{ratio}':>12}" for ratio in RATIOS)
    print(
        f"\n{'policy':<40}{'complete':>9}{'95 %':>13}{'of RLM':>8}{'if RLM perfect':>16}{'recursive':>11}{costs}   means of sets: of RLM, cost 1:{RATIO}"
    )
    for one in found:
        spent = "".join(f"{one.cost[ratio]:>12.1f}" for ratio in RATIOS)
        interval = f"{one.low:.1f}–{one.high:.1f}"
        print(
            f"{one.policy:<40}{one.complete:>9.1f}{interval:>13}{one.of_always_rlm:>8.1f}{one.of_perfect:>16.1f}"
            f"{one.recursive:>11.1f}{spent}{one.mean_of_always_rlm:>17.1f}{one.mean_cost:>8.1f}"
        )


def _trial(name: str, question: str, complete: Any, corpus: Corpus, router: SmartRouter, k: int) -> Trial:
    hits = corpus.retrieve(question, k=k)
    decision = router.decide(question)
    features, options = decision["features"], decision["options"]
    reads_more = options.get("k", k) > k
    more = complete(corpus.retrieve(question, **options)) if reads_more else False
    alone = SmartRouter().decide(question)["features"]
    seen = inputs_of(features)
    signs = sum(Weights().weights[one] * value for one, value in seen.items() if one != EVIDENCE)
    rag = complete(hits)
    return Trial(
        name, rag, rag or complete(_collected(corpus, question)), bool(not_covered(question, hits)),
        Weights().above_threshold(features), Weights().above_threshold(alone),
        (min(signs, 6.0), features.get("fall_off", 0.0), features.get("covered", 0.0)),
        decision["route"] == "rlm", reads_more, more,
    )  # fmt: skip


def _collected(corpus: Corpus, question: str) -> list[Any]:
    """What a program finds that follows the names in the best passages."""
    hits = corpus.retrieve(question, k=FIRST, mode="bm25")
    lowered, names = question.lower(), list[list[str]]()
    for hit in hits[:NAMED]:
        first = hit["text"].split("\n")[0]
        title = [first] if len(first) <= 80 and "\n" in hit["text"] else []
        found = [one for one in dict.fromkeys(title + _NAME.findall(hit["text"])) if one.lower() not in lowered]
        names.append(found[:NAMED])
    turns = [one for place in range(NAMED) for found in names if place < len(found) for one in (found[place],)]
    for one in list(dict.fromkeys(turns))[:FOLLOWED]:
        hits += corpus.retrieve(one, k=EACH, mode="bm25")
    return hits


def _fitted(asked: Sequence[Trial]) -> Any:
    """Logistic regression of "RAG's evidence is not complete", each set with the same weight."""
    x = np.array([[*one.inputs, 1.0] for one in asked])
    y = np.array([float(not one.rag) for one in asked])
    sets = np.array([one.set for one in asked])
    sizes = {name: int((sets == name).sum()) for name in set(sets)}
    weight = np.array([100 / sizes[name] for name in sets])
    at, ridge = np.zeros(x.shape[1]), np.diag([1.0] * (x.shape[1] - 1) + [1e-3])
    for _ in range(30):
        p = 1 / (1 + np.exp(-(x @ at)))
        at = at - np.linalg.solve(
            (x * (weight * p * (1 - p))[:, None]).T @ x + ridge, x.T @ (weight * (p - y)) + ridge @ at
        )
    return at


def _leaned(weights: Any, one: Trial) -> float:
    return float(np.dot(weights, [*one.inputs, 1.0]))


def _percent(share: Any) -> float:
    return 100 * float(share)
