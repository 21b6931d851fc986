"""The edge of a graph: copies, schemas, requests, events, pauses, limits of the parent, keys of the user's own."""

from __future__ import annotations

import asyncio
import json
import pickle
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from langgraph_rlm import ContextStore, Corpus, create_rag, create_rlm, create_smart_rag
from langgraph_rlm.errors import EmptyCorpus, InvalidInput
from tests.support import Ask, by_role, cell, make_corpus, scripted

TEXT = "The sky is green."
SKY = {"question": "What is the sky?", "context": TEXT}
CANARY = "a line that nobody may keep\n"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    texts: dict[str, Any] = {"anna.txt": "Anna lives in Paris. " + "Nothing of note. " * 3_000, "b.txt": "Bela."}
    with make_corpus(tmp_path_factory.mktemp("edge") / "index", texts) as made:
        yield made


def green(**options: Any) -> Any:
    return create_rlm(scripted(lambda messages: cell("FINAL(context[11:16])")), sandbox="unsafe", **options)


def every_factory(corpus: Corpus) -> list[Any]:
    return [make(scripted([]), corpus=corpus) for make in (create_rlm, create_rag, create_smart_rag)]


# --- copies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "copied",
    [
        lambda graph: graph.with_config({"recursion_limit": 100}),
        lambda graph: graph.with_config(tags=["a"]).with_config(configurable={"x": 1}),
        lambda graph: graph.copy(),
        lambda graph: graph.copy(update={"checkpointer": InMemorySaver()}),
        lambda graph: graph.bind(),
        lambda graph: graph.with_retry(),
        lambda graph: graph.with_fallbacks([graph]),
        lambda graph: graph | (lambda result: result),
    ],
    ids=["with_config", "twice", "copy", "checkpointer", "bind", "with_retry", "with_fallbacks", "sequence"],
)
async def test_a_copy_of_a_graph_is_the_graph(copied: Any, ask: Ask) -> None:
    assert (await ask(copied(green()), SKY, {"configurable": {"thread_id": "1"}}))["answer"] == "green"


async def test_a_configured_graph_is_a_node_of_a_parent(ask: Ask) -> None:
    builder = StateGraph(MessagesState)
    builder.add_node("sky", green(keys={"context": "auto"}).with_config(tags=["a"]))
    builder.add_edge(START, "sky")

    class Parent(MessagesState):
        log: str

    parent = StateGraph(Parent)
    parent.add_node("sky", green(keys={"context": "auto"}).with_config(tags=["a"]))
    parent.add_edge(START, "sky")
    done = await ask(parent.compile(), {"messages": [("user", "What is the sky?")], "log": TEXT})
    assert done["messages"][-1].text == "green"


def test_pickling_a_graph_is_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match="the graph 'rlm' cannot be pickled"):
        pickle.dumps(green())


# --- schemas ----------------------------------------------------------------------------------------------------------


def test_every_factory_has_small_json_schemas_without_private_keys(corpus: Corpus) -> None:
    room = len(json.dumps(TypeAdapter(MessagesState).json_schema())) + 2_048
    for graph in every_factory(corpus):
        for schema in (graph.get_input_jsonschema(), graph.get_context_jsonschema()):
            assert len(json.dumps(schema)) <= room
            assert "rlm_" not in json.dumps(schema)
        assert "rlm_" not in json.dumps(graph.get_output_jsonschema())
        assert set(graph.get_input_schema().model_fields) == set(graph.get_input_jsonschema()["properties"])
        assert "answer" in graph.get_output_schema().model_fields


def test_the_schemas_are_as_they_were(corpus: Corpus) -> None:
    """A change of what clients send or get is made on purpose: write the file anew and say so in the commit."""
    kept = Path(__file__).parents[1] / "snapshots" / "schemas.json"
    told = {
        graph.name: {
            "input": sorted(graph.get_input_jsonschema()["properties"]),
            "output": sorted(graph.get_output_jsonschema()["properties"]),
            "context": graph.get_context_jsonschema()["$defs"]["RequestOptions"]["properties"],
        }
        for graph in every_factory(corpus)
    }
    assert told == json.loads(kept.read_text("utf-8"))


