"""How well routers tell complex questions from simple ones in sets that they have not seen."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _routing_data import GROUPS, Labelled

from langgraph_rlm.graphs.routing.weights import THRESHOLD, Weights
from langgraph_rlm.graphs.signals import signals_of

PYTHON = "ROUTING_PYTHON"
"""Names the interpreter of an environment that has scikit-learn."""
MISSING = 2.0
"""What a complex question that goes to RAG costs where a threshold is chosen; a needless recursive run costs 1."""
RESAMPLES = 1_000
_TEN_LINES = (
    r"compar|difference|versus|both|each|all |every|average|total|change|trend|ratio|percentage",
    r"how many .*(and|of the)|which .*(more|most|first|older)|, and ",
)


class Quality(NamedTuple):
    """One router on the labels, leaving a group out; percent."""

    router: str
    questions: int
    macro_f1: float
    """Mean over the groups."""
    low: float
    high: float
    """95 % of resamples of each group's questions."""
    recall: float
    """Of complex questions, mean over the groups."""
    by_group: dict[str, tuple[float, float]]
    """Macro-F1 and recall of complex questions."""


def qualities(rows: Sequence[Labelled]) -> list[Quality]:
    """All routers on the same questions."""
    features = [signals_of(row.text).features for row in rows]
    scores = np.array([Weights().above_threshold(one) + THRESHOLD for one in features])
    return [
        *(quality(name, rows, np.array(made)) for name, made in _baselines(rows).items()),
        quality("ten-line rule", rows, np.array([_ten_lines(row.text) for row in rows])),
        quality("ours, weights learnt without the group", rows, _left_out(rows, lambda kept: _learnt(rows, features, kept))),
        quality("ours, threshold chosen without the group", rows, _left_out(rows, lambda kept: scores >= _chosen(rows, scores, kept))),
        quality("ours, as shipped", rows, scores >= THRESHOLD),
    ]  # fmt: skip


def curve(rows: Sequence[Labelled]) -> list[tuple[float, float]]:
    """Share of simple questions sent to recursion, and of complex ones, as the threshold moves; percent, mean of groups."""
    scores = np.array([Weights().above_threshold(signals_of(row.text).features) + THRESHOLD for row in rows])
    labels, groups = _columns(rows)
    points = []
    for cut in np.arange(-0.5, 9.0, 0.25):
        sent = [[(scores[(groups == group) & (labels == kind)] >= cut).mean() for group in GROUPS] for kind in (0, 1)]
        points.append((100 * float(np.mean(sent[0])), 100 * float(np.mean(sent[1]))))
    return points


def quality(name: str, rows: Sequence[Labelled], predicted: Any) -> Quality:
    """Its figures, with an interval by resampling."""
    labels, groups = _columns(rows)
    predicted = predicted.astype(int)
    by_group = {
        group: (100 * _macro_f1(labels[groups == group], predicted[groups == group]),
                100 * float(predicted[(groups == group) & (labels == 1)].mean()))
        for group in GROUPS
    }  # fmt: skip
    rng = np.random.default_rng(0)
    places = [np.flatnonzero(groups == group) for group in GROUPS]
    drawn = [
        100
        * np.mean([_macro_f1(labels[some], predicted[some]) for some in (rng.choice(one, len(one)) for one in places)])
        for _ in range(RESAMPLES)
    ]
    f1, recall = (float(np.mean([figures[at] for figures in by_group.values()])) for at in (0, 1))
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Quality(name, len(rows), f1, float(low), float(high), recall, by_group)


def show(found: Sequence[Quality]) -> None:
    """Print the table."""
    print(
        f"\nLabels: {found[0].questions} questions, one group of sets left out at a time; macro-F1 / recall of complex, percent"
    )
    print(f"{'':<42}" + "".join(f"{group:>14}" for group in GROUPS) + f"{'mean F1':>10}{'95 %':>14}{'recall':>9}")
    for one in found:
        cells = "".join(f"{f1:>7.1f} /{recall:>5.1f}" for f1, recall in one.by_group.values())
        print(f"{one.router:<42}{cells}{one.macro_f1:>10.1f}{f'{one.low:.1f}–{one.high:.1f}':>14}{one.recall:>9.1f}")


def _columns(rows: Sequence[Labelled]) -> tuple[Any, Any]:
    return np.array([int(row.complex) for row in rows]), np.array([row.group for row in rows])


def _macro_f1(labels: Any, predicted: Any) -> float:
    scores = []
    for kind in (0, 1):
        hit = int(((labels == kind) & (predicted == kind)).sum())
        scores.append(2 * hit / max(1, int((labels == kind).sum() + (predicted == kind).sum())))
    return sum(scores) / 2


def _left_out(rows: Sequence[Labelled], predict: Callable[[Any], Any]) -> Any:
    """Each group's predictions by what was made of the others."""
    _, groups = _columns(rows)
    predicted = np.zeros(len(rows), bool)
    for group in GROUPS:
        predicted[groups == group] = predict(groups != group)[groups == group]
    return predicted


def _chosen(rows: Sequence[Labelled], scores: Any, kept: Any) -> float:
    labels, groups = _columns(rows)

    def cost(cut: float) -> float:
        missed = [
            (scores[kept & (groups == g) & (labels == 1)] < cut).mean() for g in GROUPS if (kept & (groups == g)).any()
        ]
        needless = [
            (scores[kept & (groups == g) & (labels == 0)] >= cut).mean() for g in GROUPS if (kept & (groups == g)).any()
        ]
        return float(MISSING * np.mean(missed) + np.mean(needless))

    return min((float(cut) for cut in np.arange(0.3, 4.0, 0.1)), key=cost)


def _learnt(rows: Sequence[Labelled], features: Sequence[dict[str, float]], kept: Any) -> Any:
    """From weights that are all alike, so that nothing of what ships comes in but the patterns."""
    start = Weights(dict.fromkeys(Weights().weights, 1.0))
    examples = [(one, row.complex) for one, row, keep in zip(features, rows, kept, strict=True) if keep]
    learnt = start.fitted([one for one, _ in examples], [label for _, label in examples], missing=MISSING, needless=1.0)
    return np.array([learnt.above_threshold(one) >= 0 for one in features])


def _ten_lines(question: str) -> bool:
    lower = question.lower()
    signs = any(re.search(pattern, lower) for pattern in _TEN_LINES)
    return signs or len(lower.split()) > 16 or lower.count(" of ") >= 2 or "whose" in lower or " that " in lower


def _baselines(rows: Sequence[Labelled]) -> dict[str, list[int]]:
    python = os.environ.get(PYTHON)
    if not python:
        print(f"TF-IDF and structural classifiers: skipped, {PYTHON} names no interpreter that has scikit-learn")
        return {}
    given = json.dumps([[row.text, row.complex, row.group] for row in rows])
    script = str(Path(__file__).with_name("_routing_baselines.py"))
    ran = subprocess.run([python, script], input=given, capture_output=True, text=True, check=True)
    made: dict[str, list[int]] = json.loads(ran.stdout)
    return made
