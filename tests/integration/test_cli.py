"""The command line: what it prints, where, and with which exit code; careless and hostile input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import Result
from langchain_core.documents import Document
from typer.testing import CliRunner

from langgraph_rlm.cli.cleaning import clean
from langgraph_rlm.cli.commands import app
from langgraph_rlm.cli.exits import MEANINGS, table
from langgraph_rlm.corpus import Corpus
from tests.openai_server import OpenAIServer, ServerReply, failure

HARBOUR = "The harbour was built in 1901. It has two piers.\nIts keeper is called Marta Olsen.\n"
VARIABLES = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "LANGGRAPH_RLM_MODEL")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own with some documents, and no key."""
    monkeypatch.chdir(tmp_path)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "docs" / "notes").mkdir(parents=True)
    (tmp_path / "docs" / "harbour.txt").write_text(HARBOUR)
    (tmp_path / "docs" / "notes" / "sea.md").write_text("# Sea\n\nThe sea is deep.\nkeeper keeper\n")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, prog_name="langgraph-rlm")


def in_process_of_its_own(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "langgraph_rlm.cli", *arguments],
        env={key: value for key, value in os.environ.items() if key not in VARIABLES} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


# --- ask -------------------------------------------------------------------------------------------------------------


def test_ask_prints_route_answer_citation_and_usage() -> None:
    result = run("ask", "When was the harbour built?", "--docs", "docs")
    assert result.exit_code == 0, result.output
    for expected in ("direct", "because", "The harbour was built in 1901. [1]", "harbour.txt:1", "1 model call", "$0"):
        assert expected in result.stdout
    assert "No language model is involved" in result.stderr
    assert "2 new" in result.stderr


def test_ask_json_is_one_object_and_the_rest_goes_to_stderr() -> None:
    result = run("ask", "How many times does 'keeper' occur?", "--docs", "docs", "--route", "rlm", "--json")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert answer["answer"].startswith("`keeper` occurs 3 times in 2 files")
    assert (answer["route"], answer["stop_reason"]) == ("rlm", "answered")
    assert answer["decision"]["reasons"]
    assert {(c["path"], c["line"], c["quote"], c["verified"]) for c in answer["citations"]} == {
        ("harbour.txt", 2, "Its keeper is called Marta Olsen.", True),
        ("notes/sea.md", 4, "keeper keeper", True),
    }
    assert answer["turns"][0]["code"]
    assert answer["usage"]["calls"] == len(answer["turns"])
    assert "Index" in result.stderr


def test_ask_quiet_prints_the_answer_alone() -> None:
    result = run("ask", "When was the harbour built?", "--docs", "docs", "--quiet")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "The harbour was built in 1901. [1]\n"


def test_a_second_ask_finds_the_index_unchanged_and_sees_changed_files() -> None:
    run("ask", "q", "--docs", "docs", "--quiet")
    assert "2 unchanged" in run("ask", "q", "--docs", "docs").stderr
    Path("docs/harbour.txt").write_text("The harbour was built in 1955.")
    Path("docs/notes/sea.md").unlink()
    result = run("ask", "When was the harbour built?", "--docs", "docs")
    assert "1 changed, 1 removed" in result.stderr
    assert "1955" in result.stdout
    assert Path(".langgraph_rlm/.gitignore").read_text() == "*\n"


def test_further_paths_may_follow_docs() -> None:
    result = run(
        "ask", "How many files are there?", "--docs", "docs/harbour.txt", "docs/notes", "--quiet", "--route", "rlm"
    )
    assert result.stdout == "There are 2 documents.\n"


def test_a_run_that_stops_at_a_limit_exits_with_3_and_says_that_it_is_partial() -> None:
    result = run("ask", "When was the harbour built?", "--docs", "docs", "--max-seconds", "0.000001")
    assert result.exit_code == 3
    assert "Partial answer" in result.stdout
    assert "stopped early: deadline" in result.stdout
    result = run("ask", "q", "--docs", "docs", "--max-seconds", "0.000001", "--json")
    assert (result.exit_code, json.loads(result.stdout)["stop_reason"]) == (3, "deadline")


