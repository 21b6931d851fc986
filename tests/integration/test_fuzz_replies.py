"""Mutated replies of a model server, over HTTP to a real client: each is an answer or an error of ours, and what was paid stays."""

from __future__ import annotations

import base64
import json
import time
import traceback
from random import Random
from typing import Any

import pytest

from langgraph_rlm import Limits, create_rag, create_rlm
from langgraph_rlm.errors import RLMError
from tests.mutations import ODD_VALUES, as_json, mutated, mutated_value
from tests.openai_server import OpenAIServer, ServerReply
from tests.support import cell, make_corpus, scripted

SECONDS = 20.0
"""``max_seconds`` of a run; it must have ended within three times that on a busy machine."""
LIMITS = Limits(max_cost_usd=None, max_seconds=SECONDS, max_calls=2_000, max_turns=4)
CONTEXT = "The fox is 7 years old.\n" * 50
SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
SOUND: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-mini",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": '{"age": 7}', "refusal": None, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
            ]},
            "logprobs": {"content": [{"token": "a", "logprob": -0.1, "bytes": [97], "top_logprobs": []}]},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12, "prompt_tokens_details": {"cached_tokens": 0},
              "completion_tokens_details": {"reasoning_tokens": 0}},
    "system_fingerprint": "fp",
    "service_tier": "default",
}  # fmt: skip
ERROR: dict[str, Any] = {"error": {"message": "Not now.", "type": "server_error", "param": None, "code": None}}
CONTENTS: tuple[Any, ...] = (
    "", " ", "```repl\n", "```repl\n1/0\n```", "FINAL(", "FINAL()", "FINAL_VAR(nothing)", "```repl\nimport os; os._exit(3)\n```", "\x00\ud800",
    "[" * 50_000, "`" * 9_000, "```repl\n" * 300, "<think>" * 500, "</think>FINAL(7)", [{"type": "text", "text": "FINAL(7)"}],
    [{"type": "image_url", "image_url": None}], [{"text": 3}], {"text": "x"}, 7, None, "word " * 60_000, "\u2028FINAL(7)\u202e",
)  # fmt: skip
STATUSES = (200,) * 12 + (201, 206, 302, 400, 404, 409, 413, 418, 422, 429, 499, 500, 502, 503, 520, 599)
HEADERS: tuple[dict[str, str], ...] = (
    {}, {}, {}, {}, {"Content-Type": "text/html"}, {"Content-Type": "application/json; charset=nothing"}, {"Content-Encoding": "gzip"},
    {"Content-Type": "text/event-stream"}, {"Retry-After": "1e999"}, {"Retry-After": "-5"}, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"},
    {"retry-after-ms": "NaN"}, {"x-ratelimit-reset-requests": "1h-2"}, {"Location": "http://127.0.0.1:9/v1"}, {"x-should-retry": "maybe"},
)  # fmt: skip


def reply_of(random: Random, key: str) -> ServerReply:
    """A reply that is not what it should be; an error may quote the key that it was asked with."""
    status = random.choice(STATUSES)
    if status < 300:
        body: Any = mutated_value(SOUND, random)
        if random.random() < 0.3:
            body = json.loads(json.dumps(SOUND))
            body["choices"][0]["message"]["content"] = random.choice(CONTENTS)
        elif random.random() < 0.2:
            body = mutated_value({**SOUND, **ERROR}, random)
    else:
        body = mutated_value(ERROR, random, (*ODD_VALUES, f"bad header Bearer {key}"))
    data = as_json(body)
    if random.random() < 0.25:
        data = mutated(data, random, [as_json(ERROR), b"<html><body>502 Bad Gateway</body></html>"])
    elif random.random() < 0.05:
        data = b'{"choices":' * 50_000
    return ServerReply(status=status, headers=random.choice(HEADERS), body=data)


class OddServer:
    """Answers a prompt that holds ``odd-N`` with the N-th odd reply, and any other as it should.

    Where ``once``, the second try gets a sound reply: a rate limit is waited for up to the deadline.
    """

    def __init__(self, server: OpenAIServer, seed: str, *, once: bool = False) -> None:
        self._server, self._seed, self._once = server, seed, once
        self._seen: set[str] = set()
        server.reply = self._reply

    def _reply(self, request: dict[str, Any]) -> str | ServerReply:
        text = str(request["messages"][-1]["content"])
        name = next((word for word in text.split() if word.startswith(("odd-", "good-"))), "odd-root")
        if name.startswith("good-") or (self._once and name in self._seen):
            return json.dumps({"age": 7, "name": name})
        self._seen.add(name)
        return reply_of(Random(f"{self._seed} {name}"), self._server.key)


