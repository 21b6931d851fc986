"""What attacks aim at: live servers, files, and a process of the host's, and what of them an attack has changed.

It is used by ``runner.py``, the process that plays the host, and needs the standard library only.
"""

from __future__ import annotations

import os
import resource
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from call_numbers import numbers
from marks import ENVIRONMENT, MARK


class Stage:
    """Targets, fresh for one attack."""

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="stage"))
        self._secret = self._directory / "secret"
        self._secret.write_text(MARK)
        self._plain = self._directory / "plain"
        self._plain.write_text("as it was")
        self._before = self._look()
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", 0))
        self._sockets = Path(tempfile.mkdtemp(prefix="sockets"))
        self._stream = socket.socket(socket.AF_UNIX)
        self._stream.bind(str(self._sockets / "stream"))
        self._stream.listen()
        self._datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._datagrams.bind(str(self._sockets / "datagrams"))
        self._abstract = socket.socket(socket.AF_UNIX)
        self._abstract.bind(f"\0stage-{os.getpid()}-{self._directory.name}")
        self._abstract.listen()
        self._six: socket.socket | None = None
        if socket.has_ipv6:
            try:
                self._six = socket.create_server(("::1", 0), family=socket.AF_INET6)
            except OSError:
                self._six = None
        self._doors = [self._tcp, self._udp, self._stream, self._datagrams, self._abstract]
        self._doors += [self._six] if self._six else []
        for door in self._doors:
            door.setblocking(False)
        self._victim = subprocess.Popen(
            [sys.executable, "-S", "-c", "import sys; print(flush=True); sys.stdin.read()"],
            stdin=subprocess.PIPE,  # it ends when the host does
            stdout=subprocess.PIPE,
            start_new_session=True,
            cwd="/",
        )
        assert self._victim.stdout is not None
        self._victim.stdout.readline()
        self._state = self._state_of_victim()
        self._own = self._state_of(0)

    def targets(self) -> dict[str, Any]:
        """What the code of an attack finds in ``T``."""
        first = Path(f"/proc/{self._victim.pid}/maps").read_text().split("-", 1)[0]
        return {
            "nr": numbers(),
            "mark": [MARK[:7], MARK[7:]],  # in pieces, or a cell would find its own code
            "environment": ENVIRONMENT,
            "host": os.getpid(),
            "victim": self._victim.pid,
            "victim_address": int(first, 16),
            "directory": str(self._directory),
            "secret": str(self._secret),
            "plain": str(self._plain),
            "tcp": self._tcp.getsockname()[1],
            "tcp6": self._six.getsockname()[1] if self._six else None,
            "udp": self._udp.getsockname()[1],
            "stream": str(self._sockets / "stream"),
            "datagrams": str(self._sockets / "datagrams"),
            "abstract": f"\0stage-{os.getpid()}-{self._directory.name}",
            "extension": _unloaded_extension(),
            "python": sys.executable,
        }

    def changes(self) -> list[str]:
        """What has happened to the targets."""
        seen = []
        if (now := self._look()) != self._before:
            seen.append(f"files: {sorted(now.items() ^ self._before.items())}")
        for door in self._doors:
            try:
                if door.type == socket.SOCK_STREAM:
                    door.accept()[0].close()
                else:
                    door.recv(100)
            except OSError:
                continue
            seen.append(f"the server at {door.getsockname()!r} was reached")
        if self._victim.poll() is not None:
            seen.append(f"the host's child was ended ({self._victim.returncode})")
        elif (state := self._state_of_victim()) != self._state:
            seen.append(f"the host's child was changed from {self._state} to {state}")
        if (own := self._state_of(0)) != self._own:
            seen.append(f"the host was changed from {self._own} to {own}")
        return seen

    def close(self) -> None:
        """Take everything down."""
        self._victim.kill()
        self._victim.wait()
        for pipe in (self._victim.stdin, self._victim.stdout):
            assert pipe is not None
            pipe.close()
        for door in self._doors:
            door.close()
        shutil.rmtree(self._directory, ignore_errors=True)
        shutil.rmtree(self._sockets, ignore_errors=True)

    def _look(self) -> dict[str, str]:
        found = {"": f"{self._directory.stat().st_mode:o}"}
        for path in self._directory.rglob("*"):
            at = path.lstat()
            body = path.read_text(errors="replace") if path.is_file() and not path.is_symlink() else ""
            names = os.listxattr(path, follow_symlinks=False)
            found[path.name] = f"{at.st_mode:o} {at.st_uid} {at.st_nlink} {at.st_mtime_ns} {names} {body}"
        return found

    def _state_of_victim(self) -> tuple[Any, ...]:
        fields = Path(f"/proc/{self._victim.pid}/stat").read_text().rpartition(")")[2].split()
        stopped = fields[0] in "Tt"
        return (stopped, fields[2], fields[3], *self._state_of(self._victim.pid))

    @staticmethod
    def _state_of(pid: int) -> tuple[Any, ...]:
        return (
            os.getpriority(os.PRIO_PROCESS, pid),
            sorted(os.sched_getaffinity(pid)),
            os.sched_getscheduler(pid),
            *(resource.prlimit(pid, what) for what in (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE)),
        )


def _unloaded_extension() -> str | None:
    found = sorted(Path(sysconfig.get_path("stdlib"), "lib-dynload").glob("_xxtestfuzz.*.so"))
    found += sorted(Path(sysconfig.get_path("stdlib"), "lib-dynload").glob("_testbuffer.*.so"))
    found += sorted(Path(sysconfig.get_path("stdlib"), "lib-dynload").glob("_lsprof.*.so"))
    found += sorted(Path(sysconfig.get_path("stdlib"), "lib-dynload").glob("*.so"))
    return str(found[0]) if found else None
