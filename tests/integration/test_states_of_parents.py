"""Our graphs as nodes of parents whose state is a pydantic model or a dataclass."""

from __future__ import annotations

import copy
import threading
from collections import UserDict
from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest
from langchain_core.messages import AnyMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from pydantic import BaseModel, Field

from langgraph_rlm import Corpus, SmartRouter, create_rag, create_rlm, create_smart_rag
from tests.support import Ask, by_role, cell, make_corpus, scripted

TEXT = "The sky is green.\n" * 20
CANARY = "a line that nobody may keep\n"


class Model(BaseModel):
    question: str = ""
    context: Any = None
    answer: str = ""
    messages: Annotated[list[AnyMessage], add_messages] = Field(default_factory=list)


@dataclass
class Data:
    question: str = ""
    context: Any = None
    answer: str = ""
    messages: Annotated[list[AnyMessage], add_messages] = field(default_factory=list)


class Renamed(BaseModel):
    query: str = ""
    documents: Any = None
    reply: str = ""


def green(**options: Any) -> Any:
    return create_rlm(scripted(lambda messages: cell("FINAL(context[11:16])")), sandbox="unsafe", **options)


def parent_of(state: type, node: Any, **options: Any) -> Any:
    builder = StateGraph(state)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    return builder.compile(**options)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with make_corpus(tmp_path_factory.mktemp("parents") / "index", {"anna.txt": "Anna lives in Paris."}) as made:
        yield made


@pytest.mark.parametrize("state", [Model, Data])
async def test_the_state_of_a_parent_may_be_a_class(state: type, ask: Ask) -> None:
    app = parent_of(state, green())
    assert (await ask(app, {"question": "What is the sky?", "context": TEXT}))["answer"] == "green"
    asked = {"messages": [("user", "What is the sky?")], "context": TEXT}
    assert (await ask(app, asked))["messages"][-1].text == "green"  # the empty question is none


@pytest.mark.parametrize("context", ["documents", "auto"])
async def test_a_class_of_the_parent_may_have_other_names(context: str, ask: Ask) -> None:
    node = green(keys={"question": "query", "context": context, "answer": "reply"})
    done = await ask(parent_of(Renamed, node), {"query": "What is the sky?", "documents": TEXT})
    assert done["reply"] == "green"


@pytest.mark.parametrize("state", [Model, Data])
async def test_every_graph_and_the_router_live_in_a_class_of_the_parent(state: type, corpus: Corpus, ask: Ask) -> None:
    model = scripted(by_role(reader="Paris [1]."))
    for make in (create_rag, create_smart_rag):
        done = await ask(parent_of(state, make(model, corpus=corpus)), {"question": "Where does Anna live?"})
        assert done["answer"] == "Paris [1]."
    builder = StateGraph(state)
    builder.add_node("router", SmartRouter().node(direct="all", rag="some", rlm="some"))
    builder.add_node("all", lambda state: {"answer": "all of it"})
    builder.add_node("some", lambda state: {"answer": "some of it"})
    builder.add_edge(START, "router")
    done = await ask(builder.compile(), {"question": "What is the sky?", "context": TEXT})
    assert done["answer"] in ("all of it", "some of it")


async def test_an_object_as_input_is_interned_like_a_mapping(ask: Ask) -> None:
    class Asked(BaseModel):
        question: str
        context: str

    saver, big = InMemorySaver(), CANARY * 5_000
    graph, asked = green(checkpointer=saver), Asked(question="?", context=CANARY * 5_000)
    config = {"configurable": {"thread_id": "1"}}
    assert (await ask(graph, asked, config))["answer"] == big[11:16]
    shown = [repr(event) async for event in graph.astream_events(asked, config, version="v2")]
    kept = repr([*saver.storage.values(), *saver.writes.values(), *saver.blobs.values()])
    graph.update_state(config, asked, as_node="__start__")
    kept += repr(graph.get_state(config))
    line = CANARY.strip() + "\\n" + CANARY.strip()
    assert all(line not in place for place in (kept, *shown))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
async def test_a_graph_that_is_copied_by_python_is_the_graph(copied: Any, ask: Ask) -> None:
    assert (await ask(copied(green()), {"question": "?", "context": TEXT}))["answer"] == "green"


def test_threads_may_copy_one_graph_at_the_same_time() -> None:
    """A server copies its graph for every request; while one thread does, the graph must stay whole for the others."""
    graph = green()
    inside, go_on = threading.Event(), threading.Event()
    whole: list[bool] = []

    class Slow(UserDict[str, Any]):
        def keys(self) -> Any:  # asked for while the copy is made
            inside.set()
            go_on.wait(5)
            return super().keys()

    slow: Any = Slow(name="slow")
    thread = threading.Thread(target=lambda: whole.append(graph.copy(update=slow).rlm is graph.rlm))
    thread.start()
    inside.wait(5)
    whole.append(graph.with_config(tags=["a"]).rlm is graph.rlm)
    go_on.set()
    thread.join()
    assert whole == [True, True]


@pytest.mark.parametrize("route", ["direct", "rag", "rlm"])
async def test_a_parent_with_messages_alone_keeps_what_the_answer_is_worth(
    route: str, corpus: Corpus, ask: Ask
) -> None:
    passage = 'Anna lives in "Paris" [1].'
    model = scripted(by_role(root=lambda text, n: cell("FINAL('Paris')"), reader=passage, grader="yes"))
    graph = create_smart_rag(model, corpus=corpus, rag={"grader": model})
    parent = parent_of(MessagesState, graph, checkpointer=InMemorySaver())
    config: RunnableConfig = {"configurable": {"thread_id": "1", "rlm": {"route": route}}}
    given = {"messages": [("user", "Where does Anna live?")]}
    await ask(parent, given, config)
    last = parent.get_state(config).values["messages"][-1]
    facts = last.response_metadata
    assert (facts["route"], facts["found"], facts["stop_reason"]) == (route, True, "answered")
    alone = await ask(graph, {"question": "Where does Anna live?"}, {"configurable": {"rlm": {"route": route}}})
    assert facts["usage"]["calls"] == alone["usage"]["calls"] > 0
    assert [one["doc_id"] for one in facts["citations"]] == [one["doc_id"] for one in alone["citations"]]
    other: RunnableConfig = {"configurable": {"thread_id": "2", "rlm": {"route": route}}}
    shown = [chunk async for chunk, _ in parent.astream(given, other, stream_mode="messages")]
    assert {chunk.id for chunk in shown} == {parent.get_state(other).values["messages"][-1].id}
