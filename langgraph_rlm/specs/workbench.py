"""The workbench of a graph of steps: its models and stores, its state, and the nodes that steps become."""

from __future__ import annotations

import functools
import json
import math
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Annotated, Any

from langgraph.channels import EphemeralValue
from langgraph.graph import StateGraph
from langgraph.store.base import BaseStore
from typing_extensions import TypedDict

from langgraph_rlm.calls.account import Account
from langgraph_rlm.calls.accounts import warn_if_not_durable
from langgraph_rlm.calls.memo import Memo
from langgraph_rlm.calls.memo_files import memo_for
from langgraph_rlm.calls.models import Model, ModelCaller
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.graphs.detect import THRESHOLD_CHARS
from langgraph_rlm.graphs.graph import Edge, RLMGraph, compiled
from langgraph_rlm.graphs.keys import is_empty
from langgraph_rlm.graphs.nodes import Node
from langgraph_rlm.graphs.recursion import Recursion
from langgraph_rlm.graphs.shared import Shared
from langgraph_rlm.graphs.state import Carry, carried
from langgraph_rlm.graphs.telling import tell_budget
from langgraph_rlm.limits import Limits
from langgraph_rlm.prices import Prices, checked_prices
from langgraph_rlm.repl import Shell
from langgraph_rlm.runs.contexts import ContextsLike, check_contexts
from langgraph_rlm.runs.corpora import CorpusLike, check_corpus
from langgraph_rlm.runs.request import RequestContext
from langgraph_rlm.runs.run import Run
from langgraph_rlm.runs.runtime import Sandbox
from langgraph_rlm.runs.sandboxes import factory_for
from langgraph_rlm.specs.accounts import StepAccounts
from langgraph_rlm.specs.running import Engines, StepRun
from langgraph_rlm.specs.steps import LARGE, Input
from langgraph_rlm.specs.traces import trace_context
from langgraph_rlm.specs.wiring import END_NODE, START_NODE
from langgraph_rlm.text import ContextStore
from langgraph_rlm.types import Usage

_RECORD = "rlm_step_"
"""In front of the name of a step: the key of the state that holds what it gave."""
_TYPES: Mapping[str, Any] = {"text": str, "number": float, "json": Any, "context": Any, "trace": Any}

StepFunction = Callable[[StepRun], Awaitable[Any]]
"""What a step does: its result, a JSON-like mapping; None when it was skipped."""


