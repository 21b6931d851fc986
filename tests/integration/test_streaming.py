"""What a chat UI gets that streams messages: the tokens of the answer, once, and nothing else unless it asks for more."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import pytest
from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.messages import AIMessage, RemoveMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import TypeAdapter, with_config

from langgraph_rlm import Corpus, Event, Route, create_rag, create_rlm, create_smart_rag
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.testing import ScriptedModel
from tests.support import by_role, cell, make_corpus, scripted

QUESTION = "Where does Anna live?"
ANSWER = "Anna lives in Paris, a city on the river Seine [1]."
READ = f'{ANSWER}\n\nQUOTES\n[1] "Anna lives in Paris"'
UNSUPPORTED = "Anna lives in Rome since 1742 [1]."
DEEP = "Anna lives in Paris; so the cell has found, which looked at everything that there is to be looked at."
SAID: dict[str, Any] = {"messages": [("user", "Who is Anna?"), ("ai", "A painter."), ("user", "Where does she live?")]}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    texts: dict[str, Any] = {
        "anna.md": "Anna lives in Paris. " + "Filler about stones. " * 30_000,
        "b.md": "Nothing. " * 300,
    }
    with make_corpus(tmp_path_factory.mktemp("corpus") / "index", texts) as made:
        yield made


def playing(reader: Any = READ) -> ScriptedModel:
    root = [cell("x = llm_query('sub question')"), cell(f"FINAL({DEEP!r})")] * 9
    return scripted(
        by_role(reader=reader, root=root, sub="sub answer", condense=QUESTION, grader='{"supported": true}')
    )


def graph_of(kind: str, corpus: Corpus, **options: Any) -> tuple[Any, str]:
    """A graph, and its answer."""
    if kind == "rag":
        return create_rag(playing(), corpus=corpus, grader=playing(), **options), ANSWER
    if kind == "rlm":
        return create_rlm(playing(), corpus=corpus, sandbox="unsafe", **options), DEEP
    reader = UNSUPPORTED if kind == "escalating" else READ
    return (
        create_smart_rag(playing(reader), corpus=corpus, rlm={"sandbox": "unsafe"}, **options),
        DEEP if kind == "escalating" else ANSWER,
    )


KINDS = pytest.mark.parametrize("kind", ["rag", "rlm", "smart", "escalating"])


def parent_of(graph: Any) -> Any:
    builder = StateGraph(MessagesState)
    builder.add_node("research", graph)
    builder.add_edge(START, "research")
    return builder.compile()


def joined(messages: Any) -> dict[str, str]:
    """Text of each message id, as a UI puts it together."""
    texts: dict[str, str] = {}
    for message in messages:
        texts[message.id] = texts.get(message.id, "") + message.text
    return texts


async def messages_of(graph: Any, said: Any, config: Any = None, *, way: str, subgraphs: bool = False) -> list[Any]:
    """The messages that a UI gets."""
    options: Any = {"stream_mode": "messages", "subgraphs": subgraphs}
    if way == "astream_events":
        events = [e async for e in graph.astream_events(said, config, version="v2")]
        return [e["data"]["chunk"] for e in events if e["event"] == "on_chat_model_stream"]
    if way == "stream":
        parts = await asyncio.to_thread(lambda: list(graph.stream(said, config, **options)))
    else:
        parts = [part async for part in graph.astream(said, config, **options)]
    return [(part[1] if subgraphs else part)[0] for part in parts]


WAYS = pytest.mark.parametrize("way", ["stream", "astream", "astream_events"])


@KINDS
@WAYS
@pytest.mark.parametrize("subgraphs", [False, True])
@pytest.mark.parametrize("above", [0, 1, 2])
async def test_a_ui_gets_the_tokens_of_the_answer_once_and_nothing_else(
    kind: str, way: str, subgraphs: bool, above: int, corpus: Corpus
) -> None:
    graph, answer = graph_of(kind, corpus)
    for _ in range(above):
        graph = parent_of(graph)
    got = await messages_of(graph, SAID, way=way, subgraphs=subgraphs)
    assert list(joined(got).values()) == [answer]
    assert len(got) > 1, "in pieces"
    assert all(len(message.text) < len(answer) for message in got)


@KINDS
async def test_the_pieces_are_those_of_the_message_in_the_state(kind: str, corpus: Corpus) -> None:
    graph, answer = graph_of(kind, corpus)
    parts = [p async for p in graph.astream(SAID, stream_mode=["messages", "values"])]
    (told,) = joined(part[0] for mode, part in parts if mode == "messages").items()
    final = parts[-1][1]["messages"][-1]
    assert (final.id, final.text) == told == (final.id, answer)


@WAYS
async def test_classic_rag_is_streamed_while_the_model_writes(way: str, corpus: Corpus) -> None:
    """The model stops in the middle until what it wrote so far was seen."""
    seen, waited = asyncio.Event(), asyncio.Event()

    class Stopping(ScriptedModel):
        async def _astream(self, *args: Any, **kwargs: Any) -> Any:
            async for number, chunk in _numbered(super()._astream(*args, **kwargs)):
                if number == 6:
                    await asyncio.wait_for(seen.wait(), 20)
                    waited.set()
                yield chunk

    if way == "stream":
        pytest.skip("nobody can look while a sync stream is waited for; the next test is about threads")
    graph = create_rag(Stopping([READ], cost_usd=0.0), corpus=corpus)
    if way == "astream":
        async for message, _ in graph.astream({"question": QUESTION}, stream_mode="messages"):
            if "Paris" in message.text:
                seen.set()
    else:
        async for event in graph.astream_events({"question": QUESTION}, version="v2"):
            if event["event"] == "on_chat_model_stream" and "Paris" in event["data"]["chunk"].text:
                seen.set()
    assert waited.is_set()


async def _numbered(parts: Any) -> Any:
    number = 0
    async for part in parts:
        yield number, part
        number += 1


async def test_a_sync_stream_shows_the_beginning_before_the_model_has_ended(corpus: Corpus) -> None:
    seen = threading.Event()

    class Stopping(ScriptedModel):
        def _stream(self, *args: Any, **kwargs: Any) -> Any:
            for number, chunk in enumerate(super()._stream(*args, **kwargs)):
                if number == 6:
                    assert seen.wait(20)
                yield chunk

    graph = create_rag(Stopping([READ], cost_usd=0.0), corpus=corpus)

    def watch() -> str:
        text = ""
        for message, _ in graph.stream({"question": QUESTION}, stream_mode="messages"):
            text += message.text
            if "Paris" in message.text:
                seen.set()
        return text

    assert await asyncio.to_thread(watch) == ANSWER


@pytest.mark.parametrize("by", ["the request", "the graph"])
async def test_inner_calls_are_told_apart_by_their_metadata_on_request(by: str, corpus: Corpus) -> None:
    graph, answer = graph_of("escalating", corpus, **({"stream": "all"} if by == "the graph" else {}))
    config: RunnableConfig = {"configurable": {"rlm": {"stream": "all"} if by == "the request" else {}}}
    roles: dict[str, str] = {}
    async for _, (message, metadata) in graph.astream(SAID, config, stream_mode="messages", subgraphs=True):
        roles[metadata["rlm_role"]] = roles.get(metadata["rlm_role"], "") + message.text
        assert f"rlm:{metadata['rlm_role']}" in metadata["tags"]
    assert roles["answer"] == answer
    assert {"condense", "reader", "root", "sub"} <= set(roles)
    assert roles["reader"] == UNSUPPORTED


# --- escalation -------------------------------------------------------------------------------------------------------


@WAYS
async def test_an_unsupported_answer_that_was_streamed_early_is_withdrawn_before_the_next(
    way: str, corpus: Corpus
) -> None:
    graph, answer = graph_of("escalating", corpus, stream="early")
    told: list[tuple[str, str]] = []
    if way == "astream_events":
        async for event in graph.astream_events({"question": QUESTION}, version="v2"):
            if event["event"] == "on_chat_model_stream":
                told.append((event["data"]["chunk"].id, event["data"]["chunk"].text))
            elif event["event"] == "on_custom_event" and event["data"]["event"] == "withdrawn":
                told.append((event["data"]["message_id"], "withdrawn"))
    else:
        modes: Any = ["messages", "custom"]
        question: Any = {"question": QUESTION}
        if way == "stream":
            parts = await asyncio.to_thread(lambda: list(graph.stream(question, stream_mode=modes)))
        else:
            parts = [part async for part in graph.astream(question, stream_mode=modes)]
        for mode, part in parts:
            if mode == "messages":
                told.append((part[0].id, part[0].text))
            elif part["event"] == "withdrawn":
                told.append((part["message_id"], "withdrawn"))
    at = next(number for number, (_, text) in enumerate(told) if text == "withdrawn")
    first, last = {one for one, _ in told[:at]}, {one for one, _ in told[at + 1 :]}
    assert first == {told[at][0]}
    assert len(last) == 1
    assert not first & last
    assert "".join(text for _, text in told[:at]) == UNSUPPORTED
    assert "".join(text for _, text in told[at + 1 :]) == answer


async def test_a_withdrawn_message_is_not_in_the_state(corpus: Corpus) -> None:
    graph, answer = graph_of("escalating", corpus)
    done = await graph.ainvoke({"question": QUESTION}, {"configurable": {"rlm": {"stream": "early"}}})
    assert [(m.type, m.text) for m in done["messages"]] == [("human", QUESTION), ("ai", answer)]
    assert not any(isinstance(message, RemoveMessage) for message in done["messages"])


async def test_a_route_that_the_request_chose_is_streamed_at_once(corpus: Corpus) -> None:
    graph, _ = graph_of("escalating", corpus)
    got = await messages_of(graph, {"question": QUESTION}, {"configurable": {"rlm": {"route": "rag"}}}, way="astream")
    assert list(joined(got).values()) == [UNSUPPORTED]
    assert len(got) == len(UNSUPPORTED.split())


async def test_an_answer_that_cannot_go_on_for_want_of_budget_is_told_after_all(corpus: Corpus) -> None:
    graph, _ = graph_of("escalating", corpus, limits={"max_calls": 1})
    got = await messages_of(graph, {"question": QUESTION}, way="astream")
    assert list(joined(got).values()) == [UNSUPPORTED]


async def test_a_wrong_way_of_streaming_is_refused_by_name(corpus: Corpus) -> None:
    with pytest.raises(InvalidInput, match="stream must be one of answer, early, all, not 'soon'"):
        graph_of("smart", corpus, stream="soon")
    graph, _ = graph_of("smart", corpus)
    with pytest.raises(InvalidInput, match=r"configurable\['rlm'\]\['stream'\]"):
        await graph.ainvoke({"question": QUESTION}, {"configurable": {"rlm": {"stream": ["all"]}}})


# --- what is not shown ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("<think>Rome? No.</think>\nParis [1].\nQUOTES\n[1] \"Paris\"", "Paris [1]."),
        ("NOT IN THE PASSAGES: where she lives", "The passages do not hold the answer: where she lives"),
        ("I'm sorry, but I can't assist with that.", "The model refused to answer: I'm sorry, but I can't assist with that."),
        ("Paris [1].\n**QUOTES**\n[1] \"Paris\"", "Paris [1]."),
        ("QUOTES are what she likes [1].\nQUOTES\n[1] \"x\"", "QUOTES are what she likes [1]."),
        ("She lives in Paris <b>now</b> [1]. NOT IN THE PASSAGES is why.", "She lives in Paris <b>now</b> [1]. not in the passages is why."),
        ("Émile 😀 lives there [1].", "Émile 😀 lives there [1]."),
        ("", "The model answered nothing."),
    ],
)  # fmt: skip
@WAYS
async def test_no_part_of_a_reply_is_shown_that_is_not_the_answer(
    reply: str, answer: str, way: str, corpus: Corpus
) -> None:
    graph = create_rag(scripted([reply]), corpus=corpus)
    got = await messages_of(graph, {"question": QUESTION}, way=way)
    assert list(joined(got).values()) == [answer]


async def test_thoughts_that_nobody_could_know_for_such_are_withdrawn(corpus: Corpus) -> None:
    """Some servers leave out the tag that opens a thought."""
    graph = create_rag(scripted(["She paints, so where? Paris.</think>Paris [1]."]), corpus=corpus)
    parts = [p async for p in graph.astream({"question": QUESTION}, stream_mode=["messages", "custom", "values"])]
    withdrawn = [part["message_id"] for mode, part in parts if mode == "custom" and part["event"] == "withdrawn"]
    texts = joined(part[0] for mode, part in parts if mode == "messages")
    assert [texts.pop(one) for one in withdrawn] != []
    final = parts[-1][1]["messages"][-1]
    assert texts == {final.id: final.text} == {final.id: "Paris [1]."}


async def test_a_call_that_fails_in_the_middle_leaves_nothing_wrong_on_the_screen(
    corpus: Corpus, pauses: list[float]
) -> None:
    class Breaking(ScriptedModel):
        tries: int = 0

        async def _astream(self, *args: Any, **kwargs: Any) -> Any:
            self.tries += 1
            async for number, chunk in _numbered(super()._astream(*args, **kwargs)):
                if number == 4 and self.tries == 1:
                    raise ConnectionError("the connection broke")
                yield chunk

    model = Breaking(["Anna lives in Rome, I think.", READ], cost_usd=0.0)
    parts = [p async for p in create_rag(model, corpus=corpus).astream({"question": QUESTION}, stream_mode=["messages", "custom"])]  # fmt: skip
    withdrawn = [part["message_id"] for mode, part in parts if mode == "custom" and part["event"] == "withdrawn"]
    texts = joined(part[0] for mode, part in parts if mode == "messages")
    assert [texts.pop(one) for one in withdrawn] == ["Anna lives in Rome,"]
    assert list(texts.values()) == [ANSWER]
    assert len(pauses) == 1


async def test_what_a_users_grader_or_route_asks_is_not_shown(corpus: Corpus) -> None:
    own = scripted(lambda messages: "nobody should see this")

    def grader(question: str, answer: str, hits: Any) -> bool:
        return bool(own.invoke("is it so?").text)

    graph = create_rag(playing(), corpus=corpus, grader=grader)
    assert list(joined(await messages_of(graph, {"question": QUESTION}, way="astream")).values()) == [ANSWER]

    def echo(state: Any) -> dict[str, str]:
        return {"answer": f"{own.invoke('what?').text} turned round"}

    route = Route("echo", "says it again", make=lambda shared: echo)
    smart = create_smart_rag(playing(), corpus=corpus, routes=[route])
    for way in ("stream", "astream", "astream_events"):
        got = await messages_of(smart, {"question": "?"}, {"configurable": {"rlm": {"route": "echo"}}}, way=way)
        assert list(joined(got).values()) == ["nobody should see this turned round"]


async def test_a_graph_that_a_tool_or_a_function_calls_shows_no_tokens_to_its_caller(corpus: Corpus) -> None:
    graph, _ = graph_of("rag", corpus)

    @tool
    async def research(question: str) -> str:
        """Researches."""
        return str((await graph.ainvoke({"question": question}))["answer"])

    async def node(state: Any) -> Any:
        return {"messages": [AIMessage(f"It says: {await research.ainvoke({'question': QUESTION})}")]}

    got = await messages_of(parent_of(node), {"messages": [("user", "?")]}, way="astream")
    assert list(joined(got).values()) == [f"It says: {ANSWER}"]


async def test_the_event_protocol_of_langgraph_shows_the_answer_too(corpus: Corpus) -> None:
    graph, answer = graph_of("rag", corpus)
    run = await graph.astream_events({"question": QUESTION}, version="v3")
    texts = [str(await message.text) async for message in run.messages]
    assert texts == [answer]


# --- events -----------------------------------------------------------------------------------------------------------

VOLATILE = ("run", "time", "seconds", "message_id", "usage", "left")


def told(events: Any) -> list[dict[str, Any]]:
    """Events without what is different in each run."""
    return [{key: value for key, value in event.items() if key not in VOLATILE} for event in events]


class Listening(AsyncCallbackHandler):
    """A handler of callbacks."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    async def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:
        assert name == "rlm"
        self.events.append(data)


