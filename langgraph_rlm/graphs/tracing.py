"""Children in traces: each is a run of its own, with the child's model calls below it."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from langchain_core.runnables import RunnableConfig, RunnableLambda

from langgraph_rlm.repl import FailedCall
from langgraph_rlm.runs.run import Run
from langgraph_rlm.runs.traces import TracedError, shortened


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
            raise TracedError(f"{result.category}: {result.message}")
        return shortened(result)

    with contextlib.suppress(TracedError):
        await RunnableLambda(nested, name=name).ainvoke(dict(inputs), run.config)
    return result
