"""Hosts that die on request: a run of ``create_rlm`` in a process of its own, which says what it asks, and where it ends.

``python -m tests.killable JOB`` is one such host. Without a job it is a *nursery*: it reads jobs from its input, forks
a host for each, and tells how it ended and what it left behind. A nursery has imported everything and run nothing, so
that a host costs a fork instead of seconds of imports; two of them have two hash seeds, as two processes have.

The models are pure functions of the prompt. Each request and each answer is a line in a log that outlives the host.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import threading
import traceback
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatResult
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.store.postgres import PostgresStore
from langgraph.store.sqlite import SqliteStore

from langgraph_rlm import ContextStore, Limits, SqliteMemo, create_rlm
from langgraph_rlm.prices import price_usd
from langgraph_rlm.testing import ScriptedModel
from langgraph_rlm.threads import DaemonThreads
from tests.support import cell

KEY = b"0123456789abcdef"
"""Of the encrypted memo."""
CONTEXT = "alpha beta gamma\n" * 50


@dataclass(frozen=True, kw_only=True)
class Job:
    """What one host does.

    Args:
        directory: holds everything that is kept: contexts, memo, checkpoints, log, result.
        script: a name in ``SCRIPTS``.
        thread: the thread's id.
        resume: goes on instead of asking.
        saver: ``sqlite`` (invoke), ``asqlite`` (ainvoke), ``postgres`` (invoke).
        url: of PostgreSQL.
        durability: as LangGraph's.
        memo: ``None`` (beside the contexts), ``encrypted``, ``sqlite-store`` or ``postgres-store``.
        die_at_request: a regular expression; the host dies when a request whose name it matches arrives …
        die_at_number: … for this many times.
        die_after: the host dies when this node has ended …
        die_after_number: … for this many times.
        hang_at_request: a regular expression; such a request is never answered, and its name is printed.
        stuck_saver: no checkpoint is written but that of the input.
        order: requests of these names are answered in this order …
        order_once: … when all of these have arrived.
    """

    directory: str
    script: str
    thread: str = "thread"
    resume: bool = False
    saver: str = "sqlite"
    url: str = ""
    durability: str = "sync"
    memo: str | None = None
    die_at_request: str = ""
    die_at_number: int = 1
    die_after: str = ""
    die_after_number: int = 1
    hang_at_request: str = ""
    stuck_saver: bool = False
    order: Sequence[str] = ()
    order_once: Sequence[str] = ()


# --- what is asked --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Script:
    """One question, and what the models say to it.

    Args:
        root: the cells of the root model and of children: ``(question, turn)`` → a reply.
        input: of the graph, beside the context.
        options: of ``create_rlm``.
    """

    root: Callable[[str, int], str]
    input: dict[str, Any] = field(default_factory=lambda: {"question": "Which?"})
    options: dict[str, Any] = field(default_factory=dict)


def _turns(*replies: str) -> Callable[[str, int], str]:
    return lambda question, turn: replies[turn - 1]


def _family(question: str, turn: int) -> str:
    if question != "Which?":  # a child
        return (cell("x = llm_query('first ' + context)"), cell("FINAL(llm_query('second ' + x))"))[turn - 1]
    asked = "found = rlm_query_batched(['Read one', 'Read two', 'Read three'], ['text one', 'text two', 'text three'])"
    return (cell(asked, "print(found)"), cell("cite('context', 0, 5)", "FINAL(' / '.join(found))"))[turn - 1]


SCRIPTS = {
    "cells": Script(
        root=_turns(
            cell("a = llm_query('one')", "print(a)"),
            cell("cite('context', 0, 5)", "b = llm_query('two ' + a)", "c = llm_query('three ' + b)", "print(c)"),
            cell("cite('context', 6, 10)", "FINAL(' / '.join([a, b, c]))"),
        )
    ),
    "batch": Script(
        root=_turns(
            cell("parts = llm_query_batched([f'part {i}' for i in range(40)])", "print(len(parts))"),
            cell("cite('context', 0, 5)", "FINAL(' / '.join(parts))"),
        ),
        options={"limits": Limits(max_concurrency=4)},
    ),
    "children in a row": Script(root=_family, options={"limits": Limits(max_depth=2, max_concurrency=1)}),
    "children side by side": Script(root=_family, options={"limits": Limits(max_depth=2)}),
    "follow-up": Script(
        root=_turns(cell("a = llm_query('one')"), cell("FINAL(a)")),
        input={"messages": [("human", "Who is Anna?"), ("ai", "A painter."), ("human", "Where does she live?")]},
    ),
    "no turns left": Script(
        root=_turns(cell("print(llm_query('one'))"), cell("print(llm_query('two'))")),
        options={"limits": Limits(max_turns=2)},
    ),
    "structured": Script(
        root=_turns(cell("a = llm_query('one')"), cell("FINAL(a)")),
        options={
            "response_format": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
        },
    ),
}


def name_of(messages: Sequence[BaseMessage]) -> str:
    """What a request is called in the log: its role, and what sets it apart from the others of its script."""
    first, last = messages[0].text, messages[-1].text
    if first.startswith("You are the root model"):
        if "No turns are left" in last:
            return "wrap-up"
        question = messages[1].text.split("\n")[1]
        return f"root {question} #{sum(message.type == 'ai' for message in messages) + 1}"
    if first.startswith("You are the sub-model"):
        return f"sub {last}"
    if first.startswith("You rewrite the last question"):
        return "condense"
    if first.startswith("You put a given answer into JSON"):
        return f"structure #{len(messages) // 2}"
    raise AssertionError(f"an unknown role: {first[:80]}")


def answer_to(name: str, script: Script) -> str:
    """A pure function: whoever asks again gets the same."""
    if root := re.fullmatch(r"root (.*) #(\d+)", name):
        return script.root(root[1], int(root[2]))
    fixed = {
        "wrap-up": "the best there is",
        "condense": "Where does Anna live?",
        "structure #1": "seven",
        "structure #2": '{"n": 7}',
    }
    return fixed.get(name) or f"<{name.removeprefix('sub ')}>"


# --- the log ----------------------------------------------------------------------------------------------------------


class Log:
    """What was asked and what was answered, by all hosts of a directory, in one file.

    Args:
        directory: of the job.
    """

    def __init__(self, directory: str | Path) -> None:
        self._path = Path(directory) / "log.jsonl"

    def write(self, event: str, name: str) -> None:
        """One line in one system call: it is there whatever happens next."""
        line = json.dumps({"pid": os.getpid(), "event": event, "name": name}) + "\n"
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)

    def lines(self) -> list[dict[str, Any]]:
        """All lines so far, oldest first."""
        return [json.loads(line) for line in self._path.read_text().splitlines()] if self._path.exists() else []

    def names(self, event: str) -> list[str]:
        """The names of all ``request`` or ``answer`` lines, oldest first."""
        return [line["name"] for line in self.lines() if line["event"] == event]


def asked_again(directory: str | Path) -> Counter[str]:
    """How many times each request was sent once more than a run needs it."""
    counts = Counter(Log(directory).names("request"))
    return Counter({name: count - 1 for name, count in counts.items() if count > 1})


# --- one host ---------------------------------------------------------------------------------------------------------


THREADS = DaemonThreads(64, "model")
"""One that waits for ever must not keep a host alive that wants to end."""


class LoggedModel(ScriptedModel):
    """A scripted model whose answers are made in threads, so that they may wait for each other on both faces."""

    async def _agenerate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(THREADS, lambda: self._generate(messages, stop, None, **kwargs))


def die() -> None:
    """As ``kill -9`` ends it: nothing runs afterwards, no handler, no ``finally``."""
    os.kill(os.getpid(), signal.SIGKILL)


def model_of(job: Job) -> BaseChatModel:
    """The model that plays all roles of a job."""
    script, log, lock = SCRIPTS[job.script], Log(job.directory), threading.Lock()
    arrived = {name: threading.Event() for name in job.order_once}
    answered = {name: threading.Event() for name in job.order}
    for name in set(answered).intersection(log.names("answer")):
        answered[name].set()  # by a host before this one
    times = 0

    def reply(messages: list[BaseMessage]) -> str:
        nonlocal times
        name = name_of(messages)
        log.write("request", name)
        if name in arrived:
            arrived[name].set()
        if name in answered:
            for event in arrived.values():
                event.wait()
            for earlier in job.order[: job.order.index(name)]:
                answered[earlier].wait()
        if job.die_at_request and re.search(job.die_at_request, name):
            with lock:
                times += 1
                if times == job.die_at_number:
                    die()
        if job.hang_at_request and re.search(job.hang_at_request, name):
            os.write(1, f"{name}\n".encode())  # whole, whichever thread comes next
            threading.Event().wait()
        text = answer_to(name, script)
        log.write("answer", name)
        if name in answered:
            answered[name].set()
        return text

    return LoggedModel(reply, cost_usd=0.0)


@contextmanager
def memo_of(job: Job) -> Iterator[Any]:
    """What the job gives as ``memo=``."""
    directory = Path(job.directory)
    if job.memo is None:
        yield None
    elif job.memo == "encrypted":
        memo = SqliteMemo(
            directory / "encrypted.sqlite3", serializer=EncryptedSerializer.from_pycryptodome_aes(key=KEY)
        )
        yield memo
        memo.close()
    else:
        opened: AbstractContextManager[Any] = (
            SqliteStore.from_conn_string(str(directory / "store.sqlite3"))
            if job.memo == "sqlite-store"
            else PostgresStore.from_conn_string(job.url)
        )
        with opened as store:
            store.setup()
            yield store


@contextmanager
def saver_of(job: Job) -> Iterator[Any]:
    """What the job gives as ``checkpointer=`` to a graph that it invokes."""
    with (
        PostgresSaver.from_conn_string(job.url)
        if job.saver == "postgres"
        else SqliteSaver.from_conn_string(_checkpoints(job))
    ) as saver:
        if job.stuck_saver:
            _get_stuck(saver)
        yield saver


def _checkpoints(job: Job) -> str:
    return str(Path(job.directory) / "checkpoints.sqlite3")


def _get_stuck(saver: Any) -> None:
    """After the checkpoint of the input (step -1) nothing gets through, and nobody is told."""
    put, never = saver.put, threading.Event()

    def stuck(config: Any, checkpoint: Any, metadata: Any, versions: Any) -> Any:
        if metadata["step"] >= 0:
            never.wait()
        return put(config, checkpoint, metadata, versions)

    saver.put = stuck
    saver.put_writes = lambda config, *more: never.wait()


class Watch:
    """What comes out of a run: the state at its end, and where it is to die.

    Args:
        job: says after which node.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._ended: dict[str, int] = defaultdict(int)
        self._state: dict[str, Any] = {}

    def take(self, mode: str, part: dict[str, Any]) -> None:
        """One part of the stream."""
        if mode == "values":
            self._state.update(part)
            return
        for node in part:
            self._ended[node] += 1
            if node == self._job.die_after and self._ended[node] == self._job.die_after_number:
                die()

    def keep(self) -> None:
        """Write the result into the job's directory."""
        names = ("answer", "citations", "turns", "usage", "stop_reason", "structured_response")
        result = {name: self._state[name] for name in names}
        (Path(self._job.directory) / f"result-{self._job.thread}.json").write_text(json.dumps(result))


