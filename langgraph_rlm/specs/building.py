"""A spec as a compiled LangGraph graph: one node for each step, joins where a step reads several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from langgraph.graph import END, START
from langgraph.store.base import BaseStore

from langgraph_rlm.budget import CHARS_PER_TOKEN
from langgraph_rlm.calls.memo import Memo
from langgraph_rlm.calls.models import Model, ModelCaller
from langgraph_rlm.errors import InvalidSpec, SpecProblem, nearest
from langgraph_rlm.graphs.graph import RLMGraph
from langgraph_rlm.limits import Limits
from langgraph_rlm.prices import Prices
from langgraph_rlm.repl import Shell
from langgraph_rlm.runs.contexts import ContextsLike
from langgraph_rlm.runs.corpora import CorpusLike
from langgraph_rlm.runs.runtime import Sandbox
from langgraph_rlm.specs.accounts import StepAccounts
from langgraph_rlm.specs.documents import Path
from langgraph_rlm.specs.running import StepRun, holds
from langgraph_rlm.specs.spec import GraphSpec
from langgraph_rlm.specs.steps import BaseStep, ModelStep, RlmStep, ToolStep
from langgraph_rlm.specs.templates import alone, filled, literally
from langgraph_rlm.specs.toolbox import CHUNK_CHARS, TOOLS
from langgraph_rlm.specs.wiring import END_NODE, START_NODE, edges_of
from langgraph_rlm.specs.workbench import StepFunction, Workbench


def create_graph(
    spec: GraphSpec | str | Mapping[str, Any] | list[Any],
    *,
    models: Mapping[str, Model] | None = None,
    corpus: CorpusLike | None = None,
    contexts: ContextsLike | None = None,
    shell: Shell | None = None,
    limits: Limits | Mapping[str, Any] | None = None,
    memo: Memo | BaseStore | None = None,
    prices: Prices | None = None,
    window: int | None = None,
    sandbox: Sandbox = "auto",
    accounts: StepAccounts | None = None,
    checkpointer: Any = None,
    store: Any = None,
) -> RLMGraph:
    """The compiled graph of a spec.

    Its input has the spec's inputs, its output the spec's outputs; beside them stand ``usage``, ``coverage`` (of mapped
    steps: items, answered, failed) and ``failures`` (items that failed: step, item, category, message).

    Args:
        spec: a :class:`GraphSpec`, its YAML, or its plain data.
        models: by the names that steps use; a spec can ask for no others. The first one answers where a step names none.
        corpus: what retrieval tools search, or a function of the request's config that gives it.
        contexts: where contexts are stored, or a function of the config that gives the store; in memory when None.
        shell: lets steps call ``codex_exec``; off when None.
        limits: of one run, all steps together; a mapping changes the defaults.
        memo: where paid answers are recorded, as for :func:`langgraph_rlm.create_rlm`.
        prices: USD per million tokens by model name, for models that the public lists do not know.
        window: tokens that fit a request, for models that do not say it themselves; 128K are assumed for these.
        sandbox: where the cells of ``rlm`` steps run.
        accounts: what runs are paid from, in place of ``limits``, ``memo`` and ``prices``.
        checkpointer: as in ``StateGraph.compile``.
        store: as in ``StateGraph.compile``.

    Raises:
        InvalidSpec: the spec cannot be used, or not with these models, this corpus and shell; each problem has its place.
        InvalidInput, MissingDependency, AuthenticationFailed: another argument cannot be used.
        SandboxUnavailable: cells or commands cannot run here.

    Example:
        >>> from langgraph_rlm.testing import ScriptedModel
        >>> graph = create_graph(
        ...     '''
        ... - {name: store, tool: materialize_context, args: {field_name: log}}
        ... - {name: find, tool: local_grep, args: {pattern: "ERROR.*", file: log}}
        ... - {name: answer, model: small, input: {question: "{{input.question}}", lines: "{{find.matches}}"}}
        ... ''',
        ...     models={"small": ScriptedModel(["One."], cost_usd=0.0)},
        ... )
        >>> graph.invoke({"question": "How many errors?", "log": "ok\\nERROR disk\\nok"})["answer"]
        'One.'
    """
    spec = GraphSpec.of(spec)
    recursions = [(one.rlm.model, one.rlm.sub_model) for one in spec.steps if isinstance(one, RlmStep)]
    if problems := list(_missing(spec, models or {}, corpus, shell)):
        raise InvalidSpec(problems)
    bench = Workbench(
        inputs=spec.inputs, steps=[step.name for step in spec.steps], output=list(spec.output), models=models,
        recursions=recursions, corpus=corpus, contexts=contexts, shell=shell, limits=limits, memo=memo, prices=prices,
        window=window, sandbox=sandbox, accounts=accounts,
    )  # fmt: skip
    if problems := list(_too_large(spec, bench.engines.models)):
        raise InvalidSpec(problems)
    builder = bench.graph()
    builder.add_node(START_NODE, bench.inputs())
    for step in spec.steps:
        builder.add_node(step.name, bench.step(step.name, function_of(step)))
    builder.add_node(END_NODE, bench.outputs(lambda run: filled(spec.output, run.values)))
    builder.add_edge(START, START_NODE)
    for sources, target in edges_of(spec.steps):
        builder.add_edge(sources[0] if len(sources) == 1 else sources, target)
    builder.add_edge(END_NODE, END)
    return bench.compile(builder, name=spec.name, checkpointer=checkpointer, store=store)


def function_of(step: BaseStep) -> StepFunction:
    """What a step does in a run."""

    async def run_step(run: StepRun) -> Any:
        if (when := step.when) is not None and not holds(
            filled(when.value, run.values), when.test, filled(when.than, run.values)
        ):
            return None
        each = None if step.each is None else filled(step.each, run.values)

        def given(make: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> Any:
            if step.each is None:
                return make(run.values)
            return lambda item: make({**run.values, "item": item})

        if isinstance(step, ModelStep):
            return await run.model(
                step.model, given(lambda values: _prompt_of(step, run, values)), each, output=step.output
            )
        if isinstance(step, RlmStep):
            return await run.rlm(given(lambda values: filled(_asked(step), values)), each)
        assert isinstance(step, ToolStep)
        if step.tool == "query_lm":
            fixed = {key: step.args.get(key) for key in ("model", "answer_schema")}
            prompt = {"prompt": step.args["prompt"]}
            show = run.inline
            return await run.query(given(lambda values: filled(prompt, values, show)), each, **fixed)
        return await run.tool(step.tool, given(lambda values: _args_of(step, values)), each)

    return run_step


def _prompt_of(step: ModelStep, run: StepRun, values: Mapping[str, Any]) -> dict[str, Any]:
    prompt = None if step.prompt is None else filled(step.prompt, values, run.inline)
    return {"prompt": prompt, "input": filled(step.input, values)}


def _asked(step: RlmStep) -> dict[str, Any]:
    return step.rlm.model_dump(exclude_none=True)


def _args_of(step: ToolStep, values: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments. A value inside of an expression's text is looked for as it stands, not read as an expression."""
    args = dict(filled(step.args, values))
    pattern = step.args.get("pattern")
    if step.tool in ("local_grep", "count") and isinstance(pattern, str) and alone(pattern) is None:
        args["pattern"] = filled(pattern, values, lambda path, value: literally(value))
    return args


