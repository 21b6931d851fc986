"""A real ``ChatOpenAI`` that fails in every way a server can: what is retried, what is reported, what is billed."""

from __future__ import annotations

import asyncio
import email.utils
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableLambda

from langgraph_rlm.budget import Budget
from langgraph_rlm.calls import models
from langgraph_rlm.calls.chain import KNOWN_OUTPUT_TOKENS
from langgraph_rlm.calls.models import Answer, ModelCaller
from langgraph_rlm.errors import (
    AuthenticationFailed,
    BudgetExceeded,
    DeadlineExceeded,
    InvalidInput,
    MissingDependency,
    ModelError,
)
from langgraph_rlm.limits import Limits
from langgraph_rlm.runs.runtime import Runtime
from tests.openai_server import HANG, MALFORMED, RESET, OpenAIServer, ServerReply, failure
from tests.support import account_of, scripted


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def is_async(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


class Asker:
    def __init__(self, is_async: bool) -> None:
        self.budget = Budget(Limits(max_cost_usd=None))
        self._is_async = is_async

    async def __call__(self, model: Any, prompt: str = "Who?", **options: Any) -> Answer:
        caller = model if isinstance(model, ModelCaller) else ModelCaller(model, **options)
        face = Runtime.default().face(is_async=self._is_async)
        account = account_of(self.budget, face=face)
        return await caller.ask([HumanMessage(prompt)], account=account, config=None, role="root")


@pytest.fixture
def ask(is_async: bool) -> Asker:
    return Asker(is_async)


# --- what is retried ----------------------------------------------------------------------------------------------


async def test_a_rejected_key_is_reported_at_once_without_the_key(ask: Asker, openai_server: OpenAIServer) -> None:
    with pytest.raises(AuthenticationFailed, match=r"gpt-4o-mini.*401.*Check the API key") as raised:
        await ask(openai_server.chat_model(api_key="sk-wrong-secret"))
    assert "sk-wrong-secret" not in str(raised.value)
    assert len(openai_server.requests) == 1
    assert ask.budget.usage()["calls"] == 0


async def test_too_many_requests_are_retried_after_the_pause_that_the_server_asks_for(
    ask: Asker, openai_server: OpenAIServer, pauses: list[float]
) -> None:
    openai_server.plan(failure(429, retry_after=7), failure(429, retry_after=0.5), "Paris")
    assert (await ask(openai_server.chat_model())).text == "Paris"
    assert pauses == [pytest.approx(7.0, abs=0.1), pytest.approx(0.5, abs=0.1)]
    assert ask.budget.usage()["calls"] == 1


@pytest.mark.parametrize(("asked_for", "taken"), [("100000", 60.0), ("-5", 0.0), ("nan", 1.0), ("soon", 1.0)])
async def test_no_server_makes_a_caller_wait_for_hours(
    asked_for: str, taken: float, ask: Asker, openai_server: OpenAIServer, pauses: list[float]
) -> None:
    refused = failure(429)
    openai_server.plan(ServerReply(status=429, body=refused.body, headers={"Retry-After": asked_for}), "ok")
    await ask(openai_server.chat_model())
    assert pauses == [pytest.approx(taken, abs=0.3)]


@pytest.mark.parametrize(
    ("headers", "taken"),
    [
        ({"Retry-After": "3"}, 3.0),
        ({"retry-after-ms": "3000"}, 3.0),
        ({"retry-after-ms": "1500", "Retry-After": "9"}, 1.5),
        ({"x-ratelimit-reset-requests": "1m2.5s", "x-ratelimit-remaining-requests": "0"}, 60.0),
        ({"x-ratelimit-reset-tokens": "250ms", "x-ratelimit-reset-requests": "4s"}, 4.0),
        (
            {"x-ratelimit-reset-tokens": "9s", "x-ratelimit-remaining-tokens": "500"}
            | {"x-ratelimit-reset-requests": "2s", "x-ratelimit-remaining-requests": "0"},
            2.0,
        ),
    ],
)
async def test_however_a_server_says_how_long_to_wait_it_is_waited(
    headers: dict[str, str], taken: float, ask: Asker, openai_server: OpenAIServer, pauses: list[float]
) -> None:
    openai_server.plan(ServerReply(status=429, body=failure(429).body, headers=headers), "ok")
    await ask(openai_server.chat_model())
    assert pauses == [pytest.approx(taken, abs=0.2)]


@pytest.mark.parametrize("header", ["Retry-After", "x-ratelimit-reset"])
async def test_a_time_at_which_to_come_back_is_as_good_as_a_number_of_seconds(
    header: str, ask: Asker, openai_server: OpenAIServer, pauses: list[float]
) -> None:
    at = time.time() + 20
    said = email.utils.formatdate(at, usegmt=True) if header == "Retry-After" else str(int(at * 1_000))
    openai_server.plan(ServerReply(status=429, body=failure(429).body, headers={header: said}), "ok")
    await ask(openai_server.chat_model())
    assert 15 < pauses[0] <= 20


@pytest.mark.parametrize("header", [None, "next week"])
async def test_without_a_usable_word_from_the_server_the_pauses_grow(
    header: str | None, ask: Asker, openai_server: OpenAIServer, pauses: list[float]
) -> None:
    refused = ServerReply(status=500, body=failure(500).body, headers={"Retry-After": header} if header else {})
    openai_server.plan(refused, refused, refused, "ok")
    await ask(openai_server.chat_model())
    assert len(pauses) == 3
    assert all(0.5 * 2**i <= pause <= 0.5 * 2**i + 0.5 for i, pause in enumerate(pauses))


def test_a_connection_of_an_earlier_event_loop_costs_another_try_and_not_the_run(
    openai_server: OpenAIServer, pauses: list[float]
) -> None:
    """The server gets such a request, and bills it; its answer is lost."""
    asked, model = Asker(is_async=True), openai_server.chat_model()
    texts = [asyncio.run(asked(model, prompt)).text for prompt in ("Who?", "Where?")]
    assert texts == ["ok", "ok"]
    assert len(openai_server.requests) == 3 == asked.budget.usage()["calls"]
    assert len(pauses) == 1


async def test_connections_of_an_event_loop_that_has_ended_are_named(pauses: list[float]) -> None:
    def stale(messages: Any) -> Any:
        raise RuntimeError("Event loop is closed")

    asked = Asker(is_async=True)
    with pytest.raises(ModelError, match=r"event loop that has ended: ask all .* within one asyncio\.run") as raised:
        await asked(RunnableLambda(stale))
    assert raised.value.category == "connection"
    assert asked.budget.usage()["calls"] == 4  # each may have been billed


@pytest.mark.parametrize(
    ("reply", "category"),
    [
        (failure(500), "server"),
        (failure(503), "server"),
        (failure(408), "timeout"),
        (MALFORMED, "invalid_output"),
        (RESET, "connection"),
    ],
    ids=["500", "503", "408", "malformed", "reset"],
)
async def test_a_passing_failure_is_tried_four_times_and_then_reported(
    reply: ServerReply, category: str, ask: Asker, openai_server: OpenAIServer, pauses: list[float]
) -> None:
    openai_server.reply = lambda request: reply
    with pytest.raises(ModelError, match="gpt-4o-mini") as raised:
        await ask(openai_server.chat_model())
    assert (raised.value.category, raised.value.retryable) == (category, True)
    assert len(openai_server.chats) == 4
    usage = ask.budget.usage()
    # Without a status nobody knows whether the server did the work: then each try counts with the most it can cost.
    sent = 4 if reply in (MALFORMED, RESET) else 0
    assert (usage["calls"], usage["output_tokens"]) == (sent, sent * KNOWN_OUTPUT_TOKENS)
    assert usage["estimated"] is bool(sent)


async def test_a_failure_that_passes_leaves_no_trace_but_what_it_may_have_cost(
    ask: Asker, openai_server: OpenAIServer, pauses: list[float]
) -> None:
    openai_server.plan(500, RESET, MALFORMED, "Paris")
    assert (await ask(openai_server.chat_model())).text == "Paris"
    assert ask.budget.usage()["calls"] == 3, "the one that was refused cost nothing"


@pytest.mark.parametrize(
    ("reply", "category"),
    [
        (
            failure(
                400,
                code="context_length_exceeded",
                message="This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
            ),
            "too_long",
        ),
        (failure(413), "too_long"),
        (failure(400), "refused"),
        (failure(404), "refused"),
        (failure(429, code="insufficient_quota", message="insufficient_quota: check your plan"), "rate_limited"),
        (failure(429, message="Request too large for gpt-4o on tokens per min (TPM): Limit 30000"), "too_long"),
    ],
    ids=["context length", "413", "400", "404", "no quota", "larger than a minute's tokens"],
)
async def test_a_lasting_failure_is_not_tried_again(
    reply: ServerReply, category: str, ask: Asker, openai_server: OpenAIServer, pauses: list[float]
) -> None:
    openai_server.plan(reply)
    with pytest.raises(ModelError) as raised:
        await ask(openai_server.chat_model())
    assert raised.value.category == category
    assert not raised.value.retryable
    assert (len(openai_server.chats), pauses) == (1, [])


async def test_the_retries_of_langchain_and_the_sdk_do_not_multiply_with_ours(
    ask: Asker, openai_server: OpenAIServer, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", openai_server.key)
    monkeypatch.setenv("OPENAI_BASE_URL", openai_server.base_url)
    openai_server.reply = lambda request: failure(500)
    with pytest.raises(ModelError):
        await ask("openai:gpt-4o-mini")
    assert len(openai_server.chats) == 4


# --- limits -------------------------------------------------------------------------------------------------------


async def test_a_server_that_never_answers_does_not_outlast_the_run(openai_server: OpenAIServer) -> None:
    openai_server.reply = lambda request: HANG
    budget = Budget(Limits(max_seconds=0.3))
    face = Runtime.default().face(is_async=True)
    with pytest.raises(DeadlineExceeded, match="max_seconds"):
        await ModelCaller(openai_server.chat_model()).ask(
            [HumanMessage("Who?")], account=account_of(budget, face=face), config=None, role="root"
        )


async def test_a_pause_does_not_outlast_the_run(is_async: bool, openai_server: OpenAIServer) -> None:
    openai_server.reply = lambda request: failure(429, retry_after=59)
    budget = Budget(Limits(max_seconds=0.3))
    face = Runtime.default().face(is_async=is_async)
    with pytest.raises(DeadlineExceeded):
        await ModelCaller(openai_server.chat_model()).ask(
            [HumanMessage("Who?")], account=account_of(budget, face=face), config=None, role="root"
        )
    assert budget.usage()["seconds"] < 30


async def test_no_request_is_sent_without_room_in_the_budget(ask: Asker, openai_server: OpenAIServer) -> None:
    ask.budget = Budget(Limits(max_calls=1))
    caller = ModelCaller(openai_server.chat_model())
    await ask(caller)
    with pytest.raises(BudgetExceeded, match="max_calls"):
        await ask(caller)
    assert len(openai_server.chats) == 1


# --- usage --------------------------------------------------------------------------------------------------------


async def test_the_usage_that_a_server_reports_is_taken_and_priced(ask: Asker, openai_server: OpenAIServer) -> None:
    usage = {
        "prompt_tokens": 1000,
        "completion_tokens": 500,
        "total_tokens": 1500,
        "prompt_tokens_details": {"cached_tokens": 400},
    }
    openai_server.plan(ServerReply(text="ok", usage=usage))
    await ask(openai_server.chat_model("gpt-4o-mini"))
    spent = ask.budget.usage()
    assert not spent["estimated"]
    assert (spent["input_tokens"], spent["cached_tokens"], spent["output_tokens"]) == (1000, 400, 500)
    assert spent["cost_usd"] == pytest.approx(600 * 0.15e-6 + 400 * 0.075e-6 + 500 * 0.6e-6)
    assert spent["by_model"]["gpt-4o-mini"]["calls"] == 1


async def test_where_no_usage_is_reported_it_is_estimated_and_marked(ask: Asker, openai_server: OpenAIServer) -> None:
    openai_server.plan(ServerReply(text="y" * 80, usage=None))
    await ask(openai_server.chat_model(), "x" * 400)
    spent = ask.budget.usage()
    assert spent["estimated"]
    assert 90 <= spent["input_tokens"] <= 120
    assert 15 <= spent["output_tokens"] <= 30


# --- models of all kinds ------------------------------------------------------------------------------------------


async def test_any_runnable_that_gives_a_message_is_a_model(ask: Asker) -> None:
    assert (await ask(scripted(["Paris"]) | RunnableLambda(lambda message: message))).text == "Paris"


async def test_a_runnable_that_gives_something_else_is_named(ask: Asker) -> None:
    with pytest.raises(ModelError, match="returned str, not an AIMessage"):
        await ask(RunnableLambda(lambda messages: "Paris"))
    assert ask.budget.usage()["calls"] == 0


async def test_any_exception_of_a_model_becomes_a_model_error(ask: Asker) -> None:
    with pytest.raises(ModelError, match="ZeroDivisionError: by zero"):
        await ask(scripted([ZeroDivisionError("by zero")]))


@pytest.mark.parametrize("model", ["", "   ", None, 5, ["gpt"]])
def test_what_is_no_model_is_refused_when_the_graph_is_made(model: Any) -> None:
    with pytest.raises(InvalidInput, match="model"):
        ModelCaller(model)


def test_an_unknown_provider_is_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match="nonsense"):
        ModelCaller("nonsense:model-1")


def test_a_provider_whose_package_is_missing_is_named() -> None:
    with pytest.raises(MissingDependency, match="langchain-mistralai"):
        ModelCaller("mistralai:mistral-large")


def test_a_missing_key_says_which_variable_to_set() -> None:
    with pytest.raises(AuthenticationFailed, match="OPENAI_API_KEY"):
        ModelCaller("openai:gpt-4o-mini")


def test_the_window_of_a_model_is_known_where_it_tells() -> None:
    assert ModelCaller(scripted([], window=9_000)).window == 9_000
    assert ModelCaller(scripted([])).window == models.DEFAULT_WINDOW


# --- one client, two callers --------------------------------------------------------------------------------------


@pytest.fixture
def paired_server(openai_server: OpenAIServer) -> Iterator[OpenAIServer]:
    """Answers only when two requests are there at the same time."""
    barrier = threading.Barrier(2)

    def reply(request: dict[str, Any]) -> str:
        barrier.wait(20)
        return "ok " + request["messages"][-1]["content"][-8:]

    openai_server.reply = reply
    yield openai_server
    barrier.abort()


async def test_a_thread_and_a_loop_share_one_client_at_the_same_time(paired_server: OpenAIServer) -> None:
    caller = ModelCaller(paired_server.chat_model(timeout=30))
    sync, awaited = Asker(is_async=False), Asker(is_async=True)
    for number in range(6):
        first = asyncio.to_thread(Runtime.default().run, sync(caller, f"sync  {number:02}"))
        answers = await asyncio.gather(first, awaited(caller, f"async {number:02}"))
        assert [answer.text for answer in answers] == [f"ok sync  {number:02}", f"ok async {number:02}"]