# --- options of a request ---------------------------------------------------------------------------------------------


@dataclass
class ParentContext:
    user: str
    rlm: Any = None


@pytest.mark.parametrize(
    ("configured", "context", "calls"),
    [
        ({"limits": {"max_calls": 2}}, None, 2),
        (None, {"rlm": {"limits": {"max_calls": 3}}}, 3),
        ({"limits": {"max_calls": 2}}, {"rlm": {"limits": {"max_calls": 5}}}, 2),
        ({"limits": {"max_calls": 5}}, {"rlm": {"limits": {"max_calls": 2, "max_turns": 9}}}, 2),
        ({"limits": {"max_calls": 4}}, {"user": "anna"}, 4),
        (None, ParentContext("anna", {"limits": {"max_calls": 1}}), 1),
        ({"limits": {"max_calls": 4}}, ParentContext("anna"), 4),
    ],
)
async def test_options_are_read_from_configurable_and_from_context(
    configured: Any, context: Any, calls: int, ask: Ask
) -> None:
    graph = create_rlm(scripted(lambda messages: cell("print(1)")), sandbox="unsafe")
    done = await ask(graph, SKY, {"configurable": {"rlm": configured}} if configured else None, context=context)
    assert (done["stop_reason"], done["usage"]["calls"]) == ("budget", calls)


async def test_what_context_says_comes_before_configurable(corpus: Corpus, ask: Ask) -> None:
    graph = create_smart_rag(scripted(by_role(reader="Anna [1].", root=cell("FINAL(1)"))), corpus=corpus)
    config = {"configurable": {"rlm": {"route": "rlm"}}}
    done = await ask(graph, {"question": "Where is Anna?"}, config, context={"rlm": {"route": "rag"}})
    assert done["route"] == "rag"


async def test_a_nested_graph_reads_the_context_of_its_parent(ask: Ask) -> None:
    class Parent(MessagesState):
        context: Any

    builder = StateGraph(Parent, context_schema=ParentContext)
    builder.add_node("sky", create_rlm(scripted(lambda messages: cell("print(1)")), sandbox="unsafe"))
    builder.add_edge(START, "sky")
    given = ParentContext("anna", {"limits": {"max_turns": 2}})
    done = await ask(builder.compile(), {"messages": [("user", "?")], "context": TEXT}, context=given)
    assert "all turns are used" in done["messages"][-1].text


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"limitz": {}}, "unknown 'limitz' (did you mean 'limits'?)"),
        ({"limits": {"max_call": 1}}, "unknown 'max_call' (did you mean 'max_calls'?)"),
        ({"k": 0}, "['k'] must be a whole number from 1 to 1000"),
        ({"route": "fast"}, "['route'] must be one of auto, direct, rag, rlm"),
        (5, "must be a mapping"),
    ],
)
@pytest.mark.parametrize("by", ["configurable", "context"])
async def test_unusable_options_are_refused_by_name(given: Any, says: str, by: str, ask: Ask) -> None:
    config, options = (
        ({"configurable": {"rlm": given}}, {}) if by == "configurable" else (None, {"context": {"rlm": given}})
    )
    with pytest.raises(InvalidInput, match=re.escape(says)) as raised:
        await ask(green(), SKY, config, **options)
    assert by in str(raised.value) or "limits:" in str(raised.value)


# --- what keeps or shows inputs ---------------------------------------------------------------------------------------


class Starts(BaseCallbackHandler):
    """What a tracer sees: inputs and custom events."""

    def __init__(self) -> None:
        self.inputs: list[str] = []
        self.events: list[Any] = []

    def on_chain_start(self, serialized: Any, inputs: Any, **more: Any) -> None:
        self.inputs.append(repr(inputs))

    def on_custom_event(self, name: str, data: Any, **more: Any) -> None:
        self.events.append((name, data))


