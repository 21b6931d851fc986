"""Weights learnt from a user's own questions: what they change, what they cost, how they are kept."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_rlm import SmartRouter
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.graphs.routing.weights import THRESHOLD, Weights, inputs_of
from tests.unit.graphs.test_router_questions import DEEP, LOOK_UPS

QUESTIONS = LOOK_UPS + [question for question, _ in DEEP]
LABELS = ["rag"] * len(LOOK_UPS) + ["rlm"] * len(DEEP)
BOTH = ["How tall is it?", "What was the average?"]
MINE = [f"What was the average temperature on day {n}?" for n in range(30)]
"""In this user's traffic the average stands in a table: rag answers it."""
THEIRS = [f"Which clause covers case {n}?" for n in range(30)]
"""And these take many documents, though nothing in them says so."""


def routes(router: SmartRouter, questions: list[str]) -> list[str]:
    return [router.decide(question)["route"] for question in questions]


def test_what_the_users_traffic_shows_is_learnt() -> None:
    router = SmartRouter().fit(MINE + QUESTIONS, ["rag"] * 30 + LABELS)
    assert routes(SmartRouter(), MINE[:1]) == ["rlm"]
    assert routes(router, MINE) == ["rag"] * 30
    assert routes(router, ["List all suppliers of 2020."]) == ["rlm"]


def test_what_the_examples_do_not_speak_of_stays_as_it_was() -> None:
    learnt = Weights().fitted([{"aggregate": 1.0}, {"superlative": 1.0}], [False, True], missing=1, needless=1)
    assert learnt.weights["enumeration"] == Weights().weights["enumeration"]
    assert learnt.weights["aggregate"] < Weights().weights["aggregate"]
    assert learnt.weights["superlative"] > Weights().weights["superlative"]
    assert learnt.learned_from == 2


def test_examples_that_agree_with_the_rules_change_no_route() -> None:
    assert routes(SmartRouter().fit(QUESTIONS, LABELS), QUESTIONS) == LABELS


@pytest.mark.parametrize("method", ["fit", "calibrate"])
def test_a_dearer_mistake_moves_the_threshold_away_from_it(method: str) -> None:
    asked = [*MINE, *THEIRS, *QUESTIONS]
    labels = [*(["rag", "rlm"] * 15), *(["rag", "rlm"] * 15), *LABELS]
    deep = [
        routes(getattr(SmartRouter(), method)(asked, labels, cost_of_missing_complex=cost), asked).count("rlm")
        for cost in (0.05, 1.0, 20.0)
    ]
    assert deep[0] <= deep[1] <= deep[2]
    assert deep[0] < deep[2]


costs = st.floats(0.1, 10)


@given(
    st.lists(st.tuples(st.integers(0, 24).map(lambda n: n / 8), st.booleans()), min_size=2, max_size=30), costs, costs
)
def test_no_other_threshold_would_have_cost_less(
    examples: list[tuple[float, bool]], missing: float, needless: float
) -> None:
    features, labels = [{"length": amount} for amount, _ in examples], [label for _, label in examples]
    if len(set(labels)) < 2:
        return
    found = Weights().calibrated(features, labels, missing=missing, needless=needless)

    def cost(threshold: float) -> float:
        chosen = [Weights(threshold=threshold).above_threshold(one) >= 0 for one in features]
        pairs = list(zip(chosen, labels, strict=True))
        return missing * pairs.count((False, True)) + needless * pairs.count((True, False))

    naive = min(cost(amount + step) for amount, _ in examples for step in (-1e-6, 0.0, 1e-6))
    assert cost(found.threshold) <= naive + 1e-9


@given(st.lists(st.tuples(st.sampled_from(list(Weights().weights)), st.booleans()), min_size=2, max_size=40))
def test_learning_never_fails_and_stays_finite(examples: list[tuple[str, bool]]) -> None:
    labels = [label for _, label in examples]
    if len(set(labels)) < 2:
        return
    learnt = Weights().fitted([{name: 1.0} for name, _ in examples], labels, missing=1, needless=1)
    assert all(abs(learnt.weights[name] - Weights().weights[name]) < 10 for name in learnt.weights)


def test_an_answered_corpus_is_learnt_from_as_well() -> None:
    rng = random.Random(0)
    flat = [{"fall_off": rng.uniform(0, 0.2), "covered": 0.2, "unmatched": 0.5, "spread": 1.0} for _ in range(60)]
    steep = [{"fall_off": rng.uniform(0.8, 1), "covered": 0.9, "unmatched": 0.0, "spread": 1.0} for _ in range(60)]
    assert inputs_of(flat[0])["evidence"] > 0
    learnt = Weights().fitted(flat + steep, [True] * 60 + [False] * 60, missing=1, needless=1)
    assert learnt.above_threshold(flat[0]) > 0 > Weights().above_threshold(flat[0])


