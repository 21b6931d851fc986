"""Threads of a conversation: several questions, interrupted runs, steps back in time, and nothing of the context kept."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from langgraph_rlm import Limits, create_rag, create_rlm, create_smart_rag
from langgraph_rlm.repl import ReplFactory
from tests.support import Ask, AsyncAsk, SyncAsk, WatchedFactory, by_role, cell, make_corpus, scripted

TEXT = "The dog is red.\nThe cat is blue.\n"


class Saved(NamedTuple):
    """A saver, and how a graph with it may be asked."""

    saver: Any
    ask: Ask

    async def state(self, graph: Any, config: Any) -> Any:
        if isinstance(self.ask, SyncAsk):
            return await asyncio.to_thread(graph.get_state, config)
        return await graph.aget_state(config)

    async def history(self, graph: Any, config: Any) -> list[Any]:
        if isinstance(self.ask, SyncAsk):
            return await asyncio.to_thread(lambda: list(graph.get_state_history(config)))
        return [state async for state in graph.aget_state_history(config)]


@pytest.fixture(params=["memory-invoke", "memory-ainvoke", "sqlite-invoke", "sqlite-ainvoke"])
async def saved(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Saved]:
    kind, face = request.param.split("-")
    ask: Any = SyncAsk() if face == "invoke" else AsyncAsk()
    path = str(tmp_path / "checkpoints.sqlite")
    if kind == "memory":
        yield Saved(InMemorySaver(), ask)
    elif face == "invoke":
        with SqliteSaver.from_conn_string(path) as saver:
            yield Saved(saver, ask)
    else:
        async with AsyncSqliteSaver.from_conn_string(path) as saver:
            yield Saved(saver, ask)


def on(thread: str, **more: Any) -> dict[str, Any]:
    return {"configurable": {"thread_id": thread, **more}}


def make(root: Any, sub: Any = None, **options: Any) -> Any:
    given = {"sandbox": "unsafe", **options}
    return create_rlm(root if not isinstance(root, list) else scripted(root), sub_model=scripted(sub or []), **given)


# --- several questions --------------------------------------------------------------------------------------------


async def test_the_second_question_of_a_thread_gets_an_answer_of_its_own(saved: Saved) -> None:
    root = scripted([cell("secret = 1", "FINAL('red')"), cell("FINAL(['blue', 'secret' in globals(), len(context)])")])
    graph = make(root, ["Which colour has the cat?"], checkpointer=saved.saver)
    first = await saved.ask(graph, {"question": "Which colour has the dog?", "context": TEXT}, on("a"))
    second = await saved.ask(graph, {"question": "And the cat?", "context": "other"}, on("a"))
    assert first["answer"] == "red"
    assert second["answer"] == '["blue", false, 5]'
    assert "QUESTION\nWhich colour has the cat?" in root.requests[1][1].text
    assert len(second["turns"]) == 1
    assert second["usage"]["calls"] == 2  # this question's: the root and the rewriting
    assert [m.text for m in second["messages"]] == [
        "Which colour has the dog?",
        "red",
        "And the cat?",
        '["blue", false, 5]',
    ]


async def test_a_question_without_context_is_about_the_context_of_the_thread(saved: Saved) -> None:
    root = scripted([cell("FINAL('red')"), cell("FINAL(context)")])
    graph = make(root, ["What does it say?"], checkpointer=saved.saver)
    await saved.ask(graph, {"question": "Which?", "context": TEXT}, on("a"))
    assert (await saved.ask(graph, {"question": "And now?"}, on("a")))["answer"] == TEXT
    with pytest.raises(ValueError, match="nothing to read"):
        await saved.ask(graph, {"question": "And now?"}, on("b"))


async def test_threads_know_nothing_of_each_other(saved: Saved) -> None:
    root = scripted(lambda messages: cell("FINAL(context)"))
    graph = make(root, checkpointer=saved.saver)
    await saved.ask(graph, {"question": "Which?", "context": "mine"}, on("a"))
    done = await saved.ask(graph, {"question": "Which?", "context": "theirs"}, on("b"))
    assert done["answer"] == "theirs"
    assert len(done["messages"]) == 2


async def test_a_partial_answer_leaves_nothing_behind_for_the_next_question(saved: Saved) -> None:
    root = scripted([cell("cite('context', 0, 3)", "print(1)"), "no idea", cell("FINAL('blue')")])
    graph = make(root, ["Which colour?"], checkpointer=saved.saver, limits=Limits(max_turns=1))
    first = await saved.ask(graph, {"question": "Which?", "context": TEXT}, on("a"))
    second = await saved.ask(graph, {"question": "And now?", "context": TEXT}, on("a"))
    assert (first["stop_reason"], second["stop_reason"]) == ("turns", "answered")
    assert (len(first["citations"]), second["citations"]) == (1, [])


async def test_rag_in_a_thread_condenses_follow_ups_and_forgets_the_answer_before(saved: Saved, tmp_path: Path) -> None:
    texts = {"dog.txt": "The dog Rex is red.", "cat.txt": "The cat Tom is blue."}
    with make_corpus(tmp_path / "index", texts) as corpus:
        model = scripted(
            by_role(
                condense="Which colour has the cat Tom?",
                reader=['Red [1].\nQUOTES\n[1] "The dog Rex is red."', "NOT IN THE PASSAGES: nothing on cats."],
            )
        )
        graph = create_rag(model, corpus=corpus, k=1, checkpointer=saved.saver)
        first = await saved.ask(graph, {"question": "Which colour has the dog Rex?"}, on("a"))
        second = await saved.ask(graph, {"question": "And Tom?"}, on("a"))
    assert first["citations"][0]["verified"]
    assert "cat Tom" in model.requests[2][-1].text
    assert second["citations"] == []
    assert not second["grade"]["supported"]
    assert [m.type for m in second["messages"]] == ["human", "ai", "human", "ai"]


# --- interrupted runs ---------------------------------------------------------------------------------------------

STEPS = [
    cell("a = llm_query('one')"),
    cell("b = llm_query_batched(['two', 'two'])", "cite('context', 0, 7)"),
    cell("FINAL([a, *b, len(context)])"),
]
ANSWER = '["one-0", "two-1", "two-2", 33]'


def numbered() -> Any:
    count = iter(range(100))
    lock = threading.Lock()

    def reply(messages: Any) -> str:
        with lock:
            return f"{messages[-1].text}-{next(count)}"

    return reply


@pytest.mark.parametrize("lost", [False, True], ids=["live REPL", "lost REPL"])
@pytest.mark.parametrize("nodes", [["think"], ["execute"], ["answer"], ["think", "execute", "answer"]], ids="+".join)
async def test_a_run_that_was_interrupted_before_a_node_goes_on_without_paying_twice(
    nodes: list[str], lost: bool, saved: Saved
) -> None:
    factory, root, sub = WatchedFactory(), scripted(STEPS), scripted(numbered())
    graph = create_rlm(root, sub_model=sub, sandbox=factory, checkpointer=saved.saver, limits=Limits(max_concurrency=1))
    await saved.ask(graph, {"question": "Which?", "context": TEXT}, on("a"), interrupt_before=nodes)
    pauses = 0
    while (await saved.state(graph, on("a"))).next:
        pauses += 1
        if lost:
            factory.lose_all()
        done = await saved.ask(graph, None, on("a"), interrupt_before=nodes)
    done = (await saved.state(graph, on("a"))).values
    assert pauses >= 1
    assert done["answer"] == ANSWER
    assert (len(root.requests), len(sub.requests)) == (3, 3)
    assert done["usage"]["calls"] == 6
    assert [c["quote"] for c in done["citations"]] == ["The dog"]
    assert factory.alive == []


@pytest.mark.parametrize("lost", [False, True], ids=["live REPL", "lost REPL"])
@pytest.mark.parametrize("failing", range(3))
async def test_a_run_whose_root_model_failed_goes_on_where_it_was(failing: int, lost: bool, saved: Saved) -> None:
    script: list[Any] = [*STEPS]
    script.insert(failing, RuntimeError("down"))
    factory, root, sub = WatchedFactory(), scripted(script), scripted(numbered())
    graph = create_rlm(root, sub_model=sub, sandbox=factory, checkpointer=saved.saver, limits=Limits(max_concurrency=1))
    with pytest.raises(Exception, match="down"):
        await saved.ask(graph, {"question": "Which?", "context": TEXT}, on("a"))
    if lost:
        factory.lose_all()
    done = await saved.ask(graph, None, on("a"))
    assert done["answer"] == ANSWER
    assert (len(root.requests), len(sub.requests)) == (4, 3)
    assert [m.type for m in done["messages"]] == ["human", "ai"]


async def test_a_run_that_was_cut_off_inside_a_cell_pays_only_for_what_is_missing(saved: Saved) -> None:
    class Cut(BaseException):
        """As a killed process: nothing may catch it."""

    factory = WatchedFactory()
    sub = scripted(lambda messages: messages[-1].text.upper())
    calls = {"n": 0}

    class FailingFactory(ReplFactory):
        def start(self, *args: Any, **kwargs: Any) -> Any:
            repl = factory.start(*args, **kwargs)
            execute = repl.execute

            def once(code: str, on_call: Any) -> Any:
                def cut(name: str, given: Any, named: Any) -> Any:
                    calls["n"] += 1
                    if calls["n"] == 4:
                        raise Cut
                    return on_call(name, given, named)

                return execute(code, cut)

            repl.execute = once  # type: ignore[method-assign]
            return repl

    root = scripted([cell("FINAL([llm_query(p) for p in 'abcdef'])")])
    graph = create_rlm(root, sub_model=sub, sandbox=FailingFactory(), checkpointer=saved.saver)
    with pytest.raises(BaseException) as raised:
        await saved.ask(graph, {"question": "Which?", "context": TEXT}, on("a"))
    assert isinstance(raised.value, Cut)
    assert len(sub.requests) == 3
    done = await saved.ask(graph, None, on("a"))
    assert done["answer"] == '["A", "B", "C", "D", "E", "F"]'
    assert len(sub.requests) == 6
    assert len(root.requests) == 1
    assert factory.alive == []


# --- steps back in time -------------------------------------------------------------------------------------------


async def test_going_back_in_time_gives_a_repl_with_the_variables_of_that_time(saved: Saved) -> None:
    replies = iter(
        [
            cell("x = ['one']"),
            cell("x.append('two')"),
            cell("FINAL(x)"),
            cell("x.append('other two')"),
            cell("FINAL(x)"),
        ]
    )
    root = scripted(lambda messages: next(replies))
    graph = make(root, checkpointer=saved.saver)
    first = await saved.ask(graph, {"question": "Which?", "context": TEXT}, on("a"))
    assert first["answer"] == '["one", "two"]'

    after_one = [
        state
        for state in await saved.history(graph, on("a"))
        if state.next == ("think",) and len(state.values["turns"]) == 1
    ]
    assert len(after_one) == 1
    # Another question from the same point in time: another reply, so another branch.
    update = {"rlm_task": after_one[0].values["rlm_task"] + "\nBe brief."}
    if isinstance(saved.ask, SyncAsk):
        fork = await asyncio.to_thread(graph.update_state, after_one[0].config, update, "execute")
    else:
        fork = await graph.aupdate_state(after_one[0].config, update, "execute")
    second = await saved.ask(graph, None, fork)
    assert second["answer"] == '["one", "other two"]'
    assert [turn["code"] for turn in second["turns"]] == ["x = ['one']", "x.append('other two')", "FINAL(x)"]


async def test_going_back_to_the_same_point_repeats_the_run_for_free(saved: Saved) -> None:
    root, sub = scripted(STEPS), scripted(numbered())
    graph = create_rlm(
        root, sub_model=sub, sandbox="unsafe", checkpointer=saved.saver, limits=Limits(max_concurrency=1)
    )
    await saved.ask(graph, {"question": "Which?", "context": TEXT}, on("a"))
    for state in await saved.history(graph, on("a")):
        if state.next and state.next[0] in ("think", "execute", "answer"):
            again = await saved.ask(graph, None, state.config)
            assert again["answer"] == ANSWER
    assert (len(root.requests), len(sub.requests)) == (3, 3)


# --- two at once --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("thread", ["same", "different"])
async def test_two_runs_at_once_do_not_mix_their_repls(thread: str, ask: Ask) -> None:
    both_have_run_a_cell = threading.Barrier(2)

    def root(messages: Any) -> str:
        if len(messages) == 2:
            return cell("x = context")
        if len(messages) == 4:
            both_have_run_a_cell.wait(20)
            return cell("x = x + '!'")
        return cell("FINAL(x)")

    from langchain_core.messages import AIMessage
    from langchain_core.runnables import RunnableLambda

    async def awaited(messages: Any) -> AIMessage:
        return AIMessage(await asyncio.to_thread(root, messages))

    model = RunnableLambda(lambda messages: AIMessage(root(messages)), afunc=awaited)
    graph = create_rlm(model, sandbox="unsafe", checkpointer=InMemorySaver(), limits=Limits(max_cost_usd=None))
    done = await asyncio.gather(
        *(
            ask(graph, {"question": "Which?", "context": text}, on("t" if thread == "same" else text))
            for text in ("first", "second")
        )
    )
    assert [one["answer"] for one in done] == ["first!", "second!"]


# --- nothing of the context is kept -------------------------------------------------------------------------------

MARKER = "Zq7MARKERq7Z"
BIG = f"The secret {MARKER} stands here.\n" * 120_000  # about 4 MB


class Inputs(BaseCallbackHandler):
    """Everything that a tracer would be told."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        self.seen.append(repr(inputs))

    def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        self.seen.append(repr(outputs))

    def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
        self.seen.append(repr(messages))


