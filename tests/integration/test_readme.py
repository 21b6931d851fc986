"""README's code runs as it stands, with a loopback server in the place of OpenAI's; so do the examples."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from langgraph_rlm.graphs.prompts import QUOTES, READER_ROLE, ROOT_ROLE
from tests.openai_server import OpenAIServer

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(
    r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
)


def as_a_model_would(request: dict[str, Any]) -> str:
    """Answers the questions that README asks, in the formats the prompts ask for."""
    system = request["messages"][0]["content"]
    if system.startswith("Define in one sentence: "):  # of the user's own route
        return "It is time off for parents."
    data = request["messages"][-1]["content"]
    if system.startswith(READER_ROLE):
        assert "Parental leave is 16 weeks." in data
        return f'Parental leave is 16 weeks [1].\n{QUOTES}\n[1] "Parental leave is 16 weeks."'
    assert system.startswith(ROOT_ROLE)
    return "```repl\nhits = grep('ERROR', max_matches=1000)\ncite(hits[0])\nFINAL(f'{len(hits)} errors')\n```"


def test_the_code_of_the_readme_runs_and_answers(
    openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    openai_server.reply = as_a_model_would
    monkeypatch.setenv("OPENAI_API_KEY", openai_server.key)
    monkeypatch.setenv("OPENAI_BASE_URL", openai_server.base_url)
    monkeypatch.chdir(tmp_path)
    assert len(BLOCKS) == 12
    script = tmp_path / "readme.py"
    script.write_text("\n".join(BLOCKS), encoding="utf-8")
    names = runpy.run_path(str(script))
    for corpus in ("corpus", "filings"):
        names[corpus].close()
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "Parental leave is 16 weeks [1]."
    assert "direct" in printed[1]
    assert "leave.md:1: Parental leave is 16 weeks." in printed
    assert "define It is time off for parents. 1" in printed
    assert "100 errors" in printed
    apple = "{'$and': [{'company': 'Apple Inc.'}, {'year': %d}]}"
    assert f"gross margin {apple % 2022} Apple, 2022" in printed
    assert f"Apple Inc. 2023 {apple % 2023} Apple, year: 2023" in printed
    assert any(line.startswith("log 1201100 ") and "window of 128,000" in line for line in printed)
    assert any(line.endswith("} 100000") for line in printed)  # lines
    assert printed[-4:-1] == ["12:00:39 ERROR timeout", "12:00:40 ok", "12:00:41 ok"]


def test_the_code_of_the_page_on_evaluation_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.py").write_text(block, encoding="utf-8")
    runpy.run_path(str(tmp_path / "page.py"))
    assert "# needle: 4 tasks" in capsys.readouterr().out


PRINTED = {
    "long_text": "`upstream timeout` occurs 32 times",
    "agent_with_tools": "occurs 32 times",
    "deep_agent": "There were 32 timeouts.",
    "in_your_graph": "route: rlm",
    "mcp_client": "ask: Parental leave is 16 weeks. [1] ['leave.md:1']",
    "openai_client": "Parental leave is 16 weeks. [1]\n  leave.md:1  corpus://leave.md#0-27",
    "terminal_chat": "`upstream timeout` occurs 20 times",
    "agent_chat_ui": "",  # a module to be served: test_agent_chat_ui.py does
    "pgvector_index": "",  # a module to be imported: test_pgvector_index.py puts it to use
}


SERVERS = {"chat_app": "test_streaming_examples.py"}
"""They listen until they are ended; the test that starts and asks each."""


def test_each_example_that_serves_is_tried_elsewhere() -> None:
    for example, test in SERVERS.items():
        assert example in (Path(__file__).parent / test).read_text("utf-8")


@pytest.mark.parametrize(
    "example",
    sorted(path for path in (ROOT / "examples").glob("*.py") if path.stem not in SERVERS),
    ids=lambda path: path.stem,
)
def test_each_example_runs_as_it_stands(example: Path, tmp_path: Path) -> None:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "LANGGRAPH_RLM_"))
    }
    done = subprocess.run(
        [sys.executable, str(example)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert PRINTED[example.stem] in done.stdout
