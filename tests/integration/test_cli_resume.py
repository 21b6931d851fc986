"""An ``ask`` that was interrupted anywhere: the same command goes on, and what was answered is not paid again."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from langgraph_rlm.cli import resuming
from langgraph_rlm.cli.commands import app
from langgraph_rlm.cli.resuming import name_of, recorded
from tests.openai_server import OpenAIServer, ServerReply, failure
from tests.support import cell

ASK = ("ask", "Which?", "--docs", "docs", "--route", "rlm", "--model", "openai:gpt-4o-mini")
ONCE = Counter({"root 1": 1, "one": 1, "two": 1, "root 2": 1})
GOES_ON = "The same command goes on from here: what was answered is not paid again (--fresh starts anew)."


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, openai_server: OpenAIServer) -> Iterator[None]:
    """A folder of its own with a document, a cache directory of its own, and a loopback model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("OPENAI_BASE_URL", openai_server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", openai_server.key)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "harbour.txt").write_text("The harbour was built in 1901.\n")
    openai_server.reply = answered
    yield


def name(request: dict[str, Any]) -> str:
    messages = request["messages"]
    if messages[0]["content"].startswith("You are the root model"):
        return f"root {1 + sum(message['role'] == 'assistant' for message in messages)}"
    return str(messages[-1]["content"])


def answered(request: dict[str, Any]) -> str | ServerReply:
    cells = {"root 1": cell("a = llm_query('one')", "b = llm_query('two')"), "root 2": cell("FINAL(a + b)")}
    return cells.get(name(request), f"<{name(request)}>")


def broken_at(wanted: str, reply: ServerReply) -> Any:
    return lambda request: reply if name(request) == wanted else answered(request)


def asked(server: OpenAIServer) -> Counter[str]:
    return Counter(map(name, server.chats))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, prog_name="langgraph-rlm")


def kept() -> list[Path]:
    return sorted(Path("cache/langgraph-rlm/asked").glob("*"))


def is_answered(result: Result) -> None:
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["answer"] == "<one><two>"
    assert not kept()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("place", ["root 1", "two", "root 2"])
def test_killed_anywhere_the_same_command_pays_only_for_what_was_not_answered(
    openai_server: OpenAIServer, place: str, number: signal.Signals
) -> None:
    openai_server.reply = broken_at(place, ServerReply(text="late", hang=True))
    process = subprocess.Popen([sys.executable, "-m", "langgraph_rlm.cli", *ASK], stderr=subprocess.PIPE, text=True)
    assert openai_server.wait_for_hanging(timeout=90)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == (130 if number == signal.SIGINT else -signal.SIGKILL)
    assert stderr.endswith(f"interrupted. {GOES_ON}\n") or number == signal.SIGKILL
    [directory] = kept()
    for path in (directory.parent, directory, *directory.rglob("*")):
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 and path.stat().st_mode & wanted == wanted, path
    openai_server.reply = answered
    result = run(*ASK, "--json")
    is_answered(result)
    assert "Going on with the run that was begun at" in result.stderr
    assert asked(openai_server) == ONCE + Counter({place: 1})
    openai_server.release()


def failed(server: OpenAIServer) -> None:
    server.reply = broken_at("root 2", failure(401))
    result = run(*ASK)
    assert result.exit_code == 4, result.output
    assert GOES_ON in " ".join(result.stderr.split())
    assert len(kept()) == 1
    server.reply = answered


def test_a_server_that_fails_costs_nothing_twice(openai_server: OpenAIServer) -> None:
    failed(openai_server)
    is_answered(run(*ASK, "--json"))
    assert asked(openai_server) == ONCE + Counter({"root 2": 1})


def test_fresh_starts_anew(openai_server: OpenAIServer) -> None:
    failed(openai_server)
    result = run(*ASK, "--json", "--fresh")
    is_answered(result)
    assert "Going on" not in result.stderr
    assert asked(openai_server) == ONCE + ONCE


