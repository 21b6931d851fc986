"""The graphs as nodes of other people's graphs."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command
from typing_extensions import TypedDict

from langgraph_rlm import ContextStore, Limits, create_rag, create_rlm, create_smart_rag
from langgraph_rlm.errors import InvalidInput
from tests.support import Ask, SyncAsk, WatchedFactory, by_role, cell, make_corpus, scripted

READING = 'Anna lives in Paris [1].\nQUOTES\n[1] "Anna lives in Paris."'


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Any:
    texts = {"anna.txt": "Anna lives in Paris.", "bela.txt": "Bela lives in Rome. " * 3_000}
    with make_corpus(tmp_path_factory.mktemp("nesting") / "index", texts) as made:
        yield made


def the_graph(kind: str, corpus: Any, **options: Any) -> Any:
    if kind == "rag":
        return create_rag(scripted(by_role(reader=READING, condense="Where does Anna live?")), corpus=corpus, **options)
    root = by_role(root=lambda text, n: cell("FINAL('Paris')"), condense="Where does Anna live?", reader=READING)
    rlm = create_rlm(scripted(root), corpus=corpus, sandbox="unsafe", **(options if kind == "rlm" else {}))
    if kind == "rlm":
        return rlm
    return create_smart_rag(scripted(root), corpus=corpus, rlm=rlm, **options)


KINDS = pytest.mark.parametrize("kind", ["rag", "rlm", "smart_rag"])


def parent_of(node: Any, **options: Any) -> Any:
    builder = StateGraph(MessagesState)
    builder.add_node("inner", node)
    builder.add_edge(START, "inner")
    builder.add_edge("inner", END)
    return builder.compile(**options)


async def events_of(ask: Ask, graph: Any, input: Any, config: Any = None, **options: Any) -> list[Any]:
    if isinstance(ask, SyncAsk):
        return await asyncio.to_thread(lambda: list(graph.stream(input, config, **options)))
    return [event async for event in graph.astream(input, config, **options)]


@KINDS
async def test_a_parent_with_messages_gets_one_answer_to_its_last_message(kind: str, corpus: Any, ask: Ask) -> None:
    parent = parent_of(the_graph(kind, corpus))
    done = await ask(parent, {"messages": [HumanMessage("Where does Anna live?", id="q1")]})
    assert [(m.type, m.id == "q1") for m in done["messages"]] == [("human", True), ("ai", False)]
    assert done["messages"][-1].text.startswith(("Anna lives in Paris", "Paris"))


@KINDS
async def test_a_parent_with_memory_can_go_on_talking(kind: str, corpus: Any, ask: Ask) -> None:
    parent = parent_of(the_graph(kind, corpus), checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "a"}}
    await ask(parent, {"messages": [("human", "Where does Anna live?")]}, config)
    done = await ask(parent, {"messages": [("human", "And where is that?")]}, config)
    assert [m.type for m in done["messages"]] == ["human", "ai", "human", "ai"]
    assert len({m.id for m in done["messages"]}) == 4


@KINDS
@pytest.mark.parametrize("depth", [1, 2])
async def test_custom_events_reach_whoever_streams_the_parent(kind: str, depth: int, corpus: Any, ask: Ask) -> None:
    parent = parent_of(the_graph(kind, corpus))
    if depth == 2:
        parent = parent_of(parent)
    input = {"messages": [("human", "Where does Anna live?")]}
    events = await events_of(ask, parent, input, stream_mode="custom", subgraphs=True)
    assert all(len(namespace) >= depth for namespace, _ in events)
    assert {event["type"] for _, event in events} == {"rlm"}
    assert "answer" in [event["event"] for _, event in events]


@KINDS
@pytest.mark.parametrize("subgraphs", [False, True])
async def test_the_tokens_of_every_model_reach_who_asks_for_them(
    kind: str, subgraphs: bool, corpus: Any, ask: Ask
) -> None:
    parent = parent_of(the_graph(kind, corpus))
    input = {"messages": [("human", "Where does Anna live?")]}
    events = await events_of(
        ask, parent, input, {"configurable": {"rlm": {"stream": "all"}}}, stream_mode="messages", subgraphs=subgraphs
    )
    parts = [part if subgraphs else ((), part) for part in events]
    tokens: dict[str, str] = {}
    for _, (message, metadata) in parts:
        tokens[metadata["rlm_role"]] = tokens.get(metadata["rlm_role"], "") + message.text
        assert f"rlm:{metadata['rlm_role']}" in metadata["tags"]
    assert tokens["answer"].startswith(("Anna lives in Paris", "Paris"))
    assert bool(tokens.keys() & {"root", "reader"}) == subgraphs


class Own(TypedDict, total=False):
    ask_for: str
    notes: str
    found: str
    spent: int


@KINDS
async def test_a_parent_with_keys_of_its_own_calls_it_from_a_function(kind: str, corpus: Any, ask: Ask) -> None:
    inner = the_graph(kind, corpus)

    def call(state: Own, config: RunnableConfig) -> Own:
        done = inner.invoke({"question": state["ask_for"]}, config)
        return {"found": done["answer"], "spent": done["usage"]["calls"]}

    async def acall(state: Own, config: RunnableConfig) -> Own:
        done = await inner.ainvoke({"question": state["ask_for"]}, config)
        return {"found": done["answer"], "spent": done["usage"]["calls"]}

    builder = StateGraph(Own)
    builder.add_node("research", call if isinstance(ask, SyncAsk) else acall)
    builder.add_edge(START, "research")
    parent = builder.compile()
    done = await ask(parent, {"ask_for": "Where does Anna live?", "notes": "kept"})
    assert "Paris" in done["found"]
    assert (done["spent"], done["notes"]) == (1, "kept")


@KINDS
async def test_the_options_of_a_request_reach_a_nested_graph(kind: str, corpus: Any, ask: Ask) -> None:
    parent = parent_of(the_graph(kind, corpus))
    input = {"messages": [("human", "Where does Anna live?")]}
    with pytest.raises(InvalidInput, match="'temprature'"):
        await ask(parent, input, {"configurable": {"rlm": {"temprature": 1}}})


async def test_a_context_of_the_parents_state_is_read_and_a_second_question_gets_its_own(ask: Ask) -> None:
    class WithContext(TypedDict, total=False):
        messages: Annotated[list[AnyMessage], add_messages]
        context: Any
        answer: str

    contexts = ContextStore()
    rlm = create_rlm(scripted(lambda m: cell("FINAL(context)")), contexts=contexts, sandbox="unsafe")
    builder = StateGraph(WithContext)
    builder.add_node("rlm", rlm)
    builder.add_edge(START, "rlm")
    parent = builder.compile()
    for text in ("first text", "second text"):
        done = await ask(parent, {"messages": [("human", "What?")], "context": contexts.put(text)})
        assert done["answer"] == text


async def test_an_interrupted_parent_goes_on_inside_the_nested_graph(ask: Ask) -> None:
    factory, root, sub = WatchedFactory(), scripted([cell("a = llm_query('x')"), RuntimeError("down"), cell("FINAL(a)")]), scripted(["paid"])  # fmt: skip
    rlm = create_rlm(root, sub_model=sub, sandbox=factory)

    class WithContext(MessagesState):
        context: str

    builder = StateGraph(WithContext)
    builder.add_node("rlm", rlm)
    builder.add_edge(START, "rlm")
    parent = builder.compile(checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "a"}}
    with pytest.raises(Exception, match="down"):
        await ask(parent, {"messages": [("human", "What?")], "context": "some text"}, config)
    factory.lose_all()
    done = await ask(parent, None, config)
    assert done["messages"][-1].text == "paid"
    assert (len(root.requests), len(sub.requests)) == (3, 1)
    assert [m.type for m in done["messages"]] == ["human", "ai"]


async def test_a_node_with_memory_of_its_own_remembers_across_the_parents_questions(ask: Ask) -> None:
    root = scripted(by_role(root=lambda text, n: cell(f"FINAL('{n}')"), condense="And now, alone?"))
    rlm = create_rlm(root, sandbox="unsafe", checkpointer=True)

    class Asked(TypedDict, total=False):
        question: str
        context: Any
        answer: str

    builder = StateGraph(Asked)
    builder.add_node("rlm", rlm)
    builder.add_edge(START, "rlm")
    parent = builder.compile(checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "a"}}
    first = await ask(parent, {"question": "Which?", "context": "text"}, config)
    second = await ask(parent, {"question": "And now?", "context": "text"}, config)
    assert (first["answer"], second["answer"]) == ("0", "1")
    assert "QUESTION\nAnd now, alone?" in root.requests[-1][1].text


async def test_many_questions_at_once_are_a_batch(ask: Ask) -> None:
    graph = create_rlm(scripted(lambda m: cell("FINAL(context)")), sandbox="unsafe")
    inputs = [{"question": "What?", "context": f"text {i}"} for i in range(6)]
    if isinstance(ask, SyncAsk):
        done = await asyncio.to_thread(graph.batch, inputs)
    else:
        done = await graph.abatch(inputs)
    assert [one["answer"] for one in done] == [f"text {i}" for i in range(6)]


def kept_by(saver: InMemorySaver) -> str:
    """Everything that the checkpoints hold."""
    loaded = [saver.serde.loads_typed(value) for value in saver.blobs.values() if value[0] != "empty"]
    loaded += [saver.serde.loads_typed(write[2]) for writes in saver.writes.values() for write in writes.values()]
    assert loaded
    return repr(loaded)


@pytest.mark.parametrize("as_pairs", [False, True], ids=["mapping", "pairs"])
async def test_a_command_as_input_is_interned_too(as_pairs: bool, ask: Ask) -> None:
    saver = InMemorySaver()
    graph = create_rlm(scripted([cell("FINAL(len(context))")]), sandbox="unsafe", checkpointer=saver)
    update: Any = {"question": "What?", "context": "MARKER text"}
    command: Any = Command(update=list(update.items()) if as_pairs else update, goto="start")
    done = await ask(graph, command, {"configurable": {"thread_id": "a"}})
    assert done["answer"] == "11"
    assert "What?" in kept_by(saver)
    assert "MARKER" not in kept_by(saver)


async def test_a_state_that_is_updated_by_hand_is_interned_too(ask: Ask) -> None:
    saver = InMemorySaver()
    graph = create_rlm(scripted([cell("FINAL(len(context))")]), sandbox="unsafe", checkpointer=saver)
    config = {"configurable": {"thread_id": "a"}}
    values = {"question": "What?", "context": "MARKER text"}
    if isinstance(ask, SyncAsk):
        graph.update_state(config, values, "__start__")
    else:
        await graph.aupdate_state(config, values, "__start__")
    done = await ask(graph, None, config)
    assert done["answer"] == "11"
    assert "What?" in kept_by(saver)
    assert "MARKER" not in kept_by(saver)


async def test_a_graph_of_dataclasses_takes_the_graph_as_a_node(ask: Ask) -> None:
    @dataclasses.dataclass
    class Record:
        messages: Annotated[list[AnyMessage], add_messages]
        answer: str = ""

    builder = StateGraph(Record)
    builder.add_node("rlm", create_rlm(scripted([cell("FINAL('yes')")]), contexts=ContextStore(), sandbox="unsafe",
                                       corpus=None, limits=Limits()))  # fmt: skip
    builder.add_edge(START, "rlm")
    with pytest.raises(InvalidInput, match="nothing to read"):
        await ask(builder.compile(), {"messages": [AIMessage("hi"), HumanMessage("Is it?")]})


def test_pictures_of_the_graphs_are_as_they_were_agreed(corpus: Any) -> None:
    folder = Path(__file__).parent.parent / "snapshots"
    for kind in ("rag", "rlm", "smart_rag"):
        drawn = the_graph(kind, corpus).get_graph().draw_mermaid()
        assert drawn == (folder / f"{kind}.mermaid").read_text(), f"tests/snapshots/{kind}.mermaid"