def test_what_is_not_in_the_documents_exits_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = {"answer": "The passages do not hold the answer.", "found": False, "stop_reason": "answered"}
    monkeypatch.setattr("langgraph_rlm.cli.questions.ask_question", lambda *_, **__: answer)
    result = run("ask", "Who?", "--docs", "docs")
    assert result.exit_code == 1
    assert "not found" in result.stdout
    result = run("ask", "Who?", "--docs", "docs", "--json")
    assert (result.exit_code, json.loads(result.stdout)["found"]) == (1, False)


@pytest.mark.parametrize(
    ("reason", "code"),
    [("answered", 0), ("turns", 3), ("budget", 3), ("deadline", 3), ("error", 4), ("cancelled", 130), ("", 4)],
)
def test_each_end_of_a_run_has_its_exit_code(monkeypatch: pytest.MonkeyPatch, reason: str, code: int) -> None:
    ended = {"answer": "Partly.", "stop_reason": reason}
    monkeypatch.setattr("langgraph_rlm.cli.questions.ask_question", lambda *_, **__: ended)
    assert run("ask", "Who?", "--docs", "docs").exit_code == code


def test_json_holds_no_nan(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = {"answer": "\ud800", "stop_reason": "answered", "turns": [{"score": float("nan"), "x": float("inf")}]}
    monkeypatch.setattr("langgraph_rlm.cli.questions.ask_question", lambda *_, **__: answer)

    def refused(name: str) -> None:
        raise AssertionError(name)

    told = json.loads(run("ask", "Who?", "--docs", "docs", "--json").stdout, parse_constant=refused)
    assert told["turns"] == [{"score": None, "x": None}]


def test_what_nobody_expected_is_one_line_and_on_demand_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug\x1b[2J")

    monkeypatch.setattr("langgraph_rlm.cli.questions.ask_question", broken)
    result = run("ask", "Who?", "--docs", "docs")
    assert result.exit_code == 4
    assert "unexpected RuntimeError: a bug" in result.stderr and "Traceback" not in result.stderr
    assert "Traceback" in run("ask", "Who?", "--docs", "docs", "--verbose").stderr
    error = json.loads(run("ask", "Who?", "--docs", "docs", "--json").stdout)["error"]
    assert (error["type"], error["category"], error["exit_code"]) == ("RuntimeError", "failed", 4)


def test_a_filter_and_a_number_of_passages_hold_for_the_answer() -> None:
    options = ("--docs", "docs", "--route", "rag", "--k", "1", "--json")
    sea = json.loads(run("ask", "keeper", *options, "--where", '{"suffix": ".md"}').stdout)
    assert {citation["path"] for citation in sea["citations"]} <= {"notes/sea.md"}
    both = run("ask", "keeper", "--docs", "docs", "--where", "suffix=.md", "--where", "path=harbour.txt")
    assert "No document has the metadata that --where asks for." in both.stderr


def test_turns_and_calls_are_limited() -> None:
    result = run("ask", "How many times does 'keeper' occur?", "--docs", "docs", "--route", "rlm", "--max-calls", "0")
    assert result.exit_code == 3
    assert "(--max-cost-usd, --max-calls)" in " ".join(result.stdout.split())


def test_verbose_tells_each_step() -> None:
    result = run("ask", "How many times does 'keeper' occur?", "--docs", "docs", "--route", "rlm", "--verbose")
    assert "turn 1: the model writes a cell" in result.stderr and "turn 1: the cell runs" in result.stderr


# --- help ------------------------------------------------------------------------------------------------------------


COMMANDS = ("ask", "eval", "index", "grep", "names", "advise", "demo")


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
def test_help_is_plain_fits_80_columns_and_has_an_example_and_the_exit_codes(command: tuple[str, ...]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80
    for expected in ("Usage: langgraph-rlm", "Example", "  langgraph-rlm ", table().splitlines()[2].strip()):
        assert expected in result.stdout
    for python in ("<str>", "<list", "Path>", "╭", "\x1b", "_sage"):
        assert python not in result.stdout
    assert "..." not in result.stdout.replace("[ARGS]...", "").replace("[PATH]...", "").replace("PATH...", "")


def test_the_version_is_told() -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"langgraph-rlm {version('langgraph-rlm')}\n")


def test_the_documentation_has_the_same_exit_codes() -> None:
    page = (Path(__file__).parents[2] / "docs/command-line.md").read_text()
    for code, meaning in MEANINGS.items():
        assert f"| {int(code)} | {meaning} |" in page


# --- advise ----------------------------------------------------------------------------------------------------------


def test_advise_says_what_a_size_asks_for_and_indexes_nothing() -> None:
    Path("docs/log.txt").write_text("all is well\n" * 60_000)
    Path("docs/image.png").write_bytes(b"\x89PNG\x00")
    result = run("advise", "docs")
    assert (result.exit_code, result.stdout.count("\n")) == (0, 1)
    assert "about 180,030 tokens is read at once by a model with a window of 240,040 tokens or more" in result.stdout
    assert "image.png" in result.stderr
    told = json.loads(run("advise", "docs", "--window", "128000", "--json").stdout)
    assert (told["route"], told["documents"]) == ("rlm", 3)
    assert not Path(".langgraph_rlm").exists()
    assert run("advise", "docs", "--window", "0").exit_code == 2
    assert run("advise", "nowhere").exit_code == 2


def test_ask_says_how_large_the_documents_are() -> None:
    result = run("ask", "When was the harbour built?", "--docs", "docs")
    assert "Size: the context of about 30 tokens fits" in result.stderr
    advice = json.loads(run("ask", "q", "--docs", "docs", "--json").stdout)["advice"]
    assert (advice["route"], advice["tokens"]) == ("direct", 30)


# --- careless input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["ask", "", "--docs", "docs"], 2, "the question is empty"),
        (["ask", " \n", "--docs", "docs"], 2, "the question is empty"),
        (["ask", "q"], 2, "give --docs PATH or --index DIR"),
        (["ask", "q", "--docs", "nowhere"], 2, "nowhere"),
        (["ask", "q", "--docs", "empty"], 2, "empty"),
        (["ask", "q", "--docs", "docs", "--index", "x"], 2, "not both"),
        (["ask", "q", "--index", "nowhere"], 4, "no corpus in nowhere"),
        (["ask", "q", "--index", "docs"], 4, "no corpus in docs"),
        (["ask", "what", "is", "this"], 2, "in quotes"),
        (["ask", "what", "is", "this", "--docs", "docs"], 2, "needs quotes"),
        (["ask", "q", "--docs", "docs", "--max-cost-usd", "-1"], 2, "--max-cost-usd must be at least 0"),
        (["ask", "q", "--docs", "docs", "--max-seconds", "0"], 2, "--max-seconds must be above 0"),
        (["ask", "q", "--docs", "docs", "--model", " "], 2, "the name is empty"),
        (["ask", "q", "--docs", "docs", "--route", "best"], 2, "'best'"),
        (["ask"], 2, "Missing argument 'QUESTION'"),
        (["index", "docs"], 2, "--index"),
        (["index", "nowhere", "--index", "ix"], 2, "nowhere"),
        (["index", "docs", "--index", "docs"], 4, "holds something else"),
        (["index", "docs", "--index", "docs/harbour.txt"], 2, "is a file"),
        (["grep", "", "--docs", "docs"], 2, "the pattern is empty"),
        (["grep", "(", "--docs", "docs"], 2, "pattern"),
        (["grep", "(?=x)", "--docs", "docs"], 2, "lookahead"),
        (["grep", "x", "--docs", "docs", "--max", "0"], 2, "--max"),
        (["nothing"], 2, "nothing"),
        (["asc"], 2, "Did you mean 'ask'?"),
        (["ask", "q", "--docs", "nowhere", "--k", "0"], 2, "--k"),
        (["ask", "q", "--docs", "nowhere", "--max-turns", "0"], 2, "--max-turns"),
        (["ask", "q", "--docs", "nowhere", "--max-calls", "-1"], 2, "--max-calls"),
        (["ask", "q", "--docs", "nowhere", "--window", "0"], 2, "--window"),
        (["ask", "q", "--docs", "nowhere", "--max-cost-usd", "nan"], 2, "--max-cost-usd must be a finite number"),
        (["ask", "q", "--docs", "nowhere", "--where", "team"], 2, "--where: 'team' is neither field=value nor a JSON"),
        (["ask", "q", "--docs", "nowhere", "--where", '{"a": '], 2, "--where: not valid JSON"),
        (["ask", "q", "--docs", "nowhere", "--where", '{"a": {"$foo": 1}}'], 2, "--where, field 'a': unknown operator"),
        (["ask", "q", "--docs", "nowhere", "--where", "year>=2020"], 2, "compares; write that as JSON"),
        (["grep", "q", "--docs", "nowhere", "--where", "[1]"], 2, "--where: a JSON object is needed"),
        (["ask", "q", "--docs", "nowhere"], 2, "there is no file or folder 'nowhere'"),
        (["ask", "q", "--docs", "a" * 5_000], 2, "there is no file or folder"),
        (["names", " ", "--docs", "docs"], 2, "the question is empty"),
    ],
)
def test_what_cannot_work_is_said_in_one_message(arguments: list[str], code: int, says: str) -> None:
    Path("empty").mkdir()
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert says in " ".join(result.stderr.split())
    assert "Traceback" not in result.output
    assert not result.stdout
    for python in ("load_paths", "limits:", "Limits", "InvalidInput", "configurable"):
        assert python not in result.stderr


