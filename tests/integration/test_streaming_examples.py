"""The pages that show an answer as it is written: a web page in a real browser, a terminal, a notebook."""

from __future__ import annotations

import html
import importlib.util
import json
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from langgraph_rlm import Corpus, create_smart_rag
from tests.support import by_role, cell, make_corpus, scripted

EXAMPLES = Path(__file__).parents[2] / "examples"
UNSUPPORTED = "Anna lives in Rome since 1742 [1]."
ANSWER = (
    'Anna lives in <b>Paris</b> & "nowhere else"; the cells have looked at everything that there is, 😀 at all of it.'
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    texts: dict[str, Any] = {"anna.md": "Anna lives in Paris. " + "Filler about stones. " * 30_000, "b.md": "Nothing. "}
    with make_corpus(tmp_path_factory.mktemp("corpus") / "index", texts) as made:
        yield made


def example(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def served(app: Any) -> Iterator[str]:
    import uvicorn

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(16)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)


def test_the_chat_app_is_short() -> None:
    code = [line for line in (EXAMPLES / "chat_app.py").read_text("utf-8").splitlines() if line.strip()]
    assert len(code) <= 60


@pytest.mark.parametrize("escalates", [False, True])
def test_the_web_page_shows_exactly_the_final_answer(escalates: bool, corpus: Corpus, tmp_path: Path) -> None:
    """Also where the first answer is streamed, and then withdrawn."""
    if CHROMIUM is None:
        pytest.skip("no Chromium: apt install chromium")
    reader = UNSUPPORTED if escalates else f'{ANSWER} [1]\n\nQUOTES\n[1] "Anna lives in Paris"'
    model = scripted(by_role(reader=reader, root=cell(f"FINAL({ANSWER!r})")))
    graph = create_smart_rag(model, corpus=corpus, rlm={"sandbox": "unsafe"})
    question = "Where does Anna live?"
    expected = graph.invoke({"question": question})["answer"]
    assert expected.startswith(ANSWER)
    with served(example("chat_app").app_of(graph)) as address:
        command = [
            CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", "--timeout=30000",
            "--virtual-time-budget=10000", "--dump-dom", f"{address}/?question={quote(question)}",
        ]  # fmt: skip
        page = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
    shown = {name: html.unescape(text) for name, text in re.findall(r'id="(\w+)">(.*?)</(?:p|pre)>', page, re.DOTALL)}
    assert shown == {"progress": "done", "answer": expected}


def test_the_terminal_shows_progress_and_then_the_answer(corpus: Corpus) -> None:
    model = scripted(by_role(root=cell("FINAL('Anna lives in Paris, as the cell has found out.')")))
    graph = create_smart_rag(model, corpus=corpus, rlm={"sandbox": "unsafe"})
    said = {"question": "Where does Anna live?", "context": "Anna lives in Paris. " * 60_000}
    text = "".join(example("terminal_chat").parts_of(graph, said))
    lines = text.split("\r\033[K")
    assert lines[-1] == "Anna lives in Paris, as the cell has found out.\n"
    assert any("the cell runs" in line for line in lines)


async def test_the_notebook_runs_from_top_to_bottom(capsys: pytest.CaptureFixture[str]) -> None:
    notebook = json.loads((EXAMPLES / "notebook.ipynb").read_text("utf-8"))
    names: dict[str, Any] = {}
    for one in notebook["cells"]:
        if one["cell_type"] == "code":
            assert one["outputs"] == []
            code = compile("".join(one["source"]), "cell", "exec", flags=8192)  # ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
            if (running := eval(code, names)) is not None:
                await running
    shown = capsys.readouterr().out
    assert "occurs 20 times" in shown
    assert "[turn 1: the model writes a cell]" in shown
    assert "cell_end" in shown
