"""What a question may take, told before it is asked: the true figures lie between the bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document

from langgraph_rlm import Corpus, create_rag, create_rlm, create_smart_rag
from langgraph_rlm.errors import InvalidInput
from tests.support import Ask, cell, scripted

PRICES: Any = {"scripted": {"input": 1.0, "output": 2.0}}


@pytest.fixture
def corpus(tmp_path: Path) -> Any:
    with Corpus.open(f"chroma:{tmp_path}") as corpus:
        corpus.add([Document("Parental leave is 16 weeks.", id="leave.md"), Document("Trains first.", id="travel.md")])
        yield corpus


def answering(messages: Any) -> str:
    return (
        cell("answer['content'] = '16 weeks'; answer['ready'] = True")
        if "repl" in str(messages[0].content)
        else "16 weeks"
    )


@pytest.mark.parametrize("route", ["direct", "rag", "rlm"])
async def test_what_a_route_takes_lies_between_its_bounds(route: str, corpus: Corpus, ask: Ask) -> None:
    graph = create_smart_rag(scripted(answering), corpus=corpus, rlm={"sandbox": "unsafe"}, escalate=False)
    told = graph.estimate("How long is it?")["routes"][route]
    done = await ask(graph, {"question": "How long is it?"}, {"configurable": {"rlm": {"route": route}}})
    usage = done["usage"]
    assert usage["calls"] <= told["calls"]["high"]
    assert usage["input_tokens"] + usage["output_tokens"] <= told["tokens"]["high"]
    assert told["calls"]["low"] <= told["calls"]["high"]


def test_nobody_is_asked(corpus: Corpus) -> None:
    def asked(messages: Any) -> str:
        raise AssertionError("a model was asked")

    for graph in (create_rag(scripted(asked), corpus=corpus), create_smart_rag(scripted(asked), corpus=corpus)):
        assert graph.estimate("How long is it?")["routes"]


def test_limits_of_graph_and_request_are_the_upper_bounds(corpus: Corpus) -> None:
    graph = create_smart_rag(
        scripted(answering), corpus=corpus, limits={"max_calls": 50, "max_seconds": 9}, prices=PRICES
    )
    bounds = graph.estimate("How long is it?", limits={"max_calls": 7, "max_cost_usd": 0.001})["routes"]["rlm"]
    assert (bounds["calls"]["high"], bounds["seconds"]["high"], bounds["cost_usd"]["high"]) == (7, 9, 0.001)
    wide = create_rlm(scripted(answering), limits={"max_calls": None, "max_seconds": None, "max_cost_usd": None})
    rlm = wide.estimate("How long is it?", context="x")["routes"]["rlm"]
    assert [bound["high"] for bound in rlm.values()] == [None] * 4  # type: ignore[attr-defined]


def test_a_model_without_a_price_has_no_bounds_in_usd(corpus: Corpus) -> None:
    graph = create_rag(scripted(answering), corpus=corpus)
    assert graph.estimate("How long?")["routes"]["rag"]["cost_usd"] == {"low": None, "high": None}


@pytest.mark.parametrize(
    ("context", "routes"),
    [
        ("short", {"direct", "rlm"}),
        ("x" * 3_000_000, {"rlm"}),
        ({"context_ref": "sha256:0", "chars": 10}, {"direct", "rlm"}),
    ],
)
def test_a_context_is_read_at_once_only_where_it_fits_and_never_searched(
    context: Any, routes: set[str], corpus: Corpus
) -> None:
    graph = create_smart_rag(scripted(answering), corpus=corpus)
    assert set(graph.estimate("How long is it?", context=context)["routes"]) == routes


def test_a_route_of_the_users_own_runnable_is_left_out(corpus: Corpus) -> None:
    graph = create_smart_rag(scripted(answering), corpus=corpus, rag=lambda state: {"answer": "x"})  # type: ignore[arg-type]
    assert "rag" not in graph.estimate("How long is it?")["routes"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"question": " "}, "empty"),
        ({"question": "x", "context": 5}, "int"),
        ({"question": "x", "limits": {"max_call": 1}}, "max_call"),
    ],
)
def test_what_cannot_be_estimated_is_refused(given: Any, says: str, corpus: Corpus) -> None:
    with pytest.raises(InvalidInput, match=says):
        create_smart_rag(scripted(answering), corpus=corpus).estimate(**given)