def error_of(ask: Any) -> RLMError | None:
    """The error that a run ends with; any other error than ours goes on, and so does a run without end."""
    began = time.monotonic()
    try:
        ask()
    except RLMError as error:
        return error
    finally:
        assert time.monotonic() - began < 3 * SECONDS
    return None


def told(error: BaseException | None) -> str:
    """All that an error shows where nothing else catches it."""
    return "".join(traceback.format_exception(error)) if error is not None else ""


def check_batches(server: OpenAIServer, run: int, schema: bool) -> None:
    """Of a batch the odd ones fail one by one, and all others are there."""
    OddServer(server, f"batch {run}", once=True)
    root = scripted(
        [
            cell(
                "names = [f'{kind}-{n}' for n in range(8) for kind in ('good', 'odd')]",
                f"found = llm_query_batched([f'How old is the fox? {{name}} !' for name in names], schema={SCHEMA if schema else None})",
                "kinds = [type(one).__name__ for one in found]",
                "good = [str(one) for name, one in zip(names, found) if name.startswith('good')]",
                "print(found)",
                "print(kinds)",
            ),
            cell("import json", "FINAL(json.dumps([kinds, good]))"),
        ]
    )
    graph = create_rlm(root, sub_model=server.chat_model(timeout=5), limits=LIMITS)
    done: dict[str, Any] = {}
    error = error_of(lambda: done.update(graph.invoke({"question": "How old?", "context": CONTEXT})))
    assert error is None, told(error)
    assert done["stop_reason"] == "answered", done["answer"]
    kinds, good = json.loads(done["answer"])
    assert len(kinds) == 16
    assert set(kinds) <= {"str", "dict", "CallError"}
    assert [f"good-{number}" in one for number, one in enumerate(good)] == [True] * 8
    assert server.key not in repr(done)
    assert base64.b64encode(server.key.encode()).decode() not in repr(done)


def check_roots(server: OpenAIServer, run: int, tmp_path: Any) -> None:
    """Where the model that answers is the odd one, a run ends with an answer, a reason or an error of ours."""
    OddServer(server, f"root {run}")
    done: dict[str, Any] = {}
    model = server.chat_model(timeout=5)
    if run % 3:
        graph = create_rlm(model, limits=LIMITS, response_format=SCHEMA if run % 2 else None)
        error = error_of(lambda: done.update(graph.invoke({"question": "How old is it?", "context": CONTEXT})))
    else:
        with make_corpus(tmp_path / str(run), {"a": CONTEXT}) as corpus:
            answered = create_rag(model, corpus=corpus, limits=LIMITS, response_format=SCHEMA if run % 2 else None)
            error = error_of(lambda: done.update(answered.invoke({"question": "How old is the fox?"})))
    assert server.key not in told(error).replace(f"key = {server.key!r}", "")
    assert server.key not in repr(done)
    assert error is not None or done["stop_reason"] in ("answered", "turns", "budget", "deadline", "error")
    assert error is None or str(error)


@pytest.mark.parametrize("schema", [False, True], ids=["text", "schema"])
def test_odd_replies_in_a_batch_fail_one_by_one(schema: bool, openai_server: OpenAIServer, pauses: Any) -> None:
    check_batches(openai_server, 0, schema)


def test_a_run_on_a_server_with_odd_replies_ends_with_a_reason(
    openai_server: OpenAIServer, pauses: Any, tmp_path: Any
) -> None:
    for run in range(12):
        check_roots(openai_server, run, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("schema", [False, True], ids=["text", "schema"])
def test_many_odd_replies_in_batches_fail_one_by_one(schema: bool, openai_server: OpenAIServer, pauses: Any) -> None:
    for run in range(1, 60):
        check_batches(openai_server, run, schema)


@pytest.mark.slow
def test_many_runs_on_a_server_with_odd_replies_end_with_a_reason(
    openai_server: OpenAIServer, pauses: Any, tmp_path: Any
) -> None:
    for run in range(12, 400):
        check_roots(openai_server, run, tmp_path)
