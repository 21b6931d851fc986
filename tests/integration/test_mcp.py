"""The MCP server by the SDK's own client over standard input and output: every tool, long questions, restarts, bad input."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_rlm.integrations.mcp import create_mcp_server
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from langgraph_rlm import Corpus
from langgraph_rlm.errors import MissingDependency
from tests.support import make_corpus

ROOT = Path(__file__).parents[2]
TOOLS = ["search", "hop_search", "grep", "read", "list_documents", "load", "ask", "ask_result", "cancel", "estimate"]
QUESTION = "How long is parental leave?"


@pytest.fixture
def index(tmp_path: Path) -> Path:
    make_corpus(
        tmp_path / "index", {"leave.md": "Parental leave is 16 weeks.\n" * 3, "a b/travel.md": "Trains first."}
    ).close()
    (tmp_path / "allowed").mkdir()
    (tmp_path / "allowed" / "big.log").write_text("error 5\nok\n" * 1_000)
    return tmp_path / "index"


@asynccontextmanager
async def connected(index: Path, *command: str) -> AsyncIterator[Any]:
    """A client of a server; ``client.pid`` is the server's process."""
    gate = index.parent / "gate"
    arguments = list(command) or ["-m", "tests.mcp_server", str(index), str(gate)]
    shell = f"echo $$ > {gate.with_name('pid')}; exec {sys.executable} {' '.join(arguments)}"
    parameters = StdioServerParameters(command="/bin/sh", args=["-c", shell], cwd=str(ROOT), env={**os.environ})
    async with (
        stdio_client(parameters, errlog=Path(os.devnull).open("w")) as (read, write),
        ClientSession(read, write) as client,
    ):
        await client.initialize()
        yield client


def pid_of(index: Path) -> int:
    return int(index.with_name("pid").read_text())


async def called(client: Any, tool: str, **arguments: Any) -> Any:
    """What a tool gives, its text where it fails."""
    result = (await client.call_tool(tool, arguments)).model_dump(by_alias=True)
    return result["content"][0]["text"] if result["isError"] else result["structuredContent"]


async def test_every_tool_is_there_and_their_definitions_are_short(index: Path) -> None:
    async with connected(index) as client:
        listed = [tool.model_dump(exclude_none=True, by_alias=True) for tool in (await client.list_tools()).tools]
    assert [tool["name"] for tool in listed] == TOOLS
    assert all("outputSchema" in tool and tool["description"].count(".") == 1 for tool in listed)
    assert len(json.dumps(listed, separators=(",", ":"))) / 4 <= 1_200  # tokens, estimated


async def test_documents_are_searched_listed_and_read(index: Path) -> None:
    async with connected(index) as client:
        assert (await called(client, "search", query="parental leave"))["matches"][0]["doc_id"] == "leave.md"
        assert (await called(client, "hop_search", query="leave.md", k=1))["count"] == 1
        found = await called(client, "grep", pattern=r"\d+ weeks", max_matches=2)
        assert ([match["line"] for match in found["matches"]], found["complete"]) == ([1, 2], False)
        assert (await called(client, "grep", pattern="TRAINS", ignore_case=True, source="a b/travel.md"))["count"] == 1
        assert (await called(client, "read", source="leave.md", start=9, end=14))["text"] == "leave"
        assert [one["doc_id"] for one in (await called(client, "list_documents"))["documents"]] == [
            "a b/travel.md",
            "leave.md",
        ]
        resource = await client.read_resource("corpus://a%20b%2Ftravel.md")
        assert resource.contents[0].text == "Trains first."


async def test_a_loaded_file_is_searched_read_and_asked_about(index: Path) -> None:
    (index.parent / "gate").touch()
    async with connected(index) as client:
        loaded = await called(client, "load", path="big.log")
        assert loaded["chars"] == 11_000
        ref = loaded["context"]
        assert (await called(client, "grep", pattern="error", source=ref, max_matches=3))["count"] == 3
        assert (await called(client, "read", source=ref, start=0, end=7))["text"] == "error 5"
        told = await called(client, "ask", question="How many errors?", context=ref)
        assert (told["status"], told["answer"]) == ("answered", "sixteen weeks")
        assert set(await called(client, "estimate", question="How many errors?", context=ref)) == {"routes"}
    assert index.with_name("paid").read_text() == "first\nsecond\n"


