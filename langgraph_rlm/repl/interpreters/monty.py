"""REPLs on pydantic-monty, for systems without a kernel-enforced jail.

Monty is a Python of its own, written in Rust, without files, network, processes or foreign code: what it does not have
cannot be misused. It does *not* run in the host's process: each REPL is one ``monty`` worker process with an empty
session, and a worker that crashes costs that session only. The worker itself is not locked down by the kernel, so a
flaw in Monty would give a hostile cell what this user may do; where there is a jail, the jail is the better wall.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, InvalidStateError
from functools import partial
from typing import Any

from langgraph_rlm.errors import InvalidInput, MissingDependency, ReplError
from langgraph_rlm.repl.base import OnCall, Repl, ReplContext, ReplFactory, ReplLimits
from langgraph_rlm.repl.factory import check_names
from langgraph_rlm.repl.interpreters.prelude import COLLECTING, HOST, OWN, RECEIVED, RESERVED, opening, restoring
from langgraph_rlm.repl.interpreters.prelude_host import PreludeHost, Refused, disturbed, in_a_line
from langgraph_rlm.repl.interpreters.prelude_values import into
from langgraph_rlm.repl.process import Lost
from langgraph_rlm.repl.results import cell_result
from langgraph_rlm.repl.worker.output import Output, clip
from langgraph_rlm.types import CellResult

_SUSPENSIONS = 1_000_000_000
"""Monty's own count of host calls; the run's budget is what limits them."""
_PIECE = 32 << 20
"""Characters of a context in one message; Monty's largest is 256 MB."""
_FRAMES = 6
"""Of a traceback: so many first and last ones are shown."""
_OUT_OF_TIME = "feed time limit exceeded"


class MontyFactory(ReplFactory):
    """Starts REPLs on pydantic-monty (``pip install "langgraph-rlm[monty]"``).

    Cells are a subset of Python: :attr:`notes` says what is missing, and the system prompt repeats it. Two things
    behave otherwise than in the other REPLs. A cell that runs out of time ends its session (Monty promises nothing
    about the heap of an interrupted one), which is rebuilt by replay. And a cell's calls run one after the other.

    Example:
        >>> from langgraph_rlm.repl import ReplLimits
        >>> factory = MontyFactory()
        >>> repl = factory.start(None, ["double"], ReplLimits())
        >>> repl.execute("double(21)", lambda name, args, kwargs: args[0] * 2)["stdout"]
        '42\\n'

    Raises:
        MissingDependency: pydantic-monty is not installed.
    """

    notes: tuple[str, ...] = (
        "THIS REPL IS A SUBSET OF PYTHON. Missing in the language: `yield` (return a list), `del` (use `.pop()`, or "
        "assign None), class inheritance, so no own exceptions (raise ValueError …), `@property`, `@staticmethod` and "
        "`@classmethod`, `__len__` and `__lt__` of own classes, `except*`, `type X = …`. Missing built-ins: `globals`, "
        "`vars`, `dir`, `callable`, `input`, `__import__`, `str.maketrans`; an exception takes one argument only.",
        "Modules that exist in this REPL: asyncio, base64, bisect, collections (Counter, defaultdict, deque, "
        "namedtuple), copy, csv, dataclasses, datetime, decimal, functools, hashlib, itertools, json, math, random, re, "
        "sys, time, typing, unicodedata; they need no import statement. There is no statistics, heapq, string, textwrap, difflib, enum, io, "
        "operator, contextlib, "
        "threading or concurrent.futures. `re.sub` takes no function, regular expressions no backreference in "
        "lookaround; `time.sleep` returns at once. Files, network and environment do not exist.",
        "A call that failed gives a CallError that is *true* here: test it with `isinstance(value, CallError)`. "
        "Calls run one after the other: ask several questions with the `_batched` functions. Lists of hits are plain "
        "lists here, without .seen and .complete; after a search the variable `searched` holds "
        '{"seen": …, "complete": …} of it. A cell that runs too long loses what it has set itself. `schema=` takes a '
        "JSON schema (dict) here, no type.",
    )

    def __init__(self) -> None:
        _monty()

    def start(
        self,
        context: ReplContext | None,
        functions: Collection[str],
        limits: ReplLimits,
        variables: Mapping[str, Any] | None = None,
    ) -> MontyRepl:
        """A fresh REPL; see :class:`langgraph_rlm.repl.base.ReplFactory`.

        Raises:
            InvalidInput: a name that is no identifier or is reserved, or a variable that cannot be sent.
            ReplError: it did not start.
        """
        given = dict(variables or {})
        check_names(functions, given)
        for name in (*functions, *given):
            if name.startswith(OWN) or name in RESERVED:
                raise InvalidInput(f"{name!r} cannot be the name of a function or variable: Monty's REPL uses it")
        try:
            given = {name: into(value, limits.frame_bytes)[1] for name, value in given.items()}
        except ValueError as error:
            raise InvalidInput(f"a variable for the REPL cannot be sent: {error}") from None
        size = sum(context.sizes) if context else 0
        repl = MontyRepl(list(functions), limits, limits.memory_bytes + 2 * size)
        try:
            repl.prepare(context, given)
        except BaseException:
            repl.close()
            raise
        return repl


