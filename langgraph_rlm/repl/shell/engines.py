"""What jails a command: sandlock (Landlock and seccomp) or bubblewrap (namespaces), each behind the same few methods."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

_PROGRAMS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
_PATH = "/usr/local/bin:/usr/bin:/bin"
_SECONDS_TO_DIE = 10.0
"""Between SIGKILL and the end: the kernel may have much memory to free."""


class Jail(Protocol):
    """A command that runs."""

    @property
    def output(self) -> int:
        """Descriptor of the pipe with its stdout and stderr."""
        ...

    def finished(self) -> bool:
        """Whether the command itself has ended; jobs that it left in the background may not have."""
        ...

    def kill(self) -> None:
        """End it with all it has started."""
        ...

    def wait(self) -> int | None:
        """Its exit status, after all it had started is gone; None when it ended by a signal."""
        ...

    def __enter__(self) -> Jail: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Bounds(Protocol):
    """The limits that an engine looks at."""

    @property
    def memory_bytes(self) -> int: ...
    @property
    def processes(self) -> int: ...
    @property
    def scratch_bytes(self) -> int: ...


Start = Callable[[str, str, Sequence[str], Any], Jail]
"""``(command, scratch directory, readable paths, limits)`` → the running command."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A way to jail a command.

    Args:
        name: of the tool.
        lacks: why it cannot work here; None when it can.
        start: starts a command.
    """

    name: str
    lacks: str | None
    start: Start


def sandlock() -> Engine:
    """Landlock and seccomp, without namespaces and without root."""
    return Engine("sandlock", _sandlock_lacks(), _SandlockJail)


def bubblewrap() -> Engine:
    """Namespaces, where an unprivileged user may make them."""
    return Engine("bubblewrap", _bubblewrap_lacks(), _BubblewrapJail)


def _wrapped(command: str, limits: Bounds) -> list[str]:
    # The command is an argument, never part of the text; 512-byte blocks are what POSIX's ulimit -f counts in.
    blocks = max(1, limits.scratch_bytes // 512)
    script = f'ulimit -c 0; ulimit -f {blocks}; exec 2>&1 </dev/null; exec /bin/sh -c "$1"'
    return ["/bin/sh", "-c", script, "sh", command]


# --- sandlock -------------------------------------------------------------------------------------------------------


@functools.cache
def _sandlock_lacks() -> str | None:
    try:
        library = importlib.import_module("sandlock")
    except (ImportError, RuntimeError, OSError) as error:  # it loads a native library that not every system has
        return f'not installed or not loadable ({type(error).__name__}); pip install "langgraph-rlm[shell]"'
    there, needed = library.landlock_abi_version(), library.min_landlock_abi()
    return None if there >= needed else f"needs Landlock ABI {needed}, this kernel has {there}"


class _SandlockJail:
    def __init__(self, command: str, scratch: str, read: Sequence[str], limits: Bounds) -> None:
        library: Any = importlib.import_module("sandlock")
        box = library.Sandbox(
            fs_readable=[*filter(os.path.exists, (*_PROGRAMS, *_DEVICES)), *read],
            fs_writable=[scratch, "/dev/null"],
            cwd=scratch,
            clean_env=True,
            env={"PATH": _PATH},
            max_memory=limits.memory_bytes,
            max_processes=limits.processes,
            max_open_files=256,
            no_coredump=True,
        )
        null, piped = library.StdioMode.NULL, library.StdioMode.PIPED
        self._process = box.popen(_wrapped(command, limits), stdin=null, stdout=piped, stderr=null)
        self._box = box
        self._pid = self._process.pid

    @property
    def output(self) -> int:
        descriptor: int = self._process.stdout.fileno()
        return descriptor

    def finished(self) -> bool:
        try:  # without collecting its status, which is the library's to collect
            return os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True

    def kill(self) -> None:
        self._process.kill()

    def wait(self) -> int | None:
        result = self._process.wait(timeout=_SECONDS_TO_DIE)
        return result.exit_code if result.exit_code >= 0 and result.reason == 0 else None

    def __enter__(self) -> _SandlockJail:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.__exit__(kind, error, trace)
        self._box.__exit__(kind, error, trace)


# --- bubblewrap -----------------------------------------------------------------------------------------------------


@functools.cache
def _bubblewrap_lacks() -> str | None:
    program = shutil.which("bwrap")
    if program is None:
        return "bwrap is not installed (apt install bubblewrap)"
    if os.geteuid() == 0:
        return "the kernel limits no processes of root, and a command could start any number"
    with tempfile.TemporaryDirectory() as scratch:
        try:
            done = subprocess.run(
                [*_bubble(program, scratch, ()), "/bin/sh", "-c", "exit 7"], capture_output=True, timeout=20
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"bwrap does not run ({type(error).__name__})"
    if done.returncode == 7:
        return None
    return f"bwrap may not make namespaces here ({done.stderr.decode('utf-8', 'replace').strip()[:200]})"


def _bubble(program: str, scratch: str, read: Sequence[str]) -> list[str]:
    command = [program, "--unshare-all", "--unshare-user", "--die-with-parent", "--new-session", "--clearenv"]
    for path in filter(os.path.lexists, _PROGRAMS):
        link = Path(path)
        command += ["--symlink", os.fspath(link.readlink()), path] if link.is_symlink() else ["--ro-bind", path, path]
    command += ["--setenv", "PATH", _PATH, "--proc", "/proc", "--dev", "/dev"]
    for path in read:
        command += ["--ro-bind", path, path]
    # What bwrap makes is a file system in memory: left writable, a command could fill that beside its scratch directory.
    sealed = ["--remount-ro", "/dev", "--remount-ro", "/"]
    return [*command, "--bind", scratch, scratch, "--chdir", scratch, *sealed, "--cap-drop", "ALL"]


class _BubblewrapJail:
    def __init__(self, command: str, scratch: str, read: Sequence[str], limits: Bounds) -> None:
        program = shutil.which("bwrap") or "bwrap"
        # Set inside: in a user namespace of its own the kernel counts the processes of the command alone.
        bounds = f'ulimit -v {limits.memory_bytes >> 10}; ulimit -u {limits.processes} 2>/dev/null || ulimit -p {limits.processes}; exec "$@"'
        self._process = subprocess.Popen(
            [*_bubble(program, scratch, read), "/bin/sh", "-c", bounds, "sh", *_wrapped(command, limits)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            start_new_session=True,
        )

    @property
    def output(self) -> int:
        assert self._process.stdout is not None  # a pipe was asked for
        return self._process.stdout.fileno()

    def finished(self) -> bool:
        return self._process.poll() is not None

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # the rest dies with the first process of its namespace

    def wait(self) -> int | None:
        status = self._process.wait()
        return status if status >= 0 else None

    def __enter__(self) -> _BubblewrapJail:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