def test_weights_are_kept_in_a_small_file(tmp_path: Path) -> None:
    learnt = SmartRouter().fit(MINE + THEIRS, ["rag"] * 30 + ["rlm"] * 30)
    learnt.save(tmp_path / "router.json")
    assert (tmp_path / "router.json").stat().st_size < 4_000
    again = SmartRouter(weights=tmp_path / "router.json")
    assert [again.decide(one) for one in QUESTIONS] == [learnt.decide(one) for one in QUESTIONS]
    assert json.loads((tmp_path / "router.json").read_text())["learned_from"] == 60


def test_learning_leaves_the_router_that_it_started_from_alone() -> None:
    router = SmartRouter()
    router.fit(MINE + THEIRS, ["rag"] * 30 + ["rlm"] * 30)
    assert router._rules.weights.threshold == THRESHOLD


GOOD = {"format": 1, "threshold": 1.0, "learned_from": 0, "weights": dict(Weights().weights)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "format 2"),
        (json.dumps(GOOD | {"format": 3}), "format 2"),
        (json.dumps(GOOD | {"weights": {"mood": 1}}), "another release"),
        (json.dumps(GOOD | {"threshold": "high"}), "no finite number"),
        (json.dumps(GOOD | {"threshold": float("nan")}), "no finite number"),
        (json.dumps(GOOD | {"weights": {**GOOD["weights"], "nested": None}}), "no finite number"),  # type: ignore[dict-item]
    ],
)
def test_a_file_of_another_shape_is_refused(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "router.json").write_text(content)
    with pytest.raises(InvalidInput, match=message):
        SmartRouter(weights=tmp_path / "router.json")


def test_what_a_recursive_run_adds_is_learnt_from_three_labels() -> None:
    seen = {"fall_off": 0.5, "covered": 0.5, "unmatched": 0.1, "spread": 1.0}
    steps, wide, plain = ({**seen, name: 1.0} for name in ("relation", "enumeration", "superlative"))
    shipped = Weights()
    assert shipped.beyond(wide, hops=True) > 0 > shipped.beyond(steps, hops=True)
    assert shipped.beyond(steps, hops=False) > 0  # where RAG cannot follow names
    learnt = shipped.for_further().fitted(
        [steps] * 30 + [plain] * 30, [True] * 30 + [False] * 30, missing=1, needless=1
    )
    assert Weights(further=learnt).beyond(steps, hops=True) > 0 > Weights(further=learnt).beyond(plain, hops=True)


def test_both_sets_of_weights_are_kept(tmp_path: Path) -> None:
    made = Weights(further=Weights(threshold=0.25, learned_from=3))
    made.save(tmp_path / "router.json")
    assert Weights.load(tmp_path / "router.json") == made


def test_a_file_of_the_release_before_is_read(tmp_path: Path) -> None:
    (tmp_path / "router.json").write_text(json.dumps(GOOD | {"learned_from": 7}))
    loaded = Weights.load(tmp_path / "router.json")
    assert loaded.further is not None and loaded.further.threshold == loaded.threshold == 1.0


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"nowhere\.json cannot be read"):
        SmartRouter(weights=tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    ("questions", "labels", "options", "message"),
    [
        (BOTH, ["rag"], {}, "same length"),
        ("What?", ["rag"] * 5, {}, "lists"),
        (BOTH, ["rag", "direct"], {}, "labels"),
        (BOTH, ["rag", 1], {}, "labels"),
        (BOTH, ["rag", "simple"], {}, "both kinds"),
        (["", "a b"], ["rag", "rlm"], {}, "question is empty"),
        (BOTH, ["rag", "rlm"], {"cost_of_missing_complex": 0}, "cost_of_missing_complex"),
        (BOTH, ["rag", "rlm"], {"cost_of_needless_rlm": float("inf")}, "cost_of_needless_rlm"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "calibrate"])
def test_unusable_examples_are_refused(questions: Any, labels: Any, options: Any, message: str, method: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        getattr(SmartRouter(), method)(questions, labels, **options)


@pytest.mark.parametrize("labels", [["rag", "rlm"], ["simple", "complex"], [False, True]])
def test_labels_have_three_dresses(labels: Any) -> None:
    assert SmartRouter().fit(BOTH, labels)._rules.weights == SmartRouter().fit(BOTH, ["rag", "rlm"])._rules.weights