def test_errors_are_json_too() -> None:
    result = run("ask", "q", "--docs", "nowhere", "--json")
    error = json.loads(result.stdout)["error"]
    assert (result.exit_code, error["exit_code"], error["type"], error["category"]) == (2, 2, "InvalidInput", "usage")
    assert "nowhere" in error["message"]
    assert not result.stderr


def test_files_that_are_not_text_are_counted_and_named() -> None:
    Path("docs/image.png").write_bytes(b"\x89PNG\0\0")
    Path("docs/latin.txt").write_bytes(b"caf\xe9")
    os.mkfifo("docs/pipe")
    bad = os.fsdecode(b"docs/bad\xff.txt")
    Path(bad).write_text("named in no encoding")
    result = run("index", "docs", "--index", "ix")
    assert result.exit_code == 0, result.output
    assert "3 files left out" in result.stderr
    for name in ("image.png", "pipe", r"bad\udcff.txt"):
        assert name in result.stderr
    told = json.loads(run("index", "docs", "--index", "ix", "--json").stdout)
    assert (told["unchanged"], told["documents"], len(told["skipped"])) == (3, 3, 3)


def test_files_that_were_not_read_are_told_at_the_answer() -> None:
    Path("docs/image.png").write_bytes(b"\x89PNG\0\0")
    Path("docs/large.txt").write_text("x" * 2_000)
    limited = ("--max-file-bytes", "1000")
    assert run("index", "docs", "--index", "ix", *limited).exit_code == 0
    for source in (("--docs", "docs", *limited), ("--index", "ix")):
        shown = " ".join(run("ask", "When was the harbour built?", *source).stdout.split())
        assert "not read 2 files left out" in shown
        assert "docs/image.png: binary" in shown and "2,000 bytes, more than 1,000 (--max-file-bytes)" in shown
        told = json.loads(run("ask", "When was the harbour built?", *source, "--json").stdout)["left_out"]
        assert (told["count"], len(told["files"])) == (2, 2)
    assert run("index", "docs", "--index", "ix").exit_code == 0
    assert "1 file left out" in run("ask", "q", "--index", "ix").stdout
    Path("docs/image.png").unlink()
    assert run("index", "docs", "--index", "ix", "--prune").exit_code == 0
    assert "left out" not in run("ask", "q", "--index", "ix").stdout
    Path("ix/left_out.json").write_text("[" * 100_000)
    assert run("ask", "When was the harbour built?", "--index", "ix").exit_code == 0