def shapes() -> dict[str, Any]:
    from langchain_core.documents import Document

    return {"text": BIG, "list": [BIG], "fields": {"big": BIG}, "documents": [Document(BIG, id="big")]}


def everything_in(path: Path) -> bytes:
    """All bytes of a database: the file, its log, and every value of every row."""
    parts = [file.read_bytes() for file in path.parent.glob(path.name + "*")]
    with closing(sqlite3.connect(path)) as database:
        for (table,) in database.execute("select name from sqlite_master where type = 'table'").fetchall():
            for row in database.execute(f"select * from {table}"):
                parts.extend(value if isinstance(value, bytes) else str(value).encode() for value in row)
    return b"".join(parts)


@pytest.mark.parametrize("shape", ["text", "list", "fields", "documents"])
@pytest.mark.parametrize("face", ["invoke", "ainvoke"])
async def test_a_raw_context_leaves_no_copy_in_checkpoints_traces_and_events(
    shape: str, face: str, tmp_path: Path
) -> None:
    assert len(BIG) > 4_000_000
    path, traced = tmp_path / "checkpoints.sqlite", Inputs()
    replies = [cell("text = context if isinstance(context, str) else str(context)"), cell("FINAL(str(len(text)))")]
    input = {"question": "How long?", "context": shapes()[shape]}
    config = on("a") | {"callbacks": [traced]}
    modes = ["updates", "values", "debug", "custom", "tasks", "checkpoints"]
    if face == "invoke":
        with SqliteSaver.from_conn_string(str(path)) as saver:
            graph = make(replies, checkpointer=saver)
            events = await asyncio.to_thread(lambda: list(graph.stream(input, config, stream_mode=modes)))
            written = everything_in(path)
    else:
        async with AsyncSqliteSaver.from_conn_string(str(path)) as saver:
            graph = make(replies, checkpointer=saver)
            events = [event async for event in graph.astream(input, config, stream_mode=modes)]
            written = everything_in(path)
    assert b"How long?" in written
    assert MARKER.encode() not in written
    assert len(written) < 1_000_000
    assert len(events) > 5
    assert MARKER not in repr(events)
    assert len(traced.seen) > 5
    assert not any(MARKER in seen for seen in traced.seen)


async def test_smart_rag_keeps_no_copy_either(ask: Ask, tmp_path: Path) -> None:
    traced, saver = Inputs(), InMemorySaver()
    with make_corpus(tmp_path / "index", {"a.txt": "Nothing of interest."}) as corpus:
        rlm = make([cell("FINAL(str(len(context)))")])
        graph = create_smart_rag(scripted([]), corpus=corpus, rlm=rlm, contexts=rlm.rlm.contexts, checkpointer=saver)
        done = await ask(graph, {"question": "How long?", "context": BIG}, on("a") | {"callbacks": [traced]})
    assert (done["route"], done["answer"]) == ("rlm", str(len(BIG)))
    assert not any(MARKER in seen for seen in traced.seen)
    stored = [*saver.storage.values(), *saver.writes.values(), *saver.blobs.values()]
    assert stored
    assert MARKER not in repr(stored)
