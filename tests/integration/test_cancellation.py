"""Whoever stops a run stops its cells too: nothing is left running."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_rlm import ContextStore, Limits, create_rlm
from langgraph_rlm.errors import ModelError
from langgraph_rlm.runs.stopping import Stop
from tests.killable import Job, Log, asked_again, main, written
from tests.openai_server import HANG, OpenAIServer
from tests.support import WatchedFactory, cell, scripted

ASK = {"question": "Which?", "context": "some text"}
LOOP = cell("llm_query('I am running')", "while True: pass")


class Signal:
    """A sub-model that tells when it is asked."""

    def __init__(self, prompt: str = "") -> None:
        self.asked = threading.Event()
        self.model = scripted(self._reply)
        self._prompt = prompt

    def _reply(self, messages: Any) -> str:
        if self._prompt in messages[-1].text:
            self.asked.set()
        return "ok"


@pytest.mark.parametrize("how", ["ainvoke", "astream"])
async def test_cancelling_an_awaited_run_ends_its_endless_cell(how: str) -> None:
    factory, sub = WatchedFactory(), Signal()
    graph = create_rlm(scripted([LOOP]), sub_model=sub.model, sandbox=factory)

    async def consume() -> None:
        async for _ in graph.astream(ASK):
            pass

    task = asyncio.create_task(graph.ainvoke(ASK) if how == "ainvoke" else consume())
    assert await asyncio.to_thread(sub.asked.wait, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(factory.started) == 1
    assert factory.alive == []


async def test_cancelling_a_run_ends_its_children_too() -> None:
    factory, sub = WatchedFactory(), Signal()

    def root(messages: Any) -> str:
        return LOOP if "QUESTION\nchild" in messages[1].text else cell("rlm_query_batched(['child 1', 'child 2'])")

    graph = create_rlm(scripted(root), sub_model=sub.model, sandbox=factory, limits=Limits(max_depth=2))
    task = asyncio.create_task(graph.ainvoke(ASK))
    assert await asyncio.to_thread(sub.asked.wait, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(factory.started) >= 2
    assert factory.alive == []


async def test_cancelling_a_run_gives_up_the_sub_calls_in_flight(openai_server: OpenAIServer) -> None:
    openai_server.reply = lambda request: HANG
    factory = WatchedFactory()
    graph = create_rlm(
        scripted([cell("FINAL(llm_query_batched(['a', 'b', 'c']))")]),
        sub_model=openai_server.chat_model(timeout=60),
        sandbox=factory,
    )
    task = asyncio.create_task(graph.ainvoke(ASK))
    assert await asyncio.to_thread(openai_server.wait_for_hanging, 3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert factory.alive == []


async def test_a_cancelled_run_goes_on_without_paying_again_what_was_answered() -> None:
    factory, sub = WatchedFactory(), Signal("I am running")
    looping = cell("y = llm_query('in this cell')", "llm_query('I am running')", "while True: pass")
    root = scripted([cell("x = llm_query('before')"), looping, cell("FINAL([x, y])")])
    graph = create_rlm(
        root, sub_model=sub.model, sandbox=factory, checkpointer=InMemorySaver(), limits=Limits(cell_timeout=0.5)
    )
    config: Any = {"configurable": {"thread_id": "a"}}
    task = asyncio.create_task(graph.ainvoke(ASK, config))
    assert await asyncio.to_thread(sub.asked.wait, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert factory.alive == []
    done = await graph.ainvoke(None, config)
    assert done["answer"] == '["ok", "ok"]'
    prompts = [request[-1].text for request in sub.model.requests]
    assert (prompts.count("before"), prompts.count("in this cell")) == (1, 1)
    assert factory.alive == []


@pytest.mark.parametrize("how", ["deadline", "cancelled"])
async def test_a_replay_that_hangs_ends_with_the_run(how: str, tmp_path: Path) -> None:
    """A cell that ended by itself may run for ever when it runs again: the world has changed."""
    factory, sub, lock = WatchedFactory(), Signal(), tmp_path / "lock"
    root = scripted(
        [cell("import os", f"while os.path.exists({str(lock)!r}): pass"), RuntimeError("down"), cell("x = 1")]
    )
    graph = create_rlm(root, sub_model=sub.model, sandbox=factory, checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "a"}}
    with pytest.raises(Exception, match="down"):
        await graph.ainvoke(ASK, config)
    factory.lose_all()
    lock.touch()
    if how == "deadline":
        config["configurable"]["rlm"] = {"limits": {"max_seconds": 1.5}}
        done = await graph.ainvoke(None, config)
        assert done["stop_reason"] == "deadline"
    else:
        task = asyncio.create_task(graph.ainvoke(None, config))
        while len(factory.started) < 2:  # the replay is on its way
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert len(factory.started) == 2
    assert factory.alive == []


class Hanging:
    """A sub-model that answers at once, but some prompts never, until it is told to. One loop's only."""

    def __init__(self, never: Callable[[str], bool]) -> None:
        self.asked: list[str] = []
        self.hangs = asyncio.Semaphore(0)
        self.never: Callable[[str], bool] = never
        self.model = RunnableLambda(self._refused, self._answer)

    def _refused(self, messages: Any) -> AIMessage:
        raise AssertionError("asked by its sync method")

    async def _answer(self, messages: Any) -> AIMessage:
        prompt = messages[-1].text
        self.asked.append(prompt)
        if self.never(prompt):
            self.hangs.release()
            await asyncio.Event().wait()
        return AIMessage(f"<{prompt}>")