def test_names_that_are_odd_and_harmless_are_read() -> None:
    for name in ("日本\u3000語.txt", "no\u00a0break.txt", "👩\u200d💻.txt"):
        Path("docs", name).write_text("lamp")
    assert len(json.loads(run("grep", "lamp", "--docs", "docs", "--json").stdout)["matches"]) == 3


def test_a_folder_without_any_text_is_refused() -> None:
    Path("binaries").mkdir()
    Path("binaries/x.bin").write_bytes(b"\0")
    result = run("ask", "q", "--docs", "binaries")
    assert result.exit_code == 2
    assert "x.bin" in result.stderr


def test_an_index_keeps_its_language_and_takes_identifiers_apart() -> None:
    Path("docs/code.py").write_text("def getHarbourDepth(): ...\n")
    result = run("index", "docs", "--index", "ix", "--language", "english", "--code")
    assert result.exit_code == 0, result.output
    with Corpus.open("chroma:ix") as corpus:
        assert {hit["doc_id"] for hit in corpus.retrieve("harbours", mode="bm25")} == {"harbour.txt", "code.py"}
        assert corpus.retrieve("harbour_depth", mode="bm25")[0]["doc_id"] == "code.py"
    assert json.loads(run("index", "docs", "--index", "ix", "--json").stdout)["unchanged"] == 3
    result = run("index", "docs", "--index", "ix", "--language", "german")
    assert result.exit_code == 4 and "english" in result.stderr and "german" in result.stderr
    assert run("index", "docs", "--index", "iy", "--language", "klingon").exit_code == 2


