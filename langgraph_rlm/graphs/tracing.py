"""Children in traces: each is a run of its own, with the child's model calls below it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from langchain_core.runnables import RunnableConfig, RunnableLambda

from langgraph_rlm.repl import FailedCall
from langgraph_rlm.runs.run import Run

SHOWN_CHARS = 500
"""Of a text in a trace: a context never gets into one as a whole."""


class _Failed(Exception):
    """Marks the run as failed in the trace."""


async def traced(name: str, inputs: Mapping[str, Any], run: Run, work: Callable[[Run], Awaitable[Any]]) -> Any:
    """The result of ``work``, which is a nested run of this name in traces.

    Args:
        name: of the run.
        inputs: shown in the trace; the caller shortens them.
        run: the request, at the place under which the run is nested.
        work: gets the request at its own place.
    """
    result: Any = None

    async def nested(_: Any, config: RunnableConfig) -> Any:
        nonlocal result
        result = await work(replace(run, config=config))
        if isinstance(result, FailedCall):
            raise _Failed(f"{result.category}: {result.message}")
        return shortened(result)

    with contextlib.suppress(_Failed):
        await RunnableLambda(nested, name=name).ainvoke(dict(inputs), run.config)
    return result


def shortened(value: Any) -> str:
    """A value as a trace shows it: as text, JSON where it is none."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}… ({len(text):,} characters)"