def graph_of(job: Job, memo: Any, saver: Any) -> Any:
    """The graph that the job asks."""
    contexts = ContextStore(Path(job.directory) / "contexts")
    return create_rlm(model_of(job), contexts=contexts, memo=memo, checkpointer=saver, **SCRIPTS[job.script].options)


def main(job: Job) -> None:
    """A host from its start to its end."""
    warnings.simplefilter("ignore")
    watch = Watch(job)
    input = None if job.resume else {"context": CONTEXT, **SCRIPTS[job.script].input}
    config: Any = {"configurable": {"thread_id": job.thread}}
    how: Any = {"stream_mode": ["updates", "values"], "durability": job.durability}

    async def awaited(memo: Any) -> None:
        async with AsyncSqliteSaver.from_conn_string(_checkpoints(job)) as saver:
            async for mode, part in graph_of(job, memo, saver).astream(input, config, **how):
                watch.take(mode, part)

    with memo_of(job) as memo:
        if job.saver == "asqlite":
            asyncio.run(awaited(memo))
        else:
            with saver_of(job) as saver:
                for mode, part in graph_of(job, memo, saver).stream(input, config, **how):
                    watch.take(mode, part)
    watch.keep()


# --- the nursery ------------------------------------------------------------------------------------------------------

SECONDS_TO_END = 20
PR_SET_CHILD_SUBREAPER = 36