async def test_no_way_of_running_a_graph_shows_or_keeps_the_raw_context(ask: Ask) -> None:
    seen, saver = Starts(), InMemorySaver()
    big = CANARY * 20_000
    graph = green(checkpointer=saver)

    def config(thread: str) -> Any:
        return {"configurable": {"thread_id": thread}, "callbacks": [seen]}

    await ask(graph, {"question": "?", "context": big}, config("1"))
    await graph.abatch([{"question": "?", "context": big}], [config("2")])
    shown = [
        repr(event)
        async for event in graph.astream_events({"question": "?", "context": big}, config("3"), version="v2")
    ]
    shown += [
        repr(event)
        async for event in graph.astream_events({"question": "?", "context": big}, config("4"), version="v1")
    ]
    stream = await graph.astream_events({"question": "?", "context": big}, config("5"), version="v3")
    shown += [repr(part) async for part in stream]
    shown += [
        repr(p)
        async for p in graph.astream({"question": "?", "context": big}, config("6"), stream_mode=["debug", "values"])
    ]
    kept = repr([*saver.storage.values(), *saver.writes.values(), *saver.blobs.values()])
    line = CANARY.strip() + "\\n" + CANARY.strip()
    assert len(seen.inputs) > 10
    for place in (kept, *seen.inputs, *shown):
        assert line not in place


async def test_events_reach_callback_handlers_and_astream_events_in_their_order(ask: Ask) -> None:
    seen = Starts()
    await ask(green(), SKY, {"callbacks": [seen]})
    assert [name for name, _ in seen.events] == ["rlm"] * len(seen.events)
    told = [data["event"] for _, data in seen.events]
    assert told == ["run", "think", "call_start", "call_end", "cell_start", "cell_end", "budget", "answer", "budget"]
    stream = green().astream_events(SKY, version="v2")
    custom = [event["data"] async for event in stream if event["event"] == "on_custom_event"]
    assert [event["event"] for event in custom] == told
    assert [event["sequence"] for event in custom] == list(range(1, len(told) + 1))


def test_events_carry_a_stamp(corpus: Corpus) -> None:
    graph = create_smart_rag(scripted(by_role(reader="Anna [1].", root=cell("FINAL(1)"))), corpus=corpus)
    events = list(graph.stream({"question": "Where does Anna live?"}, stream_mode="custom"))
    assert {event["type"] for event in events} == {"rlm"}
    assert {event["version"] for event in events} == {2}
    (run,) = {event["run"] for event in events}
    assert len(run) == 32
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert all(event["time"] > 1.7e9 and event["depth"] == 0 and event["path"] == [] for event in events)


# --- pauses, and limits of the parent ---------------------------------------------------------------------------------


def pausing(kind: str, corpus: Corpus) -> tuple[Any, dict[str, Any]]:
    model = scripted(lambda messages: cell("FINAL('the cell has run')"))
    if kind == "rlm":
        return create_rlm(model, corpus=corpus, checkpointer=InMemorySaver(), sandbox="unsafe"), {}
    options = {"rlm": {"sandbox": "unsafe"}}
    return create_smart_rag(model, corpus=corpus, checkpointer=InMemorySaver(), **options), {"rlm": {"route": "rlm"}}  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["rlm", "smart"])
async def test_a_node_of_an_inner_graph_is_paused_before_and_goes_on(kind: str, corpus: Corpus, ask: Ask) -> None:
    graph, more = pausing(kind, corpus)
    config = {"configurable": {"thread_id": "1", **more}}
    paused = await ask(graph, {"question": "?"}, config, interrupt_before=["execute"])
    assert paused.get("answer", "") == ""
    assert graph.get_state(config).next
    done = await ask(graph, None, config)
    assert done["answer"] == "the cell has run"


@pytest.mark.parametrize("when", ["interrupt_before", "interrupt_after"])
async def test_the_name_of_no_node_is_refused(when: str, corpus: Corpus, ask: Ask) -> None:
    graph, more = pausing("smart", corpus)
    with pytest.raises(InvalidInput, match=rf"{when}: there is no node 'exec'; there are .*execute"):
        await ask(graph, {"question": "?"}, {"configurable": {"thread_id": "1", **more}}, **{when: ["exec"]})


