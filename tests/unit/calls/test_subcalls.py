"""Sub-calls: a failure is a value in its place, answers of a schema are checked, nothing answered is paid twice."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from langgraph_rlm.calls.memo import Occurrences
from langgraph_rlm.calls.models import ModelCaller
from langgraph_rlm.calls.schemas import check_schema, read_json
from langgraph_rlm.calls.subcalls import SubCalls
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.graphs.prompts import sub_messages
from langgraph_rlm.limits import Limits
from langgraph_rlm.repl import FailedCall
from langgraph_rlm.runs.runtime import Runtime
from tests.support import account_of, scripted

NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


class Status(Exception):
    """As providers' errors look."""

    def __init__(self, status_code: int, message: str = "no") -> None:
        super().__init__(message)
        self.status_code = status_code


pytestmark = pytest.mark.usefixtures("pauses")


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def subcalls_for(request: pytest.FixtureRequest) -> Callable[..., SubCalls]:
    def make(model: Any, *, limits: Limits | None = None, memo: Any = None, max_concurrency: int = 8) -> SubCalls:
        return SubCalls(
            ModelCaller(model),
            render=sub_messages,
            account=account_of(limits, face=Runtime.default().face(is_async=request.param), memo=memo),
            config=None,
            room=asyncio.Semaphore(max_concurrency),
        )

    return make


async def ask(subcalls: SubCalls, *prompts: str, schema: Any = None, place: str = "here") -> list[Any]:
    return await subcalls.ask_all(prompts, schema=schema, place=place, occurrences=Occurrences())


@pytest.mark.parametrize(
    ("error", "category", "retryable"),
    [
        (Status(401), "auth", False),
        (Status(429), "rate_limited", True),
        (Status(500), "server", True),
        (Status(400, "context_length_exceeded"), "too_long", False),
        (Status(400), "refused", False),
        (TimeoutError("slow"), "timeout", True),
        (ConnectionResetError("gone"), "connection", True),
    ],
)
async def test_a_failing_call_is_a_value_in_its_place_and_the_other_answers_stay(
    error: Exception, category: str, retryable: bool, subcalls_for: Callable[..., SubCalls]
) -> None:
    model = scripted(lambda messages: error if messages[-1].text == "bad" else messages[-1].text.upper())
    answers = await ask(subcalls_for(model), "a", "bad", "b")
    assert (answers[0], answers[2]) == ("A", "B")
    assert isinstance(answers[1], FailedCall)
    assert (answers[1].category, answers[1].retryable) == (category, retryable)


async def test_a_prompt_beyond_the_window_is_not_sent(subcalls_for: Callable[..., SubCalls]) -> None:
    model = scripted(lambda messages: "ok", window=400)
    answers = await ask(subcalls_for(model), "x" * 4_000, "short")
    assert isinstance(answers[0], FailedCall)
    assert answers[0].category == "too_long"
    assert "smaller pieces" in answers[0].message
    assert answers[1] == "ok"
    assert len(model.requests) == 1


async def test_a_failed_call_is_asked_again_when_the_cell_runs_again(subcalls_for: Callable[..., SubCalls]) -> None:
    model = scripted([Status(400), "now"])
    subcalls = subcalls_for(model)
    assert isinstance((await ask(subcalls, "a"))[0], FailedCall)
    assert await ask(subcalls, "a") == ["now"]
    assert await ask(subcalls, "a") == ["now"]
    assert len(model.requests) == 2


async def test_another_place_or_schema_is_another_question(subcalls_for: Callable[..., SubCalls]) -> None:
    model = scripted(['{"n": 1}', '{"n": 2}', '{"n": 3}'])
    subcalls = subcalls_for(model)
    assert await ask(subcalls, "a") == ['{"n": 1}']
    assert await ask(subcalls, "a", place="there") == ['{"n": 2}']
    assert await ask(subcalls, "a", schema=NUMBER) == [{"n": 3}]
    assert await ask(subcalls, "a") == ['{"n": 1}']


async def test_an_answer_cannot_be_changed_in_the_memo_by_who_received_it(
    subcalls_for: Callable[..., SubCalls],
) -> None:
    subcalls = subcalls_for(scripted(['{"n": 1}']))
    (await ask(subcalls, "a", schema=NUMBER))[0]["n"] = 99
    again = await ask(subcalls, "a", schema=NUMBER)
    again[0]["n"] = 99
    assert await ask(subcalls, "a", schema=NUMBER) == [{"n": 1}]


@pytest.mark.parametrize(
    "reply", ['{"n": 3}', ' {"n": 3}\n', '```json\n{"n": 3}\n```', 'Here it is:\n```\n{"n": 3}\n```\nDone.']
)
async def test_an_answer_of_a_schema_is_a_value(reply: str, subcalls_for: Callable[..., SubCalls]) -> None:
    model = scripted([reply])
    assert await ask(subcalls_for(model), "How many?", schema=NUMBER) == [{"n": 3}]
    assert '"required": ["n"]' in model.requests[0][-1].text


@pytest.mark.parametrize("bad", ["three", '{"n": "3"}', "[]", "", '{"n": 3'])
async def test_an_answer_of_the_wrong_shape_gets_one_repair(bad: str, subcalls_for: Callable[..., SubCalls]) -> None:
    model = scripted([bad, '{"n": 3}'])
    assert await ask(subcalls_for(model), "How many?", schema=NUMBER) == [{"n": 3}]
    assert len(model.requests) == 2
    assert "not valid" in model.requests[1][-1].text


