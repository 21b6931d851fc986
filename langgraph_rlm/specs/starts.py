"""Starts: one plain graph for each pattern and type of graph, for any inputs; and which inputs are contexts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langgraph_rlm.errors import InvalidInput, nearest
from langgraph_rlm.graphs.detect import THRESHOLD_CHARS, detect_context_fields, measure
from langgraph_rlm.specs.patterns import PATTERNS, Pattern
from langgraph_rlm.specs.spec import GraphSpec
from langgraph_rlm.specs.steps import LARGE, GraphType, Input
from langgraph_rlm.specs.toolbox import CHUNK_CHARS

DEFAULT_INPUTS: Mapping[GraphType, Mapping[str, Input]] = {
    "policy": {"question": Input(type="text"), "documents": Input(type="text")},
    "rlm": {"question": Input(type="text"), "documents": Input(type="context")},
    "verifier": {"rubric": Input(type="text"), "trace": Input(type="trace")},
}
"""Where a start is not told its inputs."""
_SCORE = {"type": "number", "minimum": 0, "maximum": 1}
_TASKS: Mapping[GraphType, str] = {
    "policy": "Answer from the sections.",
    "rlm": "Answer from the sections.",
    "verifier": "Judge by the rubric what the trace shows. Give a score from 0 to 1, and the reason in a sentence or two.",
}


def start_of(
    pattern: Pattern,
    graph_type: GraphType = "policy",
    *,
    model: str,
    inputs: Mapping[str, Input] | None = None,
    output: Sequence[str] | None = None,
    instructions: str | None = None,
) -> GraphSpec:
    """A plain graph of a pattern, from which others are made.

    Args:
        pattern: which it has, and no other.
        graph_type: of the graph; a verifier gives ``score`` (0 to 1) and ``reason``.
        model: the name of the model that its steps ask.
        inputs: of the graph; those that are usual for its type when None.
        output: names of its outputs; ``answer`` when None.
        instructions: what the graph is for, in place of a line of ours.

    Raises:
        InvalidInput: a pattern or a type that does not exist, or no input that the pattern can work on.

    Example:
        >>> sorted(start_of("map_reduce", "rlm", model="small").patterns())
        ['map_reduce']
    """
    if pattern not in PATTERNS:
        raise InvalidInput(
            f"pattern: there is no {pattern!r}{nearest(pattern, PATTERNS)}; there are {', '.join(PATTERNS)}"
        )
    if graph_type not in DEFAULT_INPUTS:
        raise InvalidInput(f"graph_type: {graph_type!r} is none of {', '.join(DEFAULT_INPUTS)}")
    start = _Start(graph_type, model, dict(inputs or DEFAULT_INPUTS[graph_type]), output, instructions)
    steps = {
        "single_shot": start.single_shot, "chain_of_thought": start.chain, "map_reduce": start.map_reduce,
        "digest_combine": start.digest_combine, "rlm": start.search,
    }[pattern]()  # fmt: skip
    last = steps[-1]
    return GraphSpec.of(
        {
            "name": f"{graph_type}_{pattern}",
            "graph_type": graph_type,
            "inputs": {name: one.model_dump(exclude_none=True) for name, one in start.inputs.items()},
            "steps": steps,
            "output": {name: f"{{{{{last['name']}.{name}}}}}" for name in last["output"]},
        }
    )


class _Start:
    def __init__(
        self, graph_type: GraphType, model: str, inputs: dict[str, Input], output: Sequence[str] | None, instructions: str | None
    ) -> None:  # fmt: skip
        self.inputs, self._model = inputs, model
        self._task = instructions or _TASKS[graph_type]
        names = list(output or (("score", "reason") if graph_type == "verifier" else ("answer",)))
        self._output = {name: _SCORE if name == "score" else "string" for name in names}
        self._large = [name for name, one in inputs.items() if one.type in LARGE]
        self._small = [name for name in inputs if name not in self._large]

    def single_shot(self) -> list[dict[str, Any]]:
        return [*self._heads(), self._asked("answer", self._task, self._whole(), self._output)]

    def chain(self) -> list[dict[str, Any]]:
        think = "Think step by step about what the sections say on the task; do not give the result yet. The task: "
        return [
            *self._heads(),
            self._asked("think", think + self._task, self._whole()),
            self._asked("answer", self._task, {**self._whole(), "thoughts": "{{think.text}}"}, self._output),
        ]

    def digest_combine(self) -> list[dict[str, Any]]:
        return [
            *self._heads(),
            self._asked("facts", "List what the sections say on the task, with numbers and names. The task: " + self._task, self._whole()),
            self._asked("doubts", "List what is missing, uncertain or contradictory on the task. The task: " + self._task, self._whole()),
            self._asked("answer", self._task, {**self._questions(), "facts": "{{facts.text}}", "doubts": "{{doubts.text}}"}, self._output),
        ]  # fmt: skip

    def map_reduce(self) -> list[dict[str, Any]]:
        if self._large:
            name = self._large[0]
            cut = [
                self._store(name),
                {"name": "parts", "tool": "split", "args": {"file": f"{name}.txt", "chars": CHUNK_CHARS}},
            ]
            each = "{{parts.chunks}}"
        else:
            cut = [{"name": "parts", "tool": "items_of", "args": {"items": f"{{{{input.{self._small[-1]}}}}}"}}]
            each = "{{parts.items}}"
        part = {**self._questions(), "part": "{{item.text}}"}
        read = self._asked(
            "read_part", "Note what the part says on the task, or NOTHING. The task: " + self._task, part
        )
        joined = {"name": "notes", "tool": "reduce", "args": {"items": "{{read_part.results}}", "how": "join"}}
        last = self._asked("answer", self._task, {**self._questions(), "notes": "{{notes.value}}"}, self._output)
        return [*cut, {**read, "each": each}, joined, last]

    def search(self) -> list[dict[str, Any]]:
        if not self._large:
            raise InvalidInput(
                "the pattern rlm searches a context, and none of the inputs is one: give one the type context"
            )
        name = self._large[0]
        query = f"{{{{input.{self._small[0]}}}}}" if self._small else self._task
        find = {"name": "find", "tool": "bm25_search", "args": {"query": query, "file": f"{name}.txt", "k": 12}}
        return [
            self._store(name),
            find,
            self._asked("answer", self._task, {**self._questions(), "sections": "{{find.matches}}"}, self._output),
        ]

    def _heads(self) -> list[dict[str, Any]]:
        """The beginnings of contexts, which is as much as patterns without a search can read of them."""
        steps = list[dict[str, Any]]()
        for name in self._large:
            steps += [self._store(name), {"name": f"read_{name}", "tool": "read", "args": {"file": f"{name}.txt"}}]
        return steps

    def _whole(self) -> dict[str, Any]:
        return {**self._questions(), **{name: f"{{{{read_{name}.text}}}}" for name in self._large}}

    def _questions(self) -> dict[str, Any]:
        return {name: f"{{{{input.{name}}}}}" for name in self._small}

    def _store(self, name: str) -> dict[str, Any]:
        return {
            "name": f"store_{name}",
            "tool": "materialize_context",
            "args": {"field_name": name, "filename": f"{name}.txt"},
        }

    def _asked(
        self, name: str, prompt: str, sections: dict[str, Any], output: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        step = {"name": name, "model": self._model, "prompt": prompt, "input": sections}
        return step if output is None else {**step, "output": output}


def inputs_of(
    values: Mapping[str, Any],
    graph_type: GraphType = "policy",
    *,
    fields: Sequence[Mapping[str, Any]] | None = None,
    window_tokens: int | None = None,
) -> tuple[dict[str, Input], list[str]]:
    """The inputs of a graph for some values: which of them are contexts, and why.

    Args:
        values: one task's inputs, or the largest of each.
        graph_type: with ``rlm`` there is a context in any case: the longest text when no other is one.
        fields: ``{"name": …, "type": …}`` of those whose type is known; they come before sizes.
        window_tokens: what the model can read; what does not fit it is a context.

    Returns:
        The inputs by name, and a sentence on each that became a context.

    Raises:
        InvalidInput: fields or values that cannot be used.

    Example:
        >>> inputs, told = inputs_of({"question": "Why?", "log": "ok " * 20}, "rlm")
        >>> inputs["log"].type, told
        ('context', ["'log' is the context: it is the longest text, and a graph of type rlm has one"])
    """
    found = detect_context_fields(values, window_tokens=window_tokens, schema=fields)
    told = [f"{one.name!r} is a context: {one.reason}" for one in found]
    large = {one.name for one in found}
    typed = {str(field["name"]): str(field["type"]) for field in fields or ()}
    for name, value in values.items():
        if typed.get(name) == "text" and (size := measure(value)) is not None and size.chars >= THRESHOLD_CHARS:
            large.add(name)
            told.append(
                f"{name!r} is a context: it is named as text, but no prompt takes its {size.chars:,} characters"
            )
    if not large and graph_type == "rlm":
        sizes = {
            name: size.chars
            for name, value in values.items()
            if name not in typed and (size := measure(value)) is not None
        }
        if not sizes or not max(sizes.values()):
            raise InvalidInput("a graph of type rlm searches a context, and none of the inputs is a text")
        longest = max(sizes, key=lambda name: sizes[name])
        large = {longest}
        told.append(f"{longest!r} is the context: it is the longest text, and a graph of type rlm has one")
    kinds = {"text", "context", "json", "number", "trace"}
    made = dict[str, Input]()
    for name, value in values.items():
        kind: Any = "context" if name in large else typed.get(name, _type_of(name, value, graph_type))
        made[name] = Input(type=kind if kind in kinds else "text")
    return made, told


def _type_of(name: str, value: Any, graph_type: GraphType) -> str:
    if graph_type == "verifier" and name in ("trace", "session_trace"):
        return "trace"
    if isinstance(value, bool):
        return "json"
    return "text" if isinstance(value, str) else "number" if isinstance(value, int | float) else "json"
