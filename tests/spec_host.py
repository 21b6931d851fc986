"""A host that runs a mapped step and may die in it: ``python -m tests.spec_host DIRECTORY FACE DIE_AT AT_ONCE``.

Each request and each answer is a line in ``log.txt``. The host kills itself when the request number ``DIE_AT`` arrives (0: never).
The same command again goes on with the thread.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from langgraph_rlm import ContextStore, create_graph
from langgraph_rlm.testing import ScriptedModel

ITEMS = 40
SPEC = """
inputs: {documents: {type: context}, items: {type: json}}
steps:
- {name: store, tool: materialize_context, args: {field_name: documents, filename: d.txt}}
- {name: parts, tool: split, args: {file: d.txt, chars: 100}}
- {name: first, model: m, prompt: "first {{item}}", each: "{{input.items}}"}
- {name: second, model: m, prompt: "second {{item.text}}", each: "{{parts.chunks}}"}
- {name: joined, tool: reduce, args: {items: "{{first.results}}"}}
- {name: last, model: m, prompt: "last", input: {a: "{{joined.value}}", b: "{{second.answered}}"}}
output: {joined: "{{joined.value}}", last: "{{last.text}}"}
"""
INPUT = {"documents": "a line of the text\n" * 50, "items": list(range(ITEMS))}
CONFIG: Any = {"configurable": {"thread_id": "1"}}


def main(directory: Path, face: str, die_at: int, at_once: int) -> None:
    """Run or resume, and write the result to ``result.json``."""
    log, lock, count = directory / "log.txt", threading.Lock(), 0

    def told(line: str) -> None:
        with log.open("a") as file:
            file.write(line + "\n")

    def reply(messages: list[Any]) -> str:
        nonlocal count
        name = json.dumps(messages[-1].text)
        with lock:
            count += 1
            if count == die_at:
                os.kill(os.getpid(), signal.SIGKILL)
            told(f"answer {name}")
        return f"said {len(name)}"

    def graph(saver: Any) -> Any:
        model = ScriptedModel(reply, cost_usd=0.0)
        contexts = ContextStore(directory / "contexts")
        limits = {"max_concurrency": at_once}
        return create_graph(SPEC, models={"m": model}, contexts=contexts, limits=limits, checkpointer=saver)

    async def arun() -> Any:
        async with AsyncSqliteSaver.from_conn_string(str(directory / "c.sqlite")) as saver:
            made = graph(saver)
            known = (await made.aget_state(CONFIG)).values
            return await made.ainvoke(None if known else INPUT, CONFIG)

    if face == "ainvoke":
        result = asyncio.run(arun())
    else:
        with SqliteSaver.from_conn_string(str(directory / "c.sqlite")) as saver:
            made = graph(saver)
            result = made.invoke(None if made.get_state(CONFIG).values else INPUT, CONFIG)
    (directory / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
