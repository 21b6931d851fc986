"""The files that clients are told our servers by: each is tried as it stands, with the paths of the test."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from openai import OpenAI

from tests.support import make_corpus

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / "examples" / "clients"
KEY = "a-key-of-this-test-alone"
BIN = str(Path(sys.executable).parent)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clients")
    make_corpus(folder / "index", {"leave.md": "Parental leave is 16 weeks.\n"}).close()
    (folder / "logs").mkdir()
    return folder


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """Of the command ``serve``."""
    command = [
        sys.executable,
        "-m",
        "langgraph_rlm.cli",
        "serve",
        "--openai",
        "--index",
        str(folder / "index"),
        "--port",
        "0",
    ]
    environment = {**os.environ, "LANGGRAPH_RLM_KEYS": KEY}
    server = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    yield next(found[0] for line in server.stderr if (found := re.search(r"http://\S+", line)))
    server.terminate()
    server.wait(20)


def test_every_file_has_a_page_and_a_test() -> None:
    pages = "".join(page.read_text("utf-8") for page in (ROOT / "docs" / "clients").glob("*.md"))
    for file in CLIENTS.iterdir():
        assert f"examples/clients/{file.name}" in pages
        assert file.name in Path(__file__).read_text("utf-8")


@pytest.mark.parametrize(
    ("file", "servers"),
    [("claude_desktop_config.json", "mcpServers"), ("cursor.json", "mcpServers"), ("vscode.json", "servers")],
)
async def test_the_server_that_a_client_is_told_starts_and_searches(file: str, servers: str, folder: Path) -> None:
    text = (CLIENTS / file).read_text("utf-8").replace("/home/me", str(folder))
    (server,) = json.loads(text)[servers].values()
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    parameters = StdioServerParameters(command=server["command"], args=server["args"], env=environment)
    async with stdio_client(parameters) as (read, write), ClientSession(read, write) as client:
        await client.initialize()
        found = (await client.call_tool("grep", {"pattern": "weeks"})).model_dump(by_alias=True)
    assert found["structuredContent"]["count"] == 1


async def test_claude_code_is_told_a_command_that_starts(folder: Path, tmp_path: Path) -> None:
    """By a ``claude`` that writes down what it was given."""
    double = tmp_path / "claude"
    double.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/given\n')
    double.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{BIN}:{os.environ['PATH']}", "INDEX": str(folder / "index")}
    subprocess.run(["sh", str(CLIENTS / "claude_code.sh")], env=environment, check=True, timeout=60)
    given = (tmp_path / "given").read_text().splitlines()
    assert given[:4] == ["mcp", "add", "docs", "--"]
    parameters = StdioServerParameters(command=given[4], args=given[5:], env=environment)
    async with stdio_client(parameters) as (read, write), ClientSession(read, write) as client:
        await client.initialize()
        assert len((await client.list_tools()).tools) == 10


def asked(base_url: str, key: str, model: str = "langgraph-rlm") -> str:
    messages: Any = [{"role": "user", "content": "How many weeks is parental leave?"}]
    client = OpenAI(base_url=base_url, api_key=key, max_retries=0)
    return client.chat.completions.create(model=model, messages=messages).choices[0].message.content or ""


def test_librechat_is_told_an_endpoint_that_answers(address: str) -> None:
    (endpoint,) = yaml.safe_load((CLIENTS / "librechat.yaml").read_text("utf-8"))["endpoints"]["custom"]
    assert endpoint["baseURL"] == "http://127.0.0.1:8000/v1"  # of the page
    assert "16 weeks" in asked(address, KEY, *endpoint["models"]["default"])
    assert endpoint["titleModel"] == "langgraph-rlm"


def test_open_webui_is_told_an_address_and_a_key_that_work(address: str) -> None:
    script = f'. {CLIENTS / "open_webui.sh"} && printf \'%s %s\' "$OPENAI_API_BASE_URL" "$OPENAI_API_KEY"'
    environment = {**os.environ, "OPENAI_API_BASE_URL": address, "LANGGRAPH_RLM_KEY": KEY}
    done = subprocess.run(["sh", "-c", script], env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert "16 weeks" in asked(*done.stdout.split(" "))


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_gets_an_answer(address: str) -> None:
    environment = {**os.environ, "ADDRESS": address, "LANGGRAPH_RLM_KEY": KEY}
    done = subprocess.run(
        ["sh", str(CLIENTS / "curl.sh")], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert "16 weeks" in json.loads(done.stdout)["choices"][0]["message"]["content"]
