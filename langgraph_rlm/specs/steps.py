"""The parts of a spec: inputs, and the three kinds of steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

GraphType = Literal["policy", "verifier", "rlm"]
InputType = Literal["text", "context", "json", "number", "trace"]
LARGE = ("context", "trace")
"""Types of inputs that are stored and searched, and never stand in a prompt."""
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,40}$")]


class Part(BaseModel):
    """Plain data, of known keys alone."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Input(Part):
    """An input of the graph.

    Args:
        type: ``text`` and ``number`` may stand in prompts, ``json`` is any value, ``context`` a large text (or several) that is
            stored and searched, ``trace`` the record of a run, stored likewise.
        description: for who reads the spec.
    """

    type: InputType = "text"
    description: str | None = None


class When(Part):
    """A condition: the step is skipped unless it holds.

    Args:
        value: a template, or anything that holds one.
        test: what it is compared by; the key is ``is``.
        than: what it is compared with, for ``equals``, ``above`` and ``below``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_by_alias=True, validate_by_name=True)

    value: Any
    test: Literal["empty", "not_empty", "equals", "above", "below"] = Field(alias="is")
    than: Any = None


class BaseStep(Part):
    """What every step has.

    Args:
        name: by which later steps refer to it.
        each: a template of a list: the step runs for each entry, which is ``{{item}}``.
        when: a condition.
    """

    name: Name
    each: str | None = None
    when: When | None = None

    def written(self) -> Mapping[str, Any]:
        """What may hold templates, by key, without ``each`` and ``when``."""
        raise NotImplementedError


class ToolStep(BaseStep):
    """A step that calls a tool.

    Args:
        tool: its name.
        args: its arguments.
    """

    tool: str
    args: dict[str, Any] = {}

    def written(self) -> Mapping[str, Any]:
        """See :class:`BaseStep`."""
        return {"args": self.args}


class ModelStep(BaseStep):
    """A step that asks a model once.

    Args:
        model: its name among the models of the graph.
        prompt: what to do; without one, to answer the ``question`` of the input from its other sections.
        input: sections, by name, that are shown as data.
        output: the shape of the reply, a type or a JSON schema by name of the field; plain text without.
    """

    model: str
    prompt: str | None = None
    input: dict[str, Any] = {}
    output: dict[str, Any] | None = None

    def written(self) -> Mapping[str, Any]:
        """See :class:`BaseStep`."""
        return {"prompt": self.prompt, "input": self.input}


class Recursion(Part):
    """What a recursive language model is asked.

    Args:
        question: what to find out.
        context: a file, or ``{{input.NAME}}`` of a context; the graph's corpus without one.
        model: writes the cells; the graph's first model without one.
        sub_model: answers the calls of cells; ``model`` without one.
        max_turns: cells at most; the limits of the run hold beside it.
    """

    question: str
    context: str | None = None
    model: str | None = None
    sub_model: str | None = None
    max_turns: Annotated[int, Field(ge=1, le=1_000)] | None = None


class RlmStep(BaseStep):
    """A step in which a recursive language model answers a question.

    Args:
        rlm: question and context.
    """

    rlm: Recursion

    def written(self) -> Mapping[str, Any]:
        """See :class:`BaseStep`."""
        return {"rlm": {"question": self.rlm.question, "context": self.rlm.context}}


KINDS = ("tool", "model", "rlm")
"""Exactly one of these keys says what a step is."""


def kind_of(step: Any) -> str | None:
    """Which kind of step a mapping or a step is; None when it is none, or more than one."""
    if isinstance(step, BaseStep):
        return "tool" if isinstance(step, ToolStep) else "model" if isinstance(step, ModelStep) else "rlm"
    found = [kind for kind in KINDS if isinstance(step, Mapping) and kind in step]
    return found[0] if len(found) == 1 else None


Step = Annotated[
    Annotated[ToolStep, Tag("tool")] | Annotated[ModelStep, Tag("model")] | Annotated[RlmStep, Tag("rlm")],
    Discriminator(
        kind_of,
        custom_error_type="step",
        custom_error_message="a step has exactly one of the keys 'tool', 'model' and 'rlm'",
    ),
]
