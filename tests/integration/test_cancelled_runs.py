"""A run that is cancelled at any moment goes on, when it is resumed, to the answer that it would have had."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph

from langgraph_rlm import ContextStore, create_rlm
from langgraph_rlm.graphs.graph import has_ended
from langgraph_rlm.graphs.nodes import Choice, Node
from langgraph_rlm.runs.run import Run
from langgraph_rlm.testing import ScriptedModel
from tests.support import cell, scripted

SUBMIT = cell("answer['content'] = 'long'; answer['ready'] = True")


class State(TypedDict, total=False):
    seen: list[str]


async def test_a_run_that_is_cancelled_while_an_edge_is_chosen_goes_on_along_it() -> None:
    choosing, goes_on = asyncio.Event(), asyncio.Event()

    async def look(state: State, run: Run) -> State:
        return {"seen": ["look"]}

    async def choose(state: State, run: Run) -> str:
        choosing.set()
        await goes_on.wait()
        return "answer"

    async def answer(state: State, run: Run) -> State:
        return {"seen": [*state["seen"], "answer"]}

    builder: StateGraph[Any, Any, Any, Any] = StateGraph(State)
    builder.add_node("look", Node(look, "look"))
    builder.add_node("answer", Node(answer, "answer"))
    builder.add_edge(START, "look")
    builder.add_conditional_edges("look", Choice(choose, "choose"), ["answer", END])
    builder.add_edge("answer", END)
    graph = builder.compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    run = asyncio.create_task(graph.ainvoke({"seen": []}, config))
    await choosing.wait()
    run.cancel()
    asyncio.get_running_loop().call_later(0.01, goes_on.set)
    with pytest.raises(asyncio.CancelledError):
        await run
    assert not has_ended(await graph.aget_state(config))
    assert (await graph.ainvoke(None, config))["seen"] == ["look", "answer"]


def turns_of(model: ScriptedModel) -> Sequence[str]:
    return [message.text for request in model.requests for message in request[-1:]]


@pytest.mark.parametrize("step", range(12))
async def test_a_recursive_run_cancelled_after_any_of_its_steps_ends_with_its_answer(step: int, tmp_path: Path) -> None:
    model = scripted([cell("print(1)"), cell("print(2)"), SUBMIT, SUBMIT, SUBMIT])
    contexts, saver = ContextStore(tmp_path), InMemorySaver()
    graph = create_rlm(model, contexts=contexts, checkpointer=saver, sandbox="unsafe")
    config: Any = {"configurable": {"thread_id": "1"}}
    seen = 0

    async def until_step() -> None:
        nonlocal seen
        async for _ in graph.astream(
            {"question": "How long?", "context": "x"}, config, stream_mode=["custom", "updates"]
        ):
            seen += 1
            if seen > step:
                run.cancel()
                await asyncio.sleep(0)

    run = asyncio.create_task(until_step())
    await asyncio.wait([run])
    state = await graph.aget_state(config)
    done = state.values if has_ended(state) else await graph.ainvoke(None, config)
    assert (done["answer"], done["stop_reason"]) == ("long", "answered")
