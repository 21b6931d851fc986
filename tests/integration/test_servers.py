"""The graphs behind real servers: LangServe, and LangGraph's own (``langgraph dev``), by their real clients."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from langgraph_rlm import create_rlm
from langgraph_rlm.server.errors import handle_errors
from tests.langgraph_server import dev_server
from tests.support import cell, scripted

CANARY = "a line that nobody may see\n"
ASKED = {"question": "How long is it?", "context": CANARY * 2_000}
ONE_TURN = {"configurable": {"rlm": {"limits": {"max_turns": 1}}}}
ONE_TURN_TOLD = [
    "run", "think", "call_start", "call_end", "cell_start", "cell_output", "cell_end", "budget", "call_start", "call_end",
    "answer", "budget",
]  # fmt: skip
"""Its events; the second call is for the best that can be said without another turn."""


def looking(messages: Any) -> str:
    return cell("print(len(context))")


# --- LangServe --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def langserve() -> Iterator[str]:
    """The address of a graph behind LangServe."""
    import uvicorn
    from fastapi import FastAPI
    from langserve import add_routes

    app = FastAPI()
    add_routes(app, create_rlm(scripted(looking), sandbox="unsafe"), path="/rlm")
    handle_errors(app)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)  # who comes before the server is up waits
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/rlm"
        server.should_exit = True
        thread.join(10)


def test_langserve_answers_a_question_over_a_context_within_the_options_of_the_request(langserve: str) -> None:
    from langserve import RemoteRunnable

    remote: Any = RemoteRunnable(langserve)
    done = remote.invoke(ASKED, {"configurable": {"rlm": {"limits": {"max_calls": 2}}}})
    assert (done["stop_reason"], done["usage"]["calls"]) == ("budget", 2)
    assert done["turns"][0]["output"].strip() == str(len(ASKED["context"]))
    assert len(remote.batch([ASKED, ASKED], ONE_TURN)) == 2


def test_langserve_streams_events_and_no_context(langserve: str) -> None:
    sent = {"input": ASKED, "config": ONE_TURN}
    with httpx.stream("POST", f"{langserve}/stream_events", json=sent, timeout=60) as response:
        body = response.read().decode()
    told = [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: {")]
    events = [one["data"]["event"] for one in told if one["event"] == "on_custom_event"]
    assert events == ONE_TURN_TOLD
    assert CANARY.strip() + "\\n" + CANARY.strip() not in body


def test_langserve_shows_schemas_and_the_options_of_a_request(langserve: str) -> None:
    assert set(httpx.get(f"{langserve}/input_schema").json()["properties"]) == {"messages", "question", "context"}
    declared = httpx.get(f"{langserve}/config_schema").json()
    assert set(declared["$defs"]["RequestOptions"]["properties"]) == {"limits", "route", "k", "where", "mode", "stream"}


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        ({"input": {"question": ""}}, "nothing to read"),
        ({"input": {"question": " ", "context": "x"}}, "the question is empty"),
        ({"input": ASKED, "config": {"configurable": {"rlm": {"limits": {"max_call": 1}}}}}, "unknown 'max_call'"),
        ({"input": ASKED, "config": {"configurable": {"rlm": {"limitz": {}}}}}, "limitz"),
        ({"input": {**ASKED, "context": 5}}, "context"),
    ],
)
def test_a_mistake_of_a_client_is_a_422_with_its_text(sent: Any, says: str, langserve: str) -> None:
    response = httpx.post(f"{langserve}/invoke", json=sent, timeout=60)
    assert response.status_code == 422
    assert says in response.text


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

    local = create_rlm(scripted(looking), sandbox="unsafe")
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
