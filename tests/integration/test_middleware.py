"""RLMMiddleware and interning_agent in real agents: what reaches the model, what is in checkpoints, whose texts are whose."""

from __future__ import annotations

import json
import re
import tracemalloc
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from deepagents import create_deep_agent
from langchain.agents import create_agent
from langchain.agents.middleware import (
    ClearToolUsesEdit,
    ContextEditingMiddleware,
    HumanInTheLoopMiddleware,
    SummarizationMiddleware,
)
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolRuntime
from langgraph.types import Command

from langgraph_rlm import (
    ContextStore,
    ContextStoreError,
    InvalidInput,
    RLMMiddleware,
    SmartRouter,
    create_rlm_tools,
    interning_agent,
)
from langgraph_rlm.middleware import Bands
from tests.openai_server import OpenAIServer, ServerReply
from tests.support import Ask, scripted

LOG = "".join(f"12:00:{n % 60:02d} {'ERROR timeout' if n % 1000 == 999 else 'ok'}\n" for n in range(370_000))
SECRET = "a line that belongs to anna alone"
STORED = re.compile(r"\[(\S+-[0-9a-f]{10}): ")


@tool
def read_log() -> str:
    """Read the log."""
    return LOG


@tool
def read_by_command(runtime: ToolRuntime) -> Command[Any]:
    """Read the log."""
    return Command(update={"messages": [ToolMessage(LOG, tool_call_id=runtime.tool_call_id or "", name="read_log")]})


