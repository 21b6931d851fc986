"""The overhead of the recursive route: turns, children, sub-calls, files and memory, with models that answer at once.

python benchmarks/rlm.py             all of it; takes two minutes, and 4 GB of memory for the concurrent runs

Turns are compared with the same cells run by a plain ``exec`` in this process, which has no isolation, no graph and no
limits: what is left is the price of all three. Sub-calls are compared with the bare model, asked side by side. With
``RLMS_PYTHON=/path/to/python`` of an environment that has the official ``rlms`` package, it does the same work beside.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import json
import os
import re
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from _processes import descendants, proportional_mb
from _report import Row, best_ms, median_ms, report
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, StateGraph

from langgraph_rlm import ContextStore, Corpus, Limits, Runtime, SqliteMemo, create_rag, create_rlm
from langgraph_rlm.graphs.nodes import Node
from langgraph_rlm.runs.run import Run
from langgraph_rlm.testing import ScriptedModel

CELLS = [
    "print(len(context), context[:80])",
    "lines = context.count('\\n')\nprint(lines)",
    "hits = grep('ERROR.*timeout', max_matches=20)\nprint(len(hits), hits.seen)",
    "chunks = [context[i:i + 100_000] for i in range(0, 400_000, 100_000)]\nprint([len(c) for c in chunks])",
    "FINAL(f'{lines} lines, {len(hits)} hits')",
]
SUB_CALLS = 1_000
DELAY = 0.1
CHILDREN = 10
RUNS = 200
FREE: dict[str, Any] = {"max_cost_usd": None, "max_calls": None, "max_seconds": None}
LINE = "2026-11-20 12:00:{:02d} INFO worker={} served request {} in {} ms\n"


def log_of(megabytes: int) -> str:
    """A log of this size with a few errors in it."""
    parts, size, number = [], 0, 0
    while size < megabytes << 20:
        line = LINE.format(number % 60, number % 16, number, number * 7919 % 400)
        if number % 5_000 == 4_999:
            line = line.replace("INFO", "ERROR upstream timeout")
        parts.append(line)
        size += len(line)
        number += 1
    return "".join(parts)


def playing(cells: Sequence[str]) -> ScriptedModel:
    """A model that answers each turn with the next of these cells."""

    def script(messages: Sequence[BaseMessage]) -> str:
        return cell(cells[sum(message.type == "ai" for message in messages)])

    return ScriptedModel(script)


def cell(code: str) -> str:
    """A reply that holds one cell."""
    return f"```repl\n{code}\n```"


def answer(graph: Any, question: dict[str, Any], config: Any = None) -> str:
    """What a run has found; an error if it was stopped."""
    return answered(graph.invoke(question, config))


def answered(done: dict[str, Any]) -> str:
    """As above, of a run that has ended."""
    if done["stop_reason"] != "answered":
        raise RuntimeError(f"stopped: {done['stop_reason']}")
    return str(done["answer"])


def in_process(text: str) -> None:
    """The same cells by ``exec``."""
    namespace = {"context": text, "FINAL": lambda value: None, "grep": _Grep(text)}
    for cell in CELLS:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(cell, namespace)


class _Grep:
    def __init__(self, text: str) -> None:
        self._text = text

    def __call__(self, pattern: str, max_matches: int) -> list[str]:
        found = _Hits(match[0] for _, match in zip(range(max_matches), re.finditer(pattern, self._text), strict=False))
        found.seen = len(found)
        return found


class _Hits(list[str]):
    seen = 0


# --- turns ------------------------------------------------------------------------------------------------------------


def turns(logs: dict[int, str], peer: dict[str, Any] | None) -> list[Row]:
    """Whole runs of five turns."""
    rows = []
    for number, (megabytes, target) in enumerate(((4, 60), (40, 100))):
        text, contexts = logs[megabytes], ContextStore()
        graph = create_rlm(playing(CELLS), contexts=contexts, limits=Limits(**FREE))
        started = time.perf_counter()
        question = {"question": "How many lines and errors are there?", "context": contexts.put(text)}
        put = (time.perf_counter() - started) * 1e3
        started = time.perf_counter()
        answer(graph, question)
        cold = (time.perf_counter() - started) * 1e3
        warm = median_ms(lambda graph=graph, question=question: answer(graph, question), repeats=9)
        plain = median_ms(lambda text=text: in_process(text), repeats=5)
        rows.append(Row(f"5 turns on {megabytes} MB, warm", warm, "ms", target, "exec in process", plain))
        if peer:
            rows.append(rows[-1]._replace(peer="rlms", peer_value=peer["turns"][number]))
        rows += [
            Row(f"5 turns on {megabytes} MB, first run", cold, "ms"),
            Row(f"put of {megabytes} MB", put, "ms"),
        ]
    return rows


# --- children ---------------------------------------------------------------------------------------------------------


def child(peer: dict[str, Any] | None) -> list[Row]:
    """One child of one turn, as the cell that waits for it sees it."""
    timed = (
        "import time\n"
        "texts = {text}\n"
        "took = []\n"
        "for text in texts:\n"
        "    began = time.perf_counter()\n"
        "    assert rlm_query('How long is it?', text) == 'long'\n"
        "    took.append((time.perf_counter() - began) * 1e3)\n"
        "FINAL(repr(min(took)))"
    )

    def model(code: str) -> ScriptedModel:
        return ScriptedModel(lambda messages: cell("FINAL('long')" if "How long is it?" in messages[1].text else code))

    rows, question = [], {"question": "Ask your children.", "context": "some text"}
    for what, text in (
        ("on a text of its own", f"[f'text {{number}} ' * 1_000 for number in range({CHILDREN})]"),
        ("on a text that another child has", f"['the same text ' * 1_000] * {CHILDREN}"),
    ):
        graph = create_rlm(model(timed.format(text=text)), limits=Limits(max_depth=2, **FREE))
        row = Row(f"one child {what}", min(float(answer(graph, question)) for _ in range(3)), "ms", 15)
        rows.append(row._replace(peer="rlms", peer_value=peer["child"]) if peer else row)
    return rows


# --- sub-calls --------------------------------------------------------------------------------------------------------


class Plain(Runnable[Any, AIMessage]):
    """A model without the machinery that a LangChain chat model brings along: what is left is ours."""

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> AIMessage:
        time.sleep(DELAY)
        return AIMessage("fine")

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> AIMessage:
        await asyncio.sleep(DELAY)
        return AIMessage("fine")


def sub_calls(peer: dict[str, Any] | None) -> list[Row]:
    """Many sub-calls at once; whole runs."""
    code = f"replies = llm_query_batched([f'What is {{i}}?' for i in range({SUB_CALLS})])\nFINAL(replies.count('fine'))"
    question = {"question": "How many are fine?", "context": "some text"}
    prompts = [f"What is {number}?" for number in range(SUB_CALLS)]
    rows = []
    for model, of in ((ScriptedModel(lambda messages: "fine", delay=DELAY), "a chat model"), (Plain(), "a Runnable")):

        async def gathered(model: Any = model) -> None:
            await asyncio.gather(*map(model.ainvoke, prompts))

        def threaded(model: Any = model) -> None:
            with ThreadPoolExecutor(SUB_CALLS) as pool:
                list(pool.map(model.invoke, prompts))

        alone = {
            "async": best_ms(lambda gathered=gathered: asyncio.run(gathered()), repeats=5),
            "sync": best_ms(threaded, repeats=5),
        }
        for memo in ("memory", "SQLite"):
            with tempfile.TemporaryDirectory() as folder:
                graph = create_rlm(
                    playing([code]),
                    sub_model=model,
                    memo=SqliteMemo(Path(folder) / "memo.sqlite3") if memo == "SQLite" else None,
                    limits=Limits(max_concurrency=SUB_CALLS, **FREE),
                )

                async def awaited(graph: Any = graph) -> None:
                    assert answered(await graph.ainvoke(question)) == str(SUB_CALLS)

                def called(graph: Any = graph) -> None:
                    assert answer(graph, question) == str(SUB_CALLS)

                what = f"1,000 sub-calls of 100 ms of {of}, memo in {memo}"
                took = best_ms(lambda awaited=awaited: asyncio.run(awaited()), repeats=5)
                rows.append(Row(f"{what}, async", took, "ms", 300, "gather of the bare model", alone["async"]))
                took = best_ms(called, repeats=5)
                rows.append(Row(f"{what}, sync", took, "ms", 500, "threads with the bare model", alone["sync"]))
                if peer and of == "a chat model":
                    rows.append(rows[-1]._replace(peer="rlms, 16 at a time", peer_value=peer["sub_calls"]))
    return rows


# --- streaming, and tools of the user's own ----------------------------------------------------------------------------


def streaming() -> list[Row]:
    """How long the first token of an answer takes beyond the model's own, and what an event costs."""
    quoted = 'Anna lives in Paris [1].\nQUOTES\n[1] "Anna lives in Paris"'
    model = ScriptedModel(lambda messages: quoted, delay=DELAY)
    with tempfile.TemporaryDirectory() as folder, Corpus.open(f"chroma:{folder}/index") as corpus:
        corpus.add([Document(f"Anna lives in Paris, in house {number}.", id=f"d{number}") for number in range(100)])
        graph = create_rag(model, corpus=corpus)
        question: Any = {"question": "Where does Anna live?"}

        async def first(parts: Any) -> float:
            started = time.perf_counter()
            async for _ in parts:
                break
            await parts.aclose()
            return (time.perf_counter() - started) * 1e3

        async def both() -> tuple[float, float]:
            ours = [await first(graph.astream(question, stream_mode="messages")) for _ in range(7)]
            alone = [await first(model.astream("Where does Anna live?")) for _ in range(7)]
            return statistics.median(ours), statistics.median(alone)

        ours, alone = asyncio.run(both())
    heard = {mode: _event_us(mode) for mode in ("values", "custom")}
    return [
        Row("first token of RAG, over the model's own", ours - alone, "ms", 20, "the model alone", alone),
        Row("an event that nobody hears", heard["values"], "us", 0.2),
        Row("an event on the stream writer", heard["custom"], "us", 25),
    ]


