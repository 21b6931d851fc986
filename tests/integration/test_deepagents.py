"""ContextBackend in deepagents: their own eviction and tools use our store; our graph as a sub-agent; our tools."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from deepagents import CompiledSubAgent, create_deep_agent
from deepagents.backends import CompositeBackend, StateBackend
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph_rlm.integrations.deepagents import ContextBackend

from langgraph_rlm import ContextStore, InvalidInput, create_rlm, create_rlm_tools
from tests.support import Ask, cell, make_corpus, scripted

LOG = "".join(f"12:00:{n % 60:02d} {'ERROR timeout' if n % 1000 == 999 else 'ok'}\n" for n in range(100_000))


@tool
def read_log() -> str:
    """Read the log."""
    return LOG


def calls(name: str, **args: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": args, "id": uuid.uuid4().hex[:8]}])


def planned(*plan: Any) -> Any:
    left = list(plan)

    def answer(messages: list[BaseMessage]) -> Any:
        reply = left.pop(0)
        return reply(messages) if callable(reply) else reply

    return scripted(answer)


def bytes_of(saver: InMemorySaver) -> int:
    kept = sum(len(value[1]) for value in saver.blobs.values())
    return kept + sum(len(write[2][1]) for writes in saver.writes.values() for write in writes.values())


def thread(name: str, **more: Any) -> RunnableConfig:
    return {"configurable": {"thread_id": name, **more}}


def in_graph(work: Callable[[], Any], config: RunnableConfig) -> Any:
    """What ``work`` returns inside of a node."""
    found: list[Any] = []
    builder = StateGraph(MessagesState)
    builder.add_node("node", lambda state: found.append(work()) or {})
    builder.add_edge(START, "node")
    builder.compile(checkpointer=InMemorySaver()).invoke({"messages": []}, config)
    return found[0]


async def test_what_deepagents_evicts_goes_to_the_store(ask: Ask) -> None:
    def evicted_to(messages: list[BaseMessage]) -> str:
        return next(
            re.findall(r"/large_tool_results/[\w-]+", one.text)[0] for one in reversed(messages) if "/large" in one.text
        )

    saver, contexts = InMemorySaver(), ContextStore()
    backend = CompositeBackend(StateBackend(), {"/large_tool_results/": ContextBackend(contexts)})
    model = planned(
        calls("read_log"),
        lambda messages: calls("grep", pattern="ERROR", path="/large_tool_results/", output_mode="content"),
        lambda messages: calls("read_file", file_path=evicted_to(messages), offset=998, limit=2),
        "done",
    )
    agent = create_deep_agent(model, [read_log], backend=backend, checkpointer=saver)
    state = await ask(agent, {"messages": [("user", "Errors?")]}, thread("1"))
    evicted, grepped, read = [one for one in state["messages"] if isinstance(one, ToolMessage)]
    assert len(evicted.text) < 3_000
    assert grepped.text.count("ERROR timeout") >= 50
    assert "ERROR timeout" in read.text and "999" in read.text
    assert bytes_of(saver) < 100_000
    assert not state.get("files")


def test_files_belong_to_their_thread_and_tenant() -> None:
    store = ContextStore()
    backend = ContextBackend(lambda config: store.tenant(config["configurable"]["tenant"]))
    mine = thread("anna", tenant="a")
    in_graph(lambda: backend.write("/secret.md", "of anna"), mine)
    assert in_graph(lambda: backend.read("/secret.md"), mine).file_data["content"] == "of anna"
    for config in (thread("bert", tenant="a"), thread("anna", tenant="b")):
        assert in_graph(lambda: backend.read("/secret.md"), config).error == "File '/secret.md' not found"
        assert in_graph(lambda: backend.grep("anna"), config).matches == []
        assert in_graph(lambda: backend.ls("/"), config).entries == []
        in_graph(lambda: backend.write("/secret.md", "of another"), config)
        in_graph(lambda: backend.delete("/secret.md"), config)
    assert in_graph(lambda: backend.read("/secret.md"), mine).file_data["content"] == "of anna"


def test_without_a_thread_nothing_is_shared() -> None:
    backend = ContextBackend(ContextStore())
    assert "thread_id" in (backend.write("/a.md", "x").error or "")
    assert backend.ls("/").entries == []


def test_files_are_written_edited_listed_and_deleted() -> None:
    backend = ContextBackend(ContextStore())

    def work() -> None:
        assert backend.write("/notes/a.md", "one\ntwo\ntwo\n").path == "/notes/a.md"
        assert backend.write("/b.txt", "three").error is None
        assert [entry["path"] for entry in backend.ls("/").entries or []] == ["/b.txt", "/notes/"]
        assert [entry["path"] for entry in backend.ls("/notes").entries or []] == ["/notes/a.md"]
        assert "2 times" in (backend.edit("/notes/a.md", "two", "2").error or "")
        assert backend.edit("/notes/a.md", "two", "2", replace_all=True).occurrences == 2
        window = backend.read("/notes/a.md", offset=1, limit=1)
        assert window.file_data is not None
        assert (window.file_data["content"], window.start_line, window.next_offset, window.total_lines) == (
            "2\n",
            2,
            2,
            3,
        )
        assert backend.read("/notes/a.md", offset=9).error == "Line offset 9 exceeds file length (3 lines)"
        assert backend.read("/notes/a.md", limit=0).no_lines_requested
        assert [one["path"] for one in backend.glob("*.md").matches or []] == ["/notes/a.md"]
        assert [one["path"] for one in backend.glob("*.md", "/notes").matches or []] == ["/notes/a.md"]
        assert backend.glob("../*").error
        found = backend.grep("2", glob="*.md", max_count=1)
        assert (len(found.matches or []), found.truncated) == (1, True)
        assert [one["line"] for one in backend.grep("2").matches or []] == [2, 3]
        uploads = backend.upload_files([("/c.md", "é".encode()), ("/d.bin", b"\xff\x00")])
        assert [bool(one.error) for one in uploads] == [False, True]
        down = backend.download_files(["/c.md", "/none.md"])
        assert (down[0].content, down[1].error) == ("é".encode(), "file_not_found")
        assert backend.delete("/notes").path == "/notes"
        assert backend.read("/notes/a.md").error
        assert backend.write("/../etc/passwd", "x").error
        assert backend.write("/empty", "").error

    in_graph(work, thread("1"))


def test_the_documents_of_a_corpus_are_files_that_are_read_only(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path, {"hr/leave.md": "Parental leave\nis 16 weeks.\n", "travel.md": "Trains first.\n"})
    backend = ContextBackend(corpus=corpus)
    assert [entry["path"] for entry in backend.ls("/").entries or []] == ["/hr/", "/travel.md"]
    assert backend.read("/hr/leave.md", offset=1).file_data["content"] == "is 16 weeks.\n"  # type: ignore[index]
    assert backend.grep("16 weeks").matches == [{"path": "/hr/leave.md", "line": 2, "text": "is 16 weeks."}]
    assert backend.grep("Trains", path="/hr").matches == []
    for refused in (
        backend.write("/new.md", "x"),
        backend.edit("/travel.md", "Trains", "x"),
        backend.delete("/travel.md"),
    ):
        assert "read-only" in (refused.error or "")
    assert backend.read("/none.md").error


async def test_a_deep_agent_searches_a_corpus_as_files(tmp_path: Path, ask: Ask) -> None:
    corpus = make_corpus(tmp_path, {"leave.md": "Parental leave\nis 16 weeks.\n"})
    backend = CompositeBackend(StateBackend(), {"/corpus/": ContextBackend(corpus=corpus)})
    model = planned(
        calls("grep", pattern="16 weeks", path="/corpus/", output_mode="content"),
        calls("read_file", file_path="/corpus/leave.md"),
        "done",
    )
    state = await ask(create_deep_agent(model, [], backend=backend), {"messages": [("user", "?")]})
    grepped, read = [one for one in state["messages"] if isinstance(one, ToolMessage)]
    assert "/corpus/leave.md" in grepped.text
    assert "Parental leave" in read.text


async def test_our_tools_serve_a_deep_agent(tmp_path: Path, ask: Ask) -> None:
    tools = create_rlm_tools(corpus=make_corpus(tmp_path, {"a.md": "one ERROR"}), contexts=ContextStore())
    model = planned(
        calls("local_grep", pattern="ERROR"),
        calls("materialize_context", field_name="messages", filename="chat"),
        calls("count", pattern="Errors", file="chat"),
        "done",
    )
    state = await ask(create_deep_agent(model, tools), {"messages": [("user", "Errors?")]})
    found, stored, counted = [one for one in state["messages"] if isinstance(one, ToolMessage)]
    assert (found.artifact["count"], stored.status, counted.text) == (1, "success", "1")


async def test_our_graph_is_a_sub_agent(tmp_path: Path, ask: Ask) -> None:
    corpus = make_corpus(tmp_path, {"a.md": "It is 42."})
    research = create_rlm(scripted(lambda messages: cell("FINAL('42')")), corpus=corpus, sandbox="unsafe")
    sub = CompiledSubAgent(name="research", description="Answers questions over long texts.", runnable=research)
    model = planned(calls("task", description="What is it?", subagent_type="research"), "done")
    state = await ask(create_deep_agent(model, [], subagents=[sub]), {"messages": [("user", "?")]})
    (answer,) = [one for one in state["messages"] if isinstance(one, ToolMessage)]
    assert answer.text == "42"


def test_wrong_arguments_are_told() -> None:
    for given in ({}, {"contexts": ContextStore(), "corpus": "x"}, {"corpus": "x"}, {"contexts": "here"}):
        with pytest.raises(InvalidInput):
            ContextBackend(**given)