class MontyRepl(Repl):
    """One session in one Monty worker; made by :class:`MontyFactory`.

    If ``on_call`` (or a Future of it) raises something that is no ``Exception``, the REPL is ended and
    :meth:`execute` raises it.
    """

    def __init__(self, functions: list[str], limits: ReplLimits, memory_bytes: int) -> None:
        self._monty = _monty()
        self._limits = limits
        self._opening, self._restoring = opening(functions), restoring(functions)
        self._output = Output(limits.output_chars)
        self._sources: dict[str, tuple[int, str]] = {}
        self._feeds = self._number = 0
        self._busy = threading.Lock()
        self._ended: Future[str] = Future()
        self._host = PreludeHost(functions, limits, self._ended)
        try:
            stack = contextlib.ExitStack()
            pool = stack.enter_context(
                self._monty.Monty(min_processes=1, max_processes=1, feed_duration_limit_grace=limits.grace)
            )
            self._session = stack.enter_context(
                pool.checkout(
                    limits={
                        "max_feed_duration_secs": limits.cell_timeout,
                        "max_memory": memory_bytes,
                        "max_suspensions": _SUSPENSIONS,
                    },
                    os_policy={"random_start": {"seed": 0}, "sleep": "zero"},  # a replay must draw the same numbers
                    assert_message_annotations=False,
                )
            )
            self._worker = _Process(self._session.worker_pid)
        except (self._monty.MontyError, OSError, RuntimeError) as error:
            raise ReplError(f"the Monty REPL did not start: {error}") from error
        self._finalizer = weakref.finalize(self, _end, stack, self._worker, os.getpid())

    @property
    def alive(self) -> bool:
        """Whether another cell can run in it."""
        return self._finalizer.alive and not self._ended.done()

    def prepare(self, context: ReplContext | None, variables: Mapping[str, Any]) -> None:
        """Give the session its functions, its context and its variables; called by the factory.

        Raises:
            ReplError: it cannot take them.
        """
        try:
            self._silently(self._opening)
            self._receive(context)
            self._silently(RECEIVED)
            if variables:
                self._silently("None", dict(variables))
        except (Lost, self._monty.MontyError) as error:
            raise ReplError(f"the Monty REPL did not take its context and variables: {in_a_line(error)}") from error
        self._host.open(variables)

    def execute(self, code: str, on_call: OnCall) -> CellResult:
        """Run one cell to its end; see :class:`langgraph_rlm.repl.base.Repl`.

        Raises:
            ReplError: it is closed, dead, or running a cell already.
        """
        if not self._busy.acquire(blocking=False):
            raise ReplError("this REPL is running another cell; a REPL serves one thread at a time")
        try:
            if not self.alive:
                raise ReplError("this REPL has ended; start another one")
            started = time.monotonic()
            self._output.begin()
            try:
                error, final = self._run(code, on_call)
                return cell_result(self._output.end(), error, final, time.monotonic() - started)
            except Lost as lost:
                self._finalizer()
                return cell_result("", str(lost), None, time.monotonic() - started, killed=True)
            except BaseException:
                self._finalizer()
                raise
        finally:
            self._busy.release()

    def interrupt(self, reason: str = "The run was cancelled, and its REPL was ended.") -> None:
        """End it at once, from any thread; a cell that runs comes back as killed with ``reason`` as its error."""
        with contextlib.suppress(InvalidStateError):  # the first reason counts
            self._ended.set_result(reason)
        self._worker.kill()

    def close(self) -> None:
        """End it and free what it holds; from any thread, any number of times."""
        self.interrupt("The REPL was closed while the cell ran.")
        if self._busy.acquire(blocking=False):  # else the thread that runs the cell does it
            try:
                self._finalizer()
            finally:
                self._busy.release()

    # --- one cell ---

    def _run(self, code: str, on_call: OnCall) -> tuple[str | None, Any]:
        self._number += 1
        error, reason = None, ""
        before, whole = self._host.begin(code)
        try:
            if before:
                self._drive(before, None)
            self._sources[f"<python-input-{self._feeds}>"] = (self._number, code)
            self._drive(whole, on_call)
        except self._monty.MontyError as raised:
            reason = in_a_line(raised)
            if reason.partition(": ")[2].startswith(_OUT_OF_TIME):
                raise Lost(
                    f"The cell ran longer than {self._limits.cell_timeout:g} s (waiting for calls not counted) and was "
                    "ended; what it has set is lost, what earlier cells have set stays. Do less in one cell."
                ) from None
            error = clip(self._explained(raised), self._limits.output_chars)
            if self._host.left(error):
                error = self._collected(error)
        try:
            self._drive(self._restoring, None)
        except (Lost, self._monty.MontyError) as gone:
            self._host.check_not_ended()
            raise Lost(
                f"The cell's session ended ({reason or in_a_line(gone)}); do it in another way or with less data."
            ) from None
        notes, error, final = self._host.outcome(error)
        for note in notes:
            self._output.write(note)
        return error, final

    def _collected(self, error: str) -> str | None:
        """The error of a cell that has left by ``exit()`` or its like: None when it had submitted an answer."""
        try:
            self._drive(COLLECTING, None)
        except self._monty.MontyError as raised:
            return clip(self._explained(raised), self._limits.output_chars)
        return None if self._host.submitted else error

    def _drive(self, code: str, on_call: OnCall | None) -> None:
        snapshot = self._feed(code)
        while not isinstance(snapshot, self._monty.MontyComplete):
            if isinstance(snapshot, self._monty.FunctionSnapshot) and snapshot.function_name == HOST:
                answer = self._answered(snapshot.args, on_call)
                self._host.check_not_ended()
                snapshot = self._guarded(partial(snapshot.resume, answer))
            elif isinstance(snapshot, self._monty.FutureSnapshot):
                raise Lost("The cell waited for something that never comes; its session was ended.")
            else:  # an unknown name, an import, a file: Monty's own answer to each is an exception in the cell
                snapshot = self._guarded(snapshot.resume_auto)

    def _answered(self, message: tuple[Any, ...], on_call: OnCall | None) -> Any:
        try:
            return {"return_value": self._host.answer(message, on_call)}
        except Refused as refused:
            return {"exc_type": refused.kind, "message": refused.message}

    def _feed(self, code: str, inputs: Mapping[str, Any] | None = None) -> Any:
        self._feeds += 1
        return self._guarded(
            lambda: self._session.feed_start(
                code, inputs=None if inputs is None else dict(inputs), print_callback=self._printed
            )
        )

    def _guarded(self, step: Callable[[], Any]) -> Any:
        """One step of the session; a worker that is gone becomes Lost, an error of the cell passes through."""
        try:
            return step()
        except self._monty.MontyCrashedError as crashed:
            self._host.check_not_ended()
            if crashed.timed_out:
                raise Lost(
                    f"The cell went on for {self._limits.grace:g} s after its time limit of "
                    f"{self._limits.cell_timeout:g} s and was killed. Do less in one cell."
                ) from None
            raise Lost("The cell's process ended by a crash; do it in another way or with less data.") from None
        except RuntimeError as error:
            self._host.check_not_ended()
            raise Lost(f"The session has ended ({in_a_line(error)}); its process was killed.") from None

    def _silently(self, code: str, inputs: Mapping[str, Any] | None = None) -> None:
        snapshot = self._feed(code, inputs)
        if not isinstance(snapshot, self._monty.MontyComplete):
            raise disturbed("a call while nothing runs")

    def _receive(self, context: ReplContext | None) -> None:
        if context is None:
            self._silently("None", {"context": ""})
            return
        try:
            parts = list(_parts(context))
        except UnicodeDecodeError as undecoded:
            raise ReplError(f"the context is not UTF-8: {undecoded.reason} at byte {undecoded.start:,}") from None
        if context.kind == "text":
            whole = "".join(parts)
            pieces = [whole[at : at + _PIECE] for at in range(0, len(whole), _PIECE)]
            self._silently("None", {"context": pieces[0] if pieces else ""})
            for piece in pieces[1:]:
                self._silently("context = context + _rlm_piece\n_rlm_piece = None", {"_rlm_piece": piece})
            return
        keyed = context.kind != "list"
        self._silently("None", {"context": {} if keyed else []})
        step = "context.update(_rlm_piece)" if keyed else "context.extend(_rlm_piece)"
        for start, end in _batches(parts):
            batch: Any = (
                dict(zip(context.names[start:end], parts[start:end], strict=True)) if keyed else parts[start:end]
            )
            self._silently(f"{step}\n_rlm_piece = None", {"_rlm_piece": batch})

    def _printed(self, _stream: str, text: str) -> None:
        self._output.write(text)

    # --- errors ---

    def _explained(self, error: Any) -> str:
        """The error as Python shows it, with the lines of cells only."""
        lines = []
        for frame in error.traceback() if hasattr(error, "traceback") else []:
            number, code = self._sources.get(frame.filename, (0, ""))
            rows = code.splitlines()
            if number and frame.line <= len(rows):
                place = f", in {frame.function_name}" if frame.function_name else ""
                lines.append(f'  File "<cell {number}>", line {frame.line}{place}\n    {rows[frame.line - 1].strip()}')
        if len(lines) > 2 * _FRAMES:
            lines[_FRAMES:-_FRAMES] = [f"  [... {len(lines) - 2 * _FRAMES:,} more ...]"]
        if not isinstance(error, self._monty.MontySyntaxError):
            lines.insert(0, "Traceback (most recent call last):")
        return "\n".join([*lines, error.display("type-msg") if hasattr(error, "traceback") else str(error)])


