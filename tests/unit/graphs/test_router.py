"""The router: which question goes where, why, and how it stands in a user's own graph."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AnyMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from pydantic import BaseModel
from typing_extensions import TypedDict

from langgraph_rlm import ContextStore, Corpus, SmartRouter
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.graphs.prompts import FENCE_TOKENS
from tests.support import Ask, make_corpus


class Asked(TypedDict, total=False):
    question: str
    decision: Any


LOOK_UPS = [
    "Which timeout does urlopen use by default?",
    "What is the notice period?",
    "Who wrote the report on water quality?",
    "When was the bridge opened?",
    "What does textwrap.dedent do?",
    "Where is the head office of the company?",
    "What port does the server listen on?",
    "How do I install the package?",
    "What is the capital of France?",
    "Is there a limit on the size of uploads?",
]
DEEP = [
    ("How many times does `retry` occur in all modules?", "count"),
    ("In which files does run_in_executor occur, and how many times?", "count"),
    ("How many classes derive from Exception?", "counts things"),
    ("List all functions that call open().", "list of all"),
    ("Compare the revenue of 2021 and 2022.", "compares"),
    ("Which quarters did gross margin fall, and why?", "documents of a kind|change over time"),
    ("How has the tone of the letters changed over the years?", "change over time"),
    ("Summarize the main themes of all interviews.", "summary"),
    ("What contradictions are there between the two witness statements?", "contradictions"),
    ("Who is the father of the director of the film Polish-Russian War?", "named through another|relation"),
    ("What is the average number of employees across all filings?", "aggregates|all of something"),
    ("Where else in the code base is this helper used, and how do the modules interact?", "code base"),
]


@pytest.mark.parametrize("question", LOOK_UPS)
def test_look_ups_go_to_classic_rag(question: str) -> None:
    decision = SmartRouter().decide(question)
    assert decision["route"] == "rag", decision
    assert decision["reasons"]
    assert decision["escalated_from"] is None


@pytest.mark.parametrize(("question", "reason"), DEEP)
def test_questions_over_many_documents_or_steps_go_to_the_recursive_route(question: str, reason: str) -> None:
    decision = SmartRouter().decide(question)
    assert decision["route"] == "rlm", decision
    assert any(part in " ".join(decision["reasons"]) for part in reason.split("|")), decision["reasons"]


@given(st.text(min_size=1))
def test_any_text_gets_the_same_decision_twice(text: str) -> None:
    router = SmartRouter()
    if not text.strip():
        with pytest.raises(InvalidInput):
            router.decide(text)
        return
    decision = router.decide(text)
    assert decision == router.decide(text)
    assert decision["route"] in ("rag", "rlm")
    assert 0 <= decision["confidence"] <= 1
    assert decision["reasons"]
    assert all(isinstance(value, float) for value in decision["features"].values())


@pytest.mark.parametrize(
    "piece", ["a", "A ", "which of the ", "'s ", "the x of the y of ", "and what ", "? ", "Anna Maria "]
)
def test_a_very_long_question_is_decided_as_well(piece: str) -> None:
    assert SmartRouter().decide(piece * 30_000)["route"] in ("rag", "rlm")


@pytest.mark.parametrize("question", ["", "  \n", None, 5])
def test_an_empty_question_is_refused(question: Any) -> None:
    with pytest.raises(InvalidInput, match="question is empty"):
        SmartRouter().decide(question)


ORDER = {"direct": 0, "rlm": 1}


@given(st.integers(1_000, 2_000_000), st.lists(st.integers(1, 10_000_000), min_size=2, max_size=6))
def test_more_context_never_leads_back_to_reading_it_at_once(window: int, sizes: list[int]) -> None:
    router = SmartRouter(window=window)
    routes = [
        router.decide("What is the notice period?", context={"context_ref": "x", "chars": size})["route"]
        for size in sorted(sizes)
    ]
    assert [ORDER[route] for route in routes] == sorted(ORDER[route] for route in routes)


@pytest.mark.parametrize(
    ("tokens", "window", "route"),
    [
        (1_000, 128_000, "direct"),
        (90_000, 128_000, "direct"),
        (101_000, 128_000, "rlm"),
        (101_000, 1_000_000, "direct"),
        (501_000, 2_000_000, "rlm"),
        (9_000, 10_000, "rlm"),
    ],
)
def test_a_context_is_read_at_once_where_the_window_holds_it(tokens: int, window: int, route: str) -> None:
    decision = SmartRouter(window=window).decide("What is said?", context="x" * (tokens * 4))
    assert decision["route"] == route
    assert decision["features"]["context_tokens"] == tokens


@pytest.mark.parametrize("tokens", [100, 50_000, 400_000, 3_000_000])
def test_counting_goes_to_code_whatever_the_size(tokens: int) -> None:
    decision = SmartRouter().decide("How many times does x occur?", context={"context_ref": "r", "chars": tokens * 4})
    assert decision["route"] == "rlm"


def test_a_preference_moves_the_border() -> None:
    questions = (
        LOOK_UPS
        + [question for question, _ in DEEP]
        + ["What do all chapters say of Anna?", "Why did the largest one fail?"]
    )
    deep = {
        prefer: sum(SmartRouter(prefer=prefer).decide(q)["route"] == "rlm" for q in questions)  # type: ignore[arg-type]
        for prefer in ("cost", "balanced", "quality")
    }
    assert deep["cost"] < deep["balanced"] <= deep["quality"]


@pytest.mark.parametrize(
    ("context", "chars"),
    [("abcdefgh", 8), (["abcd", "efgh"], 8 + 4 * FENCE_TOKENS), ({"k": "abcdefgh"}, 8)],
)
def test_the_size_of_any_context_is_known(context: Any, chars: int) -> None:
    decision = SmartRouter().decide("What is said?", context=context)
    assert decision["features"]["context_tokens"] == chars // 4


@pytest.mark.parametrize("context", [5, b"bytes", {"context_ref": "x"}, {"context_ref": "x", "chars": "9"}, object()])
def test_an_unusable_context_is_refused(context: Any) -> None:
    with pytest.raises(InvalidInput, match="context"):
        SmartRouter().decide("What is said?", context=context)


def test_the_size_that_a_client_claims_for_a_reference_is_not_believed() -> None:
    contexts = ContextStore()
    ref = contexts.put("x" * 4_000_000)
    decision = SmartRouter(contexts=contexts).decide("What is said?", context={**ref, "chars": 10})
    assert decision["route"] == "rlm"


@pytest.mark.parametrize("options", [{"prefer": "speed"}, {"window": 0}, {"window": -5}, {"window": True}])
def test_unusable_arguments_are_refused(options: Any) -> None:
    with pytest.raises(InvalidInput):
        SmartRouter(**options)


async def test_deciding_can_be_awaited() -> None:
    router = SmartRouter()
    assert await router.adecide(LOOK_UPS[0]) == router.decide(LOOK_UPS[0])


# --- with a corpus ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Corpus]]:
    folder = tmp_path_factory.mktemp("router")
    with (
        make_corpus(folder / "small", {"a.txt": "A short text."}) as small,
        make_corpus(folder / "large", {"a.txt": "A long text. " * 6_000}) as large,
    ):
        yield {"small": small, "large": large}


def test_a_corpus_that_costs_no_more_than_passages_is_read_at_once(corpora: dict[str, Corpus]) -> None:
    assert SmartRouter(corpus=corpora["small"]).decide(LOOK_UPS[0])["route"] == "direct"
    assert SmartRouter(corpus=corpora["large"]).decide(LOOK_UPS[0])["route"] == "rag"
    assert SmartRouter(corpus=corpora["large"]).decide(DEEP[0][0])["route"] == "rlm"


def test_a_context_goes_before_the_corpus(corpora: dict[str, Corpus]) -> None:
    assert SmartRouter(corpus=corpora["large"]).decide(LOOK_UPS[0], context="short")["route"] == "direct"


# --- in a user's graph --------------------------------------------------------------------------------------------


class Plain(TypedDict, total=False):
    question: str
    context: Any
    went: str


class Talk(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    route: str
    decision: dict[str, Any]
    went: str


@dataclasses.dataclass
class Record:
    question: str
    went: str = ""
    route: str = ""


class Model(BaseModel):
    question: str
    went: str = ""
    decision: Any = None


def graph_of(schema: Any, router: SmartRouter | None = None, *, as_edge: bool = False, **targets: str) -> Any:
    router = router or SmartRouter()
    targets = targets or {"rag": "lookup", "rlm": "research"}
    builder = StateGraph(schema)

    def went(name: str) -> Any:
        return lambda state: {"went": name}

    for name in sorted(set(targets.values())):
        builder.add_node(name, went(name))
        builder.add_edge(name, END)
    if as_edge:
        builder.add_conditional_edges(START, router.edge, {"direct": targets["rag"], **targets})  # type: ignore[arg-type]
    else:
        builder.add_node("router", router.node(**targets))  # type: ignore[arg-type]
        builder.add_edge(START, "router")
    return builder


@pytest.mark.parametrize("as_edge", [False, True], ids=["node", "edge"])
@pytest.mark.parametrize("schema", [Plain, Record, Model], ids=["dict", "dataclass", "pydantic"])
@pytest.mark.parametrize(("question", "went"), [(LOOK_UPS[0], "lookup"), (DEEP[0][0], "research")])
async def test_the_router_goes_to_the_users_own_nodes(
    question: str, went: str, schema: Any, as_edge: bool, ask: Ask
) -> None:
    done = await ask(graph_of(schema, as_edge=as_edge).compile(), {"question": question})
    assert done["went"] == went


async def test_the_decision_is_written_where_the_state_has_its_keys(ask: Ask) -> None:
    talk = await ask(graph_of(Talk).compile(), {"messages": [("human", "hello"), ("ai", "hi"), ("human", DEEP[0][0])]})
    assert (talk["went"], talk["route"]) == ("research", "rlm")
    assert talk["decision"]["reasons"]
    assert (await ask(graph_of(Record).compile(), {"question": LOOK_UPS[0]}))["route"] == "rag"
    assert (await ask(graph_of(Model).compile(), {"question": LOOK_UPS[0]}))["decision"]["route"] == "rag"


async def test_states_without_keys_for_the_decision_stay_as_they_are(ask: Ask) -> None:
    done = await ask(graph_of(Plain).compile(), {"question": LOOK_UPS[0]})
    assert set(done) == {"question", "went"}


@pytest.mark.parametrize("as_edge", [False, True], ids=["node", "edge"])
async def test_direct_questions_go_to_their_node_or_to_rags(as_edge: bool, ask: Ask) -> None:
    input = {"question": "What is said?", "context": "A short text."}
    both = graph_of(Plain, as_edge=as_edge).compile()
    assert (await ask(both, input))["went"] == "lookup"
    three = graph_of(Plain, as_edge=as_edge, rag="lookup", rlm="research", direct="reader").compile()
    assert (await ask(three, input))["went"] == "reader"


@pytest.mark.parametrize(("route", "went"), [("rlm", "research"), ("rag", "lookup"), ("auto", "lookup")])
async def test_a_request_can_force_the_route(route: str, went: str, ask: Ask) -> None:
    config = {"configurable": {"rlm": {"route": route}}}
    done = await ask(graph_of(Plain).compile(), {"question": LOOK_UPS[0]}, config)
    assert done["went"] == went


@pytest.mark.parametrize("where", ["asked", lambda state: state["asked"]], ids=["key", "function"])
async def test_the_question_may_stand_anywhere_in_the_state(where: Any, ask: Ask) -> None:
    class Elsewhere(TypedDict, total=False):
        asked: str
        went: str

    graph = graph_of(Elsewhere, SmartRouter(question=where)).compile()
    assert (await ask(graph, {"asked": DEEP[0][0]}))["went"] == "research"


@pytest.mark.parametrize("input", [{"question": ""}, {"went": "x"}])
async def test_a_state_without_a_question_is_refused(input: Any, ask: Ask) -> None:
    with pytest.raises(InvalidInput, match="no question was found in the state under question or messages"):
        await ask(graph_of(Plain).compile(), input)


def test_a_destination_that_does_not_exist_fails_when_the_graph_compiles() -> None:
    builder = StateGraph(Plain)
    builder.add_node("router", SmartRouter().node(rag="lookup", rlm="reserach"))
    builder.add_node("lookup", lambda state: {})
    builder.add_node("research", lambda state: {})
    builder.add_edge(START, "router")
    with pytest.raises(ValueError, match="reserach"):
        builder.compile()


@pytest.mark.parametrize(
    ("snapshot", "schema", "as_edge", "targets"),
    [
        ("router", Plain, False, {"rag": "lookup", "rlm": "research", "direct": "reader"}),
        ("router_two", Record, False, {"rag": "lookup", "rlm": "research"}),
        ("router_edge", Model, True, {"rag": "lookup", "rlm": "research", "direct": "reader"}),
    ],
)
def test_the_destinations_are_drawn_as_they_were_agreed(
    snapshot: str, schema: Any, as_edge: bool, targets: dict[str, str]
) -> None:
    drawn = graph_of(schema, as_edge=as_edge, **targets).compile().get_graph().draw_mermaid()
    assert drawn == (Path(__file__).parents[2] / "snapshots" / f"{snapshot}.mermaid").read_text()


def test_two_routers_of_one_process_keep_their_own_destinations() -> None:
    first, second = (graph_of(Plain, rag=f"a{i}", rlm=f"b{i}").compile().get_graph().draw_mermaid() for i in (1, 2))
    assert "router -.-> a1" in first
    assert "a2" not in first
    assert "router -.-> b2" in second
    assert "b1" not in second


async def test_the_decision_is_an_event() -> None:
    events = [e async for e in graph_of(Plain).compile().astream({"question": DEEP[0][0]}, stream_mode="custom")]
    assert [(e["type"], e["event"], e["decision"]["route"]) for e in events] == [("rlm", "route", "rlm")]


@pytest.mark.parametrize("part", ["who more ", "do a and a and ", "father of ", "how did a "])
def test_a_hostile_question_is_weighed_at_once(part: str) -> None:
    started = time.perf_counter()
    SmartRouter().decide(part * 500)
    assert time.perf_counter() - started < 0.5  # an engine that backtracks takes seconds


async def test_a_filtered_request_learns_and_is_routed_by_the_size_of_what_it_may_read(
    tmp_path: Path, ask: Ask
) -> None:
    texts: dict[str, Any] = {"mine": ("a short text", {"t": 1}), "theirs": ("word " * 20_000, {"t": 2})}
    with make_corpus(tmp_path / "index", texts) as corpus:
        builder = StateGraph(Asked)
        builder.add_node("router", SmartRouter(corpus=corpus).node(rag="rag", rlm="rlm", direct="direct"))
        for name in ("rag", "rlm", "direct"):
            builder.add_node(name, lambda state: {})
        builder.add_edge(START, "router")
        done = await ask(builder.compile(), {"question": "Why?"}, {"configurable": {"rlm": {"where": {"t": 1}}}})
    assert done["decision"]["route"] == "direct"
    assert done["decision"]["features"]["corpus_tokens"] == 3