def _event_us(mode: str) -> float:
    """Microseconds of one event, sent by a node of a graph that is streamed in this mode."""
    number, took = 5_000, list[float]()

    async def node(state: Any, run: Run) -> dict[str, Any]:
        for _ in range(5):
            started = time.perf_counter()
            for _ in range(number):
                run.emit("wait", model="none", seconds=0.0)
            took.append((time.perf_counter() - started) * 1e6 / number)
        return {}

    builder: Any = StateGraph(dict)
    builder.add_node("node", Node(node, "node"))
    builder.add_edge(START, "node")
    graph = builder.compile()
    for _ in graph.stream({}, stream_mode=mode):
        pass
    return min(took)


def own_tools() -> list[Row]:
    """A call of a tool from a cell, as the cell sees it; the tool itself does nothing."""

    def nothing(number: int) -> int:
        """Gives it back."""
        return number

    async def anothing(number: int) -> int:
        """Gives it back."""
        return number

    timed = (
        "import time\ntook = []\nfor turn in range(5):\n    began = time.perf_counter()\n"
        "    for number in range(200):\n        {name}(number)\n"
        "    took.append((time.perf_counter() - began) * 1e6 / 200)\nFINAL(repr(min(took)))"
    )
    rows = []
    for name, what in (("nothing", "a function"), ("anothing", "a coroutine")):
        graph = create_rlm(playing([timed.format(name=name)]), tools=[nothing, anothing], limits=Limits(**FREE))
        took = min(float(answer(graph, {"question": "How long?", "context": "text"})) for _ in range(3))
        rows.append(Row(f"a call of {what} from a cell, sync run", took, "us", 150))
        done = asyncio.run(graph.ainvoke({"question": "How long?", "context": "text"}))
        rows.append(Row(f"a call of {what} from a cell, async run", float(answered(done)), "us", 150))
    return rows