class _Process:
    """A worker process, killed from any thread without a chance to hit another process of the same number."""

    def __init__(self, pid: int | None) -> None:
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self._pid = pid
        self._fd = os.pidfd_open(pid) if pid is not None and hasattr(os, "pidfd_open") else None

    def kill(self) -> None:
        with self._lock, contextlib.suppress(ProcessLookupError, PermissionError):
            if self._pid is None or os.getpid() != self._owner:
                return
            if self._fd is not None:
                signal.pidfd_send_signal(self._fd, signal.SIGKILL)
            else:
                os.kill(self._pid, getattr(signal, "SIGKILL", signal.SIGTERM))

    def release(self) -> None:
        with self._lock:
            self._pid = None
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None


def _end(stack: contextlib.ExitStack, worker: _Process, owner: int) -> None:
    if os.getpid() == owner:  # the pool belongs to the host that we may be a fork of
        worker.kill()
        stack.close()
    worker.release()


def _monty() -> Any:
    try:
        import pydantic_monty
    except ImportError as error:
        raise MissingDependency('sandbox="monty" needs pydantic-monty: pip install "langgraph-rlm[monty]"') from error
    return pydantic_monty


def _parts(context: ReplContext) -> Iterator[str]:
    view, start = memoryview(context.data), 0
    for size in context.sizes:
        yield str(view[start : start + size], "utf-8")
        start += size


def _batches(parts: list[str]) -> Iterator[tuple[int, int]]:
    start = size = 0
    for at, part in enumerate(parts):
        if size and size + len(part) > _PIECE:
            yield start, at
            start, size = at, 0
        size += len(part) + 1
    if parts:
        yield start, len(parts)
