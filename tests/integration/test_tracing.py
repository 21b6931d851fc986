"""What a tracer sees of a run: children as nested runs, with their model calls below them, and never a whole context."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.tracers.base import BaseTracer
from langchain_core.tracers.schemas import Run

from langgraph_rlm import Limits, create_rlm
from langgraph_rlm.testing import ScriptedModel
from tests.support import Ask, cell, scripted, text_of

LONG = "x" * 100_000


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


def everything(run: Run) -> Iterator[Run]:
    yield run
    for child in run.child_runs:
        yield from everything(child)


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
    assert (grandchild.inputs["prompt"], grandchild.inputs["depth"]) == ("GRANDCHILD", 2)
    assert grandchild.outputs == {"output": "deep"}
    assert len(under(grandchild, "rlm:root")) == 1
    assert len([run for run in first.child_runs if run.name == "rlm:root"]) == 1
    assert len([run for run in first.child_runs if run.name == "rlm:sub"]) == 1
    assert not under(second, "rlm:sub")
    assert first.error is None
    assert "invalid_output" in str(second.error), "it never submitted"
    assert {run.name: bool(run.error) for run in second.child_runs} == {"rlm:root": False, "cell": True}
    assert (root.error, execute.error) == (None, None)


async def test_no_trace_holds_a_whole_context(ask: Ask) -> None:
    tracer = Collected()
    await ask(graph(), {"question": "?", "context": LONG}, {"callbacks": [tracer]})
    [root] = [run for run in tracer.roots if run.name == "rlm"]
    for child in under(root, "rlm_query"):
        assert len(str(child.inputs)) < 2_000
    assert LONG not in str(root.inputs)


async def test_a_trace_names_the_context_of_a_child_by_its_reference_however_short_it_is(ask: Ask) -> None:
    def root(messages: Any) -> str:
        if "CHILD" in text_of(messages):
            return cell("FINAL([len(part) for part in context])")
        # In two pieces: the code of a cell is traced.
        return cell("FINAL(rlm_query('CHILD', ['sec' + 'ret', 'sec' + 'rets']))")

    tracer = Collected()
    traced = create_rlm(scripted(root), limits=Limits(max_depth=2))
    done = await ask(traced, {"question": "?", "context": "text"}, {"callbacks": [tracer]})
    assert done["answer"] == "[6, 7]"
    [child] = under(tracer.roots[0], "rlm_query")
    context = child.inputs["context"]
    assert (context["kind"], context["chars"], context["docs"]) == ("list", 13, 2)
    assert context["context_ref"].startswith("sha256:")
    assert child.outputs == {"output": "[6, 7]"}
    assert "secret" not in str([(run.inputs, run.outputs) for run in everything(tracer.roots[0])])


async def test_a_long_prompt_and_a_long_answer_are_shortened_in_the_trace_alone(ask: Ask) -> None:
    def root(messages: Any) -> str:
        if "xxx" in messages[1].text:
            return cell("FINAL({'echo': context})")
        return cell("FINAL(len(rlm_query('x' * 50_000)['echo']))")

    tracer = Collected()
    echo = create_rlm(scripted(root), limits=Limits(max_depth=2))
    done = await ask(echo, {"question": "?", "context": "text"}, {"callbacks": [tracer]})
    assert done["answer"] == "50000"
    [child] = under(tracer.roots[0], "rlm_query")
    for shown, size in ((child.inputs["prompt"], "50,000"), (child.outputs["output"], "50,012")):
        assert len(shown) < 600
        assert shown.endswith(f"… ({size} characters)")


async def test_a_model_that_fails_is_marked_and_so_is_its_child(ask: Ask) -> None:
    def root(messages: Any) -> Any:
        if "CHILD" in text_of(messages):
            return ValueError("model down") if "bad" in messages[1].text else cell("FINAL('fine')")
        return cell("FINAL([bool(a) for a in rlm_query_batched(['CHILD good', 'CHILD bad'])])")

    tracer = Collected()
    failing = create_rlm(scripted(root), limits=Limits(max_depth=2))
    done = await ask(failing, {"question": "?", "context": "text"}, {"callbacks": [tracer]})
    assert done["answer"] == "[true, false]"
    children = {run.inputs["prompt"]: run for run in under(tracer.roots[0], "rlm_query")}
    assert children["CHILD good"].error is None
    assert "model down" in str(children["CHILD bad"].error)
    assert "model down" in str(under(children["CHILD bad"], "rlm:root")[0].error)
    assert tracer.roots[0].error is None


async def test_a_child_that_is_recalled_when_cells_run_again_is_not_traced_again(ask: Ask) -> None:
    def root(messages: Any) -> str:
        if "CHILD" in messages[1].text:
            return cell("FINAL('found')")
        return [cell("a = rlm_query('CHILD')"), cell("import os", "os._exit(1)"), cell("FINAL(a)")][
            len(messages) // 2 - 1
        ]

    tracer = Collected()
    model = scripted(root)
    killed = create_rlm(model, limits=Limits(max_depth=2))
    done = await ask(killed, {"question": "?", "context": "text"}, {"callbacks": [tracer]})
    assert (done["answer"], len(model.requests)) == ("found", 4)
    assert len(under(tracer.roots[0], "rlm_query")) == 1


async def test_async_handlers_see_which_child_a_model_call_belongs_to() -> None:
    class Seen(AsyncCallbackHandler):
        def __init__(self) -> None:
            self.children: dict[Any, str] = {}
            self.parents: list[Any] = []

        async def on_chain_start(
            self, serialized: Any, inputs: Any, *, run_id: Any, name: str = "", **kwargs: Any
        ) -> None:
            if name == "rlm_query":
                self.children[run_id] = inputs["prompt"]

        async def on_chat_model_start(self, *args: Any, parent_run_id: Any = None, **kwargs: Any) -> None:
            self.parents.append(parent_run_id)

    seen = Seen()
    await graph().ainvoke({"question": "?", "context": "text"}, {"callbacks": [seen]})
    calls = Counter(seen.children[parent] for parent in seen.parents if parent in seen.children)
    assert calls["CHILD a"] == 2  # its own turn, and the sub-model
    assert calls["GRANDCHILD"] == 1


async def test_a_child_that_is_cancelled_is_marked() -> None:
    reached, marked = asyncio.Event(), asyncio.Event()
    told: list[BaseException] = []

    class Hanging(ScriptedModel):
        async def _agenerate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
            if "CHILD" in messages[1].text:
                reached.set()
                await asyncio.Event().wait()
            return await super()._agenerate(messages, *args, **kwargs)

    class Watching(AsyncCallbackHandler):
        child: Any = None

        async def on_chain_start(self, *args: Any, run_id: Any, name: str = "", **kwargs: Any) -> None:
            if name == "rlm_query":
                self.child = run_id

        async def on_chain_error(self, error: BaseException, *, run_id: Any, **kwargs: Any) -> None:
            if run_id == self.child:
                told.append(error)
                marked.set()

    model = Hanging(lambda messages: cell("FINAL(rlm_query('CHILD'))"), cost_usd=0.0)
    hanging = create_rlm(model, limits=Limits(max_depth=2))
    run = asyncio.create_task(hanging.ainvoke({"question": "?", "context": "text"}, {"callbacks": [Watching()]}))
    await asyncio.wait_for(reached.wait(), 30)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    await asyncio.wait_for(marked.wait(), 30)
    assert isinstance(told[0], asyncio.CancelledError)


async def test_events_of_a_stream_nest_the_children_and_their_model_calls() -> None:
    events = [e async for e in graph().astream_events({"question": "?", "context": "text"}, version="v2")]
    named = {
        e["run_id"]: e["data"]["input"]["prompt"]
        for e in events
        if e["event"] == "on_chain_start" and e["name"] == "rlm_query"
    }
    asked = [e for e in events if e["event"] == "on_chat_model_start"]
    of_children = [named[e["parent_ids"][-1]] for e in asked if e["parent_ids"][-1] in named]
    assert (of_children.count("CHILD a"), of_children.count("GRANDCHILD")) == (2, 1)
    started = [e for e in events if e["event"] == "on_chain_start" and e["name"] == "rlm_query"]
    ended = [e for e in events if e["event"] == "on_chain_end" and e["name"] == "rlm_query"]
    assert len(started) == 3
    assert {e["data"]["output"] for e in ended} >= {"deep", "deeper"}


@pytest.mark.parametrize("mode", ["custom"])
async def test_custom_events_of_two_children_carry_their_depth_and_path(mode: Any) -> None:
    events = [e async for e in graph().astream({"question": "?", "context": "text"}, stream_mode=mode)]
    cells = [e for e in events if e["event"] == "cell_start"]
    assert {e["depth"] for e in cells} == {0, 1, 2}
    paths = {tuple(e["path"]) for e in cells if e["depth"] == 1}
    assert len(paths) == 2
    [deep] = {tuple(e["path"]) for e in cells if e["depth"] == 2}
    assert deep[:1] in paths
    assert len(deep) == 2
