"""A model server that fails in every way: no answered work is lost, and the budget is exact to the last token."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from langgraph_rlm import Limits, create_rlm
from langgraph_rlm.budget import MESSAGE_TOKENS
from langgraph_rlm.prices import price_usd
from tests.openai_server import HANG, MALFORMED, RESET, OpenAIServer, ServerReply, failure
from tests.support import Ask, cell, scripted

MODEL = "gpt-4o-mini"
BATCH = cell(
    "found = llm_query_batched([f'piece {n}' for n in range(40)])",
    "print([f if isinstance(f, str) else f.category for f in found])",
    "FINAL(sum(isinstance(f, str) for f in found))",
)

pytestmark = pytest.mark.usefixtures("pauses")


class Server:
    """Plays the faults of each prompt in turn, then answers it; keeps the books as a provider would."""

    def __init__(self, server: OpenAIServer, faults: Mapping[str, list[ServerReply]]) -> None:
        self._left = {prompt: list(replies) for prompt, replies in faults.items()}
        self._lock = threading.Lock()
        self.answered = Counter[str]()
        self.billed_input = self.billed_output = self.unknown_input = self.unknown_output = self.unknown = 0
        server.reply = self.reply

    def reply(self, request: dict[str, Any]) -> ServerReply:
        prompt = next(m["content"] for m in reversed(request["messages"]) if m["role"] == "user")
        with self._lock:
            if left := self._left.get(prompt):
                fault = left.pop(0)
                if fault.status == 200:  # nobody can tell the client what it cost
                    self.unknown += 1
                    self.unknown_input += bound(request)
                    self.unknown_output += request["max_completion_tokens"]
                return fault
            self.answered[prompt] += 1
            read, written = len(prompt), 7
            self.billed_input += read
            self.billed_output += written
        usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
        return ServerReply(text=prompt.upper(), usage=usage)


def bound(request: Mapping[str, Any]) -> int:
    return sum(MESSAGE_TOKENS + len(message["content"].encode()) for message in request["messages"])


def graph_on(server: OpenAIServer, root: Any = (BATCH,), *, limits: Limits | None = None, **options: Any) -> Any:
    # A root model that costs nothing and reports no tokens, so that the books are those of the sub-model.
    limits = limits or Limits(max_cost_usd=None, max_concurrency=8)
    return create_rlm(scripted(list(root)), sub_model=server.chat_model(MODEL, **options), limits=limits)


def check_books(usage: Mapping[str, Any], books: Server) -> None:
    spent = usage["by_model"][MODEL]
    assert spent["calls"] == books.answered.total() + books.unknown
    assert spent["input_tokens"] == books.billed_input + books.unknown_input
    assert spent["output_tokens"] == books.billed_output + books.unknown_output
    assert spent["cost_usd"] == pytest.approx(price_usd(MODEL, spent["input_tokens"], spent["output_tokens"]))


def faults_of(*kinds: ServerReply, seed: int = 1, most: int = 3) -> dict[str, list[ServerReply]]:
    """Up to three faults in a row for each of the 40 pieces: one call fewer than is tried."""
    drawn = random.Random(seed)
    return {f"piece {n}": drawn.choices(kinds, k=drawn.randint(0, most)) for n in range(40)}


@pytest.mark.parametrize(
    "kinds",
    [
        [failure(429, retry_after=0)],
        [failure(500), failure(503)],
        [MALFORMED],
        [RESET],
        [failure(429), failure(500), MALFORMED, RESET, failure(503)],
    ],
    ids=["a 429 storm", "500s", "truncated JSON", "resets", "all of them"],
)
async def test_a_batch_survives_passing_faults_and_every_token_is_accounted_for(
    kinds: list[ServerReply], ask: Ask, openai_server: OpenAIServer
) -> None:
    books = Server(openai_server, faults_of(*kinds))
    done = await ask(graph_on(openai_server), {"question": "?", "context": "text"})
    assert done["answer"] == "40"
    assert set(books.answered.values()) == {1}, "nothing was asked again that was answered"
    check_books(done["usage"], books)


async def test_what_fails_for_good_is_named_in_its_place_and_the_rest_is_answered(
    ask: Ask, openai_server: OpenAIServer
) -> None:
    faults = {f"piece {n}": [failure(500)] * 4 for n in range(3)} | {"piece 7": [failure(400)]}
    books = Server(openai_server, faults)
    done = await ask(graph_on(openai_server), {"question": "?", "context": "text"})
    shown = done["turns"][0]["output"]
    assert done["answer"] == "36"
    assert shown.count("'server'") == 3
    assert shown.count("'refused'") == 1
    assert "llm_query: 36 of 40 answered; failed: 3 server, 1 refused" in shown
    check_books(done["usage"], books)


async def test_a_server_that_hangs_costs_its_calls_and_nothing_else(ask: Ask, openai_server: OpenAIServer) -> None:
    faults = {f"piece {n}": [HANG] * 4 for n in range(2)}
    books = Server(openai_server, faults)
    done = await ask(graph_on(openai_server, timeout=0.3), {"question": "?", "context": "text"})
    assert done["answer"] == "38"
    assert done["turns"][0]["output"].count("'timeout'") == 2
    check_books(done["usage"], books)
    assert done["usage"]["estimated"]


async def test_a_server_that_hangs_does_not_outlast_the_deadline_and_what_was_answered_stays(
    ask: Ask, openai_server: OpenAIServer
) -> None:
    books = Server(openai_server, {"piece 39": [HANG]})
    limits = Limits(max_seconds=8, max_cost_usd=None)
    done = await ask(graph_on(openai_server, limits=limits), {"question": "?", "context": "text"})
    assert done["answer"] == "39"
    assert "1 timeout" in done["turns"][0]["output"]
    assert done["usage"]["calls"] == 1 + 39 + 1, "the one in flight counts"
    assert books.answered.total() == 39


async def test_a_server_that_refuses_some_until_the_deadline_loses_no_answer_of_the_batch(
    ask: Ask, openai_server: OpenAIServer
) -> None:
    books = Server(openai_server, {f"piece {n}": [failure(429)] * 100 for n in range(5)})
    limits = Limits(max_seconds=8, max_cost_usd=None)
    done = await ask(graph_on(openai_server, limits=limits), {"question": "?", "context": "text"})
    assert done["stop_reason"] == "answered"
    assert int(done["answer"]) == books.answered.total() > 0
    assert "timeout" in done["turns"][0]["output"]


async def test_answers_that_come_as_a_broken_stream_are_asked_again(ask: Ask, openai_server: OpenAIServer) -> None:
    broken = ServerReply(text="one two three four", reset_after=2)
    faults = {f"piece {n}": [broken] for n in range(0, 40, 4)}
    books = Server(openai_server, faults)
    graph = graph_on(openai_server, streaming=True, stream_usage=True)
    done = await ask(graph, {"question": "?", "context": "text"})
    assert done["answer"] == "40"
    assert set(books.answered.values()) == {1}
    check_books(done["usage"], books)


async def test_a_thousand_prompts_spend_no_more_than_a_cap_of_ten_cents(ask: Ask, openai_server: OpenAIServer) -> None:
    text = "x" * 2_000
    usage = {"prompt_tokens": 2_000, "completion_tokens": 300, "total_tokens": 2_300}  # 0.00048 USD a call
    openai_server.reply = lambda request: ServerReply(text="y" * 300, usage=usage)
    root = cell(
        f"found = llm_query_batched([f'{{n}} {text}' for n in range(1000)])",
        "print(sum(isinstance(f, str) for f in found), {f.category for f in found if not isinstance(f, str)})",
        "FINAL(len(found))",
    )
    limits = Limits(max_cost_usd=0.10, max_calls=None, max_concurrency=64)
    done = await ask(graph_on(openai_server, [root], limits=limits), {"question": "?", "context": "text"})
    billed = len(openai_server.chats) * (price_usd(MODEL, 2_000, 300) or 0)
    assert billed <= 0.10
    assert done["usage"]["by_model"][MODEL]["cost_usd"] == pytest.approx(billed)
    assert billed > 0.09, "what fits is done"
    assert "{'budget'}" in done["turns"][0]["output"]
