"""Children in traces: each is a run of its own, with the child's model calls below it."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from langchain_core.runnables import RunnableConfig, RunnableLambda

from langgraph_rlm.graphs.bridge import Run
from langgraph_rlm.repl import FailedCall

SHOWN_CHARS = 500
"""Of a text in a trace: a context never gets into one as a whole."""


class _Failed(Exception):
    """Marks the run as failed in the trace."""


async def traced(name: str, inputs: Mapping[str, Any], run: Run, work: Callable[[Run], Awaitable[Any]]) -> Any:
    """The result of ``work``, which is a nested run of this name in traces.

    Args:
        name: of the run.
        inputs: shown in the trace, shortened.
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
        await RunnableLambda(nested, name=name).ainvoke(
            {key: shortened(value) for key, value in inputs.items()}, run.config
        )
    return result


def shortened(value: Any) -> Any:
    """A value as a trace shows it."""
    if isinstance(value, str):
        return value if len(value) <= SHOWN_CHARS else f"{value[:SHOWN_CHARS]}… ({len(value):,} characters)"
    if isinstance(value, Mapping):
        return f"dict of {len(value):,}"
    if isinstance(value, Sequence):
        return f"list of {len(value):,}"
    return value
