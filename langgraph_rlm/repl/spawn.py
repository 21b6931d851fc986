"""Worker processes: started by a thread that outlives them, a few ahead of their use, killed with all they started."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path

import msgpack

from langgraph_rlm.errors import ReplError
from langgraph_rlm.repl.worker import main as worker

# Imported as modules of a package of another name, the worker's files run from the byte code that the host has cached.
_BOOT = """\
import sys
package = type(sys)('cellside')
package.__path__ = [sys.argv[1]]
sys.modules['cellside'] = package
sys.path.append(sys.argv[2])
from cellside.main import main
sys.path.remove(sys.argv[2])
main(sys.argv[3:])
"""
OPTIONS = ("-s", "-P", "-B", "-S", "-W", "ignore::DeprecationWarning")
"""Of Python: nothing of the user's site, no byte code written, and no words on what later versions will not have: a model
cannot do anything about them, and each version of Python has others."""
ENVIRONMENT = {
    "LC_ALL": "C.UTF-8",
    "MALLOC_ARENA_MAX": "2",  # else many threads fill the address space
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",  # decodes a large context twice as fast
    "PYTHONHASHSEED": "0",  # a replay must see sets in the same order
}
ERROR_BYTES = 1 << 16
"""Of what a start complains of: what a pipe holds."""
_LAST_SECONDS = 10.0
"""Between SIGKILL and the end, as above: it is waited for in a thread of its own."""

_Job = Callable[[], None]


class Worker:
    """One worker process and the host's end of its socket.

    Args:
        warm: let it import ahead of its use what cells often use.
    """

    def __init__(self, *, warm: bool) -> None:
        if not sys.executable:
            raise ReplError("cannot start a REPL: sys.executable is empty, so the Python to start is not known")
        ours, theirs = socket.socketpair()
        packages = str(Path(msgpack.__file__).parent.parent)
        files = str(Path(worker.__file__).parent)
        with theirs:
            command = [sys.executable, *OPTIONS, "-c", _BOOT, files, packages]
            try:
                self._process = subprocess.Popen(
                    [*command, str(theirs.fileno()), str(os.getpid()), "1" if warm else "0"],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    env=ENVIRONMENT,
                    cwd="/",
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                raise ReplError(f"cannot start a REPL: {error}") from error
        ours.setblocking(False)
        self.warm = warm
        self.sock = ours
        self.pid = self._process.pid
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._ended = False

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        with self._lock:
            return not self._ended and not self._stopped()

    def alarm(self) -> None:
        """Tell the cell that its time is over."""
        self._send(signal.SIGALRM)

    def kill(self) -> None:
        """End the process and those it has started. From any thread, any number of times."""
        with self._lock:
            if self._ended or os.getpid() != self._owner:
                return
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)  # the group may not exist yet

    def wait(self, seconds: float) -> int | None:
        """Its exit status (negative: the signal that ended it), or None if it has not ended within ``seconds``.

        Those that it had started are ended with it.
        """
        deadline, pause = time.monotonic() + seconds, 0.0005
        while not self._stopped():
            if time.monotonic() > deadline:
                return None
            time.sleep(pause)
            pause = min(2 * pause, 0.05)
        self.kill()
        with self._lock:
            self._ended = True  # from here on the pid may be another process's
            return self._process.wait()

    def release(self) -> None:
        """Close what the host holds of a process that was killed. A forked copy of the host closes its copies only."""
        with self._lock:
            self._ended = True
        self.sock.close()
        self.silence()

    def silence(self) -> None:
        """Close the pipe of start errors."""
        if self._process.stderr is not None:
            self._process.stderr.close()

    def complaint(self) -> str:
        """The last line that a process which has ended wrote while it started."""
        pipe = self._process.stderr
        if pipe is None or pipe.closed:
            return ""
        os.set_blocking(pipe.fileno(), False)
        text = (pipe.read(ERROR_BYTES) or b"").decode("utf-8", "replace")
        return (text.strip().splitlines() or [""])[-1][:500]

    def _stopped(self) -> bool:
        try:  # without collecting its status, so that its pid and its group stay its own
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True

    def _send(self, number: int) -> None:
        with self._lock:
            if not self._ended:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, number)


class Spawner:
    """Starts workers from one thread, and keeps ``spare`` of them ready.

    The thread matters: Linux kills a process together with the *thread* that started it. It lives as long as the
    factory or any REPL refers to this object.

    Args:
        spare: how many to keep.
    """

    def __init__(self, spare: int) -> None:
        self.pid = os.getpid()
        self._spare = spare
        self._spares: deque[Worker] = deque()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        threading.Thread(target=_serve, args=(self._jobs, self._spares), name="repl-spawner", daemon=True).start()
        self._finalizer = weakref.finalize(self, self._jobs.put, None)

    def take(self) -> Worker:
        """A worker: a spare one if there is one, else a new one. Call :meth:`refill` when the new REPL works.

        Raises:
            ReplError: the process could not be started.
        """
        while True:
            try:
                found = self._spares.popleft()
            except IndexError:
                break
            if found.running:
                return found
            self.bury(found)
        answer: Future[Worker] = Future()
        self._jobs.put(partial(_start, answer))
        return answer.result()

    def refill(self) -> None:
        """Bring the spares back to their number; does not wait."""
        self._jobs.put(partial(_refill, self._spares, self._spare))

    def drop_spares(self) -> None:
        """End the spares and keep none from now on."""
        self._spare = 0
        self._jobs.put(partial(_refill, self._spares, 0))

    def settle(self) -> None:
        """Wait until all that was asked for so far is done."""
        answer: Future[None] = Future()
        self._jobs.put(partial(answer.set_result, None))
        answer.result()

    def bury(self, dead: Worker) -> None:
        """Kill a worker and collect its exit status, without waiting for it here."""
        dead.kill()
        self._jobs.put(partial(_bury, dead))


def _serve(jobs: queue.SimpleQueue[_Job | None], spares: deque[Worker]) -> None:
    while (job := jobs.get()) is not None:
        job()
    while spares:
        _bury(spares.pop())


def _start(answer: Future[Worker]) -> None:
    try:
        answer.set_result(Worker(warm=False))
    except ReplError as error:
        answer.set_exception(error)


def _refill(spares: deque[Worker], wanted: int) -> None:
    with contextlib.suppress(ReplError):  # whoever needs one tries by itself, and reports
        while len(spares) < wanted:
            spares.append(Worker(warm=True))
    while len(spares) > wanted:
        _bury(spares.pop())


def _bury(dead: Worker) -> None:
    dead.kill()
    dead.wait(_LAST_SECONDS)
    dead.release()
