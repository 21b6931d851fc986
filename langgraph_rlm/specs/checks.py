"""What must hold of a spec before anything runs: references, arguments, expressions, and that no context enters a prompt."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langgraph_rlm.calls.files import checked_name
from langgraph_rlm.calls.schemas import check_schema
from langgraph_rlm.errors import InvalidInput, PatternError, nearest
from langgraph_rlm.shortening import shortened
from langgraph_rlm.specs.documents import Path
from langgraph_rlm.specs.shapes import schema_of_output
from langgraph_rlm.specs.steps import LARGE, BaseStep, Input, ModelStep, RlmStep, ToolStep
from langgraph_rlm.specs.templates import alone, paths_in, wrong_in
from langgraph_rlm.specs.toolbox import CHUNK_CHARS, MOST_ITEMS, MOST_PATTERN_CHARS, TOOLS
from langgraph_rlm.specs.wiring import fields_of, filename_of, is_store, reach
from langgraph_rlm.text.plan import plan_of
from langgraph_rlm.text.search import is_encodable

MOST_STEPS = 40
"""A graph of more cannot be read by anybody; the format's own examples have three."""
RESERVED = ("input", "item", "inputs", "outputs")
"""Names that no step may have: the first two stand in templates, the others are nodes."""
REPORTED = ("usage", "failures", "coverage")
"""Names that no output may have: the graph's own."""
_LITERAL = {
    "materialize_context": ("field_name", "filename"),
    "codex_exec": ("command",),
    "reduce": ("how",),
    "query_lm": ("model", "answer_schema"),
}
"""Arguments that may hold no template. A command that held one would be written by whoever wrote the text."""

Found = Iterator[tuple[Path, str]]
"""What is wrong: the path of the value, and a message."""


class References:
    """What a template may refer to at one place of a spec.

    Args:
        inputs: of the graph.
        steps: those above, by name.
        all_steps: of the spec, by name.
        item: the template that is mapped over; None without one.
    """

    def __init__(
        self, inputs: Mapping[str, Input], steps: Mapping[str, BaseStep], all_steps: Mapping[str, BaseStep],
        item: str | None = None, mapped: bool = False,
    ) -> None:  # fmt: skip
        self._inputs, self._steps, self._all = inputs, steps, all_steps
        self._item, self._mapped = item, mapped

    def problem(self, path: str, asks: str | None = None) -> str | None:
        """What is wrong with a path; ``asks`` is the step that has it."""
        head, _, rest = path.partition(".")
        shown = f"{{{{{path}}}}}"
        if head == "item":
            return None if self._mapped else f"{shown}: there is an item only in a step with 'each'"
        if head == "input":
            if not rest:
                return f"{shown}: name the input, such as {{{{input.{next(iter(self._inputs), 'question')}}}}}"
            first = rest.split(".")[0]
            return (
                None if first in self._inputs else f"{shown}: there is no input {first!r}{nearest(first, self._inputs)}"
            )
        if head not in self._steps:
            return self._elsewhere(head, shown, asks)
        given = fields_of(self._steps[head])
        first = rest.split(".")[0]
        if not given:  # a tool that does not exist, which is told about already
            return None
        if not rest or first not in given:
            asked = f", not {first!r}{nearest(first, given)}" if rest else "; name one"
            return f"{shown}: {head} gives {', '.join(given)}{asked}"
        return None

    def _elsewhere(self, head: str, shown: str, asks: str | None) -> str:
        if head == asks:
            return f"{shown}: a loop: {head} would wait for itself"
        if head not in self._all:
            known = ["input", *self._steps]
            return f"{shown}: there is no step {head!r}{nearest(head, known)}; above are {', '.join(known)}"
        if asks is not None and asks in reach(head, self._all):
            return f"{shown}: a loop: {asks} waits for {head}, and {head} for {asks}"
        return f"{shown}: {head} stands below; a step sees only what stands above it"

    def is_large(self, path: str) -> bool:
        """Whether a path names a context."""
        head, _, rest = path.partition(".")
        return head == "input" and rest.split(".")[0] in self._inputs and self._inputs[rest.split(".")[0]].type in LARGE

    def are_chunks(self, path: str) -> bool:
        """Whether a path names the chunks of a file, whose texts are not read yet."""
        head, _, rest = path.partition(".")
        step = self._steps.get(head)
        return isinstance(step, ToolStep) and not step.each and step.tool in ("split", "items_of") and rest.startswith(
            ("chunks", "items")
        ) and (step.tool == "split" or "file" in step.args)  # fmt: skip


