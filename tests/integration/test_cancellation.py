"""Whoever stops a run stops its cells too: nothing is left running."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_rlm import Limits, create_rlm
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
try:
    graph.invoke({{"question": "Which?", "context": "some text"}})
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize(
    ("after", "sub"),
    [("while True: pass", "pass"), ("", "threading.Event().wait()")],
    ids=["in an endless cell", "in a model that never answers"],
)
def test_ctrl_c_ends_a_sync_run_its_cell_and_its_process(after: str, sub: str) -> None:
    script = textwrap.dedent(SCRIPT).format(after=after, sub=sub)
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
