"""The host's handles on the jail's processes: a zygote, the templates it forks, the sessions they fork.

Each handle owns one process: when nothing refers to it any more, the process ends. A session refers to its template and
a template to its zygote, because the kernel kills children together with their parent.
"""

from __future__ import annotations

import array
import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgpack

from langgraph_rlm.errors import ReplError
from langgraph_rlm.repl.spawn import ENVIRONMENT, ERROR_BYTES, OPTIONS
from langgraph_rlm.repl.worker.jail import zygote

# Imported as modules of packages of other names, the files run from the byte code that the host has cached.
_BOOT = """\
import sys
for name in ('', '.jail', '.context'):
    package = type(sys)('cellside' + name)
    package.__path__ = [sys.argv[1] + name.replace('.', '/')]
    sys.modules['cellside' + name] = package
sys.path.append(sys.argv[2])
import msgpack
sys.path.remove(sys.argv[2])
from cellside.jail.zygote import main
main(sys.argv[3:])
"""
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""For modules of the user's: threads that numpy starts at its import would not be there in a fork."""
_PATIENCE = 60.0
"""Seconds for an answer of a process that is healthy: a context of hundreds of megabytes is decoded meanwhile."""
_MODULE_SECONDS = 60.0
"""More of them for each module of the user's: all submodules of scipy or sympy take 10 s on a quiet machine."""


class Gone(Exception):
    """The process that should have done it is not there any more; another one may do it."""


class _Child:
    """A process that a zygote or template has forked for the host: its pidfd, and how it ended.

    Args:
        status: the host's end of the socket on which its parent tells both.
    """

    def __init__(self, status: socket.socket) -> None:
        self._status = status
        self._lock = threading.Lock()
        self._code: int | None = None
        try:
            status.settimeout(_PATIENCE)
            payload, fds, _, _ = socket.recv_fds(status, 64, 1)
        except OSError as error:
            status.close()
            raise Gone(str(error)) from None
        if not payload or not fds:
            status.close()
            raise Gone("its parent has ended")
        self.pid = int(payload)
        self._pidfd = fds[0]
        self._owner = os.getpid()
        self._poll = select.poll()
        self._poll.register(self._pidfd, select.POLLIN)

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        with self._lock:
            return self._pidfd >= 0 and not self._poll.poll(0)

    def wait(self, seconds: float) -> int | None:
        """Its exit status, negative for a signal, when it ends in this time."""
        with self._lock:
            if self._code is None and self._pidfd >= 0 and self._poll.poll(seconds * 1000):
                self._code = self._read_status()
            return self._code

    def signal(self, number: int) -> None:
        """Send it a signal; nothing happens when it has ended or belongs to the host that we are a fork of."""
        with self._lock:
            if self._pidfd >= 0 and os.getpid() == self._owner:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._pidfd, number)

    def release(self) -> None:
        """Close what we have of it."""
        with self._lock:
            if self._pidfd >= 0:
                os.close(self._pidfd)
                self._pidfd = -1
                self._status.close()

    def end(self) -> None:
        """Kill it and close what we have of it."""
        self.signal(signal.SIGKILL)
        self.release()

    def _read_status(self) -> int:
        try:
            self._status.settimeout(1.0)
            return int(self._status.recv(64))
        except (OSError, ValueError):  # its parent has ended and has taken it along
            return -signal.SIGKILL


