"""A shell in a jail of its own, for ``codex_exec``: one command, a fresh directory, no network, nothing left behind.

It is off unless the user turns it on. The walls are the kernel's: Landlock and seccomp by sandlock where its version of
Landlock is there, namespaces by bubblewrap where those may be made. Where neither works, it is refused.
"""

from __future__ import annotations

import codecs
import os
import select
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langgraph_rlm.errors import InvalidInput, SandboxUnavailable
from langgraph_rlm.repl.shell.engines import Engine, Jail, bubblewrap, sandlock
from langgraph_rlm.repl.worker.output import Output

_MOST_OUTPUT = 16 << 20
"""Bytes after which a command that only prints is ended."""
_MOST_FILES = 20_000
"""Files and folders of a scratch directory: they are counted every 0.1 s, which takes about as long for so many."""
_LOOK_EVERY = 0.1
"""Seconds between two looks at the scratch directory and the clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """Turns ``codex_exec`` on, and says what a command may use.

    Programs come from the system's own directories (``/usr``, ``/bin``, ``/lib…``), which commands can read. Beside
    them they see ``read`` and a scratch directory that is new for each command and removed after it: so a cell that is
    run again in a replay finds what it found the first time.

    Args:
        read: files and directories that commands may read, and nobody may write.
        memory_bytes: memory of a command, all its processes together (with bubblewrap: of each process).
        processes: how many at once.
        seconds: how long a command may run at most.
        output_chars: characters of output kept; the head, the tail and how much was cut.
        scratch_bytes: what a command may write; one that writes more is ended.

    Example:
        >>> shell = Shell(read=["/usr/share"], seconds=5)
        >>> graph = create_rlm("openai:gpt-5", shell=shell)  # doctest: +SKIP
    """

    read: Sequence[str | os.PathLike[str]] = ()
    memory_bytes: int = 512 << 20
    processes: int = 32
    seconds: float = 30.0
    output_chars: int = 8_000
    scratch_bytes: int = 256 << 20

    def checked(self) -> Shell:
        """This shell, if it can run here.

        Raises:
            InvalidInput: a path that is not there, or a limit that is not above zero.
            SandboxUnavailable: neither engine works on this system; the message says what each lacks.
        """
        for path in self.read:
            if not Path(path).exists():
                raise InvalidInput(f"Shell(read=…): {os.fspath(path)!r} does not exist")
        for name in ("memory_bytes", "processes", "seconds", "output_chars", "scratch_bytes"):
            if not getattr(self, name) > 0:
                raise InvalidInput(f"Shell({name}=…) must be above zero, not {getattr(self, name)!r}")
        engine()
        return self

    @property
    def notes(self) -> tuple[str, ...]:
        """What the root model is told about it."""
        paths = ", ".join(f"`{Path(path).resolve()}`" for path in self.read) or "none"
        return (
            f"`codex_exec` starts in an empty scratch directory and may read, beside the system's programs: {paths}. "
            f"Limits: {self.seconds:g} s, {self.memory_bytes >> 20:,} MB of memory, {self.processes} processes; there "
            "is no network and no environment. It does not see `context`.",
        )

    def run(self, command: str, seconds: float | None = None) -> dict[str, Any]:
        """Run a command with ``/bin/sh`` and wait for it; blocks.

        Args:
            command: shell text.
            seconds: less time than the limit.

        Returns:
            ``output`` (stdout and stderr in the order of writing), ``exit_code`` (None when it was ended), and
            ``ended``: why it was ended, or None.

        Raises:
            SandboxUnavailable: neither engine works on this system.
        """
        if "\0" in command:
            raise InvalidInput("codex_exec: the command holds a NUL character")
        if seconds is not None and not seconds > 0:
            raise InvalidInput(f"codex_exec: timeout must be above zero, not {seconds!r}")
        limit = self.seconds if seconds is None else min(seconds, self.seconds)
        start = engine().start
        scratch = tempfile.mkdtemp(prefix="codex-")
        try:
            jail = start(command, scratch, [os.path.realpath(path) for path in self.read], self)
            with jail:
                return self._watched(jail, scratch, limit)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _watched(self, jail: Jail, scratch: str, limit: float) -> dict[str, Any]:
        output = Output(self.output_chars)
        output.begin()
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        pipe, deadline, received = jail.output, time.monotonic() + limit, 0
        os.set_blocking(pipe, False)
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        ended: str | None = None
        look = time.monotonic() + _LOOK_EVERY
        while ended is None:
            ready = poll.poll(_LOOK_EVERY * 1000)
            chunk = _read(pipe) if ready else None
            if chunk:
                received += len(chunk)
                output.write(decoder.decode(chunk))
            now = time.monotonic()
            if now > deadline:
                ended = f"it ran longer than {limit:g} s"
            elif received > _MOST_OUTPUT:
                ended = f"it printed more than {_MOST_OUTPUT >> 20} MB"
            elif now > look:
                look = now + _LOOK_EVERY
                if _written(scratch) > self.scratch_bytes:
                    ended = f"it wrote more than {self.scratch_bytes >> 20:,} MB or {_MOST_FILES:,} files"
            if not chunk and (chunk == b"" or jail.finished()):
                break  # a background job that holds the pipe ends with the command
        if ended is not None:
            jail.kill()
        status = jail.wait()
        output.write(decoder.decode(b"", final=True))
        if status is None and ended is None:
            ended = "it was ended by a signal"
        return {"output": output.end(), "exit_code": status if ended is None else None, "ended": ended}


def engine() -> Engine:
    """The engine that works here.

    Raises:
        SandboxUnavailable: there is none.
    """
    lacks = []
    for one in (sandlock(), bubblewrap()):
        if one.lacks is None:
            return one
        lacks.append(f"{one.name}: {one.lacks}")
    raise SandboxUnavailable(f"codex_exec has no jail to run commands in on this system ({'; '.join(lacks)})")


def _read(pipe: int) -> bytes | None:
    try:
        return os.read(pipe, 1 << 16)
    except BlockingIOError:
        return None


def _written(scratch: str) -> int:
    """Bytes of the files in a directory; a great number when there are too many to count."""
    size = count = 0
    for folder, _, files in os.walk(scratch):
        count += 1 + len(files)
        if count > _MOST_FILES:
            return 1 << 62
        for name in files:
            try:
                size += os.lstat(os.path.join(folder, name)).st_blocks * 512  # noqa: PTH118 - a hot loop
            except OSError:  # removed meanwhile
                continue
    return size
