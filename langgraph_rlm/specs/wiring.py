"""How steps hang together: what each gives, which others it waits for, and the edges between the nodes they become."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langgraph_rlm.specs.steps import BaseStep, ModelStep, RlmStep, ToolStep
from langgraph_rlm.specs.templates import paths_in
from langgraph_rlm.specs.toolbox import MAPPED, RECURSIVE, TOOLS

START_NODE, END_NODE = "inputs", "outputs"
"""Names of the first and the last node, which no step may have."""


def edges_of(steps: Sequence[BaseStep]) -> Iterator[tuple[list[str], str]]:
    """The edges between the nodes: pairs of sources, all of which are waited for, and target."""
    above: dict[str, BaseStep] = {}
    ends = [step.name for step in steps]
    for step in steps:
        sources = needed_by(step, above)
        yield sources or [START_NODE], step.name
        ends = [name for name in ends if name not in sources]
        above[step.name] = step
    yield ends, END_NODE


def models_of(steps: Sequence[BaseStep]) -> dict[str, None]:
    """The models that steps name, in their order."""
    named = list[Any]()
    for step in steps:
        if isinstance(step, ModelStep):
            named.append(step.model)
        elif isinstance(step, RlmStep):
            named += [step.rlm.model, step.rlm.sub_model]
        elif isinstance(step, ToolStep) and step.tool == "query_lm":
            named.append(step.args.get("model"))
    return dict.fromkeys(name for name in named if name is not None)


def needed_by(step: BaseStep, steps: Mapping[str, BaseStep]) -> list[str]:
    """Names of the steps that a step waits for, in their order: those it refers to, and those whose files it opens."""
    value = [step.written(), step.each, None if step.when is None else [step.when.value, step.when.than]]
    names = {path.partition(".")[0] for path in paths_in(value)}
    names |= _stores(step, steps)
    return [name for name in steps if name in names and name != step.name]


def reach(name: str, steps: Mapping[str, BaseStep]) -> set[str]:
    """Everything that a step waits for, directly or not."""
    seen, ahead = set[str](), [name]
    while ahead:
        if (step := steps.get(ahead.pop())) is not None:
            new = set(needed_by(step, steps)) - seen
            seen |= new
            ahead += new
    return seen


def fields_of(step: BaseStep) -> tuple[str, ...]:
    """What a later step may refer to."""
    if step.each is not None:
        return MAPPED
    if isinstance(step, ToolStep):
        return TOOLS[step.tool].gives if step.tool in TOOLS else ()
    if isinstance(step, ModelStep):
        return ("text",) if step.output is None else tuple(step.output)
    return RECURSIVE


def _stores(step: BaseStep, steps: Mapping[str, BaseStep]) -> set[str]:
    """The materialize steps whose files a step opens."""
    stored = {filename_of(one): name for name, one in steps.items() if isinstance(one, ToolStep) and is_store(one)}
    file: Any = None
    if isinstance(step, ToolStep) and not is_store(step) and step.tool in TOOLS and "file" in TOOLS[step.tool].fields:
        file = step.args.get("file")
        opens = file is None and step.tool in ("local_grep", "local_search", "count")
        if opens:
            return set(stored.values())
    elif isinstance(step, RlmStep):
        file = step.rlm.context
    if not isinstance(file, str):
        return set()
    return {name for known, name in stored.items() if file == known or file.startswith(f"{known}/")}


def is_store(step: BaseStep) -> bool:
    """Whether a step gives a context a file name."""
    return isinstance(step, ToolStep) and step.tool == "materialize_context"


def filename_of(step: ToolStep) -> str:
    """The name of the file of a materialize step."""
    return str(step.args.get("filename") or step.args.get("field_name"))