def calls(name: str, **args: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": args, "id": uuid.uuid4().hex[:8]}])


def name_in(messages: list[BaseMessage]) -> str:
    """The name of the file that was told last."""
    return next(found[1] for message in reversed(messages) if (found := STORED.search(message.text)))


def greps(messages: list[BaseMessage]) -> AIMessage:
    return calls("local_grep", pattern="ERROR", file=name_in(messages), max_matches=5)


class Model:
    """Answers by a plan, and keeps how long the messages of each call were."""

    def __init__(self, *plan: Any) -> None:
        self._plan = list(plan)
        self.seen: list[list[BaseMessage]] = []
        self.chat = scripted(self._answer)

    def _answer(self, messages: list[BaseMessage]) -> Any:
        self.seen.append(list(messages))
        reply = self._plan.pop(0)
        return reply(messages) if callable(reply) else reply

    @property
    def longest(self) -> int:
        return max(len(str(one.content)) for messages in self.seen for one in messages if one.type in ("human", "tool"))


def bytes_of(saver: InMemorySaver) -> int:
    """Of all that is in a saver."""
    kept = sum(len(value[1]) for value in saver.blobs.values())
    return kept + sum(len(write[2][1]) for writes in saver.writes.values() for write in writes.values())


def thread(name: str = "1", **more: Any) -> RunnableConfig:
    return {"configurable": {"thread_id": name, **more}}


def made(maker: Callable[..., Any], model: Model, contexts: Any, saver: Any = None, **options: Any) -> Any:
    tools = options.pop("tools", [read_log, read_by_command])
    before = options.pop("before", [])
    middleware = [*before, RLMMiddleware(contexts=contexts, **options)]
    return interning_agent(maker(model.chat, tools, middleware=middleware, checkpointer=saver), contexts)


MAKERS = pytest.mark.parametrize("maker", [create_agent, create_deep_agent])


# --- small windows and small checkpoints ------------------------------------------------------------------------------


@MAKERS
@pytest.mark.parametrize("first", ["read_log", "read_by_command"])
async def test_a_long_result_is_stored_and_searched(maker: Any, first: str, ask: Ask) -> None:
    model, saver, contexts = Model(calls(first), greps, AIMessage("done")), InMemorySaver(), ContextStore()
    state = await ask(made(maker, model, contexts, saver), {"messages": [("user", "Errors?")]}, thread())
    stored, found = [message for message in state["messages"] if isinstance(message, ToolMessage)]
    assert len(stored.text) <= 400
    assert "of text" in stored.text and f"{len(LOG):,} characters" in stored.text
    assert [hit["line"] for hit in found.artifact["matches"]] == [1000, 2000, 3000, 4000, 5000]
    assert bytes_of(saver) <= 25_000  # LangGraph writes the messages again at each of five steps
    assert "rlm_files" not in state


@MAKERS
@pytest.mark.parametrize(
    "given",
    [
        ("user", LOG),
        HumanMessage(LOG),
        {"role": "user", "content": LOG},
        HumanMessage([{"type": "text", "text": LOG}], id="mine"),
    ],
    ids=["tuple", "object", "dict", "blocks"],
)
async def test_a_long_human_message_reaches_neither_model_nor_checkpoint(maker: Any, given: Any, ask: Ask) -> None:
    model, saver, contexts = Model(greps, AIMessage("done")), InMemorySaver(), ContextStore()
    agent = made(maker, model, contexts, saver)
    state = await ask(agent, {"messages": [given]}, thread())
    assert model.longest <= 2_000
    assert len(state["messages"][0].text) <= 400
    assert [one.type for one in state["messages"]] == ["human", "ai", "tool", "ai"]
    assert state["messages"][2].artifact["count"] == 5
    assert bytes_of(saver) <= 25_000


async def test_the_question_at_the_end_of_a_long_message_stays(ask: Ask) -> None:
    contexts = ContextStore()
    agent = made(create_agent, Model(AIMessage("done")), contexts)
    state = await ask(agent, {"messages": [("user", LOG + "\n\nHow many errors are there?")]})
    assert state["messages"][0].text.endswith("How many errors are there?")


async def test_between_the_bands_a_longer_preview_stays(ask: Ask) -> None:
    middle = "\n".join(f"row {n} " + "x" * 300 for n in range(100))

    @tool
    def read_table() -> str:
        """Read."""
        return middle

    agent = made(create_agent, Model(calls("read_table"), AIMessage("ok")), ContextStore(), tools=[read_table])
    stored = (await ask(agent, {"messages": [("user", "x" * 30_000)]}))["messages"]
    assert stored[0].text == "x" * 30_000  # a question of that size is a question
    assert 1_000 < len(stored[2].text) < 3_000
    assert "row 0" in stored[2].text and "row 99" in stored[2].text
    assert max(map(len, stored[2].text.splitlines()[2:])) <= 81


async def test_short_texts_and_other_blocks_stay_as_they_are(ask: Ask) -> None:
    image = {"type": "image", "base64": "aGk=" * 100_000, "mime_type": "image/png"}

    @tool
    def look() -> list[Any]:
        """Look."""
        return [image, {"type": "text", "text": "a picture"}]

    @tool
    def look_and_read() -> list[Any]:
        """Look and read."""
        return [image, {"type": "text", "text": LOG}]

    model = Model(calls("look"), calls("look_and_read"), AIMessage("ok"))
    agent = made(create_agent, model, ContextStore(), tools=[look, look_and_read])
    state = await ask(agent, {"messages": [("user", "?")]})
    short, long = [one for one in state["messages"] if isinstance(one, ToolMessage)]
    assert short.content == [image, {"type": "text", "text": "a picture"}]
    assert long.content[1] == image
    assert len(long.content[0]["text"]) <= 400


async def test_no_request_to_a_real_client_is_large(openai_server: OpenAIServer, ask: Ask) -> None:
    def reply(request: dict[str, Any]) -> Any:
        texts = [str(one["content"]) for one in request["messages"]]
        number = sum(one["role"] == "tool" for one in request["messages"])
        if number == 0:
            return ServerReply(tool_calls=[("read_log", {})])
        if number == 1:
            name = next(found[1] for text in reversed(texts) if (found := STORED.search(text)))
            return ServerReply(tool_calls=[("local_grep", {"pattern": "ERROR", "file": name})])
        return "370 errors"

    openai_server.reply = reply
    contexts = ContextStore()
    agent = interning_agent(
        create_agent(openai_server.chat_model(), [read_log], middleware=[RLMMiddleware(contexts=contexts)]), contexts
    )
    state = await ask(agent, {"messages": [("user", LOG + "\nErrors?")]})
    assert state["messages"][-1].text == "370 errors"
    assert len(openai_server.chats) == 3
    assert max(len(json.dumps(chat)) for chat in openai_server.chats) < 20_000
    assert openai_server.chats[1]["messages"][-1]["content"].startswith("[read_log-")


async def test_the_tools_appear_when_something_is_stored(openai_server: OpenAIServer, ask: Ask) -> None:
    openai_server.plan(ServerReply(tool_calls=[("read_log", {})]), "ok")
    agent = create_agent(openai_server.chat_model(), [read_log], middleware=[RLMMiddleware()])
    await ask(agent, {"messages": [("user", "?")]})
    offered = [{one["function"]["name"] for one in chat["tools"]} for chat in openai_server.chats]
    assert offered[0] == {"read_log"}
    assert offered[1] == {"read_log", "local_grep", "local_search", "count", "read_context", "list_documents"}


async def test_no_event_shows_the_text() -> None:
    agent = made(create_agent, Model(AIMessage("done")), ContextStore(), InMemorySaver())
    events = [event async for event in agent.astream_events({"messages": [("user", LOG)]}, thread(), version="v2")]
    assert len(str(events)) < 100_000
    assert agent.get_state(thread()).values["rlm_files"]


async def test_a_copy_interns_too_and_a_state_is_updated_without_the_text(ask: Ask) -> None:
    saver, contexts = InMemorySaver(), ContextStore()
    agent = made(create_agent, Model(AIMessage("one"), greps, AIMessage("two")), contexts, saver)
    agent = agent.with_config(tags=["x"])
    agent.update_state(thread(), {"messages": [HumanMessage(LOG)]})
    await agent.aupdate_state(thread(), Command(update={"messages": [HumanMessage(LOG + "more")]}).update)
    await ask(agent, {"messages": [("user", "?")]}, thread())
    state = await ask(agent, {"messages": [("user", "Errors?")]}, thread())
    assert state["messages"][-2].artifact["count"] == 5
    assert bytes_of(saver) < 50_000


async def test_an_agent_is_a_node_of_a_parent(ask: Ask) -> None:
    agent = made(create_agent, Model(calls("read_log"), greps, AIMessage("done")), ContextStore())
    builder = StateGraph(MessagesState)
    builder.add_node("agent", agent)
    builder.add_edge(START, "agent")
    saver = InMemorySaver()
    state = await ask(builder.compile(checkpointer=saver), {"messages": [("user", "Errors?")]}, thread())
    assert state["messages"][-1].text == "done"
    assert bytes_of(saver) < 50_000


# --- whose texts ------------------------------------------------------------------------------------------------------


async def test_threads_and_tenants_see_their_own_texts_alone(ask: Ask) -> None:
    store, saver = ContextStore(), InMemorySaver()

    def contexts(config: RunnableConfig) -> ContextStore:
        return store.tenant(config["configurable"]["tenant"])

    names = list[str]()

    def told(messages: list[BaseMessage]) -> AIMessage:
        names.append(name_in(messages))
        return AIMessage("done")

    given = {"messages": [("user", f"{SECRET}\n" * 20_000)]}
    await ask(made(create_agent, Model(told), contexts, saver), given, thread("anna", tenant="a"))
    reads = [
        lambda messages: calls("local_grep", pattern="anna", file=names[0]),
        lambda messages: calls("read_context", doc_id=names[0]),
        lambda messages: calls("local_grep", pattern="anna"),
        AIMessage("done"),
    ]
    for name, tenant in (("bert", "a"), ("bert", "b"), ("anna", "b")):
        other = made(create_agent, Model(*reads), contexts, InMemorySaver())
        state = await ask(other, {"messages": [("user", LOG)]}, thread(name, tenant=tenant))
        assert SECRET not in str(state)
        refused = [message for message in state["messages"] if isinstance(message, ToolMessage)][:2]
        assert [message.status for message in refused] == ["error", "error"]


@pytest.mark.parametrize("edge", [True, False])
async def test_a_reference_that_a_client_sends_opens_nothing(edge: bool, ask: Ask) -> None:
    contexts = ContextStore()
    ref = contexts.put(SECRET)
    forged = HumanMessage("?", additional_kwargs={"rlm_files": {"mine": ref}})
    model = Model(calls("read_context", doc_id="mine"), AIMessage("done"))
    agent = create_agent(model.chat, [], middleware=[RLMMiddleware(contexts=contexts)])
    agent = interning_agent(agent, contexts) if edge else agent
    state = await ask(agent, {"messages": [forged], "rlm_files": {"mine": ref}})
    assert SECRET not in str(state["messages"])


async def test_an_invented_or_pruned_reference_is_told(ask: Ask) -> None:
    contexts = ContextStore()

    def pruned(messages: list[BaseMessage]) -> AIMessage:
        contexts.prune(-1)
        return greps(messages)

    plan = (calls("read_log"), calls("local_grep", pattern="x", file="sha256:" + "0" * 64), pruned, AIMessage("ok"))
    state = await ask(made(create_agent, Model(*plan), contexts), {"messages": [("user", "?")]})
    _, invented, gone = [message for message in state["messages"] if isinstance(message, ToolMessage)]
    assert (invented.status, gone.status) == ("error", "error")
    assert "there is no 'sha256:" in invented.text


async def test_old_texts_are_removed_after_a_ttl(ask: Ask) -> None:
    contexts = ContextStore()
    ref = contexts.put("old")
    contexts._held._used[next(iter(contexts._held._used))] -= 100.0
    await ask(made(create_agent, Model(AIMessage("done")), contexts, ttl=50.0), {"messages": [("user", "?")]})
    assert ref["context_ref"] not in {f"sha256:{key}" for key in contexts._held._held}


# --- together with others ---------------------------------------------------------------------------------------------


async def test_it_works_with_summaries_and_edits(ask: Ask) -> None:
    """Both throw messages away; what these stood for can still be searched, since its name is in the state."""
    before = [
        SummarizationMiddleware(
            scripted(lambda messages: "The log was read."), trigger=("messages", 4), keep=("messages", 1)
        ),
        ContextEditingMiddleware(edits=[ClearToolUsesEdit(trigger=10, keep=0)]),
    ]
    kept = list[str]()

    def first(messages: list[BaseMessage]) -> AIMessage:
        return calls("read_log")

    def second(messages: list[BaseMessage]) -> AIMessage:
        return calls("list_documents")

    def third(messages: list[BaseMessage]) -> AIMessage:
        return calls("local_grep", pattern="ERROR", max_matches=2)

    model = Model(first, second, third, AIMessage("done"))
    agent = made(create_agent, model, ContextStore(), InMemorySaver(), before=before)
    state = await ask(agent, {"messages": [("user", LOG)]}, thread())
    found = [message for message in state["messages"] if isinstance(message, ToolMessage)][-1]
    kept += [hit["doc_id"] for hit in found.artifact["matches"]]
    assert len(kept) == 2
    assert model.longest <= 2_000


async def test_it_works_with_a_person_who_approves(ask: Ask) -> None:
    person = HumanInTheLoopMiddleware(interrupt_on={"read_log": True})
    model = Model(calls("read_log"), greps, AIMessage("done"))
    agent = made(create_agent, model, ContextStore(), InMemorySaver(), before=[person])
    paused = await ask(agent, {"messages": [("user", "?")]}, thread())
    assert paused["__interrupt__"]
    state = await ask(agent, Command(resume={"decisions": [{"type": "approve"}]}), thread())
    assert state["messages"][-2].artifact["count"] == 5


async def test_the_router_tells_the_model_how_to_go_about_it(ask: Ask) -> None:
    model = Model(AIMessage("one"), AIMessage("two"))
    contexts = ContextStore()
    middleware = RLMMiddleware(contexts=contexts, router=SmartRouter(contexts=contexts), model=scripted(["x"]))
    agent = create_agent(model.chat, [], system_prompt="Be kind.", middleware=[middleware])
    await ask(agent, {"messages": [("user", "List all errors and compare how they changed over the months.")]})
    await ask(agent, {"messages": [("user", "When was the harbour built?")]})
    complex_, simple = (messages[0].text for messages in model.seen)
    assert complex_.startswith("Be kind.") and "give it to ask_rlm" in complex_
    assert "give it to ask_rlm" not in simple


# --- bad input --------------------------------------------------------------------------------------------------------


async def test_a_store_that_takes_nothing_lets_a_bounded_result_pass(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contexts = ContextStore(tmp_path)

    def full(*args: Any, **options: Any) -> Any:
        raise ContextStoreError("no space left on the device")

    monkeypatch.setattr(contexts._files, "write", full)
    agent = made(create_agent, Model(calls("read_log"), AIMessage("done")), contexts)
    with pytest.warns(UserWarning, match="no space left"):
        state = await ask(agent, {"messages": [("user", "?")]})
    cut = state["messages"][2]
    assert cut.text.startswith(f"[cut: {len(LOG):,} characters could not be stored]")
    assert 1_000 < len(cut.text) < 8_000


@pytest.mark.parametrize("text", ["\x00\x01\xff" * 100_000, "lone \ud800 " * 20_000, "\n" * 200_000, "漢" * 100_000])
async def test_odd_texts_are_stored_or_cut(text: str, ask: Ask) -> None:
    @tool
    def read_odd() -> str:
        """Read."""
        return text

    agent = made(create_agent, Model(calls("read_odd"), AIMessage("done")), ContextStore(), tools=[read_odd])
    with pytest.warns() if "\ud800" in text else pytest.MonkeyPatch.context():
        state = await ask(agent, {"messages": [("user", "?")]})
    assert len(state["messages"][2].text) < 5_000


async def test_bytes_and_iterators_pass_as_langchain_writes_them(ask: Ask) -> None:
    @tool
    def read_bytes() -> bytes:
        """Read."""
        return b"\x00" * 100_000

    @tool
    def iterate() -> Any:
        """Read."""
        return iter(["a", "b"])

    model = Model(calls("read_bytes"), calls("iterate"), AIMessage("done"))
    state = await ask(made(create_agent, model, ContextStore(), tools=[read_bytes, iterate]), {"messages": ["?"]})
    first, second = [message for message in state["messages"] if isinstance(message, ToolMessage)]
    assert len(first.text) <= 3_000
    assert len(second.text) < 200


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tools": ["local_grap"]}, "did you mean 'local_grep'"),
        ({"pass_below": 0}, "pass_below"),
        ({"pass_below": 5_000, "preview_below": 100}, "preview_below"),
        ({"contexts": "./here"}, "contexts"),
        ({"ttl": 0}, "ttl"),
        ({"router": "rag"}, "router"),
    ],
)
def test_a_wrong_argument_is_told_at_once(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        RLMMiddleware(**options)


def test_an_agent_without_the_middleware_is_refused() -> None:
    for agent in (create_agent(scripted(["x"]), []), "agent", None):
        with pytest.raises(InvalidInput, match="agent"):
            interning_agent(agent, ContextStore())  # type: ignore[arg-type]


def test_tools_of_a_list_see_what_the_middleware_has_stored() -> None:
    contexts = ContextStore()
    model = Model(calls("read_log"), greps, AIMessage("done"))
    tools = [read_log, *create_rlm_tools(contexts=contexts)]
    agent = create_agent(model.chat, tools, middleware=[RLMMiddleware(contexts=contexts, tools=False)])
    assert agent.invoke({"messages": [("user", "?")]})["messages"][-2].artifact["count"] == 5


@pytest.mark.parametrize("megabytes", [50, pytest.param(1_000, marks=pytest.mark.slow)])
def test_a_very_large_result_is_stored_without_a_copy(megabytes: int) -> None:
    line = "12:00:00 served in 3 ms and all is well\n"
    text = line * (megabytes * 1_000_000 // len(line))
    contexts = ContextStore()
    tracemalloc.start()
    try:
        short, files = Bands().replaced(ToolMessage(text, tool_call_id="1", name="read"), contexts)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(short.text) <= 400
    assert peak < 5_000_000
    assert contexts.count_lines(files[name_in([short])]) == len(text) // len(line)