def problems_of(inputs: Mapping[str, Input], steps: Sequence[BaseStep], output: Mapping[str, Any]) -> Found:
    """Everything that is wrong with the parts of a spec, in their order."""
    for name in (*inputs, *output):
        where: Path = ("inputs", name) if name in inputs else ("output", name)
        if name.startswith(("rlm_", "_")) or not name.isidentifier():
            yield where, f"{name!r} is no name for it: letters, digits and _, and not 'rlm_' in front"
        elif name in REPORTED:
            yield where, f"{name!r} is the graph's own: take another name"
        elif name in inputs and name in output:
            yield ("output", name), f"{name!r} is an input already: take another name for the output"
    if not inputs:
        yield ("inputs",), "a graph has at least one input"
    if not output:
        yield ("output",), "a graph has at least one output"
    yield from _values(("steps",), [step.model_dump(by_alias=True) for step in steps])
    yield from _values(("output",), dict(output))
    all_steps = {step.name: step for step in steps}
    above: dict[str, BaseStep] = {}
    for number, step in enumerate(steps):
        at: Path = ("steps", number)
        if step.name in RESERVED:
            yield (*at, "name"), f"{step.name!r} cannot be the name of a step"
        elif step.name in above:
            yield (*at, "name"), f"a second step {step.name!r}"
        yield from _of_step(step, at, inputs, above, all_steps)
        above[step.name] = step
    known = References(inputs, above, all_steps)
    for name, value in output.items():
        yield from _references(value, ("output", name), known, None)
        for path in paths_in(value):
            if known.is_large(path) or known.are_chunks(path):
                yield ("output", name), f"{{{{{path}}}}}: a context is no output; read what is wanted of it"


def _of_step(
    step: BaseStep, at: Path, inputs: Mapping[str, Input], above: Mapping[str, BaseStep], all_steps: Mapping[str, BaseStep]
) -> Found:  # fmt: skip
    plain = References(inputs, above, all_steps)
    known = References(inputs, above, all_steps, step.each, step.each is not None)
    if step.each is not None:
        yield from _mapped_over(step, at, plain, above)
    if step.when is not None:
        yield from _references([step.when.value, step.when.than], (*at, "when"), plain, step.name)
        if any(plain.is_large(path) for path in paths_in(step.when.value)):
            yield (*at, "when"), "a context is not compared; count or search in it"
        if step.when.test in ("equals", "above", "below") and step.when.than is None:
            yield (*at, "when"), f"'is: {step.when.test}' needs 'than'"
    for key, value in step.written().items():
        yield from _references(value, (*at, key), known, step.name)
    if isinstance(step, ToolStep):
        yield from _of_tool(step, at, inputs, known, above)
    elif isinstance(step, ModelStep):
        yield from _of_model(step, at, known)
    elif isinstance(step, RlmStep):
        yield from _of_rlm(step, at, known, above)


def _mapped_over(step: BaseStep, at: Path, known: References, above: Mapping[str, BaseStep]) -> Found:
    path = alone(step.each)
    if path is None:
        yield (*at, "each"), "give one template, such as {{parts.chunks}}"
        return
    yield from _references(step.each, (*at, "each"), known, step.name)
    if is_store(step):
        yield (*at, "each"), "materialize_context stores one input: it is not mapped"
    if known.is_large(path):
        yield (*at, "each"), f"{{{{{path}}}}} is a context: split it, or take its items_of"
    head, _, rest = path.partition(".")
    source, first = above.get(head), rest.split(".")[0]
    lists = _lists_of(source) if source is not None else None
    if lists is not None and rest == first and first in fields_of(source) and first not in lists:  # type: ignore[arg-type]
        yield (*at, "each"), f"{{{{{path}}}}} is no list" + (f"; {head} has {', '.join(lists)}" if lists else "")


