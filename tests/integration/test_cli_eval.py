"""``langgraph-rlm eval``: what it prints and writes, how it goes on, and what it says of input that cannot be used."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from click.testing import Result
from rich.console import Console
from typer.testing import CliRunner

from langgraph_rlm.cli.commands import app
from langgraph_rlm.cli.terminal import Terminal
from langgraph_rlm.evaluation import Progress
from langgraph_rlm.evaluation.judging import JUDGE_ROLE
from tests.openai_server import OpenAIServer

SMALL = ("needle", "--tasks", "2", "--chars", "3000")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own, and no key."""
    monkeypatch.chdir(tmp_path)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "LANGGRAPH_RLM_MODEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "harbour.txt").write_text(
        "The harbour was built in 1901.\nIts keeper is called Marta Olsen.\n"
    )
    row = {"question": "When was the harbour built?", "answer": 1901, "evidence": ["harbour.txt"], "label": "simple"}
    (tmp_path / "tasks.jsonl").write_text(json.dumps(row) + "\n")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ("eval", *arguments), prog_name="langgraph-rlm")


def test_help_names_the_data_sets() -> None:
    result = run("--help")
    assert result.exit_code == 0
    told = " ".join(result.stdout.replace("│", " ").split())
    for name in (
        "needle",
        "counting",
        "pairs",
        "mixed",
        "sec10q",
        "tatqa",
        "2wiki",
        "browsecomp-plus",
        "--max-cost-usd",
    ):
        assert name in told


def test_a_table_and_three_files_and_nothing_twice() -> None:
    result = run(*SMALL, "--out", "out")
    assert result.exit_code == 0, result.output
    for expected in (
        "needle: 2 tasks",
        "direct",
        "auto",
        "evidence %",
        "largest",
        "No language model was used",
        "Regret",
    ):
        assert expected in result.stdout
    assert "No language model is involved" in result.stderr
    written = {path.name for path in Path("out").iterdir()}
    assert {"report.md", "report.json", "picture.svg", "answers.jsonl", "settings.json"} <= written
    answers = Path("out/answers.jsonl").read_bytes()
    table = Path("out/report.md").read_bytes()
    again = run(*SMALL, "--out", "out")
    assert "8 answers were there already." in again.stderr
    assert again.stdout == result.stdout
    assert Path("out/answers.jsonl").read_bytes() == answers
    assert Path("out/report.md").read_bytes() == table


def test_the_progress_shows_answers_money_and_the_time_left() -> None:
    shown = io.StringIO()
    terminal = Terminal()
    terminal.err = Console(file=shown, force_terminal=True, width=100)
    with terminal.evaluating() as on_progress:
        on_progress(Progress(done=10, total=40, resumed=10, spent_usd=0.0))
        on_progress(Progress(done=20, total=40, resumed=10, spent_usd=0.125))
    assert "20/40 answers · $0.1250" in shown.getvalue()
    assert re.search(r"\d:\d\d:\d\d|-:--:--", shown.getvalue())


