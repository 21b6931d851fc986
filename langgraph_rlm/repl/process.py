"""A session in a process of its own, as the host sees it: runs its cells, serves its calls, keeps its time.

How the process was started, and what it may do, is the business of whoever made it: a plain worker process may do what
the user of the host may do, one in the jail may compute and call the host, and nothing else.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import Any, Protocol

from langgraph_rlm.errors import ReplError
from langgraph_rlm.repl.base import OnCall, Repl, ReplLimits
from langgraph_rlm.repl.clock import CellClock, process_seconds
from langgraph_rlm.repl.results import cell_result, mistake
from langgraph_rlm.repl.wire import Frames, Message, Violation, encode
from langgraph_rlm.repl.worker.lazy import CALL
from langgraph_rlm.types import CellResult

_START_SECONDS = 60.0
"""For a start: a context of hundreds of megabytes is decoded in it."""
_ALARM_EVERY = 0.2
"""Seconds between two signals to a cell whose time is over: a few of them within the default grace."""
_CHUNK = 1 << 18
"""Bytes read or written at once: about what a socket holds."""
_MOST_CALLS = 4096
"""Outstanding calls of one cell: far more than may be in flight at once, and what the host keeps for each is small."""


class Lost(Exception):
    """The process is gone, or has to go; the message is what the model is told."""


class Process(Protocol):
    """What a REPL needs of its session's process."""

    sock: socket.socket
    pid: int

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        ...

    def wait(self, seconds: float) -> int | None:
        """Its exit status, negative for a signal, if it ends within this time."""
        ...

    def alarm(self) -> None:
        """Send SIGALRM."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...

    def silence(self) -> None:
        """It is ready: what it could complain of at its start is over."""
        ...

    def complaint(self) -> str:
        """Why its start failed, as far as it has said so."""
        ...

    def release(self) -> None:
        """Close what the host has of it."""
        ...


class ProcessRepl(Repl):
    """One session in one process; made by :class:`langgraph_rlm.repl.ProcessFactory` or ``JailFactory``.

    Args:
        worker: the process.
        functions: what cells may call.
        limits: of the session.
        bury: kills the process and releases it.
        lazy: answers what the session asks about a context that it has not loaded.

    The thread that runs :meth:`execute` does all reading and writing. Futures that a call has returned wake it when
    they are done, from whichever thread.

    A cell's calls end with the cell: those that its left-over threads still wait for are cancelled and raise there.
    At the soft time limit outstanding calls raise ``TimeoutError`` in the cell, and so does every further call.

    If ``on_call`` (or a Future of it) raises something that is no ``Exception``, the REPL is ended and
    :meth:`execute` raises it: that is the way to unwind a cell past its own ``except`` clauses.
    """

    def __init__(
        self,
        worker: Process,
        functions: Collection[str],
        limits: ReplLimits,
        bury: Callable[[], None],
        lazy: OnCall | None = None,
    ) -> None:
        self._lazy = lazy
        self._worker = worker
        self._functions = frozenset(functions)
        self._limits = limits
        self._frames = Frames(limits.frame_bytes)
        self._out = bytearray()
        self._wake = _Wake()
        self._calls: dict[int, Future[Any]] = {}
        self._number = 0
        self._times: list[int] = []
        self._busy = threading.Lock()
        self._interrupted: str | None = None
        self._dead = False
        self._poll = select.poll()
        self._poll.register(worker.sock, select.POLLIN)
        self._poll.register(self._wake.reader, select.POLLIN)
        self._polled_for = select.POLLIN
        self._finalizer = weakref.finalize(self, _end, bury, worker, self._wake, os.getpid())

    @property
    def alive(self) -> bool:
        """Whether another cell can run in it."""
        return not self._dead and self._interrupted is None and self._worker.running

    def execute(self, code: str, on_call: OnCall) -> CellResult:
        """Run one cell to its end; see :class:`langgraph_rlm.repl.base.Repl`.

        Raises:
            ReplError: it is closed, dead, or running a cell already.
        """
        if not self._busy.acquire(blocking=False):
            raise ReplError("this REPL is running another cell; a REPL serves one thread at a time")
        try:
            if self._dead:
                raise ReplError("this REPL has ended; start another one")
            started = time.monotonic()
            try:
                stdout, error, final, times = self._run(code, on_call)
                return cell_result(stdout, error, final, time.monotonic() - started, times=times)
            except Lost as lost:
                self._end()
                return cell_result("", str(lost), None, time.monotonic() - started, killed=True)
            except BaseException:
                self._end()
                raise
        finally:
            self._busy.release()

    def serve_times(self, times: Sequence[int]) -> None:
        """Let the next cell read these times (nanoseconds since 1970) first: those that it has read when it ran before."""
        self._times = list(times)

    def interrupt(self, reason: str = "The run was cancelled, and its REPL was ended.") -> None:
        """End it at once, from any thread; a cell that runs comes back as killed with ``reason`` as its error."""
        self._interrupted = self._interrupted or reason
        self._worker.kill()

    def close(self) -> None:
        """End it and free what it holds; from any thread, any number of times."""
        self.interrupt("The REPL was closed while the cell ran.")
        if self._busy.acquire(blocking=False):  # else the thread that runs the cell does it
            try:
                self._end()
            finally:
                self._busy.release()

    def start(self, settings: dict[str, Any], context_fd: int | None) -> None:
        """Send the session's settings and wait until its process is ready; called by the factory.

        Raises:
            Lost: the process is gone.
            ReplError: it cannot do what was asked of it.
        """
        frame = encode(settings)
        sock, deadline = self._worker.sock, time.monotonic() + _START_SECONDS
        fds = [] if context_fd is None else [context_fd]
        try:
            sent = socket.send_fds(sock, [frame[:_CHUNK]], fds)
            self._out += frame[sent:]
            while (message := self._frames.next()) is None:
                self._flush()
                if not self._transfer(max(0.0, deadline - time.monotonic())) and time.monotonic() > deadline:
                    raise ReplError(f"the REPL was not ready within {_START_SECONDS:.0f} s")
        except (Lost, Violation, OSError) as error:
            self._worker.wait(1.0)
            reason = self._worker.complaint() or str(error)
            raise Lost(f"the REPL's process ended while it started: {reason}") from None
        if message != ["ready"]:
            raise ReplError(f"the REPL did not start: {message[-1]}")
        self._worker.silence()

    def _run(self, code: str, on_call: OnCall) -> tuple[str, str | None, Any, list[int]]:
        self._number += 1
        self._out += encode(["cell", self._number, code, self._times])
        self._times = []
        cell = _Cell(CellClock(cpu=lambda: process_seconds(self._worker.pid)), self._limits)
        while True:
            self._flush()
            try:
                message = None if self._crowded else self._frames.next()
            except Violation as violation:
                raise self._broken(str(violation)) from None
            if message is None:
                self._transfer(cell.wait_seconds())
                self._answer_settled(cell)
                self._watch(cell)
            elif message[0] == "call":
                self._call(message, on_call, cell)
            elif message[0] == "done" and message[1] == self._number:
                self._abandon("RuntimeError", "the cell that made this call has ended; join threads in their cell")
                self._flush()
                return self._shown(message)
            else:
                raise self._broken("a message out of turn")

    def _shown(self, message: Message) -> tuple[str, str | None, Any, list[int]]:
        _, _, stdout, error, final, times = message
        most = self._limits.output_chars  # the worker keeps to it; a cell may have got hold of the wire
        return stdout[:most], None if error is None else error[: most + 200], final, times

    def _call(self, message: Message, on_call: OnCall, cell: _Cell) -> None:
        _, number, name, args, kwargs = message
        if name == CALL and self._lazy is not None:
            on_call = self._lazy
        elif name not in self._functions:
            raise self._broken("a call that it cannot make")
        if number in self._calls:
            raise self._broken("a call that it cannot make")
        if len(self._calls) >= _MOST_CALLS:
            raise self._broken(f"more than {_MOST_CALLS:,} calls at once")
        if cell.soft_since is not None:
            self._reply(number, "TimeoutError", cell.message)
            return
        began = time.monotonic()
        try:
            value = on_call(name, args, kwargs)
        except Exception as error:  # noqa: BLE001 - whatever the host's function raises is the cell's to handle
            self._reply(number, *mistake(error))
            cell.clock.skip(time.monotonic() - began)
            return
        cell.clock.skip(time.monotonic() - began)
        if not isinstance(value, Future):
            self._reply(number, "ok", value)
        elif value.done():
            self._reply_future(number, value)
        else:
            if not self._calls:
                cell.clock.pause()
            self._calls[number] = value
            value.add_done_callback(partial(self._wake.settled, number))

    def _answer_settled(self, cell: _Cell) -> None:
        while self._wake.queue:
            number, future = self._wake.queue.popleft()
            if self._calls.get(number) is future:  # else abandoned
                del self._calls[number]
                if not self._calls:
                    cell.clock.resume()
                self._reply_future(number, future)

    def _reply_future(self, number: int, future: Future[Any]) -> None:
        try:
            value = future.result()
        except CancelledError:
            self._reply(number, "RuntimeError", "the call was cancelled")
        except Exception as error:  # noqa: BLE001 - as above
            self._reply(number, *mistake(error))
        else:
            self._reply(number, "ok", value)

    def _reply(self, number: int, kind: str, value: Any) -> None:
        try:
            frame = encode(["reply", number, kind, value])
            problem = None
            if len(frame) > self._limits.frame_bytes:
                problem = f"the result is {len(frame):,} bytes, more than one message may carry; ask for less at a time"
        except (TypeError, ValueError, OverflowError) as error:
            problem = f"the result cannot be sent to the cell: {error}"
        self._out += frame if problem is None else encode(["reply", number, "ValueError", problem])

    def _abandon(self, kind: str, message: str) -> None:
        calls, self._calls = self._calls, {}
        for number, future in calls.items():
            future.cancel()
            self._reply(number, kind, message)

    def _watch(self, cell: _Cell) -> None:
        used = cell.clock.used()
        if cell.soft_since is None:
            if used < self._limits.cell_timeout:
                return
            if cell.clock.paused:
                self._abandon("TimeoutError", cell.message)
                cell.clock.resume()
            cell.soft_since = cell.next_alarm = used
        if used >= cell.soft_since + self._limits.grace:
            raise Lost(
                f"The cell went on for {self._limits.grace:g} s after its time limit of {self._limits.cell_timeout:g} s "
                "and was killed. Do less in one cell."
            )
        if used >= cell.next_alarm:
            cell.next_alarm = used + _ALARM_EVERY
            self._worker.alarm()

    def _flush(self) -> None:
        out = self._out
        while out:
            try:
                sent = self._worker.sock.send(out[:_CHUNK] if len(out) > _CHUNK else out)
            except BlockingIOError:
                break
            except OSError:
                raise self._lost() from None
            if sent == len(out):
                out.clear()
            else:
                del out[:sent]
        wanted = select.POLLOUT if out else 0
        if not self._crowded:
            wanted |= select.POLLIN
        if wanted != self._polled_for:
            self._poll.modify(self._worker.sock, wanted)
            self._polled_for = wanted

    @property
    def _crowded(self) -> bool:
        """Whether so many answers wait to be read that a cell that asks on, but does not listen, has to wait."""
        return len(self._out) > 2 * self._limits.frame_bytes

    def _transfer(self, seconds: float) -> bool:
        """Wait for the socket or a Future; whether there was anything."""
        events = self._poll.poll(seconds * 1000 + 0.5)
        for descriptor, event in events:
            if descriptor == self._wake.reader:
                self._wake.clear()
            elif event & select.POLLIN:
                try:
                    chunk = self._worker.sock.recv(_CHUNK)
                except BlockingIOError:
                    continue
                except OSError:
                    raise self._lost() from None
                if not chunk:
                    raise self._lost()
                self._frames.feed(chunk)
            elif event & ~select.POLLOUT:
                raise self._lost()
        return bool(events)

    def _broken(self, what: str) -> Lost:
        return Lost(f"The cell disturbed the connection to the host ({what}); its process was killed.")

    def _lost(self) -> Lost:
        status = self._worker.wait(1.0)  # before we kill it ourselves
        if self._interrupted is not None:
            return Lost(self._interrupted)
        if status is None:
            return Lost("The cell closed the connection to the host; its process was killed.")
        if status >= 0:
            return Lost(f"The cell ended its own process (exit status {status}); let cells run to their end.")
        name = signal.Signals(-status).name if -status in signal.valid_signals() else f"signal {-status}"
        hint = {
            "SIGSEGV": "a crash, e.g. recursion that is too deep",
            "SIGKILL": "killed from outside, e.g. because memory ran out",
            "SIGXCPU": "the processor time of this session is used up",
        }.get(name, "killed by a signal")
        return Lost(f"The cell's process ended by {name} ({hint}); do it in another way or with less data.")

    def _end(self) -> None:
        self._dead = True
        for future in self._calls.values():
            future.cancel()
        self._calls.clear()
        self._finalizer()


class _Cell:
    """What the host knows about the cell that runs."""

    def __init__(self, clock: CellClock, limits: ReplLimits) -> None:
        self.clock = clock
        self.message = timeout_message(limits)
        self.soft_since: float | None = None
        self.next_alarm = 0.0
        self._limit = limits.cell_timeout

    def wait_seconds(self) -> float:
        """How long nothing has to be looked at."""
        if self.soft_since is not None:
            return _ALARM_EVERY / 4
        left = max(0.0, self._limit - self.clock.used())
        return min(left / 2 + 0.01, 1.0) if self.clock.paused else left  # CPU time may pass faster than wall time


class _Wake:
    """Settled Futures on their way to the executing thread, and a pipe that wakes it."""

    def __init__(self) -> None:
        self.reader, self._writer = os.pipe()
        os.set_blocking(self.reader, False)
        os.set_blocking(self._writer, False)
        self.queue: deque[tuple[int, Future[Any]]] = deque()
        self._lock = threading.RLock()  # the finalizer may strike in the thread that holds it
        self._closed = False

    def settled(self, number: int, future: Future[Any]) -> None:
        self.queue.append((number, future))
        with self._lock, contextlib.suppress(BlockingIOError):  # a full pipe wakes as well
            if not self._closed:
                os.write(self._writer, b"\0")

    def clear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self.reader, 4096)

    def close(self) -> None:
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self.reader)
                os.close(self._writer)


def _end(bury: Callable[[], None], worker: Process, wake: _Wake, owner: int) -> None:
    wake.close()
    if os.getpid() == owner:
        bury()
    else:
        worker.release()  # the process belongs to the host that we are a fork of


def timeout_message(limits: ReplLimits) -> str:
    """What a cell is told at its soft time limit."""
    return (
        f"the cell ran longer than {limits.cell_timeout:g} s (waiting for calls not counted); "
        "its variables are kept: go on in smaller steps"
    )
