"""Questions that outlive the call which asked them: answered in the background, found again by their id.

Clients give up a call after a minute, servers are restarted: the run goes on, or is gone on with from its last checkpoint, and
what was answered is not paid again. Several servers may share a directory; each run is worked on by one of them at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from langgraph_rlm.calls.memo_files import SqliteMemo
from langgraph_rlm.errors import DocumentMissing, LimitReached, MissingDependency, RLMError
from langgraph_rlm.graphs.estimate import Estimate
from langgraph_rlm.graphs.graph import RLMGraph, has_ended
from langgraph_rlm.runs.run import new_id
from langgraph_rlm.server.errors import message_of
from langgraph_rlm.server.progress import progress_line
from langgraph_rlm.server.run_records import Asked, RunRecords
from langgraph_rlm.text import ContextStore
from langgraph_rlm.threads import in_thread

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import BaseCheckpointSaver

_LOG = logging.getLogger(__name__)

Status = Literal["running", "answered", "failed", "cancelled"]
AT_ONCE = 4
"""Runs of one server at the same time: each may have 32 model calls in flight."""
KEPT_SECONDS = 86_400.0
"""How long a run can be asked for: a day."""
LINGER_SECONDS = 30.0
"""How long a run goes on after its client has given up the call: enough for one that comes back at once, and no longer, since
nobody may want the answer any more. A later look goes on with it."""
_POLL_SECONDS = 0.5
"""Between two looks at a run that another process works on."""
_MOST_LINES = 5
"""Of what happened last, for a client that asks how far a run is."""
_OWNER = "owner"
"""In ``configurable``: whose contexts a run reads."""
_SHOWN = ("answer", "found", "route", "stop_reason", "citations", "usage")
"""What is kept of a run's output."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a graph must be made with for its runs to be kept.

    Args:
        contexts: for ``contexts=``: a function of the config, since each owner has contexts of its own.
        memo: for ``memo=``.
        checkpointer: for ``checkpointer=``.
    """

    contexts: Callable[[RunnableConfig], ContextStore]
    memo: SqliteMemo
    checkpointer: BaseCheckpointSaver[Any]


@dataclass(frozen=True, slots=True)
class Look:
    """How far a run is.

    Args:
        run_id: its id.
        status: of it.
        result: ``answer``, ``found``, ``route``, ``stop_reason``, ``citations``, ``usage``; None before it is answered.
        so_far: what happened last, in words; what went wrong, where it has failed.
    """

    run_id: str
    status: Status
    result: dict[str, Any] | None = None
    so_far: str = ""


@dataclass(slots=True, eq=False)
class _Working:
    """A run that this process works on."""

    since: float = field(default_factory=time.monotonic)
    lines: list[str] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    def tell(self, line: str) -> None:
        self.lines[:] = [*self.lines[-_MOST_LINES + 1 :], line]
        self.wake()

    def wake(self) -> None:
        self.news.set()
        self.news = asyncio.Event()

    @property
    def so_far(self) -> str:
        return "; ".join([*self.lines, f"{time.monotonic() - self.since:.0f} s at work"])


class DurableRuns:
    """The runs of one directory. Made by :meth:`opened`, on the event loop that uses it.

    Args:
        directory: where runs, contexts, checkpoints and the memo are.
        contexts: of all owners.
        kept: what the graph was made with.
        graph: answers.
        at_once: runs at the same time.
        linger: seconds that a run goes on when its client has gone.
    """

    def __init__(
        self,
        directory: Path,
        contexts: ContextStore,
        kept: Kept,
        graph: RLMGraph,
        *,
        at_once: int = AT_ONCE,
        linger: float = LINGER_SECONDS,
    ) -> None:
        self._contexts = contexts
        self._kept, self._graph = kept, graph
        self._records = RunRecords(directory / "runs.sqlite3")
        self._locks = directory / "locks"
        self._at_once, self._linger = at_once, linger
        self._working: dict[str, _Working] = {}
        self._waiting: Counter[str] = Counter()

    @classmethod
    @asynccontextmanager
    async def opened(
        cls,
        directory: Path,
        make: Callable[[Kept], RLMGraph],
        *,
        at_once: int = AT_ONCE,
        kept_seconds: float = KEPT_SECONDS,
        linger: float = LINGER_SECONDS,
    ) -> AsyncIterator[DurableRuns]:
        """The runs in a directory, which is made; runs that are too old are removed.

        Args:
            directory: for this user alone.
            make: the graph, from what it must be made with.
            at_once, linger: as above.
            kept_seconds: how long a run can be asked for.

        Raises:
            MissingDependency: the package of the checkpoints is not installed.
            MemoError, ContextStoreError, CorpusError: the directory cannot be used.
        """
        try:
            from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
        except ImportError as missing:
            raise MissingDependency(
                'runs are kept by langgraph-checkpoint-sqlite. Run: pip install "langgraph-rlm[cli]"'
            ) from missing
        for part in (directory, directory / "locks"):
            part.mkdir(mode=0o700, parents=True, exist_ok=True)
        contexts, memo = ContextStore(directory / "contexts"), SqliteMemo(directory / "memo.sqlite3")
        async with AsyncSqliteSaver.from_conn_string(str(directory / "checkpoints.sqlite3")) as saver:
            await saver.setup()
            await saver.conn.execute("PRAGMA synchronous = NORMAL")  # what a power cut takes of a run is asked again
            kept = Kept(lambda config: contexts.tenant(config["configurable"][_OWNER]), memo, saver)
            runs = cls(directory, contexts, kept, await in_thread(make, kept), at_once=at_once, linger=linger)
            try:
                await runs._forget(kept_seconds)
                yield runs
            finally:
                await runs.aclose()
                contexts.close()
                memo.close()

    def contexts_of(self, owner: str) -> ContextStore:
        """Where texts go that an owner's questions refer to."""
        return self._contexts.tenant(owner)

    def estimate(self, asked: Asked) -> Estimate:
        """What a question may take, see :meth:`RLMGraph.estimate`."""
        return self._graph.estimate(asked.question, context=asked.context, limits=asked.options.get("limits"))

    async def start(self, owner: str, asked: Asked) -> str:
        """The id of a run for a question: a new one, or the owner's that has the same question and no answer yet.

        Args:
            owner: whose it is; nobody else finds it.
            asked: the question.

        Raises:
            LimitReached: too many are running.
        """
        records = self._records
        run_id = await in_thread(records.unanswered, owner, asked)
        if run_id is None:
            self._check_room()
            run_id = new_id()
            await in_thread(records.add, run_id, owner, asked)
        elif await in_thread(records.status, run_id) != "running":
            await in_thread(records.end, run_id, "running", None)  # it has failed: it goes on from where it did
        await self._worked_on(owner, run_id, asked)
        return run_id

    async def wait(
        self, owner: str, run_id: str | None, seconds: float, heard: Callable[[int, str], Awaitable[None]] | None = None
    ) -> Look:
        """How far a run is: at its end, or when so many seconds are over.

        A run that nobody works on any more, because its server has ended, is gone on with. Cancelling this lets the run go on for
        ``linger`` seconds; then it pauses until somebody looks again.

        Args:
            owner: whose it is.
            run_id: of it; None for the owner's last one.
            seconds: to wait at most.
            heard: told how many steps were taken, and what happens.

        Raises:
            DocumentMissing: the owner has no such run, or no longer.
            LimitReached: it would have to be gone on with, and too many are running.
        """
        run_id, asked = await self._found(owner, run_id)
        with self._watched(run_id):
            return await self._waited(owner, run_id, asked, time.monotonic() + seconds, heard)

    async def cancel(self, owner: str, run_id: str) -> Look:
        """End a run for good; one that has ended stays as it is.

        Raises:
            DocumentMissing: the owner has no such run.
        """
        await self._found(owner, run_id)
        if (await in_thread(self._records.outcome, run_id))[0] == "running":
            await in_thread(self._records.end, run_id, "cancelled", None)
            if (working := self._working.get(run_id)) is not None and working.task is not None:
                working.task.cancel()
                await asyncio.wait([working.task])
        return Look(run_id, (await in_thread(self._records.outcome, run_id))[0])

    async def aclose(self) -> None:
        """Pause all runs: each is gone on with when somebody asks for it."""
        tasks = [working.task for working in self._working.values() if working.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._records.close()

    # --- parts ---

    async def _found(self, owner: str, run_id: str | None) -> tuple[str, Asked]:
        found = await in_thread(self._records.find, owner, run_id)
        if found is None:
            which = "there is no run yet" if run_id is None else f"there is no run {run_id!r:.80}"
            raise DocumentMissing(f"{which}: ask first. Runs are kept for a day")
        return found

    async def _waited(
        self,
        owner: str,
        run_id: str,
        asked: Asked,
        deadline: float,
        heard: Callable[[int, str], Awaitable[None]] | None,
    ) -> Look:
        steps, told = 0, ""
        while True:
            status, result = await in_thread(self._records.outcome, run_id)
            if status != "running":
                failure = "" if result is None else result.get("error", "")
                return Look(run_id, status, result if status == "answered" else None, failure)
            working = await self._worked_on(owner, run_id, asked)
            left = deadline - time.monotonic()
            if left <= 0:
                return Look(run_id, "running", None, working.so_far if working else "another server works on it")
            if working is None:
                await asyncio.sleep(min(left, _POLL_SECONDS))
                continue
            news = working.news
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):  # wait_for of Python 3.11 may lose a cancellation
                    await news.wait()
            if heard is not None and working.lines and working.lines[-1] != told:
                steps, told = steps + 1, working.lines[-1]
                await heard(steps, told)

    @contextlib.contextmanager
    def _watched(self, run_id: str) -> Iterator[None]:
        """While somebody waits for a run; when the last one goes before its time, it is given up after a while."""
        self._waiting[run_id] += 1
        try:
            yield
        except asyncio.CancelledError:
            asyncio.get_running_loop().call_later(self._linger, self._give_up, run_id)
            raise
        finally:
            self._waiting[run_id] -= 1

    def _give_up(self, run_id: str) -> None:
        working = self._working.get(run_id)
        if not self._waiting[run_id] and working is not None and working.task is not None:
            working.task.cancel()

    def _check_room(self) -> None:
        if len(self._working) >= self._at_once:
            raise LimitReached(
                f"{len(self._working)} questions are being answered, which is the most at once: wait for one, or cancel one",
                limit="at_once",
            )

    async def _worked_on(self, owner: str, run_id: str, asked: Asked) -> _Working | None:
        """What works on a run, begun here if nobody else does; None when another process does."""
        if (working := self._working.get(run_id)) is not None:
            return working
        lock = _locked(self._locks / run_id)
        if lock is None:
            return None
        try:
            self._check_room()
        except LimitReached:
            os.close(lock)
            raise
        working = self._working[run_id] = _Working()
        working.task = asyncio.create_task(self._work(owner, run_id, asked, working, lock))
        return working

    async def _work(self, owner: str, run_id: str, asked: Asked, working: _Working, lock: int) -> None:
        try:
            if await in_thread(self._records.status, run_id) != "running":
                return  # it has ended between somebody's look and the lock
            try:
                status, result = "answered", await self._answer(owner, run_id, asked, working)
            except RLMError as error:
                status, result = "failed", {"error": message_of(error)}
            except Exception as error:  # noqa: BLE001 - whoever asks for the run is told; its task has nobody else
                status, result = "failed", {"error": f"unexpected {type(error).__name__}: see the server's log"}
                _LOG.exception("run %s has failed", run_id)
            await in_thread(self._records.end, run_id, status, result, only_running=True)
            if status == "answered":
                await self._kept.checkpointer.adelete_thread(run_id)
        finally:
            del self._working[run_id]
            os.close(lock)
            working.wake()

    async def _answer(self, owner: str, run_id: str, asked: Asked, working: _Working) -> dict[str, Any]:
        config: Any = {"configurable": {"thread_id": run_id, _OWNER: owner, "rlm": asked.options}}
        state = await self._graph.aget_state(config)
        values: Mapping[str, Any] = state.values
        if not has_ended(state):
            given = None if values or state.tasks else asked.input
            parts = self._graph.astream(
                given, config, stream_mode=["custom", "values"], subgraphs=True, durability="sync"
            )
            async with aclosing(parts):  # type: ignore[type-var]  # else a cancelled one is closed when it is collected
                async for place, mode, part in parts:
                    if mode == "custom" and isinstance(part, Mapping) and (line := progress_line(part)) is not None:
                        working.tell(line)
                    elif mode == "values" and not place:
                        values = part
                        if await in_thread(self._records.status, run_id) != "running":
                            break  # cancelled through another server
        return {name: values.get(name) for name in _SHOWN}

    async def _forget(self, kept_seconds: float) -> None:
        for run_id in await in_thread(self._records.older_than, kept_seconds):
            if (lock := _locked(self._locks / run_id)) is None:
                continue
            await self._kept.checkpointer.adelete_thread(run_id)
            await in_thread(self._kept.memo.forget, run_id)
            await in_thread(self._records.remove, run_id)
            (self._locks / run_id).unlink(missing_ok=True)
            os.close(lock)
        await in_thread(self._contexts.prune, kept_seconds)


def _locked(path: Path) -> int | None:
    """The descriptor of a lock on this file, which the kernel releases when the process ends; None when it is held."""
    lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock
