"""``langgraph dev`` in a folder that has a ``langgraph.json``, as a user starts it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx


@contextmanager
def dev_server(folder: Path, **environment: str) -> Iterator[str]:
    """The address of a server; it is stopped afterwards.

    Args:
        folder: holds ``langgraph.json`` and the graphs.
        environment: variables for it, beside those of the tests.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        str(Path(sys.executable).with_name("langgraph")),
        "dev",
        "--no-browser",
        "--no-reload",
        "--port",
        str(port),
    ]
    inherited = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "LANGSMITH_TRACING": "false"}
    log = folder / "log.txt"
    with log.open("w") as out:
        server = subprocess.Popen(
            [*command, "--n-jobs-per-worker", "10"],
            cwd=folder,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=inherited | environment,
        )
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_until_ready(address, server, log)
            yield address
        finally:
            server.terminate()
            server.wait(30)


def _wait_until_ready(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        assert server.poll() is None, log.read_text()
        try:
            if httpx.get(f"{address}/ok", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)  # for a process of somebody else's, which tells nobody that it is ready
    raise AssertionError(log.read_text())
