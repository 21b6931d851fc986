"""A graph behind LangServe, by its real client: what a request may say, who sees what, and what ends a run."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph_rlm.integrations.langserve import add_rlm_routes, rlm_app

from langgraph_rlm import ContextStore, Limits, create_rlm
from langgraph_rlm.server.app import create_app
from langgraph_rlm.server.keys import Caller, Keys
from langgraph_rlm.server.tenants import contexts_for
from tests.serving import serving
from tests.support import cell, scripted

CANARY = "a line that nobody may see\n"
ASKED = {"question": "How long is it?", "context": CANARY * 2_000}
ONE_TURN = {"configurable": {"rlm": {"limits": {"max_turns": 1}}}}
FREE = Limits(max_cost_usd=None)
ANNA, BERT = "a-long-key-of-anna", "a-long-key-of-bert"


def looking(messages: Any) -> str:
    return cell("print(len(context))")


def answering(messages: Any) -> str:
    return cell("FINAL(f'{len(context)} characters')")


@pytest.fixture(scope="module")
def langserve() -> Iterator[str]:
    """The address of a graph behind LangServe."""
    with serving(rlm_app(create_rlm(scripted(looking), sandbox="unsafe"))) as address:
        yield f"{address}/rlm"


def test_a_remote_runnable_answers_within_the_options_of_the_request(langserve: str) -> None:
    from langserve import RemoteRunnable

    remote: Any = RemoteRunnable(langserve)
    done = remote.invoke(ASKED, {"configurable": {"rlm": {"limits": {"max_calls": 2}}}})
    assert (done["stop_reason"], done["usage"]["calls"]) == ("budget", 2)
    assert done["turns"][0]["output"].strip() == str(len(ASKED["context"]))
    assert done["messages"][-1].type == "ai"
    assert len(remote.batch([ASKED, ASKED], ONE_TURN)) == 2
    assert list(remote.stream(ASKED, ONE_TURN))


def test_events_are_streamed_and_no_context(langserve: str) -> None:
    sent = {"input": ASKED, "config": ONE_TURN}
    with httpx.stream("POST", f"{langserve}/stream_events", json=sent, timeout=60) as response:
        body = response.read().decode()
    told = [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: {")]
    events = [one["data"]["event"] for one in told if one["event"] == "on_custom_event"]
    assert [event for event in events if event in ("think", "cell_start", "answer")] == [
        "think",
        "cell_start",
        "answer",
    ]
    assert CANARY.strip() + "\\n" + CANARY.strip() not in body


def test_schemas_are_plain_and_the_playground_is_there(langserve: str) -> None:
    shown = httpx.get(f"{langserve}/input_schema").json()
    assert set(shown["properties"]) == {"messages", "question", "context"}
    assert "$defs" not in shown  # forms are made from it
    declared = httpx.get(f"{langserve}/config_schema").json()
    assert set(declared["$defs"]["RequestOptions"]["properties"]) >= {"limits", "route", "k", "where"}
    assert "Playground" in httpx.get(f"{langserve}/playground/").text


@pytest.mark.parametrize(
    "messages",
    [
        "How long is it?",
        {"role": "user", "content": "How long is it?"},
        ["How long is it?"],
        [["human", "How long is it?"]],
        ["user", "How long is it?"],
        [{"role": "user", "content": "How long is it?"}],
        [{"type": "human", "content": "How long is it?"}],
        [{"role": "user", "content": [{"type": "text", "text": "How long is it?"}]}],
    ],
)
def test_messages_come_in_every_form(messages: Any, langserve: str) -> None:
    sent = {"input": {"messages": messages, "context": "x"}, "config": ONE_TURN}
    response = httpx.post(f"{langserve}/invoke", json=sent, timeout=60)
    assert response.status_code == 200, response.text
    assert response.json()["output"]["messages"][0]["type"] == "human"


def test_objects_of_langchain_go_through_the_client(langserve: str) -> None:
    from langserve import RemoteRunnable

    remote: Any = RemoteRunnable(langserve)
    given = {"messages": [HumanMessage("How long?")], "context": [Document(id="a.md", page_content="x" * 7)]}
    assert remote.invoke(given, ONE_TURN)["stop_reason"] == "turns"


@pytest.mark.parametrize("endpoint", ["invoke", "batch", "stream", "stream_events"])
@pytest.mark.parametrize(
    ("sent", "says"),
    [
        ({"input": {"question": " ", "context": "x"}}, "the question is empty"),
        ({"input": {"context": "x"}}, "no question"),
        ({"input": {"messages": [5], "context": "x"}}, "messages: expected"),
        ({"input": ASKED, "config": {"configurable": {"rlm": {"limits": {"max_call": 1}}}}}, "unknown 'max_call'"),
        ({"input": ASKED, "config": {"configurable": {"rlm": {"limitz": {}}}}}, "limitz"),
        ({"input": ASKED, "config": {"configurable": {"rlm": {"route": "nowhere"}}}}, "nowhere"),
    ],
)
def test_a_mistake_of_a_client_is_a_422_with_its_text(sent: Any, says: str, endpoint: str, langserve: str) -> None:
    if endpoint == "batch":
        sent = {"inputs": [sent["input"]], **({"config": sent["config"]} if "config" in sent else {})}
    response = httpx.post(f"{langserve}/{endpoint}", json=sent, timeout=60)
    assert response.status_code == 422, response.text
    assert says in response.text


@pytest.mark.parametrize(
    ("sent", "says"),
    [({"input": {"question": "How?"}}, "nothing to read"), ({"input": {**ASKED, "context": 5}}, "context: expected a str"),
     ({"input": {**ASKED, "context": {"artifact": {"a": 1}}}}, "keys={'context': …}")],
)  # fmt: skip
def test_a_context_that_is_none_is_a_422(sent: Any, says: str, langserve: str) -> None:
    response = httpx.post(f"{langserve}/invoke", json=sent, timeout=60)
    assert response.status_code == 422
    assert says in response.json()["detail"]


def test_malformed_json_is_a_422(langserve: str) -> None:
    response = httpx.post(f"{langserve}/invoke", content=b'{"input": ', headers={"content-type": "application/json"})
    assert response.status_code == 422


def test_200_clients_at_once_are_answered_or_told_when_to_come_again() -> None:
    app = rlm_app(create_rlm(scripted(answering), sandbox="unsafe"))
    with serving(app) as address, httpx.Client(limits=httpx.Limits(max_connections=200), timeout=120) as client:

        def asked(number: int) -> httpx.Response:
            return client.post(
                f"{address}/rlm/invoke", json={"input": {"question": "How long?", "context": "x" * (number + 1)}}
            )

        with ThreadPoolExecutor(200) as threads:
            responses = list(threads.map(asked, range(200)))
    refused = [one for one in responses if one.status_code == 429]
    assert all(int(one.headers["retry-after"]) > 0 for one in refused)
    for number, one in enumerate(responses):
        if one not in refused:
            assert one.json()["output"]["answer"] == f"{number + 1} characters"
    assert len(refused) < 200


# --- tenants ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shared() -> Iterator[str]:
    """The address of a server of two tenants."""
    store = ContextStore()
    graph = create_rlm(scripted(looking), contexts=contexts_for(store), checkpointer=InMemorySaver(), sandbox="unsafe")
    keys = Keys({ANNA: Caller("anna"), BERT: Caller("bert", Limits(max_calls=3))})
    with serving(create_app(store, keys=keys, mounts={"/": rlm_app(graph)})) as address:
        yield address


def client_of(address: str, key: str) -> httpx.Client:
    return httpx.Client(base_url=address, headers={"authorization": f"Bearer {key}"}, timeout=60)


def test_an_upload_of_one_tenant_is_unknown_to_another(shared: str) -> None:
    with client_of(shared, ANNA) as anna, client_of(shared, BERT) as bert:
        ref = anna.post("/contexts", content=CANARY * 100).json()
        asked = {"input": {"question": "How long?", "context": ref}, "config": ONE_TURN}
        assert anna.post("/rlm/invoke", json=asked).json()["output"]["turns"][0]["output"].strip() == str(
            len(CANARY) * 100
        )
        forged = {**asked, "config": {"configurable": {"langgraph_auth_user": {"identity": "anna"}}}}
        for response in (bert.post("/rlm/invoke", json=asked), bert.post("/rlm/invoke", json=forged)):
            assert response.status_code == 404
        for method in ("GET", "DELETE"):
            assert bert.request(method, f"/contexts/{ref['context_ref']}").status_code == 404
        same = bert.post("/contexts", content=CANARY * 100).json()
        assert same["context_ref"] != ref["context_ref"]


def test_limits_of_a_key_cannot_be_widened(shared: str) -> None:
    asked = {"input": ASKED, "config": {"configurable": {"rlm": {"limits": {"max_calls": 50, "max_turns": 10}}}}}
    with client_of(shared, BERT) as bert:
        output = bert.post("/rlm/invoke", json=asked).json()["output"]
    assert (output["stop_reason"], output["usage"]["calls"]) == ("budget", 3)


def test_a_thread_of_one_tenant_is_another_for_the_next(shared: str) -> None:
    config = {"configurable": {"thread_id": "1", "rlm": {"limits": {"max_turns": 1}}}}
    with client_of(shared, ANNA) as anna, client_of(shared, BERT) as bert:
        assert anna.post("/rlm/invoke", json={"input": ASKED, "config": config}).status_code == 200
        follow_up = {"input": {"question": "And now?"}, "config": config}
        assert "nothing to read" in bert.post("/rlm/invoke", json=follow_up).text
        assert anna.post("/rlm/invoke", json=follow_up).status_code == 200


@pytest.mark.parametrize("key", ["?", "a-long-key-of-annb", "x" * 10_000])
def test_a_wrong_key_is_a_401(key: str, shared: str) -> None:
    headers = {"authorization": f"Bearer {key}"}
    assert httpx.post(f"{shared}/rlm/invoke", json={"input": ASKED}, headers=headers).status_code == 401
    assert httpx.post(f"{shared}/contexts", content="x", headers=headers).status_code == 401
    assert httpx.get(f"{shared}/health").status_code == 200


# --- the end of a run -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", ["invoke", "stream"])
def test_a_run_whose_client_has_gone_is_cancelled(endpoint: str) -> None:
    begun, ended = threading.Event(), threading.Event()

    async def endless(messages: Any) -> AIMessage:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return AIMessage("")

    with serving(rlm_app(create_rlm(RunnableLambda(endless), sandbox="unsafe", limits=FREE))) as address:

        async def leave() -> None:
            async with httpx.AsyncClient(timeout=60) as client:
                asking = asyncio.create_task(client.post(f"{address}/rlm/{endpoint}", json={"input": ASKED}))
                await asyncio.to_thread(begun.wait, 30)
                asking.cancel()

        asyncio.run(leave())
        assert begun.is_set()
        assert ended.wait(10)


def test_one_run_too_many_is_told_when_to_come_again() -> None:
    from fastapi import FastAPI

    from langgraph_rlm.server import guard

    begun, go_on = threading.Event(), threading.Event()

    async def waiting(messages: Any) -> AIMessage:
        begun.set()
        await asyncio.to_thread(go_on.wait, 30)
        return AIMessage(cell("FINAL('done')"))

    app = FastAPI()
    add_rlm_routes(app, create_rlm(RunnableLambda(waiting), sandbox="unsafe", limits=FREE))
    with (
        serving(guard.Guard(app, lambda path: path.endswith("/invoke"), most_runs=1)) as address,
        ThreadPoolExecutor() as threads,
    ):
        first = threads.submit(httpx.post, f"{address}/rlm/invoke", json={"input": ASKED}, timeout=60)
        assert begun.wait(30)
        refused = httpx.post(f"{address}/rlm/invoke", json={"input": ASKED})
        assert (refused.status_code, int(refused.headers["retry-after"]) > 0) == (429, True)
        go_on.set()
        assert first.result().status_code == 200
        assert httpx.post(f"{address}/rlm/invoke", json={"input": ASKED}, timeout=60).status_code == 200


def test_a_request_that_is_too_large_is_a_413() -> None:
    from langgraph_rlm.server.guard import Guard

    app = Guard(rlm_app(create_rlm(scripted(looking), sandbox="unsafe")), lambda path: True, most_bytes=1_000)
    with serving(app) as address:
        response = httpx.post(f"{address}/rlm/invoke", json={"input": ASKED})
    assert response.status_code == 413
    assert "upload" in response.json()["detail"]
