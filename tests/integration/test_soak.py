"""Many runs in a row and many at once: nothing grows, nothing is left behind, and nobody gets another's answer."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda

from langgraph_rlm import ContextStore, Limits, Runtime, create_rlm
from langgraph_rlm.calls.memo import MemoryMemo
from langgraph_rlm.errors import ModelError
from tests.support import cell

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks at /proc")

PROC = Path("/proc/self")
TEXT = "The dog is red.\nThe cat is blue.\n" * 100
WARM_UP = 20
DESCRIPTORS_OF_A_REPL = 5
POOLED_THREADS = 8
"""Pools start their threads one by one, when they are needed."""
BYTES_A_RUN = 2_000
"""A run that keeps its state, a message or a thread keeps more than that; what is left is the allocator's."""


# --- what a process holds -------------------------------------------------------------------------------------------


def descriptors() -> int:
    """Open files, sockets and pipes of this process."""
    return len(list((PROC / "fd").iterdir()))


def resident_bytes() -> int:
    """Memory of this process."""
    return int((PROC / "statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def processes() -> set[int]:
    """Children of this process, their children, and so on, zombies included."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int(
                    (entry / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[1]
                )
            except (FileNotFoundError, ProcessLookupError):
                continue
    found, new = set[int](), {os.getpid()}
    while new:
        new = {pid for pid, parent in parents.items() if parent in new}
        found |= new
    return found


def settles(most: dict[str, int]) -> dict[str, int]:
    """What is held; asked again for a while as long as it is more than ``most``, since processes take a moment to end."""
    patience = time.monotonic() + 20
    while True:
        gc.collect()
        # A run that was stopped between two cells may leave its REPL in the pool for a resume: a few, counted apart.
        pooled = len(Runtime.default().repls)
        held = {
            "descriptors": descriptors() - pooled * DESCRIPTORS_OF_A_REPL,
            "threads": threading.active_count(),
            "processes": len(processes()) - pooled,
        }
        if all(held[what] <= most[what] for what in most) or time.monotonic() > patience:
            return held
        time.sleep(0.05)


def growth(resident: list[int]) -> float:
    """Bytes a run by which memory grows in the second half, by a straight line through it."""
    half = resident[len(resident) // 2 :]
    return float(np.polyfit(range(len(half)), half, 1)[0])


def soak(count: int, run: Callable[[int], None], capsys: pytest.CaptureFixture[str], what: str) -> None:
    """Run so many times in a row; afterwards the process must hold what it held after the warm-up."""
    for number in range(WARM_UP):
        run(number)
    most, resident = settles({}), list[int]()
    most["threads"] += POOLED_THREADS
    started = time.monotonic()
    for number in range(count):
        run(WARM_UP + number)
        resident.append(resident_bytes())
    took, held, slope = time.monotonic() - started, settles(most), growth(resident)
    with capsys.disabled():
        print(f"\n{what}: {count} runs in {took:.1f} s, {slope:,.0f} bytes a run, at most {most}, held {held}")
    assert all(held[what] <= most[what] for what in most), (most, held)
    # A few hundred runs are too few for a line: one more arena of the allocator looks like growth.
    assert slope < BYTES_A_RUN or count < 1_000, slope
    assert resident[-1] - resident[0] < 40_000_000


# --- runs -----------------------------------------------------------------------------------------------------------


def root(messages: Any) -> str:
    """Two turns; some fail in a cell, at the model, or at a limit."""
    question = messages[1].text
    if len(messages) == 2:
        return cell("lines = context.count('\\n')", "note = llm_query('a note')", "print(lines, note)")
    if "fails" in question:
        raise ValueError("the model is down")
    if "crashes" in question:
        return cell("import os", "os._exit(1)") if len(messages) == 4 else cell("FINAL(0)")
    if "never ends" in question:
        return cell("print('and on')")
    return cell("FINAL([lines, note])")


def model(reply: Callable[[Any], str]) -> Any:
    """A model that remembers nothing, unlike a scripted one."""

    async def awaited(messages: Any) -> AIMessage:
        return AIMessage(reply(messages))

    return RunnableLambda(lambda messages: AIMessage(reply(messages)), afunc=awaited)


def make(reply: Callable[[Any], str] = root, sub: Any = None, *, memo_bytes: int = 10_000) -> Any:
    """One graph with a small context in memory and models that answer at once, and the context.

    The memo is full after the warm-up; until then it grows, as it should.
    """
    contexts, limits = ContextStore(), Limits(max_turns=3, max_cost_usd=None)
    sub = sub or model(lambda messages: "noted")
    memo = MemoryMemo(max_bytes=memo_bytes)
    return create_rlm(model(reply), sub_model=sub, contexts=contexts, memo=memo, limits=limits), contexts.put(TEXT)


RUNS = [pytest.param(100, id="100 runs"), pytest.param(2_000, id="2,000 runs", marks=pytest.mark.slow)]
FEWER = [pytest.param(25, id="25 runs"), pytest.param(500, id="500 runs", marks=pytest.mark.slow)]


@pytest.mark.parametrize("count", RUNS)
def test_runs_in_a_row_leave_nothing_behind(count: int, capsys: pytest.CaptureFixture[str]) -> None:
    graph, ref = make()

    def run(number: int) -> None:
        assert graph.invoke({"question": "Which?", "context": ref})["answer"] == '[200, "noted"]'

    soak(count, run, capsys, "invoke")


@pytest.mark.parametrize("count", RUNS)
def test_awaited_runs_in_a_row_leave_nothing_behind(count: int, capsys: pytest.CaptureFixture[str]) -> None:
    graph, ref = make()
    with asyncio.Runner() as loop:

        def run(number: int) -> None:
            assert loop.run(graph.ainvoke({"question": "Which?", "context": ref}))["answer"] == '[200, "noted"]'

        soak(count, run, capsys, "ainvoke")


@pytest.mark.parametrize("how", ["fails", "crashes", "never ends"])
@pytest.mark.parametrize("count", FEWER)
def test_runs_that_come_to_a_bad_end_leave_nothing_behind(
    count: int, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    graph, ref = make()

    def run(number: int) -> None:
        question = {"question": f"This {how}.", "context": ref}
        if how == "fails":
            with pytest.raises(ModelError, match="down"):
                graph.invoke(question)
        else:
            done = graph.invoke(question)
            assert done["stop_reason"] == ("answered" if how == "crashes" else "turns")

    soak(count, run, capsys, how)


@pytest.mark.parametrize("where", ["in a cell", "in a sub-call", "anywhere"])
@pytest.mark.parametrize("count", FEWER)
def test_runs_that_are_cancelled_leave_nothing_behind(
    count: int, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = asyncio.Event()

    async def answered(messages: Any) -> AIMessage:
        asked.set()
        if where == "in a sub-call":
            await asyncio.sleep(60)
        return AIMessage("noted")

    endless = cell("llm_query('a note')", "while True: pass")
    sub = RunnableLambda(lambda messages: AIMessage("noted"), afunc=answered)
    graph, ref = make(root if where != "in a cell" else lambda messages: endless, sub)

    async def cancelled(number: int) -> None:
        asked.clear()
        task = asyncio.create_task(graph.ainvoke({"question": "Which?", "context": ref}))
        await (asyncio.sleep(number % 40 / 1_000) if where == "anywhere" else asked.wait())
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):  # a few have ended before
            await task

    with asyncio.Runner() as loop:
        soak(count, lambda number: loop.run(cancelled(number)), capsys, f"cancelled {where}")


# --- at once ----------------------------------------------------------------------------------------------------------


def numbered(messages: Any) -> str:
    """Cells that know the run's number only from its question, in two turns."""
    number = re.search(r"run number (\d+)\.", messages[1].text)
    assert number is not None
    first = f"mine = {number[1]}\nlines = context.count('\\n')\nnote = llm_query('{number[1]}')"
    return cell(first if len(messages) == 2 else "FINAL([mine, lines, note])")


@pytest.mark.parametrize(
    "count", [pytest.param(30, id="30 runs"), pytest.param(200, id="200 runs", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("how", ["gather", "threads"])
def test_runs_of_one_graph_at_once_get_their_own_answers_and_share_the_context(how: str, count: int) -> None:
    """All of them are in their first cell at the same time."""
    all_there = threading.Barrier(count)

    def note(messages: Any) -> AIMessage:
        all_there.wait(120)
        return AIMessage(f"note of {messages[-1].text}")

    async def awaited(messages: Any) -> AIMessage:
        return await asyncio.get_running_loop().run_in_executor(threads, note, messages)

    graph, ref = make(numbered, RunnableLambda(note, afunc=awaited), memo_bytes=10_000_000)
    questions = [{"question": f"This is run number {number}.", "context": ref} for number in range(count)]

    async def gathered() -> list[Any]:
        return list(await asyncio.gather(*map(graph.ainvoke, questions)))

    with ThreadPoolExecutor(count) as threads:
        done = asyncio.run(gathered()) if how == "gather" else list(threads.map(graph.invoke, questions))
    assert [one["answer"] for one in done] == [f'[{number}, 200, "note of {number}"]' for number in range(count)]