def _lists_of(step: BaseStep) -> tuple[str, ...] | None:
    """Which fields are lists, where that is known."""
    if step.each is not None:
        return ("results",)
    if isinstance(step, ToolStep):
        return TOOLS[step.tool].lists if step.tool in TOOLS else None
    if isinstance(step, ModelStep):
        schemas = schema_of_output(step.output or {})["properties"]
        return tuple(
            n
            for n, schema in schemas.items()
            if not isinstance(schema, Mapping) or schema.get("type", "array") == "array"
        )
    return ("citations",)


def _of_tool(
    step: ToolStep, at: Path, inputs: Mapping[str, Input], known: References, above: Mapping[str, BaseStep]
) -> Found:  # fmt: skip
    tool = TOOLS.get(step.tool)
    if tool is None:
        yield (
            (*at, "tool"),
            f"there is no tool {shortened(step.tool)!r}{nearest(step.tool, TOOLS)}; there are {', '.join(TOOLS)}",
        )
        return
    for name, field in tool.fields.items():
        if field.is_required() and name not in step.args:
            yield (*at, "args"), f"{step.tool} needs {name!r}"
    for name, value in step.args.items():
        place = (*at, "args", name)
        if name not in tool.fields:
            yield place, tool.unknown(name)
            continue
        held = list(paths_in(value))
        if not held and (wrong := tool.problem_of(name, value)) is not None:
            yield place, wrong
        if held and name in _LITERAL.get(step.tool, ()):
            yield place, "no template may stand here: write it out"
        if any(known.is_large(path) for path in held):
            yield place, f"{{{{{held[0]}}}}} is a context: materialize it, and give its file"
        if any(known.are_chunks(path) for path in held):
            yield place, f"{{{{{held[0]}}}}} are chunks: map over them with 'each'"
        if name == "pattern" and isinstance(value, str) and not held and step.tool != "local_search":
            yield from ((place, wrong) for wrong in _wrong_pattern(value))
    yield from _of_files(step, at, known, above)
    yield from _of_one_tool(step, at, inputs, above)


def _of_one_tool(step: ToolStep, at: Path, inputs: Mapping[str, Input], above: Mapping[str, BaseStep]) -> Found:
    if is_store(step):
        field = step.args.get("field_name")
        if isinstance(field, str) and field not in inputs:
            yield (*at, "args", "field_name"), f"there is no input {field!r}{nearest(field, inputs)}"
        elif isinstance(field, str) and inputs[field].type == "number":
            yield (*at, "args", "field_name"), f"the input {field!r} is a number, which is not stored"
        name = filename_of(step)
        try:
            checked_name(name)
        except InvalidInput as error:
            yield (*at, "args"), str(error)
        if any(isinstance(one, ToolStep) and is_store(one) and filename_of(one) == name for one in above.values()):
            yield (*at, "args"), f"a second file {name!r}: give another filename"
    elif step.tool == "items_of" and ("items" in step.args) == ("file" in step.args):
        yield (*at, "args"), "items_of takes either items or file"
    elif step.tool == "items_of" and isinstance(step.args.get("items"), list) and len(step.args["items"]) > MOST_ITEMS:
        yield (*at, "args", "items"), f"{len(step.args['items']):,} items are too many (at most {MOST_ITEMS:,})"
    elif step.tool == "split" and _whole(step.args.get("overlap", 0)) >= _whole(
        step.args.get("chars", CHUNK_CHARS), 1 << 60
    ):
        yield (*at, "args", "overlap"), "the overlap must be smaller than chars"
    elif step.tool == "reduce" and step.args.get("how") == "weighted_mean" and "weights" not in step.args:
        yield (*at, "args"), "weighted_mean needs weights"
    elif step.tool == "query_lm" and isinstance(step.args.get("answer_schema"), Mapping):
        yield from _wrong_schema(step.args["answer_schema"], (*at, "args", "answer_schema"))


def _of_files(step: ToolStep, at: Path, known: References, above: Mapping[str, BaseStep]) -> Found:
    tool = TOOLS[step.tool]
    stored = [filename_of(one) for one in above.values() if isinstance(one, ToolStep) and is_store(one)]
    if "file" not in tool.fields:
        return
    file, place = step.args.get("file"), (*at, "args", "file")
    if file is None:
        if step.tool in ("local_grep", "local_search", "count") and not stored:
            yield (*at, "args"), f"{step.tool} looks at files: materialize a context above, and give its name as file"
        return
    if isinstance(file, str):
        yield from _wrong_file(file, place, stored, known, above)


