"""``langgraph-rlm graph``: specs are run, checked, drawn and exported; what is wrong with them is told with its place."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from langgraph_sdk import get_client
from typer.testing import CliRunner

from langgraph_rlm import GraphSpec, create_graph
from langgraph_rlm.cli.commands import app
from tests.langgraph_server import dev_server
from tests.openai_server import OpenAIServer
from tests.specs import EXAMPLE
from tests.support import scripted


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own, and no key."""
    monkeypatch.chdir(tmp_path)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "LANGGRAPH_RLM_MODEL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "qa.yaml").write_text(EXAMPLE)
    (tmp_path / "report.txt").write_text("nothing here\nQ3 revenue was $4.2B\n")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ("graph", *arguments), prog_name="langgraph-rlm")


INPUTS = ("--input", "question=What was Q3 revenue?", "--input", "documents=@report.txt")


def test_a_graph_is_run_on_files(openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", openai_server.key)
    monkeypatch.setenv("OPENAI_BASE_URL", openai_server.base_url)
    openai_server.reply = lambda request: "$4.2B"
    result = run("run", "qa.yaml", *INPUTS, "--model", "gpt-4o-mini=openai:gpt-5-mini", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert set(told) == {"output", "usage", "coverage", "failures"}
    assert told["output"] == {"answer": "$4.2B"}
    assert openai_server.chats[0]["model"] == "gpt-5-mini"
    assert told["usage"]["calls"] == 1


def test_without_a_key_the_offline_model_quotes() -> None:
    result = run("run", "qa.yaml", *INPUTS)
    assert result.exit_code == 0, result.output
    assert result.stdout.strip()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "qa.yaml", "--input", "documents=@report.txt"), "'question': it is missing"),
        (("run", "qa.yaml", *INPUTS, "--input", "x=1"), "the graph reads documents, question"),
        (("run", "qa.yaml", "--input", "documents=@none.txt"), "none.txt"),
        (("run", "qa.yaml", *INPUTS, "--model", "small=openai:x"), "the spec has no model 'small'"),
        (("check", "none.yaml"), "cannot be read"),
        (("export", "qa.yaml", "--out", "report.txt"), "cannot be written"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_ends_with_two_and_its_name(arguments: tuple[str, ...], words: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert words in result.stderr


def test_a_wrong_spec_is_told_with_line_and_column() -> None:
    Path("bad.yaml").write_text(
        EXAMPLE.replace("local_grep", "local_grap").replace("docs.txt\n    max", "d.txt\n    max")
    )
    result = run("check", "bad.yaml")
    assert result.exit_code == 2
    assert "line 9, column 9: steps.1.tool: there is no tool 'local_grap'" in result.stderr
    told = json.loads(run("check", "bad.yaml", "--json").stdout)
    assert told["error"]["type"] == "InvalidSpec"


def test_a_spec_is_described_and_drawn() -> None:
    about = json.loads(run("check", "qa.yaml", "--json").stdout)
    assert (about["steps"], about["models"], about["patterns"]) == (3, ["gpt-4o-mini"], ["rlm"])
    assert "store_docs --> find_revenue;" in run("draw", "qa.yaml").stdout


def test_an_exported_folder_holds_the_same_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run("export", "qa.yaml", "--out", "made", "--model", "gpt-4o-mini=openai:gpt-5-mini")
    assert result.exit_code == 0, result.output
    assert GraphSpec.from_yaml(Path("made/graph.yaml").read_text()) == GraphSpec.from_yaml(EXAMPLE)
    served = json.loads(Path("made/langgraph.json").read_text())
    assert served["graphs"] == {"graph": "./graph.py:graph"}
    module: dict[str, Any] = {}
    exec(compile(Path("made/graph.py").read_text(), "graph.py", "exec"), module)
    assert module["MODELS"] == {"gpt-4o-mini": "openai:gpt-5-mini"}
    models = {"gpt-4o-mini": scripted(lambda messages: "x")}
    inputs = {"question": "?", "documents": "revenue"}
    made = [
        graph.invoke(inputs)["answer"]
        for graph in (module["create_graph"](models), create_graph(EXAMPLE, models=models))
    ]
    assert made == ["x", "x"]
    again = run("export", "qa.yaml", "--out", "made")
    assert again.exit_code == 2
    assert "--force" in again.stderr
    assert sys.modules.get("graph") is None


@pytest.mark.slow
async def test_an_exported_folder_is_served_by_langgraph_dev(openai_server: OpenAIServer, tmp_path: Path) -> None:
    openai_server.reply = lambda request: "$4.2B"
    assert run("export", "qa.yaml", "--out", "made", "--model", "gpt-4o-mini=openai:gpt-5-mini").exit_code == 0
    keys = {"OPENAI_API_KEY": openai_server.key, "OPENAI_BASE_URL": openai_server.base_url}
    with dev_server(tmp_path / "made", **keys) as address:
        client = get_client(url=address)
        inputs = {"question": "What was Q3 revenue?", "documents": "Q3 revenue was $4.2B\n"}
        result: Any = await client.runs.wait(None, "graph", input=inputs)
    assert result["answer"] == "$4.2B"
    assert "docs.txt:1: Q3 revenue was $4.2B" in json.dumps(openai_server.chats[0])
