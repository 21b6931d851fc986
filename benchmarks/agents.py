"""Tools and middleware in real agents: what a tool adds to its function, and what a long text leaves behind.

The peer is deepagents alone, which evicts long texts into the agent's state. A script plays the model, so that all time is the
frameworks' and ours.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from _report import Row, best_ms, median_ms, report
from deepagents import create_deep_agent
from langchain.agents import AgentState, create_agent
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_rlm import ContextStore, Corpus, RLMMiddleware, create_rlm_tools, interning_agent
from langgraph_rlm.middleware import Bands
from langgraph_rlm.testing import ScriptedModel

LOG = "".join(f"12:00:{n % 60:02d} {'ERROR timeout' if n % 1000 == 999 else 'ok'}\n" for n in range(400_000))
"""4.8 MB."""
NAME = re.compile(r"\[(\S+-[0-9a-f]{10}): ")


class _State(AgentState[Any]):
    text: Any


@tool
def read_log() -> str:
    """Read the log."""
    return LOG


def calls(name: str, **args: Any) -> AIMessage:
    """A model's call of a tool."""
    return AIMessage("", tool_calls=[{"name": name, "args": args, "id": uuid.uuid4().hex[:8]}])


def tool_rows(folder: Path) -> list[Row]:
    """What a call of a tool takes beyond the function that it calls."""
    corpus = Corpus.open(f"chroma:{folder / 'index'}")
    corpus.add([Document(id=f"{n}.md", page_content=f"note {n} on leave and travel. " * 40) for n in range(200)])
    rows = []
    for label, path in (("memory", None), ("directory", folder / "contexts")):
        rows += _beyond(label, ContextStore(path), corpus)
    corpus.close()
    return rows


def _beyond(label: str, contexts: ContextStore, corpus: Corpus) -> list[Row]:
    text, thread = LOG[: 1 << 20], {"configurable": {"thread_id": "1"}}
    ref = contexts.put(text)
    tools = {one.name: one for one in create_rlm_tools(contexts=contexts, corpus=corpus)}
    stores = ScriptedModel([calls("materialize_context", field_name="text", filename="log"), "done"], cost_usd=0.0)
    agent = create_agent(stores, list(tools.values()), state_schema=_State)
    agent.invoke({"messages": [("user", "?")], "text": text}, thread)
    query = "leave and travel"
    pairs: dict[str, tuple[dict[str, Any], Callable[[], Any]]] = {
        "local_grep": (
            {"pattern": "ERROR", "file": "log", "max_matches": 5},
            lambda: contexts.grep(ref, "ERROR", max_matches=5),
        ),
        "read_context": (
            {"doc_id": "log", "start": 5_000, "end": 6_000},
            lambda: contexts.read(ref, start=5_000, end=6_000),
        ),
        "bm25_search": ({"query": query}, lambda: corpus.retrieve(query, mode="bm25")),
    }
    rows = []
    for name, (given, bare) in pairs.items():
        asked = partial(tools[name].invoke, given, thread)
        alone = median_ms(bare, repeats=200, warm_up=20)
        beyond = median_ms(asked, repeats=200, warm_up=20) - alone
        rows.append(Row(f"{name} beyond its function, contexts in {label}", beyond, "ms", 1.0, "function", alone))
    return rows


def script(first: bool) -> tuple[ScriptedModel, list[int]]:
    """A model that reads the log, and searches it where it is told of a file; how long the messages were that it saw."""
    seen: list[int] = []

    def answer(messages: list[BaseMessage]) -> Any:
        seen.extend(len(one.text) for one in messages if isinstance(one, HumanMessage | ToolMessage))
        done = sum(isinstance(one, ToolMessage) for one in messages)
        if first and not done:
            return calls("read_log")
        name = next((found[1] for one in messages if (found := NAME.search(one.text))), None)
        if name is not None and done == int(first):
            seen.append(-1)  # from here on the messages are results of our own tools
            return calls("local_grep", pattern="ERROR", file=name, max_matches=3)
        return "done"

    return ScriptedModel(answer, cost_usd=0.0), seen


def agent_rows() -> list[Row]:
    """What reaches the model, and what is in checkpoints, of a long result and of a long message."""
    rows = []
    for maker in (create_agent, create_deep_agent):
        for what, first in (("result", True), ("message", False)):
            alone = _run(maker, first, is_async=False, ours=False)
            for is_async in (False, True):
                label = f"{maker.__name__}, {what} of 4.8 MB, {'async' if is_async else 'sync'}"
                shown, kept = _run(maker, first, is_async=is_async, ours=True)
                peer = f"{maker.__name__} alone"
                rows.append(Row(f"{label}: characters to the model", shown, "", 400, peer, alone[0]))
                rows.append(Row(f"{label}: KB in checkpoints", kept / 1e3, "KB", 15, peer, alone[1] / 1e3))
    return rows


def _run(maker: Any, first: bool, *, is_async: bool, ours: bool) -> tuple[int, int]:
    model, seen = script(first)
    saver, contexts = InMemorySaver(), ContextStore()
    middleware = [RLMMiddleware(contexts=contexts)] if ours else []
    agent = maker(model, [read_log], middleware=middleware, checkpointer=saver)
    agent = interning_agent(agent, contexts) if ours else agent
    given = {"messages": [("user", "How many errors?" if first else LOG)]}
    config = {"configurable": {"thread_id": "1"}}
    asyncio.run(agent.ainvoke(given, config)) if is_async else agent.invoke(given, config)
    texts = seen[: seen.index(-1)] if -1 in seen else seen
    kept = sum(len(value[1]) for value in saver.blobs.values())
    kept += sum(len(write[2][1]) for writes in saver.writes.values() for write in writes.values())
    return max(texts), kept


def storing_rows() -> list[Row]:
    """What it takes to store a text and make its reference."""

    def store(contexts: ContextStore) -> None:
        text = "".join([LOG, "x"])  # an object of its own each time
        Bands().replaced(ToolMessage(text, tool_call_id="1", name="read_log"), contexts)

    rows = [
        Row(
            "store 4.8 MB and make its reference, memory",
            best_ms(lambda: store(ContextStore()), repeats=10),
            "ms",
            20.0,
        )
    ]
    with tempfile.TemporaryDirectory() as folder:
        numbers = iter(range(1_000))
        took = best_ms(lambda: store(ContextStore(Path(folder) / str(next(numbers)))), repeats=10)
    return [*rows, Row("store 4.8 MB and make its reference, directory", took, "ms", 20.0)]


def main() -> None:
    """Measure, print, write."""
    with tempfile.TemporaryDirectory() as folder:
        rows = [*tool_rows(Path(folder)), *agent_rows(), *storing_rows()]
    report("agents", rows)


if __name__ == "__main__":
    main()
