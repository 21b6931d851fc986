"""A graph as data: inputs, steps and outputs, read from YAML and written as YAML."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Self

from pydantic import Field, PrivateAttr, ValidationError, model_validator

from langgraph_rlm.errors import InvalidSpec, SpecProblem, nearest
from langgraph_rlm.shortening import shortened
from langgraph_rlm.specs.checks import MOST_STEPS, problems_of
from langgraph_rlm.specs.documents import Marks, Path, read_yaml, write_yaml
from langgraph_rlm.specs.patterns import Pattern, patterns_of
from langgraph_rlm.specs.python import module_of
from langgraph_rlm.specs.steps import (
    KINDS,
    BaseStep,
    GraphType,
    Input,
    ModelStep,
    Part,
    RlmStep,
    Step,
    ToolStep,
    kind_of,
)
from langgraph_rlm.specs.templates import paths_in
from langgraph_rlm.specs.wiring import fields_of

_MAIN = ("text", "answer", "value", "matches", "results")
"""Which field of the last step is the answer of a graph that names no output: the first of these that it gives."""
_KINDS: Mapping[str, type[BaseStep]] = {"tool": ToolStep, "model": ModelStep, "rlm": RlmStep}


class GraphSpec(Part):
    """A graph of tool steps, model steps and recursive steps, checked when it is made.

    Steps stand in an order in which each sees only what stands above it; those that do not wait for each other run side by
    side. A list of steps alone is a spec too: its inputs are those that the steps name (a stored one is a context), and its
    output is the last step's.

    Args:
        version: of the format; raised when a key changes its meaning.
        name: of the graph.
        graph_type: ``policy``, ``verifier`` or ``rlm``.
        inputs: by name.
        steps: 1 to 40.
        output: templates by name.

    Raises:
        InvalidSpec: with all that is wrong, and where.

    Example:
        >>> spec = GraphSpec.from_yaml('''
        ... steps:
        ... - {name: answer, model: small, input: {question: "{{input.question}}"}}
        ... output: {answer: "{{answer.text}}"}
        ... ''')
        >>> list(spec.inputs), spec.to_yaml() == GraphSpec.from_yaml(spec.to_yaml()).to_yaml()
        (['question'], True)
    """

    version: Literal[1] = 1
    name: str = Field(default="graph", min_length=1, max_length=100)
    graph_type: GraphType = "policy"
    inputs: dict[str, Input]
    steps: list[Step]
    output: dict[str, Any]
    _marks: Marks = PrivateAttr(default_factory=Marks)

    @classmethod
    def from_yaml(cls, text: str) -> Self:
        """The spec of a YAML text (JSON is YAML too).

        Raises:
            InvalidSpec: it cannot be used; each problem has its line and column.
        """
        data, marks = read_yaml(text)
        return cls._made(data, marks)

    @classmethod
    def of(cls, given: GraphSpec | str | Mapping[str, Any] | list[Any]) -> GraphSpec:
        """A spec that is given as one, as YAML or as plain data.

        Raises:
            InvalidSpec: it cannot be used.
        """
        if isinstance(given, GraphSpec):
            return given
        return cls.from_yaml(given) if isinstance(given, str) else cls._made(given, Marks())

    def to_yaml(self) -> str:
        """The spec as YAML; read again it is equal."""
        return write_yaml(self.data())

    def patterns(self) -> set[Pattern]:
        """The patterns that its structure has; see :func:`langgraph_rlm.specs.patterns.patterns_of`."""
        return patterns_of(self.steps)

    def to_python(self, models: Mapping[str, str] | None = None) -> str:
        """A Python module that builds the same graph, one function for each step; it is the user's to change.

        Args:
            models: names for LangChain (``openai:gpt-5-mini``) by the names that steps use; these themselves when None.
        """
        return module_of(self.name, self.inputs, self.steps, self.output, models)

    def data(self) -> dict[str, Any]:
        """The spec as plain data, without what is left at its default."""
        steps = [step.model_dump(exclude_defaults=True, by_alias=True) for step in self.steps]
        inputs = {name: one.model_dump(exclude_none=True) for name, one in self.inputs.items()}
        head = {"version": self.version, "name": self.name, "graph_type": self.graph_type}
        return {**head, "inputs": inputs, "steps": steps, "output": self.output}

    @property
    def digest(self) -> str:
        """Of its canonical YAML: equal specs have equal ones, wherever and however they were written."""
        return hashlib.sha256(self.to_yaml().encode()).hexdigest()

    def step(self, name: str) -> BaseStep:
        """The step of this name.

        Raises:
            KeyError: there is none.
        """
        return {step.name: step for step in self.steps}[name]

    def problem(self, path: Path, message: str) -> SpecProblem:
        """A problem at the place of a value; for checks that know more than the spec does."""
        return self._marks.problem(path, message)

    @classmethod
    def _made(cls, data: Any, marks: Marks) -> Self:
        if isinstance(data, list):
            data, marks = {"steps": data}, marks.under("steps")
        completed = _completed(data, marks)
        try:
            spec = cls.model_validate(completed)
        except ValidationError as error:
            raise InvalidSpec(_told(error, marks)) from None
        spec._marks = marks
        return spec

    @model_validator(mode="after")
    def _checked(self) -> Self:
        found = list(problems_of(self.inputs, self.steps, self.output))
        if found:
            raise _Wrong(found)
        return self


class _Wrong(ValueError):
    """Carries problems through pydantic, which takes a ValueError for what it is told."""

    def __init__(self, found: list[tuple[Path, str]]) -> None:
        super().__init__("; ".join(message for _, message in found))
        self.found = found


def _completed(data: Any, marks: Marks) -> Any:
    """With inputs and output, where the steps alone say what they are."""
    if not isinstance(data, Mapping):
        raise InvalidSpec([marks.problem((), f"a spec is a mapping with 'steps', not {type(data).__name__}")])
    steps = data.get("steps")
    if not isinstance(steps, list) or not steps:
        raise InvalidSpec([marks.problem(("steps",), "a spec has a list of steps, at least one")])
    if len(steps) > MOST_STEPS:
        raise InvalidSpec([marks.problem(("steps",), f"{len(steps):,} steps are too many (at most {MOST_STEPS})")])
    whole = dict(data)
    if "inputs" not in whole:
        whole["inputs"] = {name: {"type": kind} for name, kind in _inputs_of(steps)}
    if "output" not in whole:
        whole["output"] = _output_of(steps[-1])
    return whole


def _inputs_of(steps: list[Any]) -> Iterator[tuple[str, str]]:
    stored = {
        step["args"].get("field_name")
        for step in steps
        if isinstance(step, Mapping)
        and step.get("tool") == "materialize_context"
        and isinstance(step.get("args"), Mapping)
    }
    named = dict.fromkeys(path.split(".")[1] for path in paths_in(steps) if path.startswith("input."))
    for name in [*(one for one in stored if isinstance(one, str) and one not in named), *named]:
        yield name, "context" if name in stored else "text"


def _output_of(last: Any) -> dict[str, Any]:
    kind = kind_of(last)
    try:
        step = _KINDS[kind or ""].model_validate(last)
    except (KeyError, ValidationError):
        return {}  # the step itself is told about
    given = fields_of(step)
    if isinstance(step, ModelStep) and step.output is not None and step.each is None:
        return {name: f"{{{{{step.name}.{name}}}}}" for name in given}
    main = next((name for name in _MAIN if name in given), given[0] if given else "text")
    return {step.name: f"{{{{{step.name}.{main}}}}}"}


def _told(error: ValidationError, marks: Marks) -> Iterator[SpecProblem]:
    for one in error.errors(include_url=False):
        wrong = one.get("ctx", {}).get("error")
        if isinstance(wrong, _Wrong):
            for path, message in wrong.found:
                yield marks.problem(path, message)
            continue
        path = tuple(part for number, part in enumerate(one["loc"]) if not (part in KINDS and number == 2))
        yield marks.problem(path, _in_words(one))


def _in_words(one: Any) -> str:
    name = str(one["loc"][-1]) if one["loc"] else ""
    if one["type"] == "extra_forbidden":
        loc = one["loc"]
        known = GraphSpec.model_fields if len(loc) == 1 else _known_of(loc)
        return f"there is no key {shortened(name)!r}{nearest(name, known)}; there are {', '.join(known)}"
    if one["type"] == "missing":
        return f"{name!r} is missing"
    if one["type"] == "string_pattern_mismatch":
        return f"{shortened(repr(one['input']))} is no name: a letter, then up to 40 letters, digits and _"
    given = "" if isinstance(one["input"], dict | list) else f" (got {shortened(repr(one['input']))})"
    return f"{one['msg']}{given}"


def _known_of(loc: tuple[Any, ...]) -> list[str]:
    if loc[0] == "inputs":
        return list(Input.model_fields)
    kind = _KINDS.get(str(loc[2])) if len(loc) > 3 else None
    if kind is None:
        return ["name", *KINDS, "each", "when"]
    field = kind.model_fields.get(str(loc[3])) if len(loc) > 4 else None
    inner = {"rlm": ["question", "context", "model", "sub_model", "max_turns"], "when": ["value", "is", "than"]}
    return inner.get(str(loc[3]), list(kind.model_fields)) if field is not None else list(kind.model_fields)