@pytest.mark.parametrize("limit", [6, 7, 8, 9, 25])
async def test_a_run_ends_with_its_best_answer_before_the_recursion_limit_of_its_parent(limit: int, ask: Ask) -> None:
    class Parent(MessagesState):
        context: Any

    model = scripted(lambda messages: "Perhaps green.\n" + cell("print(len(context))"))
    builder = StateGraph(Parent)
    builder.add_node("sky", create_rlm(model, sandbox="unsafe"))
    builder.add_edge(START, "sky")
    asked = {"messages": [("user", "What is it?")], "context": TEXT}
    done = await ask(builder.compile(), asked, {"recursion_limit": limit})
    assert done["messages"][-1].text.startswith("Partial answer (all turns are used)")


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6])
async def test_no_recursion_limit_throws_away_what_was_paid(limit: int, corpus: Corpus, ask: Ask) -> None:
    asked, steps = {"question": "Where does Anna live?"}, {"recursion_limit": limit}
    looping = create_rlm(scripted(lambda messages: cell("print(len(context))")), sandbox="unsafe")
    assert (await ask(looping, asked | {"context": TEXT}, steps))["stop_reason"] == "turns"
    reader = create_rag(scripted(["Paris [1]."]), corpus=corpus)
    assert (await ask(reader, asked, steps))["answer"] == "Paris [1]."
    model = scripted(by_role(reader="NOT IN THE PASSAGES", root=cell("FINAL('found')")))
    smart = create_smart_rag(model, corpus=corpus, rlm={"sandbox": "unsafe"}).with_config(recursion_limit=limit)
    assert (await ask(smart, asked))["answer"] == "found"


async def test_streamed_values_hold_no_private_keys(ask: Ask) -> None:
    parts = [part async for part in green().astream(SKY, stream_mode="values")]
    assert parts[0]["question"] == SKY["question"]
    assert all(not name.startswith("rlm_") for part in parts for name in part)


# --- what there is to read --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("empty", [None, "", [], {}])
async def test_an_empty_context_is_none(empty: Any, corpus: Corpus, ask: Ask) -> None:
    graph = create_rlm(scripted([cell("FINAL(len(list_documents()))")]), corpus=corpus, sandbox="unsafe")
    assert (await ask(graph, {"question": "?", "context": empty}))["answer"] == "2"


async def test_nothing_to_read_is_said_before_anything_is_paid(tmp_path: Path, ask: Ask) -> None:
    talk = {"messages": [("user", "Who is Anna?"), ("ai", "A writer."), ("user", "Where does she live?")]}
    model = scripted([])
    with pytest.raises(InvalidInput, match="nothing to read"):
        await ask(create_rlm(model), talk)
    with make_corpus(tmp_path / "index", {}) as empty:
        for make in (create_rlm, create_smart_rag):
            with pytest.raises(EmptyCorpus):
                await ask(make(model, corpus=empty), talk)
    assert model.requests == []


async def test_a_corpus_function_that_fails_ends_the_run_before_anything_is_paid(ask: Ask) -> None:
    talk = {"messages": [("user", "Who is Anna?"), ("ai", "A writer."), ("user", "Where does she live?")]}

    def failing(config: Any) -> Any:
        raise LookupError("no such tenant")

    model = scripted([])
    for make in (create_rlm, create_rag, create_smart_rag):
        with pytest.raises(LookupError, match="no such tenant"):
            await ask(make(model, corpus=failing), talk)
    assert model.requests == []


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_corpus_function_is_called_once_for_each_run(kind: str, corpus: Corpus, ask: Ask) -> None:
    calls = []

    def of_tenant(config: Any) -> Any:
        calls.append(config["configurable"]["tenant"])
        return corpus

    async def of_tenant_async(config: Any) -> Any:
        return of_tenant(config)

    replies = by_role(
        reader="NOT IN THE PASSAGES",
        root=lambda text, n: cell("x = rlm_query('why?', 'text')") if n == 0 else cell("FINAL(1)"),
    )
    graph = create_smart_rag(
        scripted(replies), corpus=of_tenant if kind == "sync" else of_tenant_async, rlm={"sandbox": "unsafe"},
        limits={"max_depth": 2},
    )  # fmt: skip
    config = {"configurable": {"tenant": "acme", "rlm": {}}}
    done = await ask(graph, {"question": "Where does Anna live?"}, config)
    assert done["decision"]["escalated_from"] == "rag"
    assert calls == ["acme"]
    await ask(graph, {"question": "Where does Anna live?"}, {"configurable": {"tenant": "other"}})
    assert calls == ["acme", "other"]


