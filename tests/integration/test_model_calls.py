"""A real ``ChatOpenAI`` that fails in every way a server can: what is retried, what is reported, what is billed."""

from __future__ import annotations

import asyncio
import email.utils
import gzip
import json
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda

from langgraph_rlm.budget import Budget
from langgraph_rlm.calls import guarded, models
from langgraph_rlm.calls.account import Account
from langgraph_rlm.calls.chain import KNOWN_OUTPUT_TOKENS
from langgraph_rlm.calls.memo import MemoryMemo, RunId
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
from tests.openai_server import HANG, MALFORMED, RESET, OpenAIServer, ServerReply, failure, with_window
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


NULL = {"id": "x", "object": "chat.completion", "created": 0, "model": "m"}


@pytest.mark.parametrize(
    ("body", "billed"),
    [
        (b'{"error": {"message": "Rate limit exceeded", "code": 429}}', False),
        (b'{"error": {"message": "Provider returned error", "code": 502}}', False),
        (b'{"error": {"message": "Overloaded", "type": "overloaded_error"}}', False),
        (json.dumps(NULL | {"choices": None}).encode(), True),
        (json.dumps(NULL | {"choices": []}).encode(), True),
        (b"<html>502 Bad Gateway</html>", True),
        (b"null", True),
        (b"[]", True),
        (b"[" * 100_000, True),
    ],
    ids=["429", "502", "overloaded", "null choices", "no choices", "html", "null", "list", "deep"],
)
async def test_an_error_that_comes_as_http_200_is_the_error_it_is(
    body: bytes, billed: bool, ask: Asker, openai_server: OpenAIServer, pauses: list[float]
) -> None:
    kind = "text/html" if body.startswith(b"<") else "application/json"
    openai_server.plan(ServerReply(body=body, headers={"Content-Type": kind}), "Paris")
    assert (await ask(openai_server.chat_model())).text == "Paris"
    usage = ask.budget.usage()
    assert (usage["requests"], usage["failed_requests"], usage["calls"]) == (2, 1, 2 if billed else 1)


async def test_a_mistake_in_a_request_is_not_taken_for_a_malformed_reply(
    ask: Asker, openai_server: OpenAIServer
) -> None:
    with pytest.raises(ModelError) as raised:
        await ask(openai_server.chat_model().bind(no_such_option=1))
    assert not raised.value.retryable
    assert ask.budget.usage()["calls"] == 0


async def test_calls_side_by_side_share_one_pause_and_are_all_answered(
    is_async: bool, openai_server: OpenAIServer, pauses: list[float]
) -> None:
    room, lock = [8], threading.Lock()

    def reply(request: dict[str, Any]) -> str | ServerReply:
        with lock:
            room[0] -= 1
            if room[0] < 0:
                room[0] = 8
                return failure(429, retry_after=5)
        return "ok"

    openai_server.reply = reply
    events: list[str] = []

    def emit(event: str, /, **fields: Any) -> int:
        events.append(event)
        return len(events)

    face = Runtime.default().face(is_async=is_async)
    budget = Budget(Limits(max_cost_usd=None))
    account = Account(budget, MemoryMemo(), RunId("-", "run"), face, emit)
    caller = ModelCaller(openai_server.chat_model())
    answers = await asyncio.gather(
        *(caller.ask([HumanMessage(f"{n}")], account=account, config=None, role="sub") for n in range(40))
    )
    assert [answer.text for answer in answers] == ["ok"] * 40
    usage = budget.usage()
    assert (usage["calls"], usage["requests"] - usage["failed_requests"]) == (40, 40)
    assert {"call_start": 40, "call_end": 40}.items() <= Counter(events).items()
    assert set(events) == {"call_start", "call_end", "wait"}


async def test_the_pause_is_that_of_the_address_the_model_and_the_key(openai_server: OpenAIServer) -> None:
    one, same = ModelCaller(openai_server.chat_model()), ModelCaller(openai_server.chat_model())
    other_key = ModelCaller(openai_server.chat_model(api_key="sk-another-0123456789"))
    other_model = ModelCaller(openai_server.chat_model("gpt-4o"))
    assert one._who == same._who
    assert len({one._who, other_key._who, other_model._who}) == 3
    assert "sk-" not in one._who
    assert one._place == other_key._place
    assert ModelCaller(scripted([]))._who != ModelCaller(scripted([]))._who


# --- windows ------------------------------------------------------------------------------------------------------


async def test_a_cap_that_does_not_fit_a_small_window_is_made_smaller_and_the_window_is_remembered(
    ask: Asker, openai_server: OpenAIServer
) -> None:
    openai_server.reply = with_window(2_000)
    caller = ModelCaller(openai_server.chat_model("a-local-model", max_tokens=8_192))
    assert (await ask(caller, "x" * 4_000)).text == "ok"
    assert openai_server.chats[0]["max_completion_tokens"] == 8_192
    assert len(openai_server.chats) == 2
    assert (caller.window, caller.knows_window) == (2_000, True)
    another = ModelCaller(openai_server.chat_model("a-local-model", max_tokens=8_192, api_key=openai_server.key))
    assert (await ask(another, "y" * 4_000)).text == "ok"
    assert len(openai_server.chats) == 3, "nobody pays twice to learn it"
    assert not another.fits("z" * 8_100)
    usage = ask.budget.usage()
    assert (usage["calls"], usage["requests"], usage["failed_requests"]) == (2, 3, 1)