async def test_a_question_that_takes_longer_than_the_client_waits_is_answered_later(index: Path) -> None:
    heard: list[str | None] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message)

    async with connected(index) as client:
        first = await called(client, "ask", question=QUESTION, wait_s=0.3)
        assert first["status"] == "running"
        assert (await called(client, "ask_result", run_id=first["run_id"], wait_s=0))["status"] == "running"
        index.with_name("gate").touch()
        result = await client.call_tool("ask_result", {"run_id": first["run_id"]}, progress_callback=hear)
        told = result.model_dump(by_alias=True)["structuredContent"]
        assert (told["answer"], told["stop_reason"], told["run_id"]) == ("sixteen weeks", "answered", first["run_id"])
        assert told["citations"][0]["doc_id"] == "leave.md"
        assert any(line and "turn" in line for line in heard)


async def test_a_client_that_gives_up_a_call_finds_the_run_by_asking_for_the_last_one(index: Path) -> None:
    async with connected(index) as client:
        await called(client, "list_documents")  # the service is open
        with pytest.raises(Exception, match=r"(?i)timed out"):
            await client.call_tool("ask", {"question": QUESTION}, read_timeout_seconds=seconds(0.5))
        index.with_name("gate").touch()
        assert (await called(client, "ask_result"))["answer"] == "sixteen weeks"


async def test_a_cancelled_question_ends(index: Path) -> None:
    async with connected(index) as client:
        run_id = (await called(client, "ask", question=QUESTION, wait_s=0.3))["run_id"]
        assert await called(client, "cancel", run_id=run_id) == {"run_id": run_id, "status": "cancelled"}
        index.with_name("gate").touch()
        assert (await called(client, "ask_result", run_id=run_id))["status"] == "cancelled"
    assert "second" not in index.with_name("paid").read_text()


async def test_a_server_that_was_killed_in_the_middle_goes_on_after_its_restart_and_pays_nothing_twice(
    index: Path,
) -> None:
    with pytest.raises(BaseException):  # noqa: B017 - the client tells a dead server by errors of several kinds
        async with connected(index) as client:
            run_id = (await called(client, "ask", question=QUESTION, wait_s=0.5))["run_id"]
            os.kill(pid_of(index), signal.SIGKILL)
            async with asyncio.timeout(5):
                await called(client, "ask_result", run_id=run_id)
            raise AssertionError("a dead server has answered")
    index.with_name("gate").touch()
    async with connected(index) as client:
        assert (await called(client, "ask_result", run_id=run_id))["answer"] == "sixteen weeks"
    assert index.with_name("paid").read_text() == "first\nsecond\n"


MISTAKES: list[tuple[str, dict[str, Any], str]] = [
    ("nope", {}, "there is no tool 'nope'; there are search"),
    ("grep", {"pattern": "x", "max": 5}, "grep has no argument 'max'; it has pattern, source"),
    ("grep", {}, "pattern"),
    ("grep", {"pattern": "(?<=x)y"}, "lookbehind"),
    ("grep", {"pattern": "x", "source": "no.md"}, "no.md"),
    ("search", {"query": "x", "k": 0}, "greater than or equal to 1"),
    ("search", {"query": "x", "where": {"a": {"$foo": 1}}}, "$foo"),
    ("read", {"source": "no.md"}, "no.md"),
    ("read", {"source": f"sha256:{'0' * 64}"}, "is not in this store"),
    ("ask", {"question": "x", "context": "big.log"}, "expected what load has returned"),
    ("ask", {"question": " "}, "the question is empty"),
    ("ask", {"question": "x" * 50_000_000}, "at most 20000 characters"),
    ("ask", {"question": "x", "wait_s": 9_999}, "less than or equal to 240"),
    ("ask_result", {}, "there is no run yet"),
    ("ask_result", {"run_id": "zzz"}, "there is no run 'zzz'"),
    ("cancel", {"run_id": "zzz"}, "there is no run 'zzz'"),
    ("load", {"path": "../index/manifest.json"}, "not below a folder"),
    ("load", {"path": "/etc/passwd"}, "not below a folder"),
    ("load", {"path": ""}, "not below a folder"),
    ("load", {"path": "link.log"}, "link"),
    ("load", {"path": "linked/big.log"}, "link"),
    ("load", {"path": "pipe"}, "no plain file"),
    ("load", {"path": "."}, "not below a folder"),
    ("load", {"path": "sub"}, "no plain file"),
    ("load", {"path": "no.log"}, "No such file"),
    ("load", {"path": "empty.log"}, "it is empty"),
    ("load", {"path": "big.log\0"}, "not below a folder"),
]


async def test_a_mistake_is_told_in_words_that_a_model_can_act_on(index: Path) -> None:
    allowed = index.parent / "allowed"
    (allowed / "link.log").symlink_to("/etc/passwd")
    (allowed / "linked").symlink_to(allowed)
    (allowed / "sub").mkdir()
    (allowed / "empty.log").touch()
    os.mkfifo(allowed / "pipe")
    async with connected(index) as client:
        for tool, arguments, says in MISTAKES:
            told = await called(client, tool, **arguments)
            assert isinstance(told, str), (tool, told)
            assert says in told, (tool, says)