async def test_the_decision_says_that_a_context_is_read_in_place_of_the_corpus(corpus: Corpus, ask: Ask) -> None:
    graph = create_smart_rag(scripted(by_role(reader="Green [1].")), corpus=corpus)
    left = [Document("The sky is green.", id="x"), Document("Grass too.", id="y")]
    done = await ask(graph, {"question": "What is the sky?", "context": left})
    assert "the 2 texts given as context are read, not the corpus" in done["decision"]["reasons"]


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_contexts_may_be_a_function_of_the_config(kind: str, ask: Ask) -> None:
    stores, calls = {"a": ContextStore(), "b": ContextStore()}, []

    def of_tenant(config: Any) -> ContextStore:
        calls.append(config["configurable"]["tenant"])
        return stores[config["configurable"]["tenant"]]

    async def of_tenant_async(config: Any) -> ContextStore:
        return of_tenant(config)

    graph = green(contexts=of_tenant if kind == "sync" else of_tenant_async)
    assert (await ask(graph, SKY, {"configurable": {"tenant": "a"}}))["answer"] == "green"
    assert calls == ["a"]
    ref = stores["a"].put(TEXT)
    with pytest.raises(KeyError):
        stores["b"].stat(ref)


# --- keys of the user's own -------------------------------------------------------------------------------------------


class Ticket(TypedDict, total=False):
    query: str
    documents: Any
    reply: str
    cost: Any
    answer: str


KEYS = {"question": "query", "context": "documents", "answer": "reply", "usage": "cost"}


async def test_a_graph_is_a_node_of_a_state_with_other_keys(ask: Ask) -> None:
    builder = StateGraph(Ticket)
    builder.add_node("sky", green(keys=KEYS))
    builder.add_edge(START, "sky")
    done = await ask(builder.compile(), {"query": "What is it?", "documents": TEXT, "answer": "the user's own"})
    assert (done["reply"], done["answer"], done["cost"]["calls"]) == ("green", "the user's own", 1)


async def test_a_smart_graph_takes_other_keys_on_every_route(corpus: Corpus, ask: Ask) -> None:
    model = scripted(by_role(reader="NOT IN THE PASSAGES", root=cell("FINAL('found')")))
    graph = create_smart_rag(model, corpus=corpus, keys=KEYS, rlm={"sandbox": "unsafe"})
    done = await ask(graph, {"query": "Where does Anna live?"})
    assert (done["reply"], done["decision"]["escalated_from"]) == ("found", "rag")
    assert set(graph.get_input_jsonschema()["properties"]) == {"query", "documents", "messages"}
    assert "answer" not in graph.get_output_jsonschema()["properties"]
    reader = create_rag(scripted(["Paris [1]."]), corpus=corpus, keys={"question": "query", "answer": "reply"})
    assert (await ask(reader, {"query": "Where does Anna live?"}))["reply"] == "Paris [1]."


