"""A spec as a Python module: one function for each step and the same StateGraph, to be read and changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langgraph_rlm.specs.steps import BaseStep, Input, ModelStep, RlmStep, ToolStep, When
from langgraph_rlm.specs.templates import PATH, alone, paths_in
from langgraph_rlm.specs.wiring import END_NODE, START_NODE, edges_of, models_of

_WIDTH = 100
"""Characters of a line, about."""
_HEAD = """from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langgraph.graph import END, START

from langgraph_rlm.specs import Input, StepRun, Workbench, holds, item_field, literally, shown

"""


def module_of(
    name: str, inputs: Mapping[str, Input], steps: Sequence[BaseStep], output: Mapping[str, Any], models: Mapping[str, str] | None
) -> str:  # fmt: skip
    """The module. ``create_graph(models=…)`` in it makes the graph; ``graph()`` is what ``langgraph dev`` serves.

    Args:
        name: of the graph.
        inputs, steps, output: of the spec.
        models: LangChain's names of the models that ``graph()`` uses, by the names that steps use; these themselves when None.
    """
    parts = [
        f"{_docstring(name)}\n\n{_HEAD}",
        f"MODELS: Mapping[str, Any] = {_literal({model: (models or {}).get(model, model) for model in [*(models or {}), *models_of(steps)]})}\n",
        '"""Names or chat models, by the names that steps use."""\n',
        *(f"\n\n{_function(step)}" for step in steps),
        f"\n\ndef {END_NODE}(step: StepRun) -> dict[str, Any]:\n    return {_value(output, _plain)}\n",
        f"\n\n{_factory(name, inputs, steps, output)}",
        '\n\ndef graph() -> Any:\n    """What `langgraph dev` serves."""\n    return create_graph()\n',
    ]
    return "".join(parts)


def langgraph_json(name: str, module: str = "graph.py") -> dict[str, Any]:
    """The settings with which ``langgraph dev`` serves an exported module that is beside them."""
    graph = "".join(char if char.isalnum() or char in "_-" else "_" for char in name)
    return {"dependencies": ["."], "graphs": {graph: f"./{module}:graph"}}


# --- steps ---


def _function(step: BaseStep) -> str:
    lines = [f"async def step_{step.name}(step: StepRun) -> Any:"]
    if step.when is not None:
        lines += [f"    if not {_condition(step.when)}:", "        return None"]
    lines.append(f"    return await {_call(step)}")
    return "\n".join(lines) + "\n"


def _condition(when: When) -> str:
    than = "" if when.than is None else f", {_value(when.than, _plain)}"
    return f"holds({_value(when.value, _plain)}, {when.test!r}{than})"


def _call(step: BaseStep) -> str:
    mapped = "" if step.each is None else "lambda item: "
    each = "" if step.each is None else f", {_value(step.each, _plain)}"
    if isinstance(step, ModelStep):
        given = {} if step.prompt is None else {"prompt": _value(step.prompt, _in_prompt)}
        if step.input:
            given["input"] = _value(step.input, _plain)
        shape = "" if step.output is None else f", output={_literal(step.output)}"
        return f"step.model({step.model!r}, {mapped}{_mapping(given)}{each}{shape})"
    if isinstance(step, RlmStep):
        asked = {key: _value(value, _plain) for key, value in step.rlm.model_dump(exclude_none=True).items()}
        return f"step.rlm({mapped}{_mapping(asked)}{each})"
    assert isinstance(step, ToolStep)
    if step.tool == "query_lm":
        fixed = "".join(f", {key}={_literal(step.args[key])}" for key in ("model", "answer_schema") if key in step.args)
        prompt = {"prompt": _value(step.args["prompt"], _in_prompt)}
        return f"step.query({mapped}{_mapping(prompt)}{each}{fixed})"
    literal = step.tool in ("local_grep", "count") and alone(step.args.get("pattern")) is None
    args = {
        key: _value(value, _in_pattern if literal and key == "pattern" else _plain) for key, value in step.args.items()
    }
    return f"step.tool({step.tool!r}, {mapped}{_mapping(args)}{each})"


def _factory(name: str, inputs: Mapping[str, Input], steps: Sequence[BaseStep], output: Mapping[str, Any]) -> str:
    fields = {
        key: f"Input({', '.join(f'{k}={v!r}' for k, v in one.model_dump(exclude_none=True).items())})"
        for key, one in inputs.items()
    }
    pairs = [(one.rlm.model, one.rlm.sub_model) for one in steps if isinstance(one, RlmStep)]
    lines = [
        "def create_graph(",
        "    models: Mapping[str, Any] = MODELS, *, checkpointer: Any = None, store: Any = None, **options: Any",
        ") -> Any:",
        '    """The compiled graph; ``options`` are those of ``langgraph_rlm.create_graph``."""',
        "    bench = Workbench(",
        f"        inputs={_mapping(fields)},",
        f"        steps={[step.name for step in steps]!r},",
        f"        output={list(output)!r},",
        *([f"        recursions={pairs!r},"] if pairs else []),
        "        models=models,",
        "        **options,",
        "    )",
        "    builder = bench.graph()",
        f"    builder.add_node({START_NODE!r}, bench.inputs())",
        *(f"    builder.add_node({step.name!r}, bench.step({step.name!r}, step_{step.name}))" for step in steps),
        f"    builder.add_node({END_NODE!r}, bench.outputs({END_NODE}))",
        f"    builder.add_edge(START, {START_NODE!r})",
    ]
    for sources, target in edges_of(steps):
        lines.append(f"    builder.add_edge({(sources[0] if len(sources) == 1 else sources)!r}, {target!r})")
    lines += [
        f"    builder.add_edge({END_NODE!r}, END)",
        f"    return bench.compile(builder, name={name!r}, checkpointer=checkpointer, store=store)",
    ]
    return "\n".join(lines) + "\n"


# --- values as expressions ---


def _reference(path: str) -> str:
    if path == "item":
        return "item"
    if path.startswith("item."):
        return f"item_field(item, {path.removeprefix('item.')!r})"
    return f"step[{path!r}]"


def _plain(path: str) -> str:
    return f"shown({_reference(path)})"


def _in_prompt(path: str) -> str:
    return f"step.inline({path!r}, {_reference(path)})"


def _in_pattern(path: str) -> str:
    return f"literally({_reference(path)})"


def _value(value: Any, inside: Callable[[str], str]) -> str:
    """An expression for a value with templates; ``inside`` is what stands for one in the middle of a text."""
    if isinstance(value, str):
        if (path := alone(value)) is not None and inside is not _in_prompt:
            return _reference(path)
        return _text(value, inside)
    if isinstance(value, Mapping):
        return _mapping({key: _value(inner, inside) for key, inner in value.items()})
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(inner, inside) for inner in value)}]"
    return repr(value)


def _text(text: str, inside: Callable[[str], str]) -> str:
    if next(paths_in(text), None) is None:
        return _long(text)
    parts, at = list[str](), 0
    for match in PATH.finditer(text):
        if match.start() > at:
            parts.append(repr(text[at : match.start()]))
        parts.append(inside(match[1]))
        at = match.end()
    if at < len(text):
        parts.append(repr(text[at:]))
    return (
        " + ".join(parts) if len(parts) > 1 or parts[0].startswith(("shown", "step.inline", "literally")) else parts[0]
    )


def _long(text: str) -> str:
    """A text of several lines as several texts, one a line."""
    lines = text.splitlines(keepends=True)
    if len(lines) < 2 or len(text) < _WIDTH or "".join(lines) != text:
        return repr(text)
    return "(\n" + "\n".join(f"            {line!r}" for line in lines) + "\n        )"


def _mapping(entries: Mapping[str, str]) -> str:
    short = "{" + ", ".join(f"{key!r}: {value}" for key, value in entries.items()) + "}"
    if len(short) <= _WIDTH:
        return short
    return "{\n" + "".join(f"        {key!r}: {value},\n" for key, value in entries.items()) + "    }"


def _literal(value: Any) -> str:
    return repr(value)


def _docstring(name: str) -> str:
    plain = name.replace("\\", "").replace('"', "'")
    return f'"""{" ".join(plain.split())}: made of a graph\'s spec, yours to change."""'
