"""The host of the attacks as the tests see it: a process of its own, as this user or as nobody, replaced when it dies."""

from __future__ import annotations

import json
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import typing_extensions

import langgraph_rlm
from tests.unit.repl.escapes.marks import ENVIRONMENT, MARK

HERE = Path(__file__).parent
_PACKAGE = Path(langgraph_rlm.__file__).parent
_SECONDS = 120.0


class HostDied(AssertionError):
    """What was attempted has ended the process that plays the host, or it hangs."""


class Host:
    """One process that plays the host.

    Args:
        user: ``"self"`` or ``"nobody"``.
        options: keyword arguments of the factory.
        home: a directory that ``nobody`` can read; the package is copied there.
    """

    def __init__(self, user: str, options: dict[str, Any], home: Path) -> None:
        self._command = _command(user, options, home)
        self._user = user
        self._scratch = Path(tempfile.mkdtemp(prefix="scratch-of-a-host-"))
        if user == "nobody":
            shutil.chown(self._scratch, pwd.getpwnam("nobody").pw_uid)
        self._process: subprocess.Popen[str] | None = None

    def ask(self, where: str, code: str, **more: Any) -> dict[str, Any]:
        """Run code ``"inside"`` the jail or ``"outside"`` of it.

        Raises:
            HostDied: it took the host with it.
        """
        process = self._running()
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps({"where": where, "code": code, **more}) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            pass
        return self._answer(process)

    def close(self) -> None:
        """End it and what it has started."""
        if self._process is not None:
            assert self._process.stdin is not None and self._process.stdout is not None
            self._process.stdin.close()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process.stdout.close()
            self._process = None
        shutil.rmtree(self._scratch, ignore_errors=True)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._running().pid

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            credentials: dict[str, Any] = {}
            if self._user == "nobody":
                one = pwd.getpwnam("nobody")
                credentials = {"user": one.pw_uid, "group": one.pw_gid, "extra_groups": []}
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                bufsize=1,
                cwd="/",
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TMPDIR": str(self._scratch), ENVIRONMENT: MARK},
                start_new_session=True,
                **credentials,
            )
            self._answer(self._process)
        return self._process

    def _answer(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], _SECONDS)
        line = process.stdout.readline() if ready else ""
        if not line:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            process.stdout.close()
            self._process = None
            raise HostDied(f"the host {'ended' if ready else 'hung'} (status {process.returncode})")
        answer: dict[str, Any] = json.loads(line)
        return answer


def can_be_nobody() -> str | None:
    """Why the attacks cannot run as nobody, or None."""
    if os.getuid() != 0:
        return "only root can become nobody"
    if _python_for_nobody() is None:
        return "no Python that nobody may start"
    return None


def _command(user: str, options: dict[str, Any], home: Path) -> list[str]:
    if user == "self":
        packages = [str(_PACKAGE.parent), str(Path(msgpack.__file__).parent.parent)]
        return [sys.executable, str(HERE / "runner.py"), json.dumps(packages), json.dumps(options)]
    if not (home / "langgraph_rlm").exists():
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(_PACKAGE, home / "langgraph_rlm", ignore=ignored)
        shutil.copytree(Path(msgpack.__file__).parent, home / "msgpack", ignore=ignored)
        shutil.copy(typing_extensions.__file__, home / "typing_extensions.py")
        for name in ("runner.py", "stage.py", "marks.py", "call_numbers.py"):
            shutil.copy(HERE / name, home / name)
        for path in _all(home):
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
    python = _python_for_nobody()
    assert python is not None
    return [python, "-S", str(home / "runner.py"), json.dumps([str(home)]), json.dumps(options)]


def _all(home: Path) -> Iterator[Path]:
    yield home
    yield from home.rglob("*")


def _python_for_nobody() -> str | None:
    for path in (Path(sys.executable).resolve(), Path("/usr/bin/python3"), Path("/usr/local/bin/python3")):
        if not path.exists() or not all(parent.stat().st_mode & 0o001 for parent in (path.resolve(), *path.parents)):
            continue
        known = subprocess.run(
            [path, "-c", "import sys; print(sys.version_info >= (3, 11))"], capture_output=True, text=True, check=False
        )
        if known.stdout.strip() == "True":
            return str(path)
    return None