def _wrong_file(
    file: str, place: Path, stored: Sequence[str], known: References, above: Mapping[str, BaseStep]
) -> Found:
    path = alone(file)
    if path is not None:
        head, _, rest = path.partition(".")
        if head == "item" or (rest == "file" and head in above) or known.problem(path) is not None:
            return
        yield place, f"{{{{{path}}}}} is no file; give {{{{STEP.file}}}} of a materialize step, or its filename"
    elif list(paths_in(file)):
        yield place, "a file is one template, or a name; not a text with a template in it"
    elif not any(file == name or file.startswith(f"{name}/") for name in stored):
        some = f"; above are {', '.join(stored)}" if stored else ": materialize a context first"
        yield place, f"no step above stores a file {shortened(file)!r}{nearest(file, stored)}{some}"


def _of_model(step: ModelStep, at: Path, known: References) -> Found:
    for key, value in step.written().items():
        for path in paths_in(value):
            if known.is_large(path):
                yield (
                    (*at, key),
                    f"{{{{{path}}}}} is a context and must not enter a prompt: materialize it and search it",
                )
            elif known.are_chunks(path):
                yield (*at, key), f"{{{{{path}}}}} are chunks: map over them with 'each', {{{{item.text}}}} is one"
    if step.prompt is None and not step.input:
        yield at, f"{step.name} has neither prompt nor input: the model would be asked nothing"
    if step.output is not None:
        if not step.output:
            yield (*at, "output"), "name at least one field, or leave it out"
        for name in step.output:
            if not name.isidentifier() or not name.isascii() or name.startswith("_"):
                yield (*at, "output", name), f"{name!r} is no name of a field: letters, digits and _"
        yield from _wrong_schema(schema_of_output(step.output), (*at, "output"))


def _of_rlm(step: RlmStep, at: Path, known: References, above: Mapping[str, BaseStep]) -> Found:
    if any(known.is_large(path) or known.are_chunks(path) for path in paths_in(step.rlm.question)):
        yield (*at, "rlm", "question"), "a context must not enter a question: give it as context"
    context = step.rlm.context
    if context is None or ((path := alone(context)) is not None and (known.is_large(path) or path == "item.text")):
        return
    stored = [filename_of(one) for one in above.values() if isinstance(one, ToolStep) and is_store(one)]
    yield from _wrong_file(context, (*at, "rlm", "context"), stored, known, above)


def _references(value: Any, at: Path, known: References, asks: str | None) -> Found:
    for text, place in _texts(value, at):
        if (wrong := wrong_in(text)) is not None:
            yield place, f"{wrong} is no template: {{{{step.field}}}} and nothing else"
        for path in paths_in(text):
            if (problem := known.problem(path, asks)) is not None:
                yield place, problem


def _texts(value: Any, at: Path) -> Iterator[tuple[str, Path]]:
    if isinstance(value, str):
        yield value, at
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, (*at, key))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from _texts(inner, (*at, number))


def _values(at: Path, value: Any) -> Found:
    """What is no plain data, or would not be the same after YAML."""
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        if not is_encodable(value) or "\x00" in value:
            yield at, "a text may hold neither a lone surrogate nor a NUL character"
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield at, f"{value!r} is no number that a spec may hold"
    elif isinstance(value, int):
        if abs(value) >= 10**18:
            yield at, "a whole number of more than 18 digits: give it as a text"
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str):
                yield at, f"the key {shortened(repr(key))} must be a text"
            yield from _values((*at, key), inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _values((*at, number), inner)
    else:
        yield at, f"{type(value).__name__} is no plain value"


def _wrong_pattern(pattern: str) -> Iterator[str]:
    if len(pattern) > MOST_PATTERN_CHARS:
        yield f"an expression of {len(pattern):,} characters is too long (at most {MOST_PATTERN_CHARS:,})"
        return
    try:
        plan_of(pattern, False)
    except (PatternError, InvalidInput) as error:
        yield str(error)


def _wrong_schema(schema: Mapping[str, Any], at: Path) -> Found:
    try:
        check_schema(schema, "schema")
    except InvalidInput as error:
        yield at, str(error)


def _whole(value: Any, other: int = 0) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else other
