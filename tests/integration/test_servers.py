"""The graphs behind LangGraph's own server (``langgraph dev``), by its real client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from langgraph_rlm.integrations.langserve import rlm_app

from langgraph_rlm import create_rlm
from tests.langgraph_server import dev_server
from tests.serving import serving
from tests.support import cell, scripted

CANARY = "a line that nobody may see\n"
ASKED = {"question": "How long is it?", "context": CANARY * 2_000}
ONE_TURN = {"configurable": {"rlm": {"limits": {"max_turns": 1}}}}
ONE_TURN_TOLD = [
    "run", "think", "call_start", "call_end", "cell_start", "cell_output", "cell_end", "budget", "call_start", "call_end",
    "answer", "budget",
]  # fmt: skip
"""Its events; the second call is for the best that can be said without another turn."""


# --- LangGraph's server -----------------------------------------------------------------------------------------------

GRAPH = """
from langgraph_rlm import create_rlm
from langgraph_rlm.testing import ScriptedModel

graph = create_rlm(ScriptedModel(lambda messages: "```repl\\nprint(len(context))\\n```", cost_usd=0.0), sandbox="unsafe")
"""


@pytest.fixture(scope="module")
def langgraph_dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of ``langgraph dev`` with one graph."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "graph.py").write_text(GRAPH)
    (folder / "langgraph.json").write_text(json.dumps({"dependencies": ["."], "graphs": {"rlm": "./graph.py:graph"}}))
    with dev_server(folder) as address:
        yield address


@pytest.fixture(scope="module")
def langserve() -> Iterator[str]:
    """The address of the same graph behind LangServe."""
    graph = create_rlm(scripted(lambda messages: cell("print(len(context))")), sandbox="unsafe")
    with serving(rlm_app(graph)) as address:
        yield f"{address}/rlm"


async def test_langgraphs_server_runs_a_graph_with_context_options_and_events(langgraph_dev: str) -> None:
    from langgraph_sdk import get_client

    client = get_client(url=langgraph_dev)
    thread = await client.threads.create()
    events = [
        part.data
        async for part in client.runs.stream(
            thread["thread_id"], "rlm", input=ASKED, config=ONE_TURN, stream_mode=["custom", "values"]
        )
        if part.event == "custom"
    ]
    assert [event["event"] for event in events] == ONE_TURN_TOLD
    state: Any = await client.threads.get_state(thread["thread_id"])
    assert state["values"]["stop_reason"] == "turns"
    assert state["values"]["turns"][0]["output"].strip() == str(len(ASKED["context"]))
    assert CANARY.strip() not in json.dumps(state)


def without_chance(events: Any) -> list[dict[str, Any]]:
    """Events without what is different in each run."""
    chance = ("run", "time", "seconds", "message_id", "usage", "left")
    return [{key: value for key, value in event.items() if key not in chance} for event in events]


async def test_sdk_remote_graph_and_langserve_give_the_events_of_a_local_run(
    langgraph_dev: str, langserve: str
) -> None:
    from langgraph.graph import START, StateGraph
    from langgraph.pregel.remote import RemoteGraph
    from langgraph_sdk import get_client
    from typing_extensions import TypedDict

    class Parent(TypedDict, total=False):
        question: str
        context: str
        answer: str

    local = create_rlm(scripted(lambda messages: cell("print(len(context))")), sandbox="unsafe")
    expected = without_chance(local.stream(ASKED, ONE_TURN, stream_mode="custom"))
    assert [event["event"] for event in expected] == ONE_TURN_TOLD
    parts = get_client(url=langgraph_dev).runs.stream(None, "rlm", input=ASKED, config=ONE_TURN, stream_mode="custom")
    assert without_chance([part.data async for part in parts if part.event == "custom"]) == expected
    remote = RemoteGraph("rlm", url=langgraph_dev)
    assert without_chance([part async for part in remote.astream(ASKED, ONE_TURN, stream_mode="custom")]) == expected
    builder = StateGraph(Parent)
    builder.add_node("far", remote)
    builder.add_edge(START, "far")
    stream = builder.compile().astream(ASKED, ONE_TURN, stream_mode="custom", subgraphs=True)
    assert without_chance([part async for _, part in stream]) == expected
    sent = {"input": ASKED, "config": ONE_TURN}
    async with httpx.AsyncClient() as client:
        body = (await client.post(f"{langserve}/stream_events", json=sent, timeout=60)).text
    lines = [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: {")]
    assert without_chance([one["data"] for one in lines if one["event"] == "on_custom_event"]) == expected


async def test_langgraphs_server_streams_the_tokens_of_the_answer_alone(langgraph_dev: str) -> None:
    from langgraph_sdk import get_client

    client = get_client(url=langgraph_dev)
    thread = await client.threads.create()
    texts: dict[str, str] = {}
    parts = client.runs.stream(thread["thread_id"], "rlm", input=ASKED, config=ONE_TURN, stream_mode="messages-tuple")
    async for part in parts:
        if part.event == "messages":
            texts[part.data[0]["id"]] = texts.get(part.data[0]["id"], "") + part.data[0]["content"]
    state: Any = await client.threads.get_state(thread["thread_id"])
    final = state["values"]["messages"][-1]
    assert texts == {final["id"]: final["content"]}


async def test_langgraphs_server_reads_options_from_its_context(langgraph_dev: str) -> None:
    from langgraph_sdk import get_client

    client = get_client(url=langgraph_dev)
    options = {"rlm": {"limits": {"max_calls": 1}}}
    done: Any = await client.runs.wait(None, "rlm", input=ASKED, context=options)
    assert done["stop_reason"] == "budget"
    wrong: Any = await client.runs.wait(None, "rlm", input=ASKED, context={"rlm": {"limitz": {}}}, raise_error=False)
    assert "limitz" in json.dumps(wrong)


async def test_langgraphs_server_shows_schemas_without_private_keys(langgraph_dev: str) -> None:
    from langgraph_sdk import get_client

    client = get_client(url=langgraph_dev)
    (assistant,) = await client.assistants.search(graph_id="rlm")
    schemas: Any = await client.assistants.get_schemas(assistant["assistant_id"])
    assert set(schemas["input_schema"]["properties"]) == {"messages", "question", "context"}
    assert "rlm_" not in json.dumps(schemas["output_schema"])
    assert "RequestOptions" in json.dumps(schemas["context_schema"])