def nursery() -> None:
    """Answer each job on the input with one line: how the host ended, and how many of its processes had to be killed."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # what a host leaves behind becomes a child of this
    price_usd("gpt-5-mini", 1, 1)  # the price list takes as long to load as the rest of a host
    print("ready", flush=True)
    for line in sys.stdin:
        job = Job(**json.loads(line))
        pid = os.fork()
        if pid == 0:
            _hatch(job)
        _, status = os.waitpid(pid, 0)
        answer = {"exit": os.waitstatus_to_exitcode(status), "left_behind": _left_behind()}
        print(json.dumps(answer), flush=True)


def _hatch(job: Job) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    output = os.open(Path(job.directory) / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    code = 1
    try:
        main(job)
        code = 0
    except BaseException:  # noqa: BLE001 - nothing of the nursery may run in a host
        traceback.print_exc()
    finally:
        from langgraph_rlm.runs.runtime import Runtime

        Runtime.default().close()  # os._exit runs no finalizer
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _left_behind() -> list[int]:
    """The processes of a dead host that do not end by themselves."""

    def too_long(number: int, frame: Any) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(SECONDS_TO_END)
    try:
        while True:
            os.waitpid(-1, 0)
    except ChildProcessError:
        return []
    except TimeoutError:
        left = [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        return left
    finally:
        signal.alarm(0)


def written(job: Job) -> str:
    """A job as the command line and the nursery take it."""
    return json.dumps(asdict(job))


class Nursery:
    """A nursery as the tests use it.

    Args:
        seed: of its hashes.
    """

    def __init__(self, seed: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.killable"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
            env={**os.environ, "PYTHONHASHSEED": str(seed), "OPENBLAS_NUM_THREADS": "1"},
        )

    def run(self, job: Job) -> int:
        """How a host of this job ended: 0, 1 or minus the signal. None of its processes may be left."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(written(job) + "\n")
        self._process.stdin.flush()
        while (line := self._process.stdout.readline()) == "ready\n":
            pass
        answer = json.loads(line)
        assert answer["left_behind"] == []
        ended: int = answer["exit"]
        return ended

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate(timeout=30)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Job(**json.loads(sys.argv[1])))
    else:
        nursery()
