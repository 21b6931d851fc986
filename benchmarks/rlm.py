"""The overhead of the recursive route: whole runs of five turns with a model that answers at once.

Compared with the same five cells run by a plain ``exec`` in this process, which has no isolation, no graph and no
limits: what is left is the price of all three.
"""

from __future__ import annotations

import contextlib
import io
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from _report import Row, median_ms, report
from langchain_core.messages import BaseMessage
from langgraph.checkpoint.sqlite import SqliteSaver

from langgraph_rlm import ContextStore, Limits, Runtime, create_rlm
from langgraph_rlm.testing import ScriptedModel

CELLS = [
    "print(len(context), context[:80])",
    "lines = context.count('\\n')\nprint(lines)",
    "hits = grep('ERROR.*timeout', max_matches=20)\nprint(len(hits), hits.seen)",
    "chunks = [context[i:i + 100_000] for i in range(0, 400_000, 100_000)]\nprint([len(c) for c in chunks])",
    "FINAL(f'{lines} lines, {len(hits)} hits')",
]
LINE = "2026-11-20 12:00:{:02d} INFO worker={} served request {} in {} ms\n"


def log_of(megabytes: int) -> str:
    """A log of this size with a few errors in it."""
    parts, size, number = [], 0, 0
    while size < megabytes << 20:
        line = LINE.format(number % 60, number % 16, number, number * 7919 % 400)
        if number % 5_000 == 4_999:
            line = line.replace("INFO", "ERROR upstream timeout")
        parts.append(line)
        size += len(line)
        number += 1
    return "".join(parts)


def script(messages: Sequence[BaseMessage]) -> str:
    """The next of the five cells."""
    turn = sum(message.type == "ai" for message in messages)
    return f"```repl\n{CELLS[turn]}\n```"


def in_process(text: str) -> None:
    """The same cells by ``exec``."""
    namespace = {"context": text, "FINAL": lambda value: None, "grep": _Grep(text)}
    for cell in CELLS:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(cell, namespace)


class _Grep:
    def __init__(self, text: str) -> None:
        self._text = text

    def __call__(self, pattern: str, max_matches: int) -> list[str]:
        found = _Hits(match[0] for _, match in zip(range(max_matches), re.finditer(pattern, self._text), strict=False))
        found.seen = len(found)
        return found


class _Hits(list[str]):
    seen = 0


def main() -> None:
    Runtime.default().warm()
    rows = []
    for megabytes, target in ((4, 60), (40, 100)):
        text = log_of(megabytes)
        contexts = ContextStore()
        graph = create_rlm(ScriptedModel(script), contexts=contexts, limits=Limits(max_cost_usd=None))
        started = time.perf_counter()
        ref = contexts.put(text)
        put = (time.perf_counter() - started) * 1e3
        question = {"question": "How many lines and errors are there?", "context": ref}
        started = time.perf_counter()
        assert graph.invoke(question)["stop_reason"] == "answered"
        cold = (time.perf_counter() - started) * 1e3
        warm = median_ms(lambda graph=graph, question=question: graph.invoke(question), repeats=9)
        plain = median_ms(lambda text=text: in_process(text), repeats=5)
        rows += [
            Row(f"5 turns on {megabytes} MB, warm", warm, "ms", target, "exec in process", plain),
            Row(f"5 turns on {megabytes} MB, first run", cold, "ms"),
            Row(f"put of {megabytes} MB", put, "ms"),
        ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoints.sqlite"
        with SqliteSaver.from_conn_string(str(path)) as saver:
            graph = create_rlm(ScriptedModel(script), checkpointer=saver, limits=Limits(max_cost_usd=None))
            graph.invoke({"question": "How many lines?", "context": log_of(40)}, {"configurable": {"thread_id": "1"}})
        size = sum(file.stat().st_size for file in Path(folder).iterdir())
    rows.append(Row("checkpoints of 5 turns over 40 MB, SQLite", size / 1024, "KB", 1024))
    report("rlm", rows)


if __name__ == "__main__":
    main()
