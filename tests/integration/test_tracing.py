"""What a tracer sees of a run: children as nested runs, with their model calls below them, and never a whole context."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.tracers.base import BaseTracer
from langchain_core.tracers.schemas import Run

from langgraph_rlm import Limits, create_rlm
from tests.support import Ask, cell, scripted, text_of

LONG = "x" * 200_000


class Collected(BaseTracer):
    """Keeps whole traces."""

    def __init__(self) -> None:
        super().__init__()
        self.roots: list[Run] = []

    def _persist_run(self, run: Run) -> None:
        self.roots.append(run)


def under(run: Run, name: str) -> list[Run]:
    """Runs of this name, the nearest on each branch."""
    found: list[Run] = []
    for child in run.child_runs:
        found += [child] if child.name == name else under(child, name)
    return found


def graph() -> Any:
    def root(messages: Any) -> str:
        told = text_of(messages)
        if "GRANDCHILD" in told and "CHILD" not in told.replace("GRANDCHILD", ""):
            return cell("FINAL('deep')")
        if "CHILD b" in told:
            return cell("raise ValueError('b')") if "ValueError" not in told else "no cell"
        if "CHILD a" in told:
            return cell("FINAL(rlm_query('GRANDCHILD', 'text') + llm_query('sub?'))")
        return cell(f"found = rlm_query_batched(['CHILD a', 'CHILD b'], ['{LONG}', 'short'])", "FINAL(str(found[0]))")

    return create_rlm(scripted(root), sub_model=scripted(lambda messages: "er"), limits=Limits(max_depth=3), name="rlm")


async def test_children_are_nested_runs_with_their_model_calls_below_them(ask: Ask) -> None:
    tracer = Collected()
    done = await ask(graph(), {"question": "?", "context": "text"}, {"callbacks": [tracer]})
    assert done["answer"] == "deeper"
    [root] = [run for run in tracer.roots if run.name == "rlm"]
    [execute] = under(root, "execute")
    children = {run.inputs["prompt"]: run for run in under(execute, "rlm_query")}
    assert children.keys() == {"CHILD a", "CHILD b"}
    first, second = children["CHILD a"], children["CHILD b"]
    [grandchild] = under(first, "rlm_query")
    assert grandchild.inputs == {"prompt": "GRANDCHILD", "context": "text", "depth": 2}
    assert grandchild.outputs == {"output": "deep"}
    assert len(under(grandchild, "rlm:root")) == 1
    assert len([run for run in first.child_runs if run.name == "rlm:root"]) == 1
    assert len([run for run in first.child_runs if run.name == "rlm:sub"]) == 1
    assert not under(second, "rlm:sub")
    assert first.error is None
    assert "invalid_output" in str(second.error), "it never submitted"


async def test_no_trace_holds_a_whole_context(ask: Ask) -> None:
    tracer = Collected()
    await ask(graph(), {"question": "?", "context": LONG}, {"callbacks": [tracer]})
    [root] = [run for run in tracer.roots if run.name == "rlm"]
    for child in under(root, "rlm_query"):
        assert len(str(child.inputs)) < 2_000
    assert LONG not in str(root.inputs)


async def test_events_of_a_stream_name_the_children() -> None:
    events = [e async for e in graph().astream_events({"question": "?", "context": "text"}, version="v2")]
    started = [e for e in events if e["event"] == "on_chain_start" and e["name"] == "rlm_query"]
    ended = [e for e in events if e["event"] == "on_chain_end" and e["name"] == "rlm_query"]
    assert len(started) == 3
    assert {e["data"]["output"] for e in ended} >= {"deep", "deeper"}


@pytest.mark.parametrize("mode", ["custom"])
async def test_custom_events_of_two_children_carry_their_depth_and_path(mode: Any) -> None:
    events = [e async for e in graph().astream({"question": "?", "context": "text"}, stream_mode=mode)]
    cells = [e for e in events if e["event"] == "cell"]
    assert {e["depth"] for e in cells} == {0, 1, 2}
    paths = {tuple(e["path"]) for e in cells if e["depth"] == 1}
    assert len(paths) == 2
    [deep] = {tuple(e["path"]) for e in cells if e["depth"] == 2}
    assert deep[:1] in paths
    assert len(deep) == 2
