"""The demo: the standard library of the running Python as the corpus, a look-up and an aggregate question on it."""

from __future__ import annotations

import shutil
import sysconfig
from pathlib import Path

from rich.rule import Rule

from langgraph_rlm.cli.asking import Question, ask, choose_model, model_line
from langgraph_rlm.cli.exits import exit_of
from langgraph_rlm.cli.opening import built
from langgraph_rlm.cli.render import plain, show_answer
from langgraph_rlm.cli.sources import Sources
from langgraph_rlm.cli.terminal import Terminal

LOOK_UP = "What does the function difflib.get_close_matches do?"
"""One passage answers it: classic RAG."""
AGGREGATE = "In which files of asyncio does `run_in_executor` occur, and how many times?"
"""Only looking at every file answers it: the recursive route."""
_LEFT_OUT = ("test", "tests", "idle_test", "site-packages", "dist-packages", "lib-dynload")


def standard_library() -> Path:
    """Where the sources of the running Python lie."""
    return Path(sysconfig.get_path("stdlib"))


def read_standard_library() -> Sources:
    """Its Python files, without test folders and installed packages."""
    return Sources([standard_library()], include=["*.py"], exclude=_LEFT_OUT)


def run_demo(terminal: Terminal, directory: Path, *, reindex: bool = False) -> int:
    """Index, ask both questions, print everything. Returns the exit code.

    Args:
        terminal: where to print.
        directory: of the index.
        reindex: remove the index first.
    """
    model = choose_model(None)
    if reindex and (directory / "manifest.json").is_file():
        shutil.rmtree(directory)
    sources = read_standard_library()
    terminal.note(f"The corpus: {sources.files:,} files of the standard library in {standard_library()}.")
    corpus, _ = built(terminal, sources, directory, prune=True)
    worst = 0
    with corpus:
        terminal.out.print(plain(model_line(model), "bold"))
        for kind, question in (("a look-up", LOOK_UP), ("an aggregate question over many files", AGGREGATE)):
            terminal.out.print()
            terminal.out.print(Rule(plain(kind), style="cyan", align="left"))
            terminal.out.print(plain(f"? {question}", "bold"))
            terminal.out.print()
            with terminal.answering() as on_event:
                result = ask(corpus, Question(text=question, model=model), on_event=on_event)
            show_answer(terminal.out, result)
            worst = max(worst, exit_of(result))
        terminal.out.print()
        terminal.note('Ask your own: langgraph-rlm ask "…" --index ' + str(directory))
    return worst
