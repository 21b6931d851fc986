"""The graphs with a real ``ChatOpenAI``: sync and async callers on one client, streaming, and a server that fails."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from langgraph_rlm import create_rag, create_rlm, create_smart_rag
from langgraph_rlm.errors import AuthenticationFailed, ModelError
from tests.openai_server import OpenAIServer, failure
from tests.support import Ask, SyncAsk, cell, make_corpus

QUESTION = {"question": "Where does Anna live?"}


def asked(kind: str) -> dict[str, str]:
    """``create_rag`` reads no context."""
    return QUESTION if kind == "rag" else {**QUESTION, "context": "Anna lives in Paris."}


READING = 'Paris [1].\nQUOTES\n[1] "Anna lives in Paris."'


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with make_corpus(tmp_path_factory.mktemp("openai") / "index", {"anna.txt": "Anna lives in Paris."}) as made:
        yield made


@pytest.fixture
def talking(openai_server: OpenAIServer) -> OpenAIServer:
    """Plays all roles: a root model with one batch of sub-calls, a sub-model, a reader."""

    def reply(request: dict[str, Any]) -> str:
        role, last = request["messages"][0]["content"], request["messages"][-1]["content"]
        if role.startswith("You are the root"):
            return cell("FINAL(llm_query_batched(['say one', 'say two']))")
        return last.removeprefix("say ") if role.startswith("You are the sub") else READING

    openai_server.reply = reply
    return openai_server


def graph_of(kind: str, model: Any, corpus: Any) -> Any:
    if kind == "rag":
        return create_rag(model, corpus=corpus)
    rlm = create_rlm(model, corpus=corpus, sandbox="unsafe")
    return rlm if kind == "rlm" else create_smart_rag(model, corpus=corpus, rlm=rlm)


ANSWERS = {"rag": "Paris [1].", "rlm": '["one", "two"]', "smart_rag": "Paris [1]."}
CALLS = {"rag": 1, "rlm": 3, "smart_rag": 1}


@pytest.mark.parametrize("kind", ["rag", "rlm", "smart_rag"])
async def test_a_real_client_answers_and_its_usage_is_priced(
    kind: str, talking: OpenAIServer, corpus: Any, ask: Ask
) -> None:
    done = await ask(graph_of(kind, talking.chat_model(), corpus), asked(kind))
    assert done["answer"] == ANSWERS[kind]
    assert done["usage"]["calls"] == CALLS[kind] == len(talking.chats)
    assert done["usage"]["cost_usd"] > 0
    assert not done["usage"]["estimated"]


@pytest.mark.parametrize("kind", ["rag", "rlm"])
async def test_a_sync_and_an_async_caller_use_one_client_at_the_same_time(
    kind: str, talking: OpenAIServer, corpus: Any
) -> None:
    answer, barrier = talking.reply, threading.Barrier(2 * CALLS["rag"])
    both_roots = threading.Barrier(2)

    def together(request: dict[str, Any]) -> Any:
        role = request["messages"][0]["content"]
        (barrier if kind == "rag" else both_roots).wait(30) if "sub-model of" not in role else None
        return answer(request)

    talking.reply = together
    graph = graph_of(kind, talking.chat_model(timeout=40), corpus)
    for _ in range(5):
        done = await asyncio.gather(asyncio.to_thread(graph.invoke, asked(kind)), graph.ainvoke(asked(kind)))
        assert [one["answer"] for one in done] == [ANSWERS[kind]] * 2


@pytest.mark.parametrize("kind", ["rag", "rlm", "smart_rag"])
async def test_tokens_are_streamed_as_they_come(kind: str, talking: OpenAIServer, corpus: Any, ask: Ask) -> None:
    graph = graph_of(kind, talking.chat_model(), corpus)
    options: Any = {"stream_mode": "messages", "subgraphs": True}
    if isinstance(ask, SyncAsk):
        events = await asyncio.to_thread(lambda: list(graph.stream(asked(kind), **options)))
    else:
        events = [event async for event in graph.astream(asked(kind), **options)]
    chunks = [(m.text, meta) for _, (m, meta) in events if type(m).__name__ == "AIMessageChunk"]
    assert "".join(text for text, _ in chunks) == ANSWERS[kind]
    assert (len(chunks) > 1) == (kind != "rlm")
    assert [bool(request.get("stream")) for request in talking.chats] == [kind != "rlm"] * CALLS[kind]
    assert all(meta["rlm_role"] == "answer" and "rlm:answer" in meta["tags"] for _, meta in chunks)


@pytest.mark.usefixtures("pauses")
@pytest.mark.parametrize("kind", ["rag", "rlm", "smart_rag"])
async def test_a_server_that_recovers_is_not_noticed(kind: str, talking: OpenAIServer, corpus: Any, ask: Ask) -> None:
    talking.plan(429, 500, 503)
    done = await ask(graph_of(kind, talking.chat_model(), corpus), asked(kind))
    assert done["answer"] == ANSWERS[kind]
    assert done["usage"]["calls"] == CALLS[kind]


@pytest.mark.usefixtures("pauses")
@pytest.mark.parametrize("kind", ["rag", "rlm", "smart_rag"])
@pytest.mark.parametrize(("status", "error"), [(401, AuthenticationFailed), (500, ModelError)])
async def test_a_server_that_stays_down_is_a_clear_error(
    kind: str, status: int, error: type[Exception], openai_server: OpenAIServer, corpus: Any, ask: Ask
) -> None:
    openai_server.reply = lambda request: failure(status)
    with pytest.raises(error, match=f"gpt-4o-mini.*{status}"):
        await ask(graph_of(kind, openai_server.chat_model(), corpus), asked(kind))


@pytest.mark.usefixtures("pauses")
async def test_a_failing_sub_call_among_others_is_a_value_in_a_real_cell(openai_server: OpenAIServer, ask: Ask) -> None:
    def reply(request: dict[str, Any]) -> Any:
        if request["messages"][0]["content"].startswith("You are the root"):
            return cell("r = llm_query_batched(['a', 'bad', 'c'])", "FINAL([x if x else x.category for x in r])")
        last = request["messages"][-1]["content"]
        return failure(400, code="context_length_exceeded") if last == "bad" else last.upper()

    openai_server.reply = reply
    graph = create_rlm(openai_server.chat_model(), sandbox="unsafe")
    assert (await ask(graph, asked("rlm")))["answer"] == '["A", "too_long", "C"]'


async def test_a_key_that_is_wrong_is_never_shown(openai_server: OpenAIServer, ask: Ask) -> None:
    graph = create_rlm(openai_server.chat_model(api_key="sk-secret-of-mine"), sandbox="unsafe")
    with pytest.raises(AuthenticationFailed) as raised:
        await ask(graph, asked("rlm"))
    assert "sk-secret-of-mine" not in str(raised.value)
