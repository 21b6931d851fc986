"""A verifier: judges traces of any size by a rubric, with evidence that is checked against the trace.

A small trace is read at once (``single``). A larger one is read in parts, and what was noted is judged (``map_reduce``). The
largest is searched by a recursive language model, one criterion at a time (``rlm``). A criterion without a usable reply has no
score, and then the trace has none: no number is made up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

from langgraph.graph import END, START
from langgraph.store.base import BaseStore

from langgraph_rlm.calls.memo import Memo
from langgraph_rlm.calls.models import Model, estimated_tokens
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.graphs.graph import RLMGraph
from langgraph_rlm.limits import Limits
from langgraph_rlm.prices import Prices
from langgraph_rlm.runs.contexts import ContextsLike
from langgraph_rlm.runs.runtime import Sandbox
from langgraph_rlm.specs.accounts import StepAccounts
from langgraph_rlm.specs.judging import Judge
from langgraph_rlm.specs.rubrics import Rubric
from langgraph_rlm.specs.running import StepRun
from langgraph_rlm.specs.steps import Input
from langgraph_rlm.specs.wiring import END_NODE, START_NODE
from langgraph_rlm.specs.workbench import Workbench
from langgraph_rlm.types import Grade, Hit

Shape = Literal["auto", "single", "map_reduce", "rlm"]
SINGLE_TOKENS = 50_000
"""Up to here a trace is read at once, if the model's window holds it: more is not read with the same attention."""
MAPPED_TOKENS = 500_000
"""Up to here it is read in parts: some forty calls. The service whose format this is draws the line at the same sizes."""
OUTPUT = ("status", "score", "outcome_review", "event_reviews", "event_totals", "evidence", "shape")
_FILE = "trace.txt"


def create_verifier(
    model: Model,
    *,
    rubric: Rubric | Mapping[str, Any] | Sequence[Mapping[str, Any]],
    shape: Shape = "auto",
    sub_model: Model | None = None,
    contexts: ContextsLike | None = None,
    limits: Limits | Mapping[str, Any] | None = None,
    memo: Memo | BaseStore | None = None,
    prices: Prices | None = None,
    window: int | None = None,
    sandbox: Sandbox = "auto",
    accounts: StepAccounts | None = None,
    checkpointer: Any = None,
    store: Any = None,
    name: str = "verifier",
) -> RLMGraph:
    """A graph that judges a ``trace`` by a rubric.

    Input: ``trace``, see :func:`langgraph_rlm.specs.traces.trace_context`. Output:

    - ``status``: ``ok``, or ``failed`` when a criterion got no usable reply; ``score`` is then None.
    - ``score``: 0 to 1, the weighted mean of the outcome's criteria (of the events' totals, where there are only these).
    - ``outcome_review``: ``{"criteria": {id: {"score", "reason", "weight", "description"}}, "total"}``.
    - ``event_reviews``: ``{"event_id", "criteria", "total"}`` of each event that was judged; ``event_totals`` likewise.
    - ``evidence``: ``{"criterion", "quote", "verified", "event_id"}``; verified quotes stand in the trace word by word.
    - ``shape``, ``usage``, ``coverage``, ``failures``.

    Args:
        model: judges; writes the cells of the shape ``rlm``.
        rubric: criteria with weights, see :meth:`Rubric.of`.
        shape: how the trace is read; ``auto`` chooses by its size.
        sub_model: answers the calls of cells; ``model`` when None.
        contexts: where traces are stored, as for :func:`langgraph_rlm.create_rlm`.
        limits: of one run. A part of a trace is a call: a trace of 40 MB read in parts needs ``max_calls`` of some thousands.
        memo, prices, sandbox, checkpointer, store: as for :func:`langgraph_rlm.create_rlm`.
        window: tokens that fit a request, for models that do not say it themselves.
        accounts: what runs are paid from, in place of ``limits``, ``memo`` and ``prices``.
        name: of the graph.

    Raises:
        InvalidInput, MissingDependency, AuthenticationFailed: an argument cannot be used.
        SandboxUnavailable: cells cannot run here.

    Example:
        >>> from langgraph_rlm.testing import ScriptedModel
        >>> judge = ScriptedModel(['{"polite": {"score": 1, "reason": "It says please.", "evidence": ["please"]}}'], cost_usd=0.0)
        >>> verifier = create_verifier(judge, rubric=[{"id": "polite", "description": "The agent is polite."}])
        >>> verifier.invoke({"trace": [{"event_type": "message", "text": "Sit down, please."}]})["score"]
        1.0
    """
    if shape not in get_args(Shape):
        raise InvalidInput(f"shape must be one of {', '.join(get_args(Shape))}, not {shape!r}")
    criteria = Rubric.of(rubric)
    models = {"judge": model} if sub_model is None else {"judge": model, "sub": sub_model}
    searches = shape in ("auto", "rlm")
    bench = Workbench(
        inputs={"trace": Input(type="trace")}, steps=["store", "events", "outcome"], output=OUTPUT, models=models,
        recursions=[("judge", "sub" if sub_model is not None else None)] if searches else (), contexts=contexts, limits=limits,
        memo=memo, prices=prices, window=window, sandbox=sandbox, accounts=accounts,
    )  # fmt: skip
    judge = Judge(bench.engines.model("judge"), criteria, _FILE, sub="sub" if sub_model is not None else None)

    async def stored(step: StepRun) -> dict[str, Any]:
        kept: dict[str, Any] = await step.tool("materialize_context", {"field_name": "trace", "filename": _FILE})
        tokens = await _tokens_of(step)
        return {**kept, "tokens": tokens, "shape": _shape_for(tokens, judge.room) if shape == "auto" else shape}

    builder = bench.graph()
    builder.add_node(START_NODE, bench.inputs())
    builder.add_node("store", bench.step("store", stored))
    builder.add_node("events", bench.step("events", judge.events))
    builder.add_node("outcome", bench.step("outcome", judge.outcome))
    builder.add_node(END_NODE, bench.outputs(judge.report))
    builder.add_edge(START, START_NODE)
    builder.add_edge(START_NODE, "store")
    builder.add_edge("store", "events")
    builder.add_edge("store", "outcome")
    builder.add_edge(["events", "outcome"], END_NODE)
    builder.add_edge(END_NODE, END)
    return bench.compile(builder, name=name, checkpointer=checkpointer, store=store)