BATCH = cell("parts = llm_query_batched([f'part {i}' for i in range(40)])", "FINAL(' '.join(parts))")
IN_FLIGHT = [f"part {number}" for number in range(10, 14)]


@pytest.mark.parametrize("how", ["ainvoke", "astream"])
async def test_a_cancelled_batch_goes_on_with_the_calls_that_were_not_answered(how: str, tmp_path: Path) -> None:
    factory, sub = WatchedFactory(), Hanging(lambda prompt: prompt in IN_FLIGHT)
    contexts = ContextStore(tmp_path / "contexts")
    graph = create_rlm(
        scripted(lambda messages: BATCH), sub_model=sub.model, sandbox=factory, checkpointer=InMemorySaver(),
        contexts=contexts, limits=Limits(max_concurrency=4, max_cost_usd=None),
    )  # fmt: skip
    config: Any = {"configurable": {"thread_id": "a"}}

    async def consume() -> None:
        async for _ in graph.astream(ASK, config):
            pass

    task = asyncio.create_task(graph.ainvoke(ASK, config) if how == "ainvoke" else consume())
    for _ in IN_FLIGHT:  # so all others before them were answered and recorded: there was no room for them else
        await sub.hangs.acquire()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert factory.alive == []
    sub.never = lambda prompt: False
    done = await graph.ainvoke(None, config)
    assert done["answer"] == " ".join(f"<part {number}>" for number in range(40))
    counts = Counter(sub.asked)
    assert sorted(prompt for prompt in counts if counts[prompt] > 1) == IN_FLIGHT
    assert set(counts.values()) == {1, 2}
    assert done["usage"]["calls"] == 1 + 40 + len(IN_FLIGHT)  # these may have been billed
    assert factory.alive == []
    contexts.close()


def test_a_batch_of_a_closed_stream_goes_on_with_the_calls_that_were_not_answered(tmp_path: Path) -> None:
    factory, contexts = WatchedFactory(), ContextStore(tmp_path / "contexts")
    hang, release, asked = threading.Semaphore(0), threading.Event(), list[str]()

    def sub(messages: Any) -> str:
        prompt = messages[-1].text
        asked.append(prompt)
        if prompt in IN_FLIGHT and not closed:
            hang.release()
            release.wait()
        return f"<{prompt}>"

    graph = create_rlm(
        scripted(lambda messages: BATCH), sub_model=scripted(sub), sandbox=factory, checkpointer=InMemorySaver(),
        contexts=contexts, limits=Limits(max_concurrency=4),
    )  # fmt: skip
    config: Any = {"configurable": {"thread_id": "a"}}
    parts, closed = graph.stream(ASK, config, stream_mode="custom"), False
    try:
        assert next(event for event in parts if event["event"] == "cell_start")
        assert all(hang.acquire(timeout=30) for _ in IN_FLIGHT)
        parts.close()
        assert factory.alive == []
        closed = True
        done = graph.invoke(None, config)
    finally:
        release.set()
    assert done["answer"] == " ".join(f"<part {number}>" for number in range(40))
    assert Counter(asked) == Counter([*(f"part {number}" for number in range(40)), *IN_FLIGHT])
    assert done["usage"]["calls"] == 1 + 40 + len(IN_FLIGHT)
    contexts.close()


