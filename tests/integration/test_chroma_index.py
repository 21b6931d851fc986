"""Chroma in memory, in files and behind a server passes what every index has to pass, and says what goes wrong."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_rlm.integrations.chroma import ChromaIndex

from langgraph_rlm.corpus.index import Address
from langgraph_rlm.errors import StoreUnavailable
from langgraph_rlm.testing import IndexConformance
from tests.loopback import free_port


class TestInMemory(IndexConformance):
    persistent = False

    @pytest.fixture
    def opener(self) -> Callable[[], ChromaIndex]:
        return ChromaIndex

    def drop(self, index: Any) -> None:
        index._client.delete_collection(index.place.collection)


class TestInFiles(TestInMemory):
    persistent = True

    @pytest.fixture
    def opener(self, tmp_path: Path) -> Callable[[], ChromaIndex]:
        return lambda: ChromaIndex(tmp_path / "chroma")


class ChromaServer:
    """`chroma run` on loopback, from the wheel."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> ChromaServer:
        script = "import sys; from chromadb.cli.cli import app; sys.exit(app())"
        self._process = subprocess.Popen(
            [sys.executable, "-c", script, "run", "--host", "127.0.0.1", "--port", str(self.port), "--path",
             str(self._directory)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for _ in range(600):
            try:
                if httpx.get(f"http://127.0.0.1:{self.port}/api/v2/heartbeat", trust_env=False).is_success:
                    return self
            except httpx.HTTPError:
                time.sleep(0.1)
        self.stop()
        raise AssertionError("chroma run did not answer")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def address(self, collection: str) -> Address:
        return Address("", "127.0.0.1", self.port, collection)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChromaServer]:
    started = ChromaServer(tmp_path_factory.mktemp("server")).start()
    yield started
    started.stop()


class TestOnAServer(TestInMemory):
    persistent = True

    @pytest.fixture
    def opener(self, server: ChromaServer, request: pytest.FixtureRequest) -> Callable[[], ChromaIndex]:
        address = server.address(f"c{abs(hash(request.node.nodeid))}")
        return lambda: ChromaIndex(address=address)


def test_a_server_that_is_down_is_named_at_the_start_and_later(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"chroma at 127\.0\.0\.1:\d+, collection 'papers'.*chroma run"):
        ChromaIndex(address=Address("", "127.0.0.1", free_port(), "papers"))
    server = ChromaServer(tmp_path / "server").start()
    try:
        index = ChromaIndex(address=server.address("papers"))
        index.upsert(["00000000-0000-0000-0000-000000000001"], [[1.0, 0.0]], ["t"], [{"n": 1}])
    finally:
        server.stop()
    with pytest.raises(StoreUnavailable, match="searching"):
        index.query([1.0, 0.0], 1)
    index.close()