def test_an_index_of_another_format_or_with_other_embeddings_is_refused_by_name() -> None:
    run("index", "docs", "--index", "ix")
    manifest = json.loads(Path("ix/manifest.json").read_text())
    name = next(key for key, value in manifest.items() if isinstance(value, str) and "ash" in value)
    Path("ix/manifest.json").write_text(json.dumps(manifest | {name: "openai/text-embedding-3-small"}))
    result = run("ask", "q", "--index", "ix")
    assert result.exit_code == 4
    assert "openai/text-embedding-3-small" in result.stderr
    Path("ix/manifest.json").write_text("not even JSON")
    assert run("grep", "x", "--index", "ix").exit_code == 4


@pytest.mark.parametrize(
    "question",
    [
        "'\"`\\{}[bold]%s\n\x1b[31m",
        "How many times does `\"'\\{x}\n` occur?",
        "$(rm -rf ~)",
        "?",
        "🙂" * 500,
        "[/bold]",
    ],
)
@pytest.mark.parametrize("route", ["auto", "rag", "rlm"])
def test_a_hostile_question_is_a_question(question: str, route: str) -> None:
    result = run("ask", question, "--docs", "docs", "--route", route, "--json")
    assert result.exit_code == (0 if json.loads(result.stdout)["found"] else 1), result.output
    assert not [turn["error"] for turn in json.loads(result.stdout)["turns"] if turn["error"]]


def test_a_hostile_document_cannot_command_the_terminal() -> None:
    Path("docs/evil.txt").write_text(
        "The lighthouse \x1b]0;owned\x07\x1b[2J[bold red]is[/] \x9b31m\u202ewhite. \x08\x00"[:-1]
    )
    for arguments in (["ask", "Where is the lighthouse?"], ["grep", "lighthouse"]):
        result = run(*arguments, "--docs", "docs")
        assert "[bold red]is[/]" in result.stdout
        assert not set(result.output) & set("\x1b\x07\x08\x9b\u202e")
    assert clean("a\x1b[1;31mb\x1b(Bc\x1bMd\x9be\r\nf\rg\ud800") == "abcde\nf\ng"