async def test_closing_an_async_stream_ends_its_endless_cell() -> None:
    factory, sub = WatchedFactory(), Signal()
    graph = create_rlm(scripted([LOOP]), sub_model=sub.model, sandbox=factory)
    parts = graph.astream(ASK, stream_mode="custom")
    async for event in parts:
        if event["event"] == "cell_start":
            break
    assert await asyncio.to_thread(sub.asked.wait, 30)
    await parts.aclose()
    assert len(factory.started) == 1
    assert factory.alive == []


@pytest.mark.parametrize("after", ["while True: pass", "llm_query('never')"], ids=["endless cell", "call in flight"])
def test_closing_a_sync_stream_ends_what_runs(after: str) -> None:
    factory, release, asked = WatchedFactory(), threading.Event(), threading.Event()

    def sub(messages: Any) -> str:
        asked.set()
        if messages[-1].text == "never":
            release.wait()
        return "ok"

    graph = create_rlm(
        scripted([cell("llm_query('I am running')", after)]), sub_model=scripted(sub), sandbox=factory,
        limits=Limits(cell_timeout=3600),
    )  # fmt: skip
    parts = graph.stream(ASK, stream_mode="custom")
    try:
        assert next(event for event in parts if event["event"] == "cell_start")
        assert asked.wait(30)
        closing = threading.Thread(target=parts.close, daemon=True)
        closing.start()
        closing.join(30)
        assert not closing.is_alive()
        assert len(factory.started) == 1
        assert factory.alive == []
    finally:
        factory.lose_all()
        release.set()


@pytest.mark.parametrize("how", ["to its end", "closed", "failed"])
def test_nothing_listens_for_ctrl_c_after_a_sync_stream(how: str) -> None:
    replies = [RuntimeError("down")] if how == "failed" else [cell("FINAL(1)")]
    parts = create_rlm(scripted(replies)).stream(ASK, stream_mode="custom")
    next(parts)
    listeners = [thread for thread in threading.enumerate() if thread.name == "rlm-ctrl-c"]
    if how == "closed":
        parts.close()
    with nullcontext() if how != "failed" else pytest.raises(ModelError, match="down"):
        list(parts)
    for thread in listeners:
        thread.join(30)
    assert len(listeners) == 1
    assert not listeners[0].is_alive()
    assert signal.set_wakeup_fd(-1) == -1


def test_who_listened_to_signals_before_a_sync_stream_goes_on_hearing_of_them() -> None:
    ear, button = socket.socketpair()
    button.setblocking(False)
    ear.settimeout(30)
    handled = signal.signal(signal.SIGUSR1, lambda number, frame: None)
    before = signal.set_wakeup_fd(button.fileno())
    try:
        graph = create_rlm(
            scripted([cell("llm_query('x')", "FINAL(1)")]),
            sub_model=scripted(lambda messages: os.kill(os.getpid(), signal.SIGUSR1) or "ok"),
        )
        assert graph.invoke(ASK)["answer"] == "1"
        assert ear.recv(8) == bytes([signal.SIGUSR1])
        assert signal.set_wakeup_fd(-1) == button.fileno()
    finally:
        signal.set_wakeup_fd(before)
        signal.signal(signal.SIGUSR1, handled)
        ear.close()
        button.close()


async def test_cancelled_runs_leave_no_threads_and_no_descriptors_behind() -> None:
    factory = WatchedFactory()
    seen: list[tuple[int, int]] = []
    for _ in range(16):
        sub = Hanging(lambda prompt: prompt != "part 0")
        graph = create_rlm(scripted([BATCH]), sub_model=sub.model, sandbox=factory, limits=Limits(max_cost_usd=None))
        task = asyncio.create_task(graph.ainvoke(ASK))
        await sub.hangs.acquire()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert factory.alive == []
        seen.append((threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))))
    threads, descriptors = (max(values[8:]) - max(values[:8]) for values in zip(*seen, strict=True))
    assert threads <= 2
    assert descriptors <= 2