@pytest.mark.parametrize(
    "other",
    [
        ("--max-calls", "99"),
        ("--max-turns", "5"),
        ("--k", "3"),
        ("--window", "64000"),
        ("--where", "suffix=.txt"),
        ("--sub-model", "openai:gpt-5"),
    ],
)
def test_another_command_is_another_run(openai_server: OpenAIServer, other: tuple[str, ...]) -> None:
    failed(openai_server)
    left = kept()
    assert "Going on" not in run(*ASK, *other).stderr
    assert kept() == left
    assert asked(openai_server)["root 1"] == 2


def test_documents_that_have_changed_are_asked_anew(openai_server: OpenAIServer) -> None:
    failed(openai_server)
    Path("docs/harbour.txt").write_text("The harbour was built in 1955.\n")
    assert "Going on" not in run(*ASK).stderr
    assert asked(openai_server)["root 1"] == 2


def test_asked_again_after_an_answer_it_is_a_new_question(openai_server: OpenAIServer) -> None:
    is_answered(run(*ASK, "--json"))
    is_answered(run(*ASK, "--json"))
    assert asked(openai_server) == ONCE + ONCE


def test_an_answer_that_nobody_has_seen_is_shown_without_asking(
    openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("langgraph_rlm.cli.resuming.shutil.rmtree", lambda *_, **__: None)  # the process died before
        run(*ASK)
    assert len(kept()) == 1
    is_answered(run(*ASK, "--json"))
    assert asked(openai_server) == ONCE


def test_the_same_command_side_by_side_shares_nothing(openai_server: OpenAIServer) -> None:
    failed(openai_server)
    [directory] = kept()
    with recorded(directory.name, fresh=False, note=print) as record:
        assert record is not None and record.memo.answered
        result = run(*ASK, "--json")
        assert json.loads(result.stdout)["answer"] == "<one><two>"
        assert "The same command is running already" in result.stderr
    is_answered(run(*ASK, "--json"))
    assert asked(openai_server) == ONCE + ONCE + Counter({"root 2": 1})


def test_what_is_damaged_begins_anew(openai_server: OpenAIServer) -> None:
    failed(openai_server)
    [directory] = kept()
    for path in directory.glob("checkpoints.sqlite3*"):
        path.unlink()
    (directory / "checkpoints.sqlite3").write_bytes(b"no database at all, but long enough to look like one" * 99)
    result = run(*ASK, "--json")
    is_answered(result)
    assert "damaged: it begins anew" in result.stderr
    assert asked(openai_server) == ONCE + ONCE


@pytest.mark.parametrize("why", ["a file", "writable by others", "a link"])
def test_without_a_safe_place_it_answers_and_says_that_nothing_is_kept(openai_server: OpenAIServer, why: str) -> None:
    home = Path("cache/langgraph-rlm")
    Path("elsewhere").mkdir()
    if why == "a file":
        Path("cache").write_text("")
    elif why == "a link":
        Path("cache").mkdir()
        home.symlink_to(Path("elsewhere").resolve())
    else:
        home.mkdir(parents=True)
        home.chmod(0o777)
    result = run(*ASK, "--json")
    assert json.loads(result.stdout)["answer"] == "<one><two>"
    assert "An interruption would begin anew, as nothing can be kept" in result.stderr
    assert not list(Path("elsewhere").iterdir())


def test_only_what_is_older_than_a_month_and_does_not_run_is_removed(openai_server: OpenAIServer) -> None:
    names = [name_of({"number": number}) for number in range(3)]
    for one in names:
        with recorded(one, fresh=False, note=print):
            pass
    old = time.time() - resuming.KEPT_SECONDS - 60
    with recorded(names[2], fresh=False, note=print):
        for one in (names[0], names[2]):
            os.utime(Path("cache/langgraph-rlm/asked") / one / "lock", (old, old))
        is_run = run(*ASK)
    assert is_run.exit_code == 0
    assert {path.name for path in kept()} == set(names[1:])


def test_nothing_is_kept_where_nothing_is_paid(openai_server: OpenAIServer) -> None:
    assert run("ask", "When was the harbour built?", "--docs", "docs", "--model", "extractive").exit_code == 0
    assert not kept() and not openai_server.chats