async def events_of(way: str, graph: Any, said: Any) -> list[Any]:
    """The events of a run, as one of the ways to stream gives them."""
    above = parent_of(graph) if way.startswith("parent") else graph
    if way in ("stream", "parent, stream"):
        return await asyncio.to_thread(lambda: list(above.stream(said, stream_mode="custom")))
    if way in ("astream", "parent, astream"):
        return [part async for part in above.astream(said, stream_mode="custom")]
    if way == "parent, subgraphs":
        return [part async for _, part in above.astream(said, stream_mode="custom", subgraphs=True)]
    if way == "stream, version v2":
        parts = await asyncio.to_thread(lambda: list(above.stream(said, stream_mode="custom", version="v2")))
        return [part["data"] for part in parts]
    if way in ("invoke, callbacks", "ainvoke, callbacks"):
        handler = Listening()
        if way == "invoke, callbacks":
            await asyncio.to_thread(graph.invoke, said, {"callbacks": [handler]})
        else:
            await graph.ainvoke(said, {"callbacks": [handler]})
        return handler.events
    stream = above.astream_events(said, version="v2")
    return [event["data"] async for event in stream if event["event"] == "on_custom_event"]


EVENT_WAYS = (
    "stream", "astream", "stream, version v2", "invoke, callbacks", "ainvoke, callbacks", "astream_events", "parent, stream",
    "parent, astream", "parent, subgraphs", "parent, astream_events",
)  # fmt: skip