def _request(control: socket.socket, payload: bytes, fds: Sequence[int]) -> _Child:
    """Ask a zygote or template for a child.

    Raises:
        Gone: it has ended.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        try:
            control.sendmsg(
                [payload], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [theirs.fileno(), *fds]))]
            )
        except OSError as error:
            ours.close()
            raise Gone(str(error)) from None
    return _Child(ours)


class Zygote:
    """A fresh Python with an empty environment; see ``zygote.py``. It ends when nothing refers to it.

    Args:
        modules: what cells may import beside the standard modules.

    Raises:
        ReplError: it did not start, or a module could not be imported.
    """

    def __init__(self, modules: Sequence[str]) -> None:
        if not sys.executable:
            raise ReplError("cannot start the jail: sys.executable is empty, so the Python to start is not known")
        self.owner = os.getpid()
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            started: Future[subprocess.Popen[bytes]] = Future()
            environment = {**ENVIRONMENT, **(_ONE_THREAD if modules else {})}
            # Linux kills it together with the thread that started it: that one waits for its end.
            threading.Thread(
                target=_start_and_wait, args=(started, theirs, environment), name="jail-zygote", daemon=True
            ).start()
            try:
                process = started.result()
            except OSError as error:
                self.control.close()
                raise ReplError(f"cannot start the jail: {error}") from error
        self.pid = process.pid
        self._process = process
        self._finalizer = weakref.finalize(self, _end_zygote, process, self.control, self.owner)
        paths = [path for path in sys.path if path and Path(path).is_dir()] if modules else []
        self._expect_ready({"modules": list(modules), "paths": paths}, _PATIENCE + _MODULE_SECONDS * len(modules))

    @property
    def running(self) -> bool:
        """Whether it has not ended: then nobody holds the other end of its socket."""
        if not self._finalizer.alive:
            return False
        poll = select.poll()
        poll.register(self.control, 0)
        return not poll.poll(0)

    def end(self) -> None:
        """Kill it, and with it all templates and sessions."""
        self._finalizer()

    def _expect_ready(self, settings: dict[str, Any], seconds: float) -> None:
        self.control.settimeout(seconds)
        try:
            self.control.send(msgpack.packb(settings))
            answer = self.control.recv(ERROR_BYTES).decode("utf-8", "replace")
        except OSError as error:
            answer = str(error)
        if answer == "ready":
            self._release_stderr()
            return
        self._process.kill()
        if answer == "" and self._process.stderr is not None:
            complaint = self._process.stderr.read(ERROR_BYTES).decode("utf-8", "replace").strip().splitlines()
            answer = (complaint or ["it ended at once"])[-1][:500]
        self._release_stderr()
        self.end()
        raise ReplError(f"the jail did not start: {answer}")

    def _release_stderr(self) -> None:
        if self._process.stderr is not None:
            self._process.stderr.close()


def _start_and_wait(
    started: Future[subprocess.Popen[bytes]], theirs: socket.socket, environment: dict[str, str]
) -> None:
    files = str(Path(zygote.__file__).parents[1])
    packages = str(Path(msgpack.__file__).parent.parent)
    try:
        process = subprocess.Popen(
            [
                sys.executable,
                *OPTIONS,
                "-c",
                _BOOT,
                files,
                packages,
                str(theirs.fileno()),
                str(os.getpid()),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
            cwd="/",
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    except OSError as error:
        started.set_exception(error)
        return
    started.set_result(process)
    process.wait()


def _end_zygote(process: subprocess.Popen[bytes], control: socket.socket, owner: int) -> None:
    control.close()
    if os.getpid() == owner:
        process.kill()


class Template:
    """A process that holds one context and forks sessions; see ``template.py``. It ends when nothing refers to it.

    Args:
        parent: what forks it.
        settings: for the template.
        file: descriptor of the context's file, if it has one.

    Raises:
        Gone: the zygote, or the template itself, has ended.
        ReplError: the template cannot do what is asked of it; the message says why.
    """

    def __init__(self, parent: Zygote, settings: dict[str, Any], file: int | None) -> None:
        self._parent = parent
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                fds = [theirs.fileno()] if file is None else [theirs.fileno(), file]
                try:
                    self._child = _request(parent.control, msgpack.packb(settings), fds)
                except Gone:
                    parent.end()  # it may not have ended yet, but it does not answer any more
                    raise
        except BaseException:
            self._control.close()
            raise
        self.pid = self._child.pid
        self._finalizer = weakref.finalize(self, _end_template, self._child, self._control)
        self._control.settimeout(_PATIENCE)
        try:
            answer = self._control.recv(ERROR_BYTES).decode("utf-8", "replace")
        except TimeoutError as error:
            answer = str(error)
        except OSError as error:  # its parent was killed
            self.end()
            raise Gone(str(error)) from None
        if answer == "ready":
            return
        status = self._child.wait(1.0) if not answer else None
        self.end()
        if not answer:
            raise Gone(f"it ended with status {status}")
        raise ReplError(f"the REPL did not start: {answer}")

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._child.running

    def end(self) -> None:
        """Kill it, and with it its sessions."""
        self._finalizer()

    def session(self) -> Session:
        """Fork a session.

        Raises:
            Gone: the template has ended.
        """
        try:
            return Session(self, self._control)
        except Gone:
            self.end()  # as above
            raise


def _end_template(child: _Child, control: socket.socket) -> None:
    control.close()
    child.end()


class Session(_Child):
    """One locked-down process, as :class:`langgraph_rlm.repl.process.ProcessRepl` uses it.

    Args:
        template: what forks it.
        control: the template's socket.

    Raises:
        Gone: the template has ended.
    """

    warm = False

    def __init__(self, template: Template, control: socket.socket) -> None:
        self.sock, theirs = socket.socketpair()
        self._template: Template | None = template
        try:
            with theirs:
                child = _request(control, b"session", [theirs.fileno()])
        except BaseException:
            self.sock.close()
            raise
        self.__dict__.update(vars(child))
        self.sock.setblocking(False)

    def kill(self) -> None:
        """End it at once."""
        self.signal(signal.SIGKILL)

    def alarm(self) -> None:
        """Tell it that its time is over."""
        self.signal(signal.SIGALRM)

    def release(self) -> None:
        """Close what we have of it, and let its template go."""
        super().release()
        self.sock.close()
        self._template = None

    def silence(self) -> None:
        """It has nothing that it could complain on."""

    def complaint(self) -> str:
        """Nothing: what goes wrong at the start comes over the wire."""
        return ""
