"""Lines of progress, streams whose reader leaves, messages in the words of the command line."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading

import pytest

from langgraph_rlm.cli.cleaning import one_line
from langgraph_rlm.cli.progress import Lines, duration
from langgraph_rlm.cli.render import left_out_line
from langgraph_rlm.cli.wording import worded


def test_a_line_tells_how_long_it_took_and_how_much_is_left() -> None:
    now = [100.0]
    lines = Lines(print, clock=lambda: now[0])
    lines.show("indexing: 3 of 12 files", share=0.25)
    now[0] = 130.0
    assert lines.line() == "indexing: 3 of 12 files (30 s, about 1:30 left)"
    lines.show("turn 2: the cell runs")
    assert lines.line() == "turn 2: the cell runs (30 s)"


def test_lines_are_said_also_while_nothing_new_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("langgraph_rlm.cli.progress.FIRST_SECONDS", 0.0)
    monkeypatch.setattr("langgraph_rlm.cli.progress.EVERY_SECONDS", 0.0)
    said: list[str] = []
    enough = threading.Event()

    def say(line: str) -> None:
        said.append(line)
        if len(said) == 3:
            enough.set()

    with Lines(say) as lines:
        lines.show("reading")
        assert enough.wait(30)
    assert all(line.startswith("reading (") for line in said)


def test_what_is_done_at_once_says_nothing() -> None:
    said: list[str] = []
    with Lines(said.append) as lines:
        lines.show("reading", share=0.5)
    assert said == []


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0 s"), (59.4, "59 s"), (59.6, "1:00"), (3_725, "1:02:05")])
def test_durations(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_a_pipe_that_does_not_block_gets_everything() -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETFL, fcntl.fcntl(writing, fcntl.F_GETFL) | os.O_NONBLOCK)
    code = "from langgraph_rlm.cli.streams import install; install(); print('x' * 1_000_000, flush=True)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=writing) as process:
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            assert len(pipe.read()) == 1_000_001
    assert process.returncode == 0


def test_a_reader_of_errors_that_leaves_loses_nothing_but_them() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    code = (
        "import sys; from langgraph_rlm.cli.streams import install; install(); print('a', file=sys.stderr); print('b')"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=writing, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stdout) == (0, "b\n")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("load_paths: x does not exist", "x does not exist"),
        ("limits: max_turns must be at least 1, not 0", "--max-turns must be at least 1, not 0"),
        ("all 2 model calls (max_calls) are used", "all 2 model calls (--max-calls) are used"),
        ("max_seconds were over while 'm' was answering", "--max-seconds were over while 'm' was answering"),
        ("where['team']: unknown operator '$x'", "--where, field 'team': unknown operator '$x'"),
        ("configurable['rlm']['k'] must be a whole number", "--k must be a whole number"),
        ("128,000 tokens are assumed. Give window=.", "128,000 tokens are assumed. Give --window TOKENS."),
        ("my_max_calls and --max-calls stay", "my_max_calls and --max-calls stay"),
    ],
)
def test_messages_name_options(said: str, told: str) -> None:
    assert worded(said) == told


def test_each_reason_for_leaving_files_out_is_named_before_more_of_the_same() -> None:
    files = [*((f"{number}.png", "binary") for number in range(9)), ("a.pdf", "locked")]
    assert left_out_line(10, files) == "10 files left out (0.png: binary; a.pdf: locked; and 8 more)."
    assert left_out_line(1, files[:1]) == "1 file left out (0.png: binary)."


def test_a_name_on_one_line_is_itself_when_it_is_harmless() -> None:
    assert one_line("a b/ü.txt") == "a b/ü.txt"
    assert one_line("a\tb\r\n\x85\u2029\u202e") == r"a\tb\r\n\x85\u2029\u202e"