# --- index and grep --------------------------------------------------------------------------------------------------


def test_index_is_idempotent_and_prunes_on_demand() -> None:
    assert "2 new" in run("index", "docs", "--index", "ix").stderr
    Path("docs/harbour.txt").unlink()
    assert "1 unchanged" in run("index", "docs", "--index", "ix").stderr
    assert run("grep", "harbour", "--index", "ix").stdout
    assert "1 unchanged, 1 removed" in run("index", "docs", "--index", "ix", "--prune").stderr
    assert not run("grep", "harbour", "--index", "ix").stdout


def test_grep_prints_path_line_and_text() -> None:
    result = run("grep", r"ke+per\b", "--docs", "docs", "--quiet")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "harbour.txt:2:Its keeper is called Marta Olsen.",
        "notes/sea.md:4:keeper keeper",
        "notes/sea.md:4:keeper keeper",
    ]
    assert run("grep", "MARTA", "--docs", "docs", "-i", "--quiet").stdout
    nothing = run("grep", "MARTA", "--docs", "docs")
    assert (nothing.exit_code, nothing.stdout) == (1, "")
    assert "No match." in nothing.stderr
    found = json.loads(run("grep", "keeper", "--docs", "docs", "--max", "1", "--json").stdout)
    assert (len(found["matches"]), found["complete"]) == (1, False)
    assert found["matches"][0]["match"] == [HARBOUR.index("keeper"), HARBOUR.index("keeper") + 6]
    assert "there may be more" in run("grep", "keeper", "--docs", "docs", "--max", "1").stderr


def test_grep_looks_through_everything_however_long_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    run("index", "docs", "--index", "ix")
    monkeypatch.setattr("langgraph_rlm.text.scan.time.monotonic", iter(range(0, 10_000, 100)).__next__)
    for where in (["--docs", "docs"], ["--index", "ix"]):
        found = json.loads(run("grep", "keeper", *where, "--json").stdout)
        assert (len(found["matches"]), found["complete"]) == (3, True)


def test_grep_reads_files_without_an_index_and_only_those_that_are_asked_for() -> None:
    assert run("grep", "keeper", "--docs", "docs", "--where", "suffix=.md", "--quiet").stdout.count("\n") == 2
    assert run("grep", "keeper", "--docs", "docs", "--where", "path=harbour.txt", "--quiet").stdout.count("\n") == 1
    assert not Path(".langgraph_rlm").exists()


def test_ids_with_ends_of_lines_stay_on_the_line_of_their_match() -> None:
    odd = "a\nb\u2028c\u061cd\x1b[2J.txt"
    with Corpus.open("chroma:ix") as corpus:
        corpus.add([Document(id=odd, page_content="the lamp\u2028burns")])
    result = run("grep", "lamp", "--index", "ix")
    assert result.stdout == "a\\nb\\u2028c\\u061cd\\x1b[2J.txt:1:the lamp burns\n"
    asked = run("ask", "Where is the lamp?", "--index", "ix")
    assert not set("\x1b\u2028\u061c") & set(asked.output) and r"a\nb\u2028c" in asked.stdout


# --- names -----------------------------------------------------------------------------------------------------------


def test_names_prints_the_hops_as_a_tree() -> None:
    Path("docs/sea.txt").write_text("The Deep Sea\nMarta Olsen watches the boats at night.\n")
    Path("docs/marta.txt").write_text("Marta Olsen\nShe came from Bergen.\n")
    printed = run("names", "Where does the one who watches the Deep Sea come from?", "--docs", "docs")
    assert printed.exit_code == 0
    lines = [line.strip("│├└─ ") for line in printed.stdout.splitlines()]
    assert any(line.startswith("question “Deep Sea” → sea.txt") for line in lines)
    assert any(line.startswith("mentions “Marta Olsen” → marta.txt  #") for line in lines)
    told = json.loads(run("names", "Who watches the Deep Sea?", "--docs", "docs", "--json", "--hops", "2").stdout)
    assert told["named"][0]["name"] == "Deep Sea" and told["hits"][0]["metadata"]["rlm_path"]