async def test_two_of_our_nodes_live_in_one_parent_and_resume(ask: Ask) -> None:
    class Two(TypedDict, total=False):
        query: str
        text: str
        one: str
        two: str

    def node(answer: str, saved: str) -> Any:
        return create_rlm(
            scripted(lambda messages: cell(f"FINAL({answer!r})")),
            sandbox="unsafe",
            keys={"question": "query", "context": "text", "answer": saved},
            name=saved,
        )

    builder = StateGraph(Two)
    builder.add_node("first", node("a", "one"))
    builder.add_node("second", node("b", "two"))
    builder.add_edge(START, "first")
    builder.add_edge("first", "second")
    app, config = builder.compile(checkpointer=InMemorySaver()), {"configurable": {"thread_id": "1"}}
    paused = await ask(app, {"query": "?", "text": TEXT}, config, interrupt_before=["second"])
    assert "two" not in paused
    done = await ask(app, None, config)
    assert (done["one"], done["two"]) == ("a", "b")


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"quest": "query"}, "this graph has no 'quest'"),
        ({"question": "rlm_x"}, "cannot be the name of 'question'"),
        ({"question": "two words"}, "cannot be the name of 'question'"),
        ({"question": "answer"}, "'answer' would be the name of two keys"),
        ({"question": "x", "answer": "x"}, "'x' would be the name of two keys"),
        (["question"], "expected a mapping"),
    ],
)
def test_keys_that_cannot_be_are_refused_when_the_graph_is_made(keys: Any, says: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(says)):
        green(keys=keys)


async def test_an_input_that_no_key_takes_is_refused_with_the_nearest(ask: Ask) -> None:
    with pytest.raises(InvalidInput, match=r"reads no 'contexts' \(did you mean 'context'\?\)"):
        await ask(green(), {"question": "?", "contexts": TEXT})
    with pytest.raises(InvalidInput, match=r"reads no 'documents'; it reads .*keys="):
        await ask(green(), {"question": "?", "documents": [TEXT]})
    with pytest.raises(InvalidInput, match="the input must be a mapping with 'question' or 'messages', not str"):
        await ask(green(), "What is the sky?")


async def test_the_long_fields_of_an_input_become_the_context_by_themselves(corpus: Corpus, ask: Ask) -> None:
    model = scripted(by_role(root=cell("FINAL(sorted(context) if isinstance(context, dict) else context[:3])")))
    graph = create_smart_rag(
        model, corpus=corpus, keys={"context": "auto"}, rlm={"sandbox": "unsafe"}, contexts=ContextStore()
    )
    big = "x" * 4_000_001
    done = await ask(graph, {"question": "?", "log": big, "trace": big, "user": "anna"})
    assert json.loads(done["answer"]) == ["log", "trace"]
    assert done["decision"]["reasons"][-1].endswith("not the corpus (taken from log, trace)")
    one = await ask(graph, {"question": "How many times does `x` occur?", "log": "xyz" * 10})
    assert one["answer"] == "xyz"


def test_concurrent_runs_of_one_graph_have_stamps_of_their_own() -> None:
    async def both() -> list[set[str]]:
        graph = green()

        async def one() -> set[str]:
            return {event["run"] async for event in graph.astream(SKY, stream_mode="custom")}

        return await asyncio.gather(one(), one())

    first, second = asyncio.run(both())
    assert len(first) == len(second) == 1
    assert first != second


async def test_what_a_cell_retrieves_is_told_to_callback_handlers_too(corpus: Corpus, ask: Ask) -> None:
    """Cells run in threads of their own, and so do their calls."""
    seen = Starts()
    model = scripted([cell("hits = bm25_search('Anna')", "FINAL(len(hits))")])
    graph = create_rlm(model, corpus=corpus, strategy="director", sandbox="unsafe")
    done = await ask(graph, {"question": "Where does Anna live?"}, {"callbacks": [seen]})
    assert done["turns"][0]["error"] is None
    kinds = [data["event"] for _, data in seen.events]
    assert kinds[kinds.index("cell_start") :] == ["cell_start", "retrieval", "cell_end", "budget", "answer", "budget"]


async def test_fields_that_become_the_context_by_themselves_are_shown_to_nobody() -> None:
    graph = green(keys={"context": "auto"})
    big = CANARY * 200_000
    shown = [repr(event) async for event in graph.astream_events({"question": "?", "log": big}, version="v2")]
    assert len(shown) > 5
    assert not any(CANARY.strip() + "\\n" + CANARY.strip() in event for event in shown)