# --- files ------------------------------------------------------------------------------------------------------------


def files(log: str) -> list[Row]:
    """What ten turns with 2 KB of output each leave on the disk, on 40 MB of text."""
    cells = [f"print(context[{n} * 2_000:{n + 1} * 2_000])\nnote = llm_query('note {n}')" for n in range(9)]
    with tempfile.TemporaryDirectory() as folder:
        contexts, path = ContextStore(Path(folder) / "contexts"), Path(folder) / "checkpoints" / "saved.sqlite"
        path.parent.mkdir()
        with SqliteSaver.from_conn_string(str(path)) as saver:
            graph = create_rlm(
                playing([*cells, "FINAL('ten turns')"]),
                sub_model=ScriptedModel(lambda messages: "a note"),
                contexts=contexts,
                checkpointer=saver,
                limits=Limits(**FREE),
            )
            done = graph.invoke({"question": "How long?", "context": log}, {"configurable": {"thread_id": "1"}})
            assert len(done["turns"]) == 10 and all(len(turn["output"]) > 2_000 for turn in done["turns"][:9])
        checkpoints = sum(file.stat().st_size for file in path.parent.iterdir())
        memo = sum(file.stat().st_size for file in (Path(folder) / "contexts").glob("memo.sqlite3*"))
    return [
        Row("checkpoints of 10 turns over 40 MB, SQLite", checkpoints / 1024, "KB", 1024),
        Row("memo of 10 turns and 19 calls, SQLite with its log", memo / 1024, "KB", 1024),
    ]


