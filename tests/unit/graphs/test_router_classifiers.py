"""Second opinions: who is asked, when, in which shapes they may answer, and what happens when they fail."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.runnables import RunnableLambda

from langgraph_rlm import Limits, SmartRouter
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.graphs.routing.judging import read_verdict
from tests.support import scripted

CLEAR_LOOK_UP = "Who wrote it?"
CLEAR = "List all suppliers across all regions and compare each of them."
GREY = "When did the team that won the 2012 cup play its first match?"

VERDICTS = [
    "rag",
    " Simple ",
    False,
    0.2,
    {"rag": 0.7, "rlm": 0.3},
    {"simple": 2, "complex": 1},
    {"route": "rag"},
    {"route": "rag", "confidence": 0.8, "reason": "one fact"},
    SimpleNamespace(route="rag"),
]


@pytest.mark.parametrize("verdict", VERDICTS, ids=str)
def test_a_verdict_may_have_any_usual_shape(verdict: Any) -> None:
    assert SmartRouter().decide(GREY)["route"] == "rlm"
    decision = SmartRouter(classifier=lambda question, features: verdict).decide(GREY)
    assert decision["route"] == "rag", decision
    assert "the classifier <lambda> says rag" in decision["reasons"][0]


NONSENSE: list[Any] = [
    None, "maybe", 7, -0.1, float("nan"), {}, {"rag": -1}, {"rag": 0, "rlm": 0}, {"route": None}, {"route": "direct"},
    {"rag": "much"}, ["rlm"], pytest.param(object(), id="object"), {"rlm": float("inf")},
]  # fmt: skip


@pytest.mark.parametrize("verdict", NONSENSE, ids=str)
def test_nonsense_leaves_the_decision_to_the_rules_and_is_recorded(verdict: Any) -> None:
    rules = SmartRouter().decide(GREY)
    decision = SmartRouter(classifier=lambda question, features: verdict).decide(GREY)
    assert (decision["route"], decision["confidence"]) == (rules["route"], rules["confidence"])
    assert "gave no verdict" in decision["reasons"][-1]
    assert decision["reasons"][-1].endswith("so the rules decide")


def failing(question: str, features: Any) -> Any:
    raise RuntimeError("no weights")


def test_a_classifier_that_fails_leaves_the_decision_to_the_rules_and_is_recorded() -> None:
    decision = SmartRouter(classifier=failing).decide(GREY)
    assert decision["route"] == "rlm"
    assert decision["reasons"][-1] == "the classifier failing failed (RuntimeError), so the rules decide"


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_no_verdict_is_outside_of_zero_and_one(said: Any) -> None:
    verdict = read_verdict(said)
    assert verdict is None or 0 <= verdict.chance <= 1


def test_a_function_is_asked_whatever_the_rules_say_and_sees_the_features() -> None:
    seen: list[Any] = []

    def classifier(question: str, features: Any) -> str:
        seen.append((question, sorted(features)))
        return "rag"

    router = SmartRouter(classifier=classifier)
    assert router.decide(CLEAR)["route"] == "rag"
    assert seen[0][0] == CLEAR
    assert {"enumeration", "quantifier"} <= set(seen[0][1])


def test_sizes_are_not_put_to_a_vote() -> None:
    assert SmartRouter(classifier=failing).decide(GREY, context="short")["reasons"][-1] != "rules decide"
    assert SmartRouter(classifier=lambda q, f: "rlm").decide(GREY, context="short")["route"] == "direct"


class Deciding:
    """Of the shape of decision models."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def decide(self, question: str) -> Any:
        self.asked.append("sync")
        return SimpleNamespace(route="rag", confidence=0.7, reason="a fact")

    async def adecide(self, question: str) -> Any:
        self.asked.append("async")
        return SimpleNamespace(route="rag", confidence=0.7, reason="a fact")


async def test_an_object_that_decides_is_asked_in_the_callers_manner() -> None:
    model = Deciding()
    router = SmartRouter(classifier=model)
    decision = await router.adecide(GREY)
    assert decision == await asyncio.to_thread(router.decide, GREY)
    assert decision["reasons"][0] == "the classifier Deciding says rag: a fact"
    assert decision["confidence"] == 0.4
    assert model.asked == ["async", "sync"]


async def test_a_runnable_and_a_coroutine_can_classify() -> None:
    runnable = RunnableLambda(lambda given: "rag" if given["question"] == GREY and given["features"] else "rlm")
    assert (await SmartRouter(classifier=runnable).adecide(GREY))["route"] == "rag"

    async def classifier(question: str, features: Any) -> str:
        return "rag"

    assert SmartRouter(classifier=classifier).decide(GREY)["route"] == "rag"
    assert (await SmartRouter(classifier=classifier).adecide(GREY))["route"] == "rag"


def test_a_chat_model_is_asked_only_where_the_rules_are_not_sure() -> None:
    model = scripted(lambda messages: '```json\n{"route": "rag", "confidence": 0.95, "reason": "one team"}\n```')
    router = SmartRouter(classifier=model)
    assert [router.decide(question)["route"] for question in (CLEAR_LOOK_UP, CLEAR, GREY)] == ["rag", "rlm", "rag"]
    [request] = model.requests
    assert request[-1].text.endswith(GREY)
    assert router.decide(GREY)["reasons"][0] == "the classifier scripted says rag: one team"


@pytest.mark.parametrize("reply", ["I think rag.", '{"route": "direct"}', RuntimeError("down")], ids=str)
def test_a_chat_model_without_a_verdict_is_asked_once_and_the_rules_decide(reply: Any) -> None:
    model = scripted([reply])
    decision = SmartRouter(classifier=model).decide(GREY)
    assert decision["route"] == "rlm"
    assert decision["reasons"][-1].endswith("so the rules decide")
    assert len(model.requests) == 1


@pytest.mark.parametrize("classifier", [5, pytest.param(object(), id="object"), b"gpt"])
def test_what_cannot_classify_is_refused(classifier: Any) -> None:
    with pytest.raises(InvalidInput, match="classifier"):
        SmartRouter(classifier=classifier)


# --- what is left to answer with ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("limits", "route"), [
    (Limits(), "rlm"), (Limits(max_calls=2), "rag"), (Limits(max_calls=3), "rlm"), (Limits(max_calls=None), "rlm"),
    (Limits(max_seconds=5), "rag"), (Limits(max_seconds=None), "rlm"),
])  # fmt: skip
def test_with_few_calls_or_little_time_a_question_has_to_be_clearer(limits: Limits, route: str) -> None:
    decision = SmartRouter().decide(GREY, limits=limits)
    assert decision["route"] == route
    if route == "rag":
        assert "left" in decision["reasons"][0]


def test_a_clear_question_takes_the_recursive_route_in_a_hurry_too() -> None:
    assert SmartRouter().decide(CLEAR, limits=Limits(max_seconds=5))["route"] == "rlm"