@KINDS
async def test_every_way_to_stream_gives_the_same_events(kind: str, corpus: Corpus) -> None:
    """Servers give them too, see test_servers.py."""
    graph, _ = graph_of(kind, corpus)
    first = told(await events_of("stream", graph, SAID))
    assert [event["sequence"] for event in first] == list(range(1, len(first) + 1))
    assert first[0]["event"] == "run"
    assert {"answer", "budget"} == {event["event"] for event in first[-2:]}
    for way in EVENT_WAYS[1:]:
        graph, _ = graph_of(kind, corpus)
        assert told(await events_of(way, graph, SAID)) == first, way


@KINDS
async def test_every_event_is_of_its_public_type(kind: str, corpus: Corpus) -> None:
    graph, _ = graph_of(kind, corpus, **({"stream": "early"} if kind == "escalating" else {}))
    of_kind = {get_args(get_type_hints(one)["event"])[0]: one for one in get_args(Event)}
    seen = set()
    async for event in graph.astream(SAID, stream_mode="custom"):
        TypeAdapter(with_config({"extra": "forbid"})(of_kind[event["event"]])).validate_python(event, strict=True)
        assert json.loads(json.dumps(event)) == event
        seen.add(event["event"])
    if kind == "escalating":
        assert {"escalate", "withdrawn", "cell_start", "cell_end", "call_start", "call_end"} <= seen