# --- what a spec needs of its graph ---


def _missing(spec: GraphSpec, models: Mapping[str, Any], corpus: Any, shell: Any) -> Iterator[SpecProblem]:
    there = {"corpus": corpus is not None, "shell": shell is not None}
    for number, step in enumerate(spec.steps):
        for path, name in _models_of(step, ("steps", number)):
            if name is not None and name not in models:
                known = ", ".join(models) or "none"
                yield spec.problem(path, f"there is no model {name!r}{nearest(name, models)}; models={{…}} has {known}")
            elif name is None and not models:
                yield spec.problem(path, "it asks a model, and models={…} has none")
        if isinstance(step, ToolStep):
            tool = TOOLS[step.tool]
            needs = "corpus" if step.tool == "bm25_search" and "file" not in step.args else tool.needs
            if needs and not there[needs]:
                yield spec.problem(("steps", number, "tool"), f"{step.tool} needs {needs}=")
        elif isinstance(step, RlmStep) and step.rlm.context is None and corpus is None:
            yield spec.problem(("steps", number, "rlm"), "without a context it needs corpus=")


def _models_of(step: BaseStep, at: Path) -> Iterator[tuple[Path, str | None]]:
    if isinstance(step, ModelStep):
        yield (*at, "model"), step.model
    elif isinstance(step, RlmStep):
        yield (*at, "rlm", "model"), step.rlm.model
        if step.rlm.sub_model is not None:
            yield (*at, "rlm", "sub_model"), step.rlm.sub_model
    elif isinstance(step, ToolStep) and step.tool == "query_lm":
        yield (*at, "args", "model"), step.args.get("model")


def _too_large(spec: GraphSpec, models: Mapping[str, ModelCaller]) -> Iterator[SpecProblem]:
    """Chunks that no model which reads them can hold, found before the first is paid for."""
    splits = {
        one.name: (number, one)
        for number, one in enumerate(spec.steps)
        if isinstance(one, ToolStep) and one.tool == "split"
    }
    for step in spec.steps:
        source = (alone(step.each) or "").partition(".")[0]
        asked = [name for _, name in _models_of(step, ())] if not isinstance(step, RlmStep) else []
        if not asked or source not in splits:
            continue
        number, split = splits[source]
        name = asked[0] or next(iter(models))
        chars, window = split.args.get("chars", CHUNK_CHARS), models[name].window
        if isinstance(chars, int) and chars // CHARS_PER_TOKEN > window:
            yield spec.problem(
                ("steps", number, "args", "chars"),
                f"chunks of {chars:,} characters, about {chars // CHARS_PER_TOKEN:,} tokens, do not fit the window of "
                f"{name!r} ({window:,} tokens), which {step.name} asks about each",
            )