def test_names_draws_hostile_documents_as_text() -> None:
    evil = '<script>alert("1")</script>'
    Path("docs/evil.txt").write_text(f"Deep {evil} Sea\n{evil} Marta Olsen\x1b[2J\n")
    drawn = run("names", f"What of {evil} Marta Olsen?", "--docs", "docs", "--html", "out.html")
    assert drawn.exit_code == 0
    page = Path("out.html").read_text()
    assert "<svg" in page and "evil.txt" in page and "Content-Security-Policy" in page
    assert (
        "<script" not in page and "\x1b" not in page and "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    )


def test_a_drawing_that_cannot_be_written_is_said() -> None:
    drawn = run("names", "Who watches the boats?", "--docs", "docs", "--html", "nowhere/out.html")
    assert drawn.exit_code == 2
    assert "nowhere/out.html cannot be written: No such file or directory" in " ".join(drawn.stderr.split())


def test_a_drawing_also_shows_what_stands_near_the_path() -> None:
    Path("docs/sea.txt").write_text("The Deep Sea\nMarta Olsen watches the boats at night. The Old Mill is far.\n")
    Path("docs/marta.txt").write_text("Marta Olsen\nShe came from Bergen.\n")
    Path("docs/mill.txt").write_text("The Old Mill\nIt grinds.\n")
    asked = ("names", "Where does the one who watches the Deep Sea come from?", "--docs", "docs", "--max", "2")
    assert run(*asked, "--html", "out.html").exit_code == 0
    page = Path("out.html").read_text()
    assert 'class="near"' in page
    assert page.count("<title>mill.txt</title>") == 1
    assert "mentions “Old Mill”" in page or "mentions “The Old Mill”" in page


def test_names_says_when_there_are_none() -> None:
    for path in list(Path("docs").rglob("*.*")):
        path.unlink()
    Path("docs/p1.txt").write_text("nothing but prose.\n")
    printed = run("names", "what prose?", "--docs", "docs")
    assert printed.exit_code == 0 and "p1.txt" in printed.stdout
    assert "No document has a name" in printed.stderr
    assert run("names", " ", "--docs", "docs").exit_code == 2


# --- a real client against a loopback server -------------------------------------------------------------------------


@pytest.fixture
def server(openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    monkeypatch.setenv("OPENAI_BASE_URL", openai_server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", openai_server.key)
    yield openai_server


def test_with_a_key_the_model_answers(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGGRAPH_RLM_MODEL", "openai:gpt-4o-mini")

    server.reply = lambda request: 'In 1901 [1].\nQUOTES\n[1] "The harbour was built in 1901."'
    result = run("ask", "When was the harbour built?", "--docs", "docs", "--json")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert answer["answer"] == "In 1901 [1]."
    assert answer["citations"][0]["verified"]
    assert answer["usage"]["cost_usd"] > 0
    assert "The model is openai:gpt-4o-mini." in result.stderr
    assert [chat["model"] for chat in server.chats] == ["gpt-4o-mini"]


def test_a_rejected_key_is_said_plainly(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-0123456789")
    result = run("ask", "When was the harbour built?", "--docs", "docs")
    assert result.exit_code == 4
    assert "key" in result.stderr.lower()
    assert "Traceback" not in result.output
    assert "sk-wrong-0123456789" not in result.output
    error = json.loads(run("ask", "q", "--docs", "docs", "--json").stdout)["error"]
    assert (error["type"], error["category"]) == ("AuthenticationFailed", "auth")


def test_a_name_without_a_provider_is_said_to_be_taken_as_openai(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run("ask", "When was the harbour built?", "--docs", "docs", "--model", "foo")
    assert "The model is openai:foo." in result.stderr
    assert "foo was taken as an OpenAI name" in result.stderr
    server.plan(failure(404))
    refused = run("ask", "When was the harbour built?", "--docs", "docs", "--model", "foo", "--json")
    assert refused.exit_code == 4
    assert "foo was taken as an OpenAI name" in json.loads(refused.stdout)["error"]["message"]
    monkeypatch.delenv("OPENAI_API_KEY")
    keyless = run("ask", "When was the harbour built?", "--docs", "docs", "--model", "foo")
    assert "foo was taken as an OpenAI name" in " ".join(keyless.stderr.split())
    assert "taken as" not in run("ask", "q", "--docs", "docs", "--model", "openai:foo").stderr


def test_the_extractive_model_can_be_asked_for_with_a_key(server: OpenAIServer) -> None:
    result = run("ask", "When was the harbour built?", "--docs", "docs", "--model", "extractive")
    assert result.exit_code == 0
    assert "No language model is involved: answers are quotations and counts" in result.stderr
    assert not server.requests


# --- as a process ----------------------------------------------------------------------------------------------------


def test_without_its_packages_it_names_the_extra(tmp_path: Path) -> None:
    code = (
        "import importlib.util as u, sys; find = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'rich' else find(name, *more)\n"
        "from langgraph_rlm.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == 'langgraph-rlm: the command line needs rich: pip install "langgraph-rlm[cli]"\n'


def test_it_ends_with_the_exit_code_and_survives_a_closed_pipe_and_an_ascii_terminal() -> None:
    Path("docs/snow.txt").write_text("Snow ☃ lies on the harbour.\n" * 5_000)
    done = in_process_of_its_own("grep", "Snow", "--docs", "docs", "--max", "5000", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout.count("\n")) == (0, 5_000)
    assert "Snow ? lies" in done.stdout
    shell = f"{sys.executable} -m langgraph_rlm.cli grep Snow --docs docs --max 5000 | head -n 1"
    for command in (
        shell,
        shell.replace("| head -n 1", "2>&1 | head -n 1"),
        f"{sys.executable} -m langgraph_rlm.cli --help | head -n 1",
    ):
        bash = ["bash", "-c", f"set -o pipefail; {command}"]
        piped = subprocess.run(bash, capture_output=True, text=True, check=False)
        assert (piped.returncode, piped.stderr, piped.stdout.count("\n")) == (0, "", 1), command


@pytest.mark.parametrize("route", ["direct", "rag", "rlm"])
def test_ctrl_c_ends_a_question_at_once_even_while_the_model_is_silent(server: OpenAIServer, route: str) -> None:
    server.reply = lambda request: ServerReply(text="late", hang=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "langgraph_rlm.cli", "ask", "Where is the harbour?", "--docs", "docs", "--route", route],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.wait_for_hanging(timeout=60)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert stderr.endswith(
        "interrupted. The same command goes on from here: what was answered is not paid again (--fresh starts anew).\n"
    )
    assert "Traceback" not in stderr


def test_interrupted_indexing_leaves_a_usable_index_that_the_next_run_completes() -> None:
    for i in range(60):
        Path(f"docs/long{i:02}.txt").write_text(f"Document {i}. " + "The harbour is long and wide. " * 1_500)
    process = subprocess.Popen(
        [sys.executable, "-m", "langgraph_rlm.cli", "index", "docs", "--index", "ix"], stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 60
    while (
        not (Path("ix/documents.sqlite").exists() and Path("ix/documents.sqlite-wal").exists())
        and time.monotonic() < until
    ):
        time.sleep(0.02)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    if process.returncode != 0:  # else it was faster than the signal
        assert process.returncode == 130, stderr
        assert "The index stays usable" in stderr
    assert "Traceback" not in stderr
    done = run("index", "docs", "--index", "ix", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["documents"] == 62
    assert len(json.loads(run("grep", r"^Document \d+\.", "--index", "ix", "--json").stdout)["matches"]) == 60
