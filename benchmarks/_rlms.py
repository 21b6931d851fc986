"""The same work by the official ``rlms`` package, with models that answer at once. Run by an interpreter that has it.

python -P benchmarks/_rlms.py LOG...     prints {"turns": [ms, ...], "child": ms, "sub_calls": ms}

(-P: the package is called ``rlm``, as is a file in this folder.)
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import rlm.core.rlm as core
from rlm import RLM
from rlm.clients import BaseLM
from rlm.core.types import ModelUsageSummary, UsageSummary

SUB_CALLS = 1_000
DELAY = 0.1
TURNS = [
    "print(len(context), context[:80])",
    "lines = context.count('\\n')\nprint(lines)",
    "import re\nhits = [m[0] for _, m in zip(range(20), re.finditer('ERROR.*timeout', context))]\nprint(len(hits))",
    "chunks = [context[i:i + 100_000] for i in range(0, 400_000, 100_000)]\nprint([len(c) for c in chunks])",
    "answer['content'] = f'{lines} lines, {len(hits)} hits'\nanswer['ready'] = True",
]
CHILD = ["answer['content'] = len(context)\nanswer['ready'] = True"]
WITH_CHILD = [
    "import time\nbegan = time.perf_counter()\nrlm_query('How long is this?')\n"
    "answer['content'] = (time.perf_counter() - began) * 1e3\nanswer['ready'] = True"
]
WITH_SUB_CALLS = [
    f"import time\nbegan = time.perf_counter()\nreplies = llm_query_batched([f'What is {{i}}?' for i in range({SUB_CALLS})])\n"
    "assert replies.count('fine') == len(replies)\n"
    "answer['content'] = (time.perf_counter() - began) * 1e3\nanswer['ready'] = True"
]


class Scripted(BaseLM):
    """Plays a list of cells as the root model, and is fine as the sub-model."""

    def __init__(self, model_name: str, cells: list[str]) -> None:
        super().__init__(model_name)
        self._cells = cells

    def completion(self, prompt: Any) -> str:
        if not isinstance(prompt, list):
            time.sleep(DELAY)
            return "fine"
        if "How long is this?" in str(prompt[:4]) and self._cells is WITH_CHILD:
            return f"```repl\n{CHILD[0]}\n```"
        turn = sum(message["role"] == "assistant" for message in prompt[1:])
        return f"```repl\n{self._cells[min(turn, len(self._cells) - 1)]}\n```"

    async def acompletion(self, prompt: Any) -> str:
        await asyncio.sleep(DELAY)
        return "fine"

    def get_usage_summary(self) -> UsageSummary:
        return UsageSummary(model_usage_summaries={})

    def get_last_usage(self) -> ModelUsageSummary:
        return ModelUsageSummary(total_calls=1, total_input_tokens=0, total_output_tokens=0)


def run(cells: list[str], text: str, **options: Any) -> tuple[str, float]:
    """The answer, and the milliseconds of the whole run."""
    started = time.perf_counter()
    done = RLM(backend_kwargs={"model_name": "scripted", "cells": cells}, **options).completion(text)
    return done.response, (time.perf_counter() - started) * 1e3


def main() -> None:
    core.get_client = lambda backend, options: Scripted(**options)
    figures: dict[str, Any] = {"turns": []}
    for path in sys.argv[1:]:
        text = Path(path).read_text("utf-8")
        runs = [run(TURNS, text) for _ in range(4)]
        assert all("lines" in answer for answer, _ in runs), runs
        figures["turns"].append(min(took for _, took in runs))
    figures["child"] = min(float(run(WITH_CHILD, "some text", max_depth=2)[0]) for _ in range(4))
    figures["sub_calls"] = float(run(WITH_SUB_CALLS, "some text")[0])
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