def ended(pid: int) -> bool:
    """Whether a process is gone, or a zombie that nobody has buried, within ten seconds."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 10)[0])
    finally:
        os.close(descriptor)


def test_ctrl_c_between_two_parts_of_a_sync_stream_ends_its_endless_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    factory, sub, parts = WatchedFactory(), Signal(), list[dict[str, Any]]()

    @contextmanager
    def too_late(self: Stop) -> Iterator[None]:
        """Guards as ever, and the Ctrl-C comes as soon as it does not any more."""
        with guarded(self):
            yield
        if any(part["event"] == "cell_start" for part in parts):
            assert sub.asked.wait(30)
            raise KeyboardInterrupt

    guarded = Stop.at_ctrl_c
    monkeypatch.setattr(Stop, "at_ctrl_c", too_late)
    graph = create_rlm(
        scripted([LOOP]), sub_model=sub.model, sandbox=factory, limits=Limits(cell_timeout=3600, max_seconds=3600)
    )
    with pytest.raises(KeyboardInterrupt):
        for part in graph.stream(ASK, stream_mode="custom"):
            parts.append(part)
    assert len(factory.started) == 1
    assert factory.alive == []


SCRIPT = """
import os, sys, threading
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from langgraph_rlm import create_rlm

def root(messages):
    return AIMessage("```repl\\nimport os\\nllm_query(str(os.getpid()))\\n{after}\\n```")

def sub(messages):
    print(messages[-1].text, flush=True)
    {sub}
    return AIMessage("ok")

graph = create_rlm(RunnableLambda(root), sub_model=RunnableLambda(sub), sandbox="unsafe")
asked = {{"question": "Which?", "context": "some text"}}
try:
    {run}
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


DEAF = """import signal
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    """
"""From now on signals come to another thread, as they may at any time."""


@pytest.mark.parametrize(
    ("run", "after", "sub"),
    [
        ("graph.invoke(asked)", "while True: pass", "pass"),
        ("graph.invoke(asked)", "", "threading.Event().wait()"),
        ("list(graph.stream(asked, stream_mode='custom'))", "while True: pass", "pass"),
        (DEAF + "list(graph.stream(asked, stream_mode='custom'))", "while True: pass", "pass"),
    ],
    ids=[
        "in an endless cell",
        "in a model that never answers",
        "in an endless cell of a stream",
        "that the main thread does not hear",
    ],
)
def test_ctrl_c_ends_a_sync_run_its_cell_and_its_process(run: str, after: str, sub: str) -> None:
    script = textwrap.dedent(SCRIPT).format(run=run, after=after, sub=sub)
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    try:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert "interrupted" in out
    assert process.returncode == 0, err
    assert ended(worker)


def children_of(pid: int) -> list[int]:
    """Its processes, down to the last."""
    found = [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]
    return found + [grandchild for child in found for grandchild in children_of(child)]


@pytest.mark.parametrize(
    ("number", "saver"),
    [
        (signal.SIGINT, "sqlite"),
        (signal.SIGTERM, "sqlite"),
        (signal.SIGINT, "asqlite"),
        pytest.param(signal.SIGTERM, "asqlite", marks=pytest.mark.slow),
    ],
)
def test_a_signal_in_a_batch_leaves_no_process_and_loses_no_answer(
    number: signal.Signals, saver: str, tmp_path: Path
) -> None:
    job = Job(directory=str(tmp_path), script="batch", saver=saver, hang_at_request=r"sub part 1[0-3]$")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.killable", written(job)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    try:
        assert process.stdout is not None
        for _ in IN_FLIGHT:
            assert process.stdout.readline() in [f"sub {prompt}\n" for prompt in IN_FLIGHT]
        left = children_of(process.pid)
        assert left  # the cell's
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert ("KeyboardInterrupt" in err) == (number == signal.SIGINT)
    assert process.returncode != 0
    assert all(ended(pid) for pid in left)
    main(replace(job, hang_at_request="", resume=True))
    result = json.loads((tmp_path / "result-thread.json").read_text())
    assert result["answer"] == " / ".join(f"<part {number}>" for number in range(40))
    assert asked_again(tmp_path) == Counter(f"sub {prompt}" for prompt in IN_FLIGHT)
    assert result["usage"]["calls"] == len(Log(tmp_path).names("request"))