def test_json_is_one_object() -> None:
    result = run("tasks.jsonl", "--docs", "docs", "--out", "out", "--routes", "rag, auto", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert [route["route"] for route in report["routes"]] == ["rag", "auto"]
    assert report["routes"][0]["accuracy"] == {"mean": 1.0, "low": 1.0, "high": 1.0, "n": 1}
    assert report["routes"][0]["evidence"]["mean"] == 1.0
    assert report["settings"]["model"] == "extractive"
    assert report["scores"] == {"1": {"rag": 1.0, "auto": 1.0}}


def test_quiet_prints_the_table_only() -> None:
    result = run(*SMALL, "--out", "out", "--quiet", "--routes", "rag", "--limit", "1")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "needle: 1 task" in result.stdout


def test_a_budget_that_is_used_up_exits_with_3() -> None:
    result = run(*SMALL, "--out", "out", "--max-cost-usd", "0")
    assert result.exit_code == 3
    assert "Stopped early" in result.stdout


def test_a_model_and_a_judge_by_name(openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", openai_server.key)
    monkeypatch.setenv("OPENAI_BASE_URL", openai_server.base_url)
    openai_server.reply = lambda request: (
        "RIGHT" if request["messages"][0]["content"].startswith(JUDGE_ROLE) else "In the year 1901 [1]."
    )
    options = ("--model", "openai:gpt-5", "--judge", "openai:gpt-5-mini", "--routes", "rag")
    result = run("tasks.jsonl", "--docs", "docs", "--out", "out", *options, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report["settings"]["model"], report["settings"]["judge"]) == ("gpt-5", "gpt-5-mini")
    assert report["routes"][0]["accuracy"]["mean"] == 1.0
    assert report["spent_usd"] > report["routes"][0]["cost_usd"] > 0
    assert "No language model" not in " ".join(report["notes"])


@pytest.mark.parametrize(("score", "accuracy"), [(0.9, 1.0), (0.1, 0.0), (None, None)])
def test_a_judge_decides_by_a_rubric(
    openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, score: float | None, accuracy: float | None
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", openai_server.key)
    monkeypatch.setenv("OPENAI_BASE_URL", openai_server.base_url)
    verdict = {"same": {"score": score, "reason": "so"}}
    openai_server.reply = lambda request: (
        json.dumps(verdict) if "CRITERIA" in request["messages"][-1]["content"] else "In the year 1901 [1]."
    )
    Path("rubric.yaml").write_text("outcome:\n- {id: same, description: It says what the gold answer says.}\n")
    options = ("--model", "openai:gpt-5", "--judge", "openai:gpt-5-mini", "--routes", "rag", "--rubric", "rubric.yaml")
    result = run("tasks.jsonl", "--docs", "docs", "--out", "out", *options, "--json")
    if accuracy is None:
        assert "the judge gave no score" in Path("out/answers.jsonl").read_text()
        return
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["routes"][0]["accuracy"]["mean"] == accuracy
    again = run("tasks.jsonl", "--docs", "docs", "--out", "out", *options[:-2], "--json")
    assert again.exit_code == 2
    assert "rubric" in again.stdout


def test_a_rubric_without_a_judge_is_refused() -> None:
    Path("rubric.yaml").write_text("outcome:\n- {id: same, description: It says the same.}\n")
    result = run("tasks.jsonl", "--docs", "docs", "--out", "out", "--rubric", "rubric.yaml")
    assert result.exit_code == 2
    assert "it is for a judge" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nothing",), "'nothing' is no data set and no file; known are needle, counting"),
        (("gone.jsonl",), "gone.jsonl is not there"),
        (("docs",), "docs cannot be read"),
        (("tasks.jsonl",), "line 1: field 'context' is missing"),
        (("tasks.jsonl", "--docs", "gone"), "gone"),
        (("tasks.jsonl", "--data", "docs"), "--data is not for tasks.jsonl"),
        (("tasks.jsonl", "--docs", "docs", "--tasks", "2"), "--tasks is not for tasks.jsonl"),
        (("xquad",), "name where its files lie with --data PATH"),
        (("xquad", "--data", "docs"), "xquad.en.json is not there"),
        (("xquad", "--data", "docs", "--seed", "1"), "--seed is not for xquad"),
        (("needle", "--data", "docs"), "--data is not for needle"),
        (("needle", "--simple-share", "0.5"), "--simple-share is for mixed"),
        (("mixed", "--simple-share", "2"), "simple_share must be from 0 to 1"),
        (("needle", "--tasks", "0"), "tasks must be a whole number from 1 on"),
        (("needle", "--routes", "fast"), "unknown 'fast'; known are direct, rag, rlm, auto"),
        (("needle", "--routes", ","), "none is named"),
        (("needle", "--limit", "0"), "limit must be a whole number of tasks"),
        (("needle", "--max-cost-usd", "nan"), "--max-cost-usd must be a finite number"),
        (("needle", "--judge", "extractive"), "it cannot judge"),
        (("needle", "--model", " "), "--model: the name is empty"),
    ],
)
def test_what_cannot_be_used_is_said_and_exits_with_2(arguments: tuple[str, ...], told: str) -> None:
    result = run(*arguments, "--out", "out")
    assert result.exit_code == 2, result.output
    assert told in " ".join(result.stderr.split())
    assert not Path("out/answers.jsonl").exists()


def test_a_bad_row_is_named_with_its_field_as_json_too() -> None:
    Path("tasks.jsonl").write_text('{"question": "?"}\n')
    result = run("tasks.jsonl", "--docs", "docs", "--out", "out", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["message"].startswith("tasks.jsonl, line 1: field 'answer' is missing")


def test_another_data_set_in_the_same_folder_is_refused() -> None:
    run(*SMALL, "--out", "out")
    result = run("counting", "--tasks", "1", "--chars", "2000", "--out", "out")
    assert result.exit_code == 2
    assert "out holds an evaluation with other settings (data set was 'needle' and is now 'counting'" in " ".join(
        result.stderr.split()
    )


def test_hostile_names_reach_neither_terminal_nor_picture() -> None:
    hostile = "\x1b[2J</text><script>[bold]"
    path = Path("tasks.jsonl")
    row = {"id": hostile, "question": f"When? {hostile}", "answer": hostile, "context": {hostile: f"{hostile} 1901"}}
    path.write_text(json.dumps(row) + "\n")
    result = run("tasks.jsonl", "--out", "out")
    assert result.exit_code == 0, result.output
    assert "\x1b[2J" not in result.output
    assert "<script" not in Path("out/picture.svg").read_text()
    assert "<script" not in Path("out/report.md").read_text()
