"""Routes as values: a route of the user's own is offered, forced, drawn, billed and measured like those that are built in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import RunnableLambda
from langgraph.graph import START, MessagesState, StateGraph

from langgraph_rlm import Corpus, ExtractiveModel, Limits, Route, SmartRouter, create_smart_rag
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.evaluation.generated import needle
from langgraph_rlm.evaluation.running import Evaluation
from langgraph_rlm.graphs.shared import Shared
from tests.support import Ask, by_role, make_corpus, scripted

ASKED = {"question": "Summarize what Anna does."}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    texts: dict[str, Any] = {"anna.txt": "Anna lives in Paris. " + "Nothing of note. " * 3_000, "b.txt": "Bela."}
    with make_corpus(tmp_path_factory.mktemp("routes") / "index", texts) as made:
        yield made


def summarizing(shared: Shared) -> Any:
    return lambda state: {"answer": shared.model.invoke(f"Summarize: {state['question']}").text}


def summarizing_async(shared: Shared) -> Any:
    async def summarize(state: Any) -> Any:
        return {"answer": (await shared.model.ainvoke([("human", state["question"])])).text}

    return summarize


def summarizing_with_runnables(shared: Shared) -> Any:
    return RunnableLambda(lambda state: state["question"]) | shared.model | (lambda reply: {"answer": reply.text})


def means_a_summary(question: str, features: Any) -> bool:
    return question.startswith("Summarize")


@pytest.mark.parametrize("make", [summarizing, summarizing_async, summarizing_with_runnables])
async def test_a_route_of_the_users_own_is_offered_to_the_router_and_billed(
    make: Any, corpus: Corpus, ask: Ask
) -> None:
    route = Route("summarize", "a summary", make, when=means_a_summary)
    graph = create_smart_rag(scripted(["Anna writes."]), corpus=corpus, routes=[route])
    done = await ask(graph, ASKED)
    assert (done["answer"], done["route"], done["stop_reason"]) == ("Anna writes.", "summarize", "answered")
    assert done["found"]
    assert done["decision"]["reasons"][0] == "the route 'summarize' says that it is meant"
    assert done["usage"]["calls"] == 1
    assert done["messages"][-1].text == "Anna writes."


async def test_its_calls_are_held_by_the_limits(corpus: Corpus, ask: Ask) -> None:
    def make(shared: Shared) -> Any:
        return lambda state: {"answer": "".join(shared.model.invoke("again").text for _ in range(5))}

    route = Route("many", "asks five times", make)
    graph = create_smart_rag(scripted(["x"] * 5), corpus=corpus, routes=[route], limits={"max_calls": 3})
    done = await ask(graph, ASKED, {"configurable": {"rlm": {"route": "many"}}})
    assert done["stop_reason"] == "budget"
    assert done["usage"]["calls"] == 3
    assert not done["found"]


async def test_the_likeliest_of_several_is_taken_and_a_doubtful_one_is_not(corpus: Corpus, ask: Ask) -> None:
    def saying(name: str, chance: float) -> Route:
        return Route(name, name, lambda shared: lambda state: {"answer": name}, when=lambda question, features: chance)

    several = [saying("weak", 0.4), saying("strong", 0.9), saying("fair", 0.6)]
    assert (await ask(create_smart_rag(scripted([]), corpus=corpus, routes=several), ASKED))["answer"] == "strong"
    reader = scripted(by_role(reader="Anna [1].", root="x"))
    alone = create_smart_rag(reader, corpus=corpus, routes=several[:1], escalate=False)
    assert (await ask(alone, {"question": "Where does Anna live?"}))["route"] == "rag"


async def test_a_chance_that_is_none_is_refused_before_anything_is_paid(corpus: Corpus, ask: Ask) -> None:
    route = Route("odd", "odd", summarizing, when=lambda question, features: 7.0)
    model = scripted([])
    with pytest.raises(InvalidInput, match=r"when\(\) must give a bool or a number from 0 to 1, not 7\.0"):
        await ask(create_smart_rag(model, corpus=corpus, routes=[route]), ASKED)
    assert model.requests == []


async def test_a_request_forces_it_and_an_unknown_one_is_refused_before_anything_is_paid(
    corpus: Corpus, ask: Ask
) -> None:
    route = Route("echo", "says it again", lambda shared: lambda state: {"answer": state["question"]})
    model = scripted([])
    graph = create_smart_rag(model, corpus=corpus, routes=[route])
    said = {"messages": [("user", "Who is Bela?"), ("ai", "A man."), ("user", "And Anna?")]}
    done = await ask(graph, {"question": "Say it."}, {"configurable": {"rlm": {"route": "echo"}}})
    assert done["answer"] == "Say it."
    with pytest.raises(InvalidInput, match="must be one of auto, direct, rag, rlm, echo, not 'ecco'"):
        await ask(graph, said, {"configurable": {"rlm": {"route": "ecco"}}})
    assert model.requests == []


def test_it_is_drawn(corpus: Corpus) -> None:
    route = Route("summarize", "a summary", summarizing)
    drawn = create_smart_rag(scripted([]), corpus=corpus, routes=[route]).get_graph()
    edges = {(edge.source, edge.target) for edge in drawn.edges}
    assert {("router", "summarize"), ("summarize", "__end__")} <= edges


async def test_a_route_without_context_gets_no_question_that_comes_with_one(corpus: Corpus, ask: Ask) -> None:
    blind = Route("blind", "reads nothing", lambda shared: lambda state: {"answer": "blind"}, when=lambda q, f: True)
    seeing = Route(
        "seeing", "reads it", lambda shared: lambda state: {"answer": "seen"}, takes_context=True, when=lambda q, f: 0.6
    )
    graph = create_smart_rag(scripted([]), corpus=corpus, routes=[blind, seeing])
    assert (await ask(graph, {**ASKED, "context": "a text"}))["answer"] == "seen"
    with pytest.raises(InvalidInput, match=re.escape("ask for 'direct' or 'rlm' or 'seeing'")):
        await ask(graph, {**ASKED, "context": "a text"}, {"configurable": {"rlm": {"route": "blind"}}})


@pytest.mark.parametrize("name", ["rag", "router", "auto", "start", "two words", ""])
def test_a_name_that_cannot_be_a_routes_is_refused(name: str, corpus: Corpus) -> None:
    with pytest.raises(InvalidInput, match=r"Route|routes"):
        create_smart_rag(scripted([]), corpus=corpus, routes=[Route(name, "x", summarizing)])


async def test_a_route_that_gives_no_answer_is_named(corpus: Corpus, ask: Ask) -> None:
    graph = create_smart_rag(
        scripted([]), corpus=corpus, routes=[Route("mute", "x", lambda shared: lambda state: None)]
    )
    with pytest.raises(InvalidInput, match="mute: the given runnable must return a mapping with an 'answer'"):
        await ask(graph, ASKED, {"configurable": {"rlm": {"route": "mute"}}})


def test_the_models_of_a_graph_cannot_be_called_outside_of_a_run(corpus: Corpus) -> None:
    kept: list[Shared] = []

    def make(shared: Shared) -> Any:
        kept.append(shared)
        return lambda state: {"answer": "x"}

    create_smart_rag(scripted([]), corpus=corpus, routes=[Route("mine", "x", make)])
    with pytest.raises(InvalidInput, match="only be called while a question is being answered"):
        kept[0].model.invoke("hello")


async def test_a_sync_call_that_would_wait_for_itself_is_refused(corpus: Corpus) -> None:
    def make(shared: Shared) -> Any:
        async def node(state: Any) -> Any:
            return {"answer": shared.model.invoke("hello").text}

        return node

    graph = create_smart_rag(scripted(["x"]), corpus=corpus, routes=[Route("mine", "x", make, when=lambda q, f: True)])
    with pytest.raises(InvalidInput, match=r"await shared\.model\.ainvoke"):
        await graph.ainvoke(ASKED)


async def test_the_router_as_a_node_goes_to_any_route_it_knows(corpus: Corpus, ask: Ask) -> None:
    router = SmartRouter(routes=[Route("summarize", "a summary", summarizing, when=means_a_summary)])
    builder = StateGraph(MessagesState)
    builder.add_node("router", router.node(rag="lookup", rlm="deep", summarize="short"))
    for name in ("lookup", "deep", "short"):
        builder.add_node(name, lambda state, name=name: {"messages": [("ai", name)]})
    builder.add_edge(START, "router")
    graph = builder.compile()
    assert (await ask(graph, {"messages": [("user", "Summarize it.")]}))["messages"][-1].text == "short"
    forced = {"configurable": {"rlm": {"route": "summarize"}}}
    assert (await ask(graph, {"messages": [("user", "List all.")]}, forced))["messages"][-1].text == "short"
    with pytest.raises(InvalidInput, match="there is no route 'summary'; there are direct, rag, rlm, summarize"):
        await ask(graph, {"messages": [("user", "List all.")]}, {"configurable": {"rlm": {"route": "summary"}}})


@pytest.mark.parametrize(
    ("routes", "says"),
    [
        ({"rag": "a", "rlm": "b", "summary": "c"}, "there is no route 'summary'; there are direct, rag, rlm"),
        ({"rag": "a"}, "name the node for 'rlm'"),
    ],
)
def test_a_node_with_unknown_or_missing_routes_is_refused_when_it_is_made(routes: Any, says: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(says)):
        SmartRouter().node(**routes)


def test_an_evaluation_measures_it(tmp_path: Path) -> None:
    route = Route("echo", "says it again", lambda shared: lambda state: {"answer": state["question"]})
    data = needle(tasks=1, chars=4_000).data
    evaluation = Evaluation(
        data, ExtractiveModel(), out=tmp_path, routes=["echo", "rag"], own=[route], limits=Limits(), sandbox="unsafe"
    )
    outcome = evaluation.run()
    answers = {route: record["answer"] for (_, route), record in outcome.answers.items()}
    assert answers["echo"] == data.tasks[0].question
    assert set(answers) == {"rag", "echo"}