async def test_a_prompt_beyond_the_window_is_an_error_that_names_it_and_what_to_do(
    ask: Asker, openai_server: OpenAIServer
) -> None:
    openai_server.reply = with_window(1_000)
    caller = ModelCaller(openai_server.chat_model("a-local-model"))
    with pytest.raises(ModelError, match=r"1,000 tokens fit: give window=1000") as raised:
        await ask(caller, "x" * 8_000)
    assert (raised.value.category, raised.value.window, raised.value.status) == ("too_long", 1_000, 400)
    with pytest.raises(ModelError, match="no room for it and an answer"):
        await ask(caller, "x" * 8_000)
    assert len(openai_server.chats) == 1, "what does not fit is not sent again"


async def test_where_no_window_is_stated_a_smaller_cap_is_tried_once(ask: Asker, openai_server: OpenAIServer) -> None:
    def reply(request: dict[str, Any]) -> str | ServerReply:
        too_large = request["max_completion_tokens"] > 2_000
        return failure(400, message="Please reduce the length of the messages or completion.") if too_large else "ok"

    openai_server.reply = reply
    assert (await ask(openai_server.chat_model("a-local-model"))).text == "ok"
    openai_server.reply = lambda request: failure(400, message="input length exceeds maximum context length")
    with pytest.raises(ModelError, match="give the model's real window with window="):
        await ask(openai_server.chat_model("a-local-model"))
    assert len(openai_server.chats) == 4


async def test_a_server_that_cuts_prompts_without_a_word_is_told_of(ask: Asker, openai_server: OpenAIServer) -> None:
    usage = {"prompt_tokens": 4_096, "completion_tokens": 5, "total_tokens": 4_101}
    openai_server.plan(ServerReply(text="ok", usage=usage))
    with pytest.warns(models.TruncationWarning, match=r"read 4,096 tokens of a prompt of about 25,001"):
        await ask(openai_server.chat_model(), "word " * 20_000)


# --- keys ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 404, 429, 500])
async def test_no_error_shows_the_key_that_a_server_echoes(
    status: int, ask: Asker, openai_server: OpenAIServer, pauses: list[float]
) -> None:
    openai_server.reply = lambda request: failure(status, message=f"invalid header {openai_server.key} \x1b[2J")
    with pytest.raises(ModelError) as raised:
        await ask(openai_server.chat_model())
    shown = "".join(traceback.format_exception(raised.value))
    assert openai_server.key not in shown
    assert "\x1b" not in str(raised.value)
    assert "[key]" in str(raised.value)


# --- fallbacks ----------------------------------------------------------------------------------------------------


async def test_the_model_that_answered_is_billed_and_every_request_of_a_chain_is_counted(
    ask: Asker, openai_server: OpenAIServer
) -> None:
    openai_server.plan(503, "from the second")
    chain = openai_server.chat_model("gpt-4o").with_fallbacks(
        [openai_server.chat_model("gpt-4o-mini").bind(temperature=0)]
    )
    assert (await ask(chain)).text == "from the second"
    usage = ask.budget.usage()
    assert list(usage["by_model"]) == ["gpt-4o-mini"]
    assert (usage["calls"], usage["requests"]) == (1, 2)


async def test_a_server_cannot_make_itself_cheaper_by_its_name(ask: Asker) -> None:
    def answer(messages: Any) -> AIMessage:
        return AIMessage("ok", response_metadata={"model_name": "gpt-4o-mini"})

    cheap = scripted(lambda messages: ConnectionError("gone"), name="gpt-4o-mini")
    await ask(cheap.with_fallbacks([scripted(answer, name="gpt-4o")]))
    assert list(ask.budget.usage()["by_model"]) == ["gpt-4o"]


async def test_the_dearest_of_nested_fallbacks_must_fit_the_limit() -> None:
    cheap = scripted(["ok"], name="gpt-4o-mini")
    nested = cheap.with_fallbacks([scripted(["no"], name="gpt-4o").with_fallbacks([scripted(["no"], name="o1-pro")])])
    asker = Asker(is_async=True)
    asker.budget = Budget(Limits(max_cost_usd=0.10))
    with pytest.raises(BudgetExceeded, match="max_cost_usd"):
        await asker(nested.bind(stop=["x"]).with_config(tags=["a"]))
    assert cheap.requests == []


# --- clients of our own ---------------------------------------------------------------------------------------------


@pytest.fixture
def named(openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("OPENAI_API_KEY", openai_server.key)
    monkeypatch.setenv("OPENAI_BASE_URL", openai_server.base_url)
    return "openai:gpt-4o-mini"


async def test_a_model_made_from_a_name_answers(ask: Asker, openai_server: OpenAIServer, named: str) -> None:
    assert (await ask(named)).text == "ok"


async def test_no_prompt_follows_a_redirect(ask: Asker, openai_server: OpenAIServer, named: str) -> None:
    with OpenAIServer() as other:
        openai_server.plan(
            ServerReply(status=307, body=b"", headers={"Location": f"{other.base_url}/chat/completions"})
        )
        with pytest.raises(ModelError, match="another address"):
            await ask(named)
        assert other.requests == []


@pytest.mark.parametrize("packed", [False, True], ids=["larger than a reply", "packed"])
async def test_a_body_that_no_reply_can_be_is_not_read_to_its_end(
    packed: bool, ask: Asker, openai_server: OpenAIServer, named: str, pauses: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(guarded, "MOST_BODY_BYTES", 100_000)
    body = gzip.compress(b" " * 10_000_000) if packed else b" " * 200_000
    headers = {"Content-Encoding": "gzip"} if packed else {}
    openai_server.reply = lambda request: ServerReply(body=body, headers=headers)
    with pytest.raises(ModelError) as raised:
        await ask(named)
    assert raised.value.category == "connection"


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
