"""ScriptedModel: the chat model that plays a script."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph

from langgraph_rlm.errors import InvalidInput, RLMError
from langgraph_rlm.testing import ScriptedModel, ScriptExhausted


@tool
def look_up(word: str) -> str:
    """Look a word up."""
    return word


def test_replies_come_in_order_and_every_request_is_recorded() -> None:
    model = ScriptedModel(["one", AIMessage("two"), lambda messages: messages[-1].text.upper()])
    assert [model.invoke(text).text for text in ("a", "b", "c")] == ["one", "two", "C"]
    assert [[message.text for message in request] for request in model.requests] == [["a"], ["b"], ["c"]]


def test_a_recorded_request_does_not_change_with_the_list_that_was_sent() -> None:
    model = ScriptedModel(["one"])
    sent: list[BaseMessage] = [SystemMessage("be brief"), HumanMessage("hello")]
    model.invoke(sent)
    sent.append(HumanMessage("later"))
    assert [message.text for message in model.requests[0]] == ["be brief", "hello"]


def test_a_function_answers_every_request() -> None:
    model = ScriptedModel(lambda messages: f"{len(messages)} messages")
    assert [model.invoke("x").text for _ in range(3)] == ["1 messages"] * 3


@pytest.mark.parametrize(
    "reply", [ValueError("no"), lambda messages: ValueError("no")], ids=["value", "from a function"]
)
async def test_an_exception_in_the_script_is_raised_and_its_request_recorded(reply: object) -> None:
    model = ScriptedModel([reply, reply, reply, reply, "after"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="no"):
        model.invoke("1")
    with pytest.raises(ValueError, match="no"):
        await model.ainvoke("2")
    with pytest.raises(ValueError, match="no"):
        list(model.stream("3"))
    with pytest.raises(ValueError, match="no"):
        [chunk async for chunk in model.astream("4")]
    assert model.invoke("5").text == "after"
    assert len(model.requests) == 5


def test_a_script_that_has_run_out_says_so() -> None:
    model = ScriptedModel(["one"], name="root")
    model.invoke("first")
    with pytest.raises(
        ScriptExhausted, match=r"'root': request 2 came, but its script has 1 replies.*'second'"
    ) as raised:
        model.invoke("second")
    assert isinstance(raised.value, RLMError)


@pytest.mark.parametrize("usage", ["auto", None])
async def test_all_four_ways_of_asking_give_the_same_message(usage: str | None) -> None:
    said = AIMessage("two  words\nand more ", tool_calls=[{"name": "look_up", "args": {"word": "x"}, "id": "call_1"}])
    model = ScriptedModel(lambda messages: said, name="m", usage=usage, cost_usd=0.25)  # type: ignore[arg-type]
    sync_pieces, async_pieces = list(model.stream("question")), [piece async for piece in model.astream("question")]
    assert [piece.text for piece in sync_pieces] == ["two  ", "words\n", "and ", "more ", ""]
    answers = [model.invoke("question"), await model.ainvoke("question"), _joined(sync_pieces), _joined(async_pieces)]
    for answer in answers:
        assert answer.text == said.text
        assert answer.tool_calls == answers[0].tool_calls != []
        assert answer.response_metadata["model_name"] == "m"
        assert answer.response_metadata["cost_usd"] == 0.25
        assert answer.usage_metadata == answers[0].usage_metadata
    assert said.response_metadata == {}, "the script's own message must stay as it was"


def _joined(pieces: list[AIMessageChunk]) -> AIMessage:
    whole = pieces[0]
    for piece in pieces[1:]:
        whole += piece
    return whole


def test_usage_is_absent_counted_fixed_or_the_messages_own() -> None:
    fixed = {"input_tokens": 7, "output_tokens": 2, "total_tokens": 9, "input_token_details": {"cache_read": 5}}
    own = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    assert ScriptedModel(["x"]).invoke("q").usage_metadata is None
    counted = ScriptedModel(["y" * 40], usage="auto").invoke("x" * 400).usage_metadata
    assert counted == {"input_tokens": 101, "output_tokens": 11, "total_tokens": 112}
    assert ScriptedModel(["x"], usage=fixed).invoke("q").usage_metadata == fixed  # type: ignore[arg-type]
    message = AIMessage("x", usage_metadata=own)  # type: ignore[arg-type]
    assert ScriptedModel([message], usage="auto").invoke("q").usage_metadata == own


def test_name_and_window_stand_where_models_carry_them() -> None:
    model = ScriptedModel(["x"], window=4_096)
    assert model.profile is not None
    assert model.profile["max_input_tokens"] == 4_096
    assert model.model_name == "scripted"
    assert model.invoke("q").response_metadata["model_name"] == "scripted"
    assert ScriptedModel(["x"]).profile is None


def test_each_reply_is_given_once_when_threads_share_the_model() -> None:
    model = ScriptedModel([str(number) for number in range(200)])
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: model.invoke(f"q{number}").text, range(200)))
    assert sorted(answers, key=int) == [str(number) for number in range(200)]
    asked = [request[0].text for request in model.requests]
    assert [answers[int(question[1:])] for question in asked] == [str(number) for number in range(200)]


async def test_the_delay_of_many_requests_at_once_is_waited_once() -> None:
    model = ScriptedModel(["x"] * 20, delay=0.1)
    started = time.monotonic()
    await asyncio.gather(*(model.ainvoke("q") for _ in range(20)))
    assert 0.1 <= time.monotonic() - started < 1.0


def test_bound_tools_and_options_are_recorded() -> None:
    model = ScriptedModel(["x", "y"])
    model.bind_tools([look_up], tool_choice="any").invoke("q", stop=["\n"])
    model.invoke("q")
    first, second = model.options
    assert first["tools"][0]["function"]["name"] == "look_up"
    assert first["tool_choice"] == "any"
    assert first["stop"] == ["\n"]
    assert second == {}


def test_a_copy_shares_script_and_requests() -> None:
    model = ScriptedModel(["one", "two"])
    copy = model.model_copy(update={"name": "other"})
    assert [model.invoke("a").text, copy.invoke("b").text] == ["one", "two"]
    assert len(model.requests) == len(copy.requests) == 2


async def test_its_words_are_streamed_out_of_a_graph() -> None:
    model = ScriptedModel(["hello big world"] * 2)
    builder = StateGraph(MessagesState)
    builder.add_node("answer", lambda state: {"messages": [model.invoke(state["messages"])]})
    builder.add_edge(START, "answer")
    graph = builder.compile()
    question = {"messages": [HumanMessage("hi")]}
    assert [message.text for message, _ in graph.stream(question, stream_mode="messages")][:3] == [
        "hello ",
        "big ",
        "world",
    ]


@pytest.mark.parametrize("replies", ["text", [object()], lambda messages: 5])
def test_what_is_no_reply_is_refused(replies: object) -> None:
    with pytest.raises(InvalidInput, match="ScriptedModel"):
        ScriptedModel(replies).invoke("q")  # type: ignore[arg-type]
