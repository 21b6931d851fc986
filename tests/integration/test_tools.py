"""The tools in the hands of agents: whose texts they open, what they cost together, what a model reads of them."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import AgentState, create_agent
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import BaseTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import MessagesState, StateGraph
from langgraph.prebuilt import ToolNode

from langgraph_rlm import ContextStore, InvalidInput, create_rlm_tools
from langgraph_rlm.calls.usage import estimated_tokens
from langgraph_rlm.tools.replies import MOST_TOKENS
from tests.support import by_role, cell, make_corpus, scripted

LOG = "".join(f"12:00:{n % 60:02d} {'ERROR timeout' if n % 100 == 99 else 'ok'} request={n}\n" for n in range(1_000))


class Documents(AgentState):
    documents: Any


def call(name: str, number: int = 0, **args: Any) -> dict[str, Any]:
    return {"name": name, "args": args, "id": f"call_{number}", "type": "tool_call"}


def asks(*calls: dict[str, Any]) -> AIMessage:
    return AIMessage("", tool_calls=[{**one, "id": f"call_{n}"} for n, one in enumerate(calls)])


def agent(tools: Iterable[BaseTool], *replies: Any, saver: Any = None) -> Any:
    return create_agent(scripted([*replies, "done"]), list(tools), state_schema=Documents, checkpointer=saver)


def thread(name: str, **options: Any) -> RunnableConfig:
    return {"configurable": {"thread_id": name, **({"rlm": options} if options else {})}}


def results(state: dict[str, Any]) -> list[ToolMessage]:
    return [message for message in state["messages"] if isinstance(message, ToolMessage)]


def by_name(tools: Iterable[BaseTool]) -> dict[str, BaseTool]:
    return {tool.name: tool for tool in tools}


STORE = call("materialize_context", field_name="documents", filename="docs.txt")
FIND = call("local_grep", pattern="ERROR", file="docs.txt", max_matches=3)


# --- which there are --------------------------------------------------------------------------------------------------


def test_a_tool_exists_when_its_engine_is_given(tmp_path: Path) -> None:
    texts = ["local_grep", "local_search", "count", "read_context", "list_documents"]
    retrieval = ["bm25_search", "vector_retrieve", "hybrid_search", "hop_search"]
    corpus, model = make_corpus(tmp_path, {"a.md": "one"}), scripted(["x"])
    assert list(by_name(create_rlm_tools(contexts=ContextStore()))) == ["materialize_context", *texts]
    assert list(by_name(create_rlm_tools(corpus=corpus))) == [*texts, *retrieval]
    assert list(by_name(create_rlm_tools(sub_model=model))) == ["query_lm"]
    assert list(by_name(create_rlm_tools(model=model))) == ["query_lm", "ask_rlm"]
    assert list(by_name(create_rlm_tools(corpus=corpus, include=["count"]))) == ["count"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "at least one of"),
        ({"contexts": ContextStore(), "include": ["local_grap"]}, "did you mean 'local_grep'"),
        ({"contexts": ContextStore(), "include": ["bm25_search"]}, "bm25_search needs corpus="),
        ({"contexts": ContextStore(), "include": ["codex_exec"]}, "codex_exec needs shell="),
        ({"contexts": ContextStore(), "include": "local_grep"}, "a list of names"),
        ({"contexts": "./here"}, "contexts"),
        ({"contexts": ContextStore(), "limits": {"max_call": 3}}, "max_calls"),
    ],
)
def test_a_wrong_argument_is_told_when_the_list_is_made(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        create_rlm_tools(**given)


def test_the_model_sees_the_arguments_and_nothing_of_the_runtime() -> None:
    for tool in create_rlm_tools(contexts=ContextStore()):
        shown = tool.tool_call_schema.model_json_schema()["properties"]  # type: ignore[union-attr]
        assert not {"runtime", "config", "in_"} & set(shown)
        assert all(one.get("description") for one in shown.values())
    scripted(["x"]).bind_tools(create_rlm_tools(contexts=ContextStore()))


# --- an agent that stores, searches and reads -------------------------------------------------------------------------


@pytest.mark.parametrize("is_async", [False, True])
async def test_an_agent_stores_a_field_of_its_state_and_searches_it(is_async: bool) -> None:
    tools = create_rlm_tools(contexts=ContextStore())
    one = agent(
        tools,
        asks(STORE),
        asks(FIND, call("count", pattern="ERROR"), call("read_context", doc_id="docs.txt", start=0, end=8)),
        asks(call("list_documents"), call("local_search", pattern="error timeout", file="*.txt")),
    )
    given = {"messages": [("user", "Errors?")], "documents": LOG}
    state = await one.ainvoke(given) if is_async else await asyncio.to_thread(one.invoke, given)
    stored, found, counted, read, listed, missed = results(state)
    assert stored.artifact["filename"] == "docs.txt"
    assert f"{len(LOG):,} characters in 1 text" in stored.text
    assert [hit["doc_id"] for hit in found.artifact["matches"]] == ["docs.txt"] * 3
    assert (found.artifact["count"], found.artifact["seen"], found.artifact["complete"]) == (3, 4, False)
    assert found.text.splitlines()[1].startswith("docs.txt:100 [")
    assert (counted.text, counted.artifact["count"]) == ("10", 10)
    assert read.text.startswith("12:00:00")
    assert [one["doc_id"] for one in listed.artifact["documents"]] == ["docs.txt"]
    assert "10 with ignore_case=True" in missed.text
    assert {message.status for message in results(state)} == {"success"}


def test_several_texts_of_a_field_are_parts_of_the_file() -> None:
    tools = create_rlm_tools(contexts=ContextStore())
    one = agent(
        tools,
        asks(STORE),
        asks(
            call("local_grep", pattern="two", file="docs.txt"),
            call("read_context", doc_id="docs.txt/b"),
            call("local_grep", pattern="o", file="docs.txt/a"),
            call("read_context", doc_id="docs.txt"),
        ),
    )
    state = one.invoke({"messages": [("user", "?")], "documents": {"a": "one", "b": "two"}})
    _, found, read, part, unclear = results(state)
    assert [hit["doc_id"] for hit in found.artifact["matches"]] == ["docs.txt/b"]
    assert read.text == "two"
    assert [hit["doc_id"] for hit in part.artifact["matches"]] == ["docs.txt/a"]
    assert unclear.status == "error"
    assert "docs.txt/a" in unclear.text


def test_a_tool_node_alone_serves_calls_side_by_side() -> None:
    tools = create_rlm_tools(contexts=ContextStore())
    builder = StateGraph(Documents)
    builder.add_node("tools", ToolNode(tools))
    builder.set_entry_point("tools")
    graph = builder.compile(checkpointer=InMemorySaver())
    graph.invoke({"messages": [asks(STORE)], "documents": LOG}, thread("a"))
    state = graph.invoke({"messages": [asks(FIND, FIND, call("count", pattern="ok"))]}, thread("a"))
    assert [message.status for message in results(state)] == ["success"] * 4


# --- whose texts ------------------------------------------------------------------------------------------------------


def test_a_file_is_known_to_its_own_thread_alone() -> None:
    saver = InMemorySaver()
    tools = create_rlm_tools(contexts=ContextStore())
    agent(tools, asks(STORE), saver=saver).invoke({"messages": [("user", "?")], "documents": LOG}, thread("anna"))
    again = agent(tools, asks(FIND), saver=saver).invoke({"messages": [("user", "?")]}, thread("anna"))
    assert results(again)[-1].artifact["count"] == 3
    other = agent(tools, asks(FIND, call("list_documents"), call("local_grep", pattern="ERROR")), saver=saver)
    found, listed, searched = results(other.invoke({"messages": [("user", "?")]}, thread("bert")))
    assert (found.status, searched.status) == ("error", "error")
    assert "docs.txt" not in listed.text
    assert listed.artifact["documents"] == []


def test_a_file_is_known_to_its_own_tenant_alone() -> None:
    store = ContextStore()
    tools = create_rlm_tools(contexts=lambda config: store.tenant(config["configurable"]["tenant"]))
    config = thread("same")
    config["configurable"]["tenant"] = "acme"
    agent(tools, asks(STORE)).invoke({"messages": [("user", "?")], "documents": LOG}, config)
    mine = results(agent(tools, asks(FIND)).invoke({"messages": [("user", "?")]}, config))
    config["configurable"]["tenant"] = "other"
    theirs = agent(tools, asks(FIND, call("list_documents"))).invoke({"messages": [("user", "?")]}, config)
    assert mine[0].status == "success"
    found, listed = results(theirs)
    assert found.status == "error"
    assert "docs.txt" not in listed.text


def test_without_a_thread_a_file_is_known_to_its_own_run_alone() -> None:
    tools = create_rlm_tools(contexts=ContextStore())
    first = agent(tools, asks(STORE), asks(FIND)).invoke({"messages": [("user", "?")], "documents": LOG})
    assert results(first)[-1].status == "success"
    second = agent(tools, asks(FIND)).invoke({"messages": [("user", "?")]})
    assert results(second)[-1].status == "error"


def test_a_reference_of_another_thread_in_the_state_is_refused() -> None:
    store = ContextStore()
    tools = create_rlm_tools(contexts=store)
    for reference in (dict(store.put("secret of another thread")), {"context_ref": "sha256:" + "0" * 64}):
        state = agent(tools, asks(STORE)).invoke({"messages": [("user", "?")], "documents": reference}, thread("x"))
        (told,) = results(state)
        assert told.status == "error"
        assert "not this conversation's" in told.text


def test_an_invented_reference_names_no_file() -> None:
    store = ContextStore()
    ref = store.put("secret")
    tools = by_name(create_rlm_tools(contexts=store))
    for file in (ref["context_ref"], "sha256:" + "0" * 64, "context", "*"):
        answer = tools["local_grep"].invoke(call("local_grep", pattern="secret", file=file))
        assert answer.status == "error"


def test_a_pruned_file_is_gone_and_said_so() -> None:
    store = ContextStore()
    tools = create_rlm_tools(contexts=store)
    agent(tools, asks(STORE)).invoke({"messages": [("user", "?")], "documents": LOG}, thread("a"))
    assert store.prune(-1) == 1
    (found,) = results(agent(tools, asks(FIND)).invoke({"messages": [("user", "?")]}, thread("a")))
    assert found.status == "error"
    assert "no file 'docs.txt'" in found.text


def test_a_new_process_knows_the_files_and_what_was_spent(tmp_path: Path) -> None:
    def made() -> list[BaseTool]:
        return create_rlm_tools(
            sub_model=scripted(["yes"] * 5), contexts=ContextStore(tmp_path), limits={"max_calls": 2}
        )

    ask = call("query_lm", prompt="?")
    agent(made(), asks(STORE, ask)).invoke({"messages": [("user", "?")], "documents": LOG}, thread("a"))
    found, answered, refused = results(
        agent(made(), asks(FIND), asks(ask), asks(ask)).invoke({"messages": [("user", "?")]}, thread("a"))
    )
    assert (found.status, answered.status, refused.status) == ("success", "success", "error")
    assert refused.artifact["usage"]["calls"] == 2


# --- what they cost ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_async", [False, True])
async def test_limits_hold_for_all_tools_of_a_thread_together(is_async: bool) -> None:
    tools = create_rlm_tools(sub_model=scripted(["yes"] * 20), limits={"max_calls": 3})
    ask = call("query_lm", prompt="Yes?")

    async def run(config: RunnableConfig, *replies: Any) -> list[ToolMessage]:
        one, given = agent(tools, *replies), {"messages": [("user", "?")]}
        return results(
            await one.ainvoke(given, config) if is_async else await asyncio.to_thread(one.invoke, given, config)
        )

    together = await run(thread("a"), asks(*[ask] * 5))
    assert sorted(message.status for message in together) == ["error", "error", "success", "success", "success"]
    (refused,) = await run(thread("a"), asks(ask))
    assert refused.status == "error"
    assert "max_calls" in refused.text
    assert refused.artifact["usage"]["calls"] == 3
    (other,) = await run(thread("b"), asks(ask))
    assert other.status == "success"


def test_outside_of_a_graph_limits_hold_for_each_call() -> None:
    tool = by_name(create_rlm_tools(sub_model=scripted(["yes"] * 3), limits={"max_calls": 1}))["query_lm"]
    assert [tool.invoke(call("query_lm", prompt="?")).status for _ in range(3)] == ["success"] * 3


def test_a_request_narrows_the_limits() -> None:
    tools = create_rlm_tools(sub_model=scripted(["yes"] * 3))
    config = thread("a", limits={"max_calls": 1})
    state = agent(tools, asks(call("query_lm", prompt="?")), asks(call("query_lm", prompt="?")))
    assert [one.status for one in results(state.invoke({"messages": [("user", "?")]}, config))] == ["success", "error"]


def test_searches_are_limited(tmp_path: Path) -> None:
    tools = create_rlm_tools(corpus=make_corpus(tmp_path, {"a.md": "one"}), limits={"max_searches": 1})
    one = agent(tools, asks(call("bm25_search", query="one")), asks(call("bm25_search", query="one")))
    found, refused = results(one.invoke({"messages": [("user", "?")]}, thread("a")))
    assert found.artifact["usage"]["searches"] == 1
    assert (refused.status, refused.artifact["usage"]["searches"]) == ("error", 1)


def test_the_filter_of_a_request_holds_for_every_tool(tmp_path: Path) -> None:
    corpus = make_corpus(
        tmp_path, {"mine.md": ("one secret", {"team": "a"}), "theirs.md": ("two secret", {"team": "b"})}
    )
    names = ["local_grep", "read_context", "list_documents", "bm25_search", "count"]
    tools = create_rlm_tools(corpus=corpus, include=names)
    one = agent(
        tools,
        asks(
            call("local_grep", pattern="secret"), call("local_grep", pattern="secret", file="theirs.md"),
            call("local_grep", pattern="secret", file="*.md"), call("read_context", doc_id="theirs.md"),
            call("list_documents"), call("bm25_search", query="secret"), call("count", pattern="secret"),
        ),
    )  # fmt: skip
    state = one.invoke({"messages": [("user", "?")]}, thread("a", where={"team": "a"}))
    assert not [message for message in results(state) if "two secret" in str((message.content, message.artifact))]
    assert [message.status for message in results(state)][1:4] == ["error", "success", "error"]
    assert results(state)[-1].text == "1"


# --- the whole graph --------------------------------------------------------------------------------------------------


def reader() -> Any:
    return scripted(
        by_role(
            root=lambda prompt, number: cell("hits = grep('ERROR')", "cite(hits[0])", "FINAL(str(count('ERROR')))"),
            sub="yes",
        )
    )


@pytest.mark.parametrize("is_async", [False, True])
async def test_ask_rlm_answers_with_citations_usage_and_route(is_async: bool) -> None:
    tools = create_rlm_tools(model=reader(), contexts=ContextStore())
    one = agent(tools, asks(STORE), asks(call("ask_rlm", question="How many errors?", file="docs.txt")))
    events = list[Any]()
    given = {"messages": [("user", "?")], "documents": LOG}
    config = thread("a")
    if is_async:
        async for kind, part in one.astream(given, config, stream_mode=["custom", "values"]):
            events.append(part) if kind == "custom" else (state := part)
    else:
        for kind, part in await asyncio.to_thread(
            lambda: list(one.stream(given, config, stream_mode=["custom", "values"]))
        ):
            events.append(part) if kind == "custom" else (state := part)
    answer = results(state)[-1]
    assert answer.text == "10"
    assert answer.artifact["route"] == "rlm"
    assert answer.artifact["citations"][0]["doc_id"] == "docs.txt"
    assert answer.artifact["citations"][0]["quote"].startswith("12:00:39 ERROR")
    assert answer.artifact["usage"]["calls"] == 1
    kinds = [event["event"] for event in events]
    assert (kinds.count("cell_end"), kinds.count("answer")) == (1, 1)


def test_ask_rlm_routes_a_question_over_the_corpus(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path, {"leave.md": "Parental leave is 16 weeks.", "travel.md": "Trains first."})
    model = scripted(by_role(reader='Parental leave is "16 weeks" [1].', grader="yes"))
    tools = create_rlm_tools(model=model, corpus=corpus)
    (answer,) = results(
        agent(tools, asks(call("ask_rlm", question="How long is parental leave?"))).invoke(
            {"messages": [("user", "?")]}
        )
    )
    assert answer.artifact["route"] in ("rag", "direct")
    assert "16 weeks" in answer.text


def test_ask_rlm_is_paid_from_the_limits_of_the_list() -> None:
    tools = create_rlm_tools(model=reader(), contexts=ContextStore(), limits={"max_calls": 2})
    question = call("ask_rlm", question="How many errors?", file="docs.txt")
    one = agent(tools, asks(STORE), asks(call("query_lm", prompt="?")), asks(question), asks(question))
    state = one.invoke({"messages": [("user", "?")], "documents": LOG}, thread("a"))
    _, asked, first, second = results(state)
    assert [asked.status, first.status, second.status] == ["success", "success", "error"]
    assert second.artifact["usage"]["calls"] == 2


def test_several_questions_of_one_step_get_their_own_answers() -> None:
    model = scripted(lambda messages: cell(f"FINAL('{'ab'['which b' in messages[-1].text]}')"))
    tools = create_rlm_tools(model=model, contexts=ContextStore())
    questions = [call("ask_rlm", question=f"which {name}?", file="docs.txt") for name in "abab"]
    state = agent(tools, asks(STORE), asks(*questions), saver=InMemorySaver()).invoke(
        {"messages": [("user", "?")], "documents": LOG}, thread("a")
    )
    assert [message.text for message in results(state)[1:]] == ["a", "b", "a", "b"]


async def test_a_cancelled_agent_leaves_no_call_behind() -> None:
    begun, ended = asyncio.Event(), threading.Event()

    async def never(messages: list[BaseMessage]) -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return ""

    tool = by_name(create_rlm_tools(sub_model=waiting(never), limits={"max_cost_usd": None}))["query_lm"]
    task = asyncio.create_task(tool.ainvoke(call("query_lm", prompt="?")))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


def waiting(reply: Callable[[list[BaseMessage]], Any]) -> Any:
    async def answer(messages: Any) -> AIMessage:
        return AIMessage(await reply(messages))

    def no_sync(messages: Any) -> AIMessage:
        raise AssertionError("the async model is asked")

    return RunnableLambda(no_sync, answer)


# --- what a model reads -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "args", "words"),
    [
        ("local_grep", {"pattern": "("}, "not usable"),
        ("local_grep", {"pattern": "x", "max_matches": 0}, "max_matches"),
        ("local_grep", {"pattern": "x", "max_match": 3}, "did you mean 'max_matches'"),
        ("local_grep", {}, "pattern"),
        ("local_grep", {"pattern": "x", "file": "nothing.md"}, "There are a.md"),
        ("local_grep", {"pattern": "x", "file": "*.pdf"}, "There are a.md"),
        ("read_context", {"doc_id": "a.nd"}, "did you mean 'a.md'"),
        ("read_context", {"doc_id": "a.md", "start": -1}, "start"),
        ("bm25_search", {"query": "x", "where": {"year": {"$almost": 3}}}, r"\$almost"),
        ("materialize_context", {"field_name": "documents"}, "no field 'documents'"),
        ("materialize_context", {"field_name": "documents", "filename": "*"}, "is no name"),
        ("query_lm", {"prompt": " "}, "prompt is empty"),
    ],
)
def test_a_mistake_is_a_sentence_for_the_model(name: str, args: dict[str, Any], words: str, tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path, {"a.md": "one\ntwo"})
    tool = by_name(create_rlm_tools(corpus=corpus, contexts=ContextStore(), sub_model=scripted(["x"])))[name]
    answer = tool.invoke(call(name, **args))
    assert answer.status == "error"
    assert answer.artifact["error"] == answer.text
    assert re.search(words, answer.text), answer.text


@pytest.mark.parametrize("value", [b"\x00\x01", 3, iter(["a"]), {"a": 1}, "", [HumanMessage("")]])
def test_a_field_that_is_no_text_is_refused(value: Any) -> None:
    tools = create_rlm_tools(contexts=ContextStore())
    node = ToolNode(tools)
    builder = StateGraph(Documents)
    builder.add_node("tools", node)
    builder.set_entry_point("tools")
    state = builder.compile().invoke({"messages": [asks(STORE)], "documents": value})
    (told,) = results(state)
    assert told.status == "error"


def test_results_are_bounded_and_say_how_to_go_on() -> None:
    tools = create_rlm_tools(contexts=ContextStore())
    long = "".join(f"word {n} " + "x" * 300 + "\n" for n in range(5_000)) + "ü" * 100_000
    one = agent(
        tools,
        asks(STORE),
        asks(
            call("local_grep", pattern="word", max_matches=100_000), call("read_context", doc_id="docs.txt"),
            call("local_grep", pattern="ü+"), call("read_context", doc_id="docs.txt", start=len(long) - 100_000),
        ),
    )  # fmt: skip
    state = one.invoke({"messages": [("user", "?")], "documents": long}, thread("a"))
    for message in results(state):
        assert estimated_tokens(message.text) <= MOST_TOKENS
        assert len(str(message.artifact)) < 100_000
    found, read = results(state)[1:3]
    assert (found.artifact["count"], found.artifact["seen"], found.artifact["complete"]) == (5_000, 5_000, False)
    assert f"read on with start={read.artifact['end']}" in read.text
    assert long[: read.artifact["end"]] == read.artifact["text"]


def test_a_corpus_document_keeps_its_name(tmp_path: Path) -> None:
    tools = create_rlm_tools(corpus=make_corpus(tmp_path, {"docs.txt": "one"}), contexts=ContextStore())
    (told,) = results(agent(tools, asks(STORE)).invoke({"messages": [("user", "?")], "documents": LOG}))
    assert "take another name" in told.text


def test_messages_of_the_conversation_may_be_stored() -> None:
    tools = create_rlm_tools(contexts=ContextStore())
    one = agent(
        tools, asks(call("materialize_context", field_name="messages")), asks(call("local_grep", pattern="moon"))
    )
    _, found = results(one.invoke({"messages": [("user", "About the moon.")]}, thread("a")))
    assert [hit["doc_id"] for hit in found.artifact["matches"]] == ["messages/0"]


def test_the_node_of_a_plain_messages_state_works(tmp_path: Path) -> None:
    tools = create_rlm_tools(corpus=make_corpus(tmp_path, {"a.md": "one"}))
    builder = StateGraph(MessagesState)
    builder.add_node("tools", ToolNode(tools))
    builder.set_entry_point("tools")
    (found,) = results(builder.compile().invoke({"messages": [asks(call("local_grep", pattern="one"))]}))
    assert found.artifact["count"] == 1


def test_two_tenants_of_one_thread_share_neither_budget_nor_names() -> None:
    stores = ContextStore()
    tools = create_rlm_tools(
        sub_model=scripted(["yes"] * 5),
        contexts=lambda config: stores.tenant(config["configurable"]["tenant"]),
        limits={"max_calls": 1},
    )

    def ask(tenant: str, text: str) -> list[ToolMessage]:
        config: RunnableConfig = {"configurable": {"thread_id": "same", "tenant": tenant}}
        one = agent(tools, asks(STORE, call("query_lm", prompt="?")), asks(call("read_context", doc_id="docs.txt")))
        return results(one.invoke({"messages": [("user", "?")], "documents": text}, config))

    assert [message.status for message in ask("acme", "of acme")] == ["success"] * 3
    stored, asked, read = ask("other", "of another")
    assert (stored.status, asked.status, read.text) == ("success", "success", "of another")
    (again,) = results(agent(tools, asks(call("read_context", doc_id="docs.txt"))).invoke(
        {"messages": [("user", "?")]}, {"configurable": {"thread_id": "same", "tenant": "acme"}}
    ))  # fmt: skip
    assert again.text == "of acme"


def test_a_new_process_knows_the_searches_and_the_seconds(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "index", {"a.md": "one"})

    def search() -> ToolMessage:
        tools = create_rlm_tools(
            corpus=corpus, contexts=ContextStore(tmp_path / "contexts"), limits={"max_searches": 2}
        )
        one = agent(tools, asks(call("bm25_search", query="one")))
        return results(one.invoke({"messages": [("user", "?")]}, thread("a")))[0]

    assert [search().status for _ in range(3)] == ["success", "success", "error"]
    assert search().artifact["usage"]["searches"] == 2
    assert search().artifact["usage"]["seconds"] > 0


def test_an_interrupted_tool_ends_at_once(tmp_path: Path) -> None:
    """Ctrl-C while a model is being asked by the sync face: the call is given up, not waited for."""
    program = tmp_path / "ask.py"
    program.write_text(
        "import os, signal, threading\n"
        "from langchain_core.messages import AIMessage\n"
        "from langchain_core.runnables import RunnableLambda\n"
        "from langgraph_rlm import create_rlm_tools\n"
        "def answer(messages):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    threading.Event().wait(60)\n"
        "    return AIMessage('late')\n"
        "(tool,) = create_rlm_tools(sub_model=RunnableLambda(answer), limits={'max_cost_usd': None})\n"
        "try:\n"
        "    tool.invoke({'prompt': '?'})\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted', flush=True)\n"
        "os._exit(0)\n"
    )
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=45, check=False)
    assert done.stdout == "interrupted\n", done.stderr


def test_a_filter_on_doc_id_holds_for_files_and_documents(tmp_path: Path) -> None:
    corpus = make_corpus(
        tmp_path, {"a.md": ("one ERROR", {"year": 2020}), "b.md": ("two ERROR", {"year": 2021}), "c.md": "three"}
    )
    tools = create_rlm_tools(corpus=corpus, contexts=ContextStore())

    def found(name: str, **where: Any) -> set[str]:
        args = {"pattern": "ERROR"} if name.startswith("local") else {"query": "one two three ERROR"}
        one = agent(tools, asks(STORE), asks(call(name, **args, where=where)))
        message = results(one.invoke({"messages": [("user", "?")], "documents": LOG}, thread(f"{name}{where}")))[-1]
        assert message.status == "success", message.text
        return {hit["doc_id"] for hit in message.artifact["matches"]}

    assert found("local_grep", doc_id="docs.txt") == {"docs.txt"}
    assert found("local_grep", doc_id={"$in": ["b.md", "c.md"]}) == {"b.md"}
    assert found("local_search", year=2020) == {"a.md"}
    assert found("local_grep", **{"$or": [{"doc_id": "docs.txt"}, {"year": 2021}]}) == {"docs.txt", "b.md"}
    for name in ("bm25_search", "vector_retrieve", "hybrid_search", "hop_search"):
        assert found(name, doc_id="b.md") == {"b.md"}
        assert found(name, doc_id={"$nin": ["b.md"]}) == {"a.md", "c.md"}