async def test_no_event_and_no_token_holds_the_context_or_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    canary, key = "ZEBRA-MARK-77 ", "sk-canary0123456789abcdef"
    monkeypatch.setenv("OPENAI_API_KEY", key)

    def leaks(text: str) -> str:
        """Fails with a key in its words."""
        raise ValueError(f"refused: Authorization: Bearer {key} for {text}")

    def root(messages: Any) -> str:
        if "CHILD" in messages[1].text:
            return cell("FINAL(len(context))")
        return cell(
            "a = leaks(context)", "b = rlm_query('CHILD', context)", "c = llm_query(context)", "print(a, b, c)", "FINAL([b, str(c)])"
        )  # fmt: skip

    model = scripted(lambda messages: root(messages) if "root model" in messages[0].text else "seen")
    graph = create_rlm(model, tools=[leaks], sandbox="unsafe", limits={"max_depth": 2})
    said = {"question": "?", "context": canary * 20_000}
    shown = [part async for part in graph.astream(said, stream_mode=["custom", "messages"], subgraphs=True)]
    shown += [event async for event in graph.astream_events(said, version="v2") if event["event"] in ("on_custom_event", "on_tool_start", "on_tool_end", "on_chat_model_stream")]  # fmt: skip
    text = repr(shown)
    assert "child_start" in text
    assert key not in text
    assert canary * 50 not in text
    assert text.count(canary) < 500, "previews alone"