# --- concurrent runs --------------------------------------------------------------------------------------------------


class Together:
    """A sub-model whose calls wait until all runs have made theirs, and which then looks at the memory of them all."""

    def __init__(self) -> None:
        self.mb = 0.0
        self.model = ScriptedModel(self._reply)
        self._barrier = threading.Barrier(RUNS, self._look)

    def _look(self) -> None:
        self.mb = sum(map(proportional_mb, [os.getpid(), *descendants()]))

    def _reply(self, messages: Sequence[BaseMessage]) -> str:
        self._barrier.wait(300)
        return f"note of {messages[-1].text}"


class Awaiting(Plain):
    """The same for the async side, where a model that waits must not block the loop."""

    def __init__(self, together: Together) -> None:
        self._pool, self._model = ThreadPoolExecutor(RUNS), together.model

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> AIMessage:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._model.invoke, input)


def concurrent_runs(log: str) -> list[Row]:
    """Many runs of one graph on one context at once: nobody gets another's answer, nobody has a copy of the text."""
    if os.geteuid() != 0:
        print("Concurrent runs are not measured: only root may look at processes that are not dumpable.")
        return []

    def root(messages: Sequence[BaseMessage]) -> str:
        number = re.search(r"run number (\d+)\.", messages[1].text)
        assert number is not None
        first = f"mine = {number[1]}\nlines = context.count('\\n')\nnote = llm_query('{number[1]}')"
        return cell(first if len(messages) == 2 else "FINAL([mine, lines, note])")

    contexts, rows, lines = ContextStore(), [], log.count("\n")
    ref, copy = contexts.put(log), len(log) / (1 << 20)
    questions = [{"question": f"This is run number {number}.", "context": ref} for number in range(RUNS)]
    expected = [f'[{number}, {lines}, "note of {number}"]' for number in range(RUNS)]
    for face in ("async", "threads"):
        together = Together()
        sub = Awaiting(together) if face == "async" else together.model
        graph = create_rlm(ScriptedModel(root), sub_model=sub, contexts=contexts, limits=Limits(**FREE))
        gc.collect()
        before = sum(map(proportional_mb, [os.getpid(), *descendants()]))
        started = time.perf_counter()
        if face == "async":

            async def all_of_them(graph: Any = graph) -> list[dict[str, Any]]:
                return list(await asyncio.gather(*map(graph.ainvoke, questions)))

            done = asyncio.run(all_of_them())
        else:
            with ThreadPoolExecutor(RUNS) as pool:
                done = list(pool.map(graph.invoke, questions))
        took = (time.perf_counter() - started) * 1e3 / RUNS
        if [answered(one) for one in done] != expected:
            raise RuntimeError("a run has got the answer of another one")
        rows += [
            Row(f"{RUNS} runs at once on 40 MB, {face}: summed PSS", together.mb, "MB", 2 * copy + 10 * RUNS, "before", before),
            Row(f"{RUNS} runs at once on 40 MB, {face}: time each", took, "ms"),
        ]  # fmt: skip
    return rows


# --- the official package ---------------------------------------------------------------------------------------------


def rlms(logs: dict[int, str]) -> dict[str, Any] | None:
    """The figures of the official package, if there is an interpreter that has it."""
    if not (python := os.environ.get("RLMS_PYTHON")):
        print("rlms: not installed (RLMS_PYTHON names no interpreter that has it)")
        return None
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{megabytes}.log" for megabytes in logs]
        for path, text in zip(paths, logs.values(), strict=True):
            path.write_text(text, "utf-8")
        command = [python, "-P", str(Path(__file__).with_name("_rlms.py")), *map(str, paths)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> None:
    """Measure, print, write."""
    Runtime.default().warm()
    logs = {megabytes: log_of(megabytes) for megabytes in (4, 40)}
    peer = rlms(logs)
    rows = [*turns(logs, peer), *child(peer), *sub_calls(peer), *streaming(), *own_tools(), *files(logs[40])]
    rows += concurrent_runs(logs[40])
    report("rlm", rows)


if __name__ == "__main__":
    main()
