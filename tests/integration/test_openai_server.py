"""The loopback OpenAI server, asked by the real client: answers, streams and every fault."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.request
from contextlib import suppress

import openai
import pytest
from langchain_core.messages import AIMessageChunk
from langchain_core.tools import tool

from tests.openai_server import HANG, MALFORMED, RESET, OpenAIServer, ServerReply, failure


@tool
def look_up(word: str) -> str:
    """Look a word up."""
    return word


def test_an_answer_carries_text_model_and_usage(openai_server: OpenAIServer) -> None:
    openai_server.reply = lambda request: request["messages"][-1]["content"].upper()
    answer = openai_server.chat_model(temperature=0.5).invoke("hello")
    assert answer.text == "HELLO"
    assert answer.response_metadata["model_name"] == "gpt-4o-mini"
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["total_tokens"] > 1
    assert openai_server.chats[0]["temperature"] == 0.5


async def test_an_async_answer(openai_server: OpenAIServer) -> None:
    openai_server.reply = lambda request: request["messages"][-1]["content"].upper()
    model = openai_server.chat_model()
    answers = await asyncio.gather(*(model.ainvoke(f"q{number}") for number in range(8)))
    assert [answer.text for answer in answers] == [f"Q{number}" for number in range(8)]


async def test_a_stream_comes_in_pieces_and_ends_with_the_usage(openai_server: OpenAIServer) -> None:
    openai_server.reply = lambda request: "one two\nthree"
    model = openai_server.chat_model(stream_usage=True)
    for pieces in (list(model.stream("q")), [piece async for piece in model.astream("q")]):
        assert [piece.text for piece in pieces if piece.text] == ["one ", "two\n", "three"]
        assert _joined(pieces).usage_metadata["total_tokens"] > 1  # type: ignore[index]
    assert openai_server.chats[0]["stream_options"] == {"include_usage": True}


def test_a_stream_has_usage_only_on_request(openai_server: OpenAIServer) -> None:
    assert _joined(list(openai_server.chat_model(stream_usage=False).stream("q"))).usage_metadata is None


def _joined(pieces: list[AIMessageChunk]) -> AIMessageChunk:
    whole = pieces[0]
    for piece in pieces[1:]:
        whole += piece
    return whole


def test_tool_calls_arrive_whole_and_streamed(openai_server: OpenAIServer) -> None:
    openai_server.reply = lambda request: ServerReply(tool_calls=[("look_up", {"word": "x"})])
    model = openai_server.chat_model().bind_tools([look_up])
    for answer in (model.invoke("q"), _joined(list(model.stream("q")))):  # type: ignore[arg-type]
        assert [(call["name"], call["args"]) for call in answer.tool_calls] == [("look_up", {"word": "x"})]
    assert openai_server.chats[0]["tools"][0]["function"]["name"] == "look_up"


def test_an_answer_without_usage_has_none(openai_server: OpenAIServer) -> None:
    openai_server.plan(ServerReply(text="x", usage=None))
    assert openai_server.chat_model().invoke("q").usage_metadata is None


def test_cached_tokens_are_reported(openai_server: OpenAIServer) -> None:
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 1,
        "total_tokens": 10,
        "prompt_tokens_details": {"cached_tokens": 8},
    }
    openai_server.plan(ServerReply(text="x", usage=usage))
    assert openai_server.chat_model().invoke("q").usage_metadata["input_token_details"]["cache_read"] == 8  # type: ignore[index,typeddict-item]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (400, openai.BadRequestError),
        (failure(400, code="context_length_exceeded"), openai.BadRequestError),
        (429, openai.RateLimitError),
        (failure(429, retry_after=2), openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
        (RESET, openai.APIConnectionError),
        (MALFORMED, json.JSONDecodeError),
    ],
    ids=["400", "too-long", "429", "429-retry-after", "500", "503", "reset", "malformed"],
)
async def test_each_fault_is_the_clients_own_error_once(
    openai_server: OpenAIServer, fault: int | ServerReply, error: type[Exception]
) -> None:
    openai_server.plan(fault, fault)
    model = openai_server.chat_model()
    with pytest.raises(error):
        model.invoke("q")
    with pytest.raises(error):
        await model.ainvoke("q")
    assert len(openai_server.chats) == 2, "max_retries=0 means one request each"
    assert model.invoke("q").text == "ok", "the plan is used up"


def test_retry_after_and_code_reach_the_client(openai_server: OpenAIServer) -> None:
    openai_server.plan(429, failure(429, retry_after=0.5), failure(400, code="context_length_exceeded"))
    model, seen = openai_server.chat_model(), []
    for _ in range(3):
        with pytest.raises(openai.APIStatusError) as raised:
            model.invoke("q")
        seen.append((raised.value.response.headers.get("retry-after"), raised.value.code))
    assert seen == [(None, "rate_limit_exceeded"), ("0.5", "rate_limit_exceeded"), (None, "context_length_exceeded")]


def test_a_wrong_key_is_refused_and_no_key_is_kept(openai_server: OpenAIServer) -> None:
    with pytest.raises(openai.AuthenticationError) as raised:
        openai_server.chat_model(api_key="sk-wrong").invoke("q")
    assert raised.value.code == "invalid_api_key"
    assert openai_server.chat_model().invoke("q").text == "ok"
    assert [request.authorized for request in openai_server.requests] == [False, True]
    assert "sk-" not in repr(openai_server.requests)


def test_a_stream_that_breaks_in_the_middle_is_an_error(openai_server: OpenAIServer) -> None:
    openai_server.plan(ServerReply(text="one two three four", reset_after=3))
    pieces: list[str] = []
    with pytest.raises(openai.APIConnectionError):
        pieces.extend(piece.text for piece in openai_server.chat_model().stream("q"))
    assert "".join(pieces) == "one two "


def test_a_request_that_hangs_times_out(openai_server: OpenAIServer) -> None:
    openai_server.plan(HANG)
    with pytest.raises(openai.APITimeoutError):
        openai_server.chat_model(timeout=0.2).invoke("q")


def test_a_request_that_hangs_is_answered_after_release(openai_server: OpenAIServer) -> None:
    openai_server.plan(HANG)
    answers: list[str] = []
    asking = threading.Thread(target=lambda: answers.append(openai_server.chat_model().invoke("q").text))
    asking.start()
    assert openai_server.wait_for_hanging()
    assert answers == []
    openai_server.release()
    asking.join(10)
    assert answers == ["late"]


def test_models_are_listed(openai_server: OpenAIServer) -> None:
    client = openai.OpenAI(base_url=openai_server.base_url, api_key=openai_server.key, max_retries=0)
    assert [model.id for model in client.models.list()] == ["gpt-4o-mini"]


def test_another_path_is_refused(openai_server: OpenAIServer) -> None:
    client = openai.OpenAI(base_url=openai_server.base_url, api_key=openai_server.key, max_retries=0)
    with pytest.raises(openai.NotFoundError, match="/v1/embeddings"):
        client.embeddings.create(model="m", input="x", encoding_format="float")


def test_stopping_is_quick_and_leaves_neither_port_nor_thread() -> None:
    threads = set(threading.enumerate())
    server = OpenAIServer().start()
    server.plan(HANG)

    def ask() -> None:
        with suppress(openai.APIConnectionError):  # answered or cut off, whichever comes first
            server.chat_model(timeout=5).invoke("q")

    asking = threading.Thread(target=ask)
    asking.start()
    assert server.wait_for_hanging()
    started = time.monotonic()
    server.stop()
    asking.join(5)
    assert time.monotonic() - started < 3
    with pytest.raises(OSError):
        urllib.request.urlopen(f"{server.base_url}/models", timeout=1)
    while left := set(threading.enumerate()) - threads:
        assert time.monotonic() - started < 5, f"still alive: {left}"
        time.sleep(0.01)
