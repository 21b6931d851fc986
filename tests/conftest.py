"""Fixtures that all tests share."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from pytest_socket import SocketBlockedError

from langgraph_rlm.calls import models
from langgraph_rlm.calls.pacing import Pace
from tests.openai_server import OpenAIServer
from tests.postgres import NoPostgres, postgres
from tests.support import Ask, AsyncAsk, SyncAsk

settings.register_profile("untimed", deadline=None)  # a machine that is busy is no fault of what is tested
settings.load_profile("untimed")

QUICK = (
    "integration/test_langserve.py",
    "integration/test_servers.py",
    "unit/calls",
    "unit/corpus",
    "unit/evaluation",
    "unit/graphs",
    "unit/repl/test_jail_cells.py",
    "unit/repl/test_repl_calls.py",
    "unit/repl/test_repl_sessions.py",
    "unit/runs",
    "unit/test_examples.py",
    "unit/test_layering.py",
    "unit/test_limits.py",
    "unit/test_threads.py",
    "unit/specs/test_patterns.py",
    "unit/specs/test_spec_checks.py",
    "unit/text/test_text_lines.py",
    "unit/text/test_text_search.py",
    "integration/test_cli_eval.py",
    "integration/test_formats.py",
    "integration/test_rag.py",
    "integration/test_rlm.py",
    "integration/test_smart_rag.py",
    "integration/test_spec_graphs.py",
)
"""Marked ``quick``: a cross-section in at most three minutes, which runs on each version of Python."""

_FROM_OUTSIDE = ("OPENAI_", "LANGSMITH_", "LANGCHAIN_", "LANGGRAPH_RLM_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the quick ones."""
    here = Path(__file__).parent
    quick = {here / name for name in QUICK}
    for item in items:
        if not quick.isdisjoint([item.path, *item.path.parents]):
            item.add_marker("quick")


@pytest.fixture(scope="session", autouse=True)
def _no_keys_no_proxies_no_tracing() -> Iterator[None]:
    """The tests never see a real key, a proxy or a tracing address of the user who runs them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.upper().startswith(_FROM_OUTSIDE):
                patch.delenv(name)
        yield


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c_is_heard() -> None:
    """A shell starts what runs in the background deaf to Ctrl-C, and programs that the tests start inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _no_name_look_ups() -> Iterator[None]:
    """pytest-socket refuses connections beyond loopback; asking a name server is network too."""
    if {"QDRANT_URL", "PINECONE_INDEX"} & set(os.environ):  # somebody wants the real services
        yield
        return
    look_up = socket.getaddrinfo

    def loopback_only(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name not in (None, "", "localhost"):
            try:
                ip_address(name)
            except ValueError:
                raise SocketBlockedError(f"A test tried to look up {name!r}.") from None
        return look_up(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", loopback_only)
        yield


@pytest.fixture
def openai_server() -> Iterator[OpenAIServer]:
    """A running loopback server that speaks OpenAI's chat API; stopped after the test."""
    with OpenAIServer() as server:
        yield server


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses before other tries of a call, in seconds, which no test waits for."""
    asked: list[float] = []
    between, refused = models._pause, Pace.refused

    def no_pause(failure: Any, attempt: int) -> float:
        asked.append(between(failure, attempt))
        return 0.0

    def not_paused(pace: Pace, entered: int, pause: float | None) -> float:
        asked.append(refused(pace, entered, pause))
        pace._opens = 0.0
        return asked[-1]

    monkeypatch.setattr(models, "_pause", no_pause)
    monkeypatch.setattr(Pace, "refused", not_paused)
    return asked


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The address of a PostgreSQL whose tables for checkpoints and stores are made."""
    try:
        with postgres() as url:
            from langgraph.checkpoint.postgres import PostgresSaver
            from langgraph.store.postgres import PostgresStore

            with PostgresSaver.from_conn_string(url) as saver, PostgresStore.from_conn_string(url) as store:
                saver.setup()
                store.setup()
            yield url
    except NoPostgres as why:
        pytest.skip(str(why))


@pytest.fixture(scope="session")
def nurseries() -> Iterator[list[Any]]:
    """Two of ``tests.killable``, with two hash seeds: a set has another order in the process that goes on."""
    from tests.killable import Nursery

    with Nursery(1) as one, Nursery(2) as other:
        yield [one, other]


@pytest.fixture(params=[SyncAsk(), AsyncAsk()], ids=["invoke", "ainvoke"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """``await ask(graph, input, config)``: once as a sync caller does it, once as an async one."""
    found: Ask = request.param
    return found