async def test_an_index_that_another_process_has_open_is_served(index: Path) -> None:
    with Corpus.open(f"chroma:{index}") as corpus:
        corpus.retrieve("leave", 1)
        async with connected(index) as client, connected(index) as other:
            assert (await called(client, "search", query="leave"))["count"] >= 1
            assert (await called(other, "search", query="leave"))["count"] >= 1


def test_without_its_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, index: Path) -> None:
    monkeypatch.setitem(sys.modules, "mcp.types", None)
    with pytest.raises(MissingDependency, match=r"langgraph-rlm\[mcp\]"):
        create_mcp_server(lambda: None)  # type: ignore[arg-type, return-value]


async def test_without_allowed_folders_nothing_is_loaded(index: Path) -> None:
    async with connected(index, "-m", "langgraph_rlm.cli", "mcp", "--index", str(index)) as client:
        assert "started without --allow" in await called(client, "load", path=str(index.parent / "allowed" / "big.log"))
        assert (await called(client, "ask", question=QUESTION))["status"] == "answered"


# --- over HTTP --------------------------------------------------------------------------------------------------------

ANNA, BERT = "anna-has-a-long-key", "bert-has-a-long-key"


@pytest.fixture
def over_http(index: Path) -> Iterator[str]:
    """The address of the command's server."""
    command = [sys.executable, "-m", "langgraph_rlm.cli", "mcp", "--index", str(index), "--http", "0"]
    server = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "LANGGRAPH_RLM_KEYS": f"{ANNA},{BERT}"}
    )
    assert server.stderr is not None
    yield server.stderr.readline().split(" at ")[1].split(" ")[0]
    server.terminate()
    server.wait(20)


@asynccontextmanager
async def connected_over_http(url: str, key: str) -> AsyncIterator[Any]:
    from mcp.client import streamable_http

    headers = {"Authorization": f"Bearer {key}"}
    if int(version("mcp").partition(".")[0]) >= 2:
        connection = streamable_http.streamable_http_client(url, http_client=httpx.AsyncClient(headers=headers))
    else:
        connection = streamable_http.streamablehttp_client(url, headers=headers)
    async with connection as (read, write, *_), ClientSession(read, write) as client:
        await client.initialize()
        yield client


async def test_two_keys_do_not_see_each_others_runs(over_http: str) -> None:
    async with connected_over_http(over_http, ANNA) as anna, connected_over_http(over_http, BERT) as bert:
        run_id = (await called(anna, "ask", question=QUESTION))["run_id"]
        assert (await called(anna, "ask_result"))["run_id"] == run_id
        assert "there is no run" in await called(bert, "ask_result", run_id=run_id)
        assert "there is no run yet" in await called(bert, "ask_result")
        assert "there is no run" in await called(bert, "cancel", run_id=run_id)
        assert (await called(bert, "search", query="leave"))["count"] >= 1


async def test_over_http_nobody_is_served_without_a_key(over_http: str) -> None:
    async with httpx.AsyncClient() as client:
        for headers in ({}, {"Authorization": "Bearer wrong-but-long-key"}):
            assert (await client.post(over_http, headers=headers, json={})).status_code == 401
        foreign = {
            "Authorization": f"Bearer {ANNA}",
            "Host": "evil.example",
            "Accept": "application/json, text/event-stream",
        }
        assert (
            await client.post(over_http, headers=foreign, json={})
        ).status_code == 421  # a page that rebinds its name


def test_over_http_keys_are_needed_and_the_port_must_be_free(index: Path) -> None:
    command = [sys.executable, "-m", "langgraph_rlm.cli", "mcp", "--index", str(index), "--http"]
    without = subprocess.run([*command, "0"], capture_output=True, text=True, timeout=60, check=False)
    assert (without.returncode, "LANGGRAPH_RLM_KEYS" in without.stderr) == (2, True)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = str(taken.getsockname()[1])
        env = {**os.environ, "LANGGRAPH_RLM_KEYS": ANNA}
        busy = subprocess.run([*command, port], capture_output=True, text=True, timeout=60, env=env, check=False)
    assert (busy.returncode, "cannot listen at" in busy.stderr) == (4, True)


def test_an_index_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "langgraph_rlm.cli", "mcp", "--index", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
    assert (done.returncode, "there is no index in" in done.stderr, done.stdout) == (4, True, "")


def seconds(number: float) -> Any:
    """A time-out as the SDK wants it: a number since version 2."""
    return number if int(version("mcp").partition(".")[0]) >= 2 else timedelta(seconds=number)