def grader_of(verifier: RLMGraph, *, least: float = 0.5) -> Callable[[str, str, Sequence[Hit]], Grade]:
    """A verifier as ``grader=`` of a route: the trace is the question, the passages and the answer.

    Args:
        verifier: of :func:`create_verifier`.
        least: score from which an answer counts as supported.

    Raises:
        InvalidInput: ``least`` is no number from 0 to 1.
    """
    if isinstance(least, bool) or not isinstance(least, int | float) or not 0 <= least <= 1:
        raise InvalidInput(f"least must be a number from 0 to 1, not {least!r}")

    def grade(question: str, answer: str, hits: Sequence[Hit]) -> Grade:
        passages = [{"event_type": "passage", "doc_id": hit["doc_id"], "text": hit["text"]} for hit in hits]
        trace = [{"event_type": "question", "text": question}, *passages, {"event_type": "answer", "text": answer}]
        judged = verifier.invoke({"trace": trace})
        if judged["score"] is None:
            raise InvalidInput("the verifier gave no score")  # the rules decide then
        reviews = judged["outcome_review"]["criteria"].values()
        reasons = [str(one["reason"]) for one in reviews] or [f"the verifier's score is {judged['score']:.2f}"]
        return Grade(supported=judged["score"] >= least, reasons=reasons)

    return grade


def _shape_for(tokens: int, room: int) -> Shape:
    if tokens <= min(SINGLE_TOKENS, room):
        return "single"
    return "map_reduce" if tokens <= MAPPED_TOKENS else "rlm"


async def _tokens_of(step: StepRun) -> int:
    """Of the trace: exactly estimated where it is small enough to be read at once."""
    stat = await step.contexts.astat(step.files[_FILE])
    if stat["bytes"] > SINGLE_TOKENS * 8:
        return int(stat["bytes"]) // 4
    return estimated_tokens(await step.contexts.aread(step.files[_FILE]))