class Workbench:
    """What the steps of one graph share; makes its nodes.

    Args:
        inputs: of the graph, by name.
        steps: names of its steps.
        output: names of its outputs.
        models: by name, as steps call them; the first answers where a step names none.
        recursions: pairs of model and sub-model that ``rlm`` steps use.
        corpus: what retrieval tools search, or a function of the request's config that gives it.
        contexts: where texts are stored, or a function of the config that gives the store; in memory when None.
        shell: runs the commands of ``codex_exec``; off when None.
        limits: of one run, all steps together; a mapping changes the defaults.
        memo: where paid answers are recorded, as for :func:`langgraph_rlm.create_rlm`.
        prices: USD per million tokens by model name.
        window: tokens that fit a request, for models that do not say it themselves.
        sandbox: where the cells of ``rlm`` steps run, as for :func:`langgraph_rlm.create_rlm`.
        accounts: what runs are paid from, in place of ``limits``, ``memo`` and ``prices``.

    Raises:
        InvalidInput, MissingDependency, AuthenticationFailed: an argument cannot be used.
        SandboxUnavailable: cells or commands cannot run here.
    """

    def __init__(
        self,
        *,
        inputs: Mapping[str, Input],
        steps: Collection[str],
        output: Collection[str],
        models: Mapping[str, Model] | None = None,
        recursions: Collection[tuple[str | None, str | None]] = (),
        corpus: CorpusLike | None = None,
        contexts: ContextsLike | None = None,
        shell: Shell | None = None,
        limits: Limits | Mapping[str, Any] | None = None,
        memo: Memo | BaseStore | None = None,
        prices: Prices | None = None,
        window: int | None = None,
        sandbox: Sandbox = "auto",
        accounts: StepAccounts | None = None,
    ) -> None:
        check_corpus(corpus, required=False)
        check_contexts(contexts)
        if models is not None and not isinstance(models, Mapping):
            raise InvalidInput(f"models: expected a mapping of names to models, got {type(models).__name__}")
        held = ContextStore() if contexts is None else contexts
        if accounts is None:
            kept = memo_for(memo, held if isinstance(held, ContextStore) else None)
            accounts = StepAccounts(Limits.of(limits), kept, checked_prices(prices))
        callers = {name: ModelCaller(model, window=window) for name, model in (models or {}).items()}
        self._inputs, self._steps, self._outputs = dict(inputs), list(steps), list(output)
        self._engines = Engines(
            models=callers, corpus=corpus, contexts=held, accounts=accounts, shell=None if shell is None else shell.checked(),
            recursions=_recursions(recursions, callers, corpus, held, accounts, shell, sandbox),
        )  # fmt: skip
        given = {name: Annotated[_TYPES[one.type], EphemeralValue] for name, one in self._inputs.items()}
        told = {**dict.fromkeys(self._outputs, Any), "usage": Usage, "failures": list, "coverage": dict}
        private = {_RECORD + name: Any for name in self._steps} | {"rlm_run": str, "rlm_input": dict[str, Any]}
        carry = {"rlm_carry": Annotated[Carry, EphemeralValue]}
        self._input: type = TypedDict("Input", given | carry, total=False)  # type: ignore[misc]
        self._output: type = TypedDict("Output", told, total=False)  # type: ignore[misc]
        self._state: type = TypedDict("State", given | carry | private | told, total=False)  # type: ignore[misc]

    @property
    def engines(self) -> Engines:
        """What the steps stand on."""
        return self._engines

    def graph(self) -> StateGraph[Any, Any, Any, Any]:
        """An empty graph with this state, to which nodes and edges are added."""
        return StateGraph(
            self._state, input_schema=self._input, output_schema=self._output, context_schema=RequestContext
        )

    def compile(
        self, builder: StateGraph[Any, Any, Any, Any], *, name: str = "graph", checkpointer: Any = None, store: Any = None
    ) -> RLMGraph:  # fmt: skip
        """The graph, compiled: contexts are stored before anything is written, and travel as references."""
        large = tuple(name for name, one in self._inputs.items() if one.type in LARGE)
        traces = {name: trace_context for name, one in self._inputs.items() if one.type == "trace"}
        edge = Edge(
            contexts=self._engines.contexts if large else None, context_keys=large, as_text=traces,
            least_steps=len(self._steps) + 3,
        )  # fmt: skip
        return compiled(builder, edge, name=name, checkpointer=checkpointer, store=store)

    # --- nodes ---

    def inputs(self) -> Node:
        """The first node: checks the inputs and opens the run."""
        return Node(self._begin, START_NODE)

    def step(self, name: str, function: StepFunction) -> Node:
        """A node that runs a step."""
        return Node(functools.partial(self._run_step, name, function), name)

    def outputs(self, function: Callable[[StepRun], Mapping[str, Any]]) -> Node:
        """The last node: the graph's outputs, from what the steps gave."""
        return Node(functools.partial(self._finish, function), END_NODE)

    async def _begin(self, state: Mapping[str, Any], run: Run) -> dict[str, Any]:
        contexts = await run.contexts(self._engines.contexts)
        warn_if_not_durable(run, contexts, self._engines.accounts.memo)
        given = {name: _checked(name, one, state.get(name)) for name, one in self._inputs.items()}
        for name, one in self._inputs.items():
            if one.type in LARGE:
                given[name] = await contexts.aput(given[name])  # checks that the store holds it
        carry = carried(state)
        account, run_name = await self._engines.accounts.begun(run, name=carry.get("run", ""), usage=carry.get("usage"))
        return {
            "rlm_run": run_name,
            "rlm_input": given,
            "usage": account.budget.usage(),
            "failures": [],
            "coverage": {},
        }

    async def _run_step(self, name: str, function: StepFunction, state: Mapping[str, Any], run: Run) -> dict[str, Any]:
        began = time.monotonic()
        step = await self._opened(name, state, run)
        known = dict(step.files)
        value = await function(step)
        covered = {} if step.coverage is None else {"coverage": step.coverage}
        run.emit("step", step=name, skipped=value is None, seconds=time.monotonic() - began, **covered)
        record = {"run": state["rlm_run"], "value": value, "usage": step.account.budget.usage()}
        new = {file: ref for file, ref in step.files.items() if known.get(file) != ref}
        told = {"files": new, "coverage": step.coverage, "failures": step.failures}
        return {_RECORD + name: record | {key: value for key, value in told.items() if value}}

    async def _finish(
        self, function: Callable[[StepRun], Mapping[str, Any]], state: Mapping[str, Any], run: Run
    ) -> dict[str, Any]:
        step = await self._opened(END_NODE, state, run)
        records = self._records(state)
        tell_budget(run, step.account)
        return {
            **function(step),
            "usage": step.account.budget.usage(),
            "failures": [one for record in records.values() for one in record.get("failures", ())],
            "coverage": {name: record["coverage"] for name, record in records.items() if "coverage" in record},
        }

    async def _opened(self, name: str, state: Mapping[str, Any], run: Run) -> StepRun:
        engines, records = self._engines, self._records(state)
        latest = max(
            (record["usage"] for record in records.values()), key=lambda one: one["seconds"], default=state.get("usage")
        )
        account: Account = await engines.accounts.opened(run, state["rlm_run"], latest)
        contexts = await run.contexts(engines.contexts)
        corpus = None if engines.corpus is None else await run.corpus(engines.corpus)
        above = self._steps[: self._steps.index(name)] if name in self._steps else self._steps
        seen = [records[one] for one in above if one in records]  # not of a step below that happens to be done
        files = {file: ref for record in seen for file, ref in record.get("files", {}).items()}
        values = {"input": state["rlm_input"], **{one: record["value"] for one, record in records.items()}}
        return StepRun(name, state["rlm_run"], engines, run, account, contexts, corpus, values, files)

    def _records(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """What the steps of this run gave; a thread still has those of the run before."""
        found = {name: state.get(_RECORD + name) for name in self._steps}
        return {
            name: record for name, record in found.items() if record is not None and record["run"] == state["rlm_run"]
        }


def _checked(name: str, one: Input, value: Any) -> Any:
    """The value of an input.

    Raises:
        InvalidInput: there is none, or it is not of its type; the input is named.
    """
    if value is None or (one.type in LARGE and is_empty(value)):
        raise InvalidInput(f"input {name!r}: it is missing{f' ({one.description})' if one.description else ''}")
    if one.type == "text":
        if not isinstance(value, str):
            raise InvalidInput(f"input {name!r}: a text is expected, not {type(value).__name__}")
        if len(value) >= THRESHOLD_CHARS:
            raise InvalidInput(
                f"input {name!r}: its {len(value):,} characters are no text for prompts; declare it as type: context"
            )
    elif one.type == "number":
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise InvalidInput(f"input {name!r}: a finite number is expected, not {value!r}")
    elif one.type == "json":
        try:
            size = len(json.dumps(value, allow_nan=False))
        except (ValueError, TypeError, RecursionError) as error:
            raise InvalidInput(f"input {name!r}: it is no JSON: {error}") from None
        if size > THRESHOLD_CHARS:
            raise InvalidInput(
                f"input {name!r}: {size:,} characters of JSON are too many (at most {THRESHOLD_CHARS:,}); give texts as a context"
            )
    return value


def _recursions(
    pairs: Collection[tuple[str | None, str | None]], models: Mapping[str, ModelCaller], corpus: CorpusLike | None,
    contexts: ContextsLike, accounts: StepAccounts, shell: Shell | None, sandbox: Sandbox,
) -> dict[tuple[str, str], Recursion]:  # fmt: skip
    made: dict[tuple[str, str], Recursion] = {}
    for wanted, wanted_sub in pairs:
        if not models:
            raise InvalidInput("models: an rlm step needs a model, and none is given")
        root = wanted or next(iter(models))
        sub = wanted_sub or root
        if (root, sub) not in made:
            shared = Shared(root=models[root], sub=models[sub], corpus=corpus, contexts=contexts, accounts=accounts)
            made[root, sub] = Recursion(
                shared, strategy=None if corpus is None else "hybrid", raises=False, extra=None,
                factory=factory_for(sandbox), shell=None if shell is None else shell.checked(),
            )  # fmt: skip
    return made