async def test_after_one_repair_the_answer_is_a_failed_call(subcalls_for: Callable[..., SubCalls]) -> None:
    model = scripted(["three", "still three"])
    [answer] = await ask(subcalls_for(model), "How many?", schema=NUMBER)
    assert isinstance(answer, FailedCall)
    assert answer.category == "invalid_output"
    assert len(model.requests) == 2


async def test_an_answer_that_is_null_is_an_answer(subcalls_for: Callable[..., SubCalls]) -> None:
    model = scripted(["null"])
    subcalls = subcalls_for(model)
    assert await ask(subcalls, "a", schema={}) == [None]
    assert await ask(subcalls, "a", schema={}) == [None]
    assert len(model.requests) == 1


async def test_what_is_no_schema_is_refused_before_anything_is_asked(subcalls_for: Callable[..., SubCalls]) -> None:
    model = scripted([])
    with pytest.raises(InvalidInput, match="not a JSON schema"):
        await ask(subcalls_for(model), "a", schema={"type": 5})
    assert model.requests == []


@pytest.mark.parametrize("ref", ["#/missing", "http://127.0.0.1:9/x.json", "file:///etc/passwd", "other.json"])
async def test_a_schema_that_points_elsewhere_is_refused_and_opens_nothing(
    ref: str, subcalls_for: Callable[..., SubCalls]
) -> None:
    model = scripted([])
    with pytest.raises(InvalidInput, match="points to nothing in this schema"):
        await ask(subcalls_for(model), "a", schema={"properties": {"x": {"$ref": ref}}})
    assert model.requests == []


async def test_a_schema_may_point_into_itself(subcalls_for: Callable[..., SubCalls]) -> None:
    schema = {"$defs": {"n": {"type": "integer"}}, "items": {"$ref": "#/$defs/n"}, "type": "array"}
    model = scripted(['["x"]', "[1]"])
    assert await ask(subcalls_for(model), "a", schema=schema) == [[1]]


async def test_calls_run_side_by_side_but_not_more_than_allowed(subcalls_for: Callable[..., SubCalls]) -> None:
    lock, barrier = threading.Lock(), threading.Barrier(3)
    flying, most = [0], [0]

    class Waiting:
        async def ainvoke(self, messages: Any) -> str:
            return await asyncio.to_thread(self.invoke, messages)

        def invoke(self, messages: Any) -> str:
            with lock:
                flying[0] += 1
                most[0] = max(most[0], flying[0])
            barrier.wait(20)
            with lock:
                flying[0] -= 1
            return "ok"

    from langchain_core.messages import AIMessage
    from langchain_core.runnables import RunnableLambda

    waiting = Waiting()

    async def awaited(messages: Any) -> AIMessage:
        return AIMessage(await waiting.ainvoke(messages))

    model = RunnableLambda(lambda messages: AIMessage(waiting.invoke(messages)), afunc=awaited)
    answers = await ask(subcalls_for(model, max_concurrency=3), *[f"p{i}" for i in range(9)])
    assert answers == ["ok"] * 9
    assert most == [3]


@pytest.mark.parametrize("text", ["nan", "NaN", "Infinity", "[1, NaN]"])
def test_numbers_that_are_none_in_json_are_not_taken(text: str) -> None:
    value, problem = read_json(text, {})
    assert problem is not None
    assert value is None


def test_the_problem_names_the_place() -> None:
    assert read_json('{"n": "x"}', NUMBER)[1] == "$.n: 'x' is not of type 'integer'"


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(depth):
        schema = {"unevaluatedProperties": False, "allOf": [schema]}
    return schema


DOUBLING = {f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(30)}


@pytest.mark.parametrize(
    "schema",
    [{"$ref": "#"}, {"$defs": {**DOUBLING, "d30": {}}, "$ref": "#/$defs/d0"}, nested(30)],
    ids=["a circle", "doubled", "nested"],
)
def test_a_schema_that_would_be_checked_for_ever_is_given_up(schema: dict[str, Any]) -> None:
    assert "too entangled" in str(read_json("{}", schema)[1])


@pytest.mark.parametrize("more", [{}, {"additionalProperties": False}, {"additionalProperties": {"type": "null"}}])
def test_patterns_of_a_schema_take_linear_time(more: dict[str, Any]) -> None:
    schema = {"patternProperties": {"^(k+)+$": {"pattern": "^(a+)+$"}}, "properties": {"p": {}}, **more}
    check_schema(schema, "schema")
    assert read_json(json.dumps({"k" * 5_000: "a" * 5_000, "p": 1}), schema)[1] is None
    assert "does not match" in str(read_json(json.dumps({"k": "a" * 5_000 + "!"}), schema)[1])
    assert (read_json(json.dumps({"k" * 5_000 + "!": 1}), schema)[1] is None) == (not more)


def test_a_pattern_that_cannot_take_linear_time_is_refused() -> None:
    with pytest.raises(InvalidInput, match="lookahead"):
        check_schema({"pattern": "(?=a)"}, "schema")


def test_a_reply_that_opens_a_fence_and_never_closes_it_takes_no_time() -> None:
    assert read_json("```json" + "\n" * 100_000, NUMBER)[1] is not None


def test_the_problem_of_a_large_value_is_short() -> None:
    assert len(str(read_json(json.dumps({"n": "x" * 100_000}), NUMBER)[1])) < 600


async def test_a_schema_has_a_greatest_size(subcalls_for: Callable[..., SubCalls]) -> None:
    with pytest.raises(InvalidInput, match="too many"):
        await ask(subcalls_for(scripted([])), "a", schema={"enum": list(range(10_000))})
