"""Patterns: what a graph's structure is, read off its data flow. What a spec says of itself is never believed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from langgraph_rlm.errors import InvalidInput, nearest
from langgraph_rlm.specs.steps import BaseStep, GraphType, RlmStep, ToolStep
from langgraph_rlm.specs.toolbox import SEARCHES, TOOLS
from langgraph_rlm.specs.wiring import needed_by

Pattern = Literal["rlm", "map_reduce", "single_shot", "chain_of_thought", "digest_combine"]
PATTERNS: tuple[Pattern, ...] = get_args(Pattern)
_RLM_TOOLS = (
    "materialize_context",
    "local_grep",
    "local_search",
    "bm25_search",
    "count",
    "read",
    "query_lm",
    "codex_exec",
)
"""That graphs of type or pattern ``rlm`` have without being asked for."""
_BASIC_TOOLS = ("split", "items_of", "reduce")


def patterns_of(steps: Sequence[BaseStep]) -> set[Pattern]:
    """The patterns that steps have.

    - ``rlm``: a recursive step; or a context is stored, searched, and a model reads what was found.
    - ``map_reduce``: a mapped step that asks a model, whose results another step brings together.
    - ``chain_of_thought``: a model reads what one other model has said.
    - ``digest_combine``: a model reads what two or more others have said, none of which has read another.
    - ``single_shot``: one call of a model that reads the inputs, and none of the others.

    Example:
        >>> from langgraph_rlm.specs import GraphSpec
        >>> sorted(GraphSpec.from_yaml("- {name: a, model: m, prompt: 'Say {{input.q}}'}").patterns())
        ['single_shot']
    """
    flow = _Flow(steps)
    found: set[Pattern] = set()
    if any(isinstance(step, RlmStep) for step in steps) or any(flow.searches_for(step) for step in flow.asking):
        found.add("rlm")
    mapped = {step.name for step in flow.asking if step.each is not None}
    if any(step.each is None and flow.before[step.name] & mapped and _brings_together(step) for step in steps):
        found.add("map_reduce")
    for step in flow.asking:
        nearest_models = flow.models_before(step.name)
        plain = {name for name in nearest_models if name not in mapped}
        if len(nearest_models) == 1 and plain:
            found.add("chain_of_thought")
        independent = {name for name in plain if not flow.before[name] & nearest_models}
        if len(independent) >= 2:
            found.add("digest_combine")
    if not found and len(flow.asking) == 1 and not mapped:
        found.add("single_shot")
    return found


class _Flow:
    """Who reads whom."""

    def __init__(self, steps: Sequence[BaseStep]) -> None:
        self._direct: dict[str, list[str]] = {}
        self.before: dict[str, set[str]] = {}
        self._steps = {step.name: step for step in steps}
        above: dict[str, BaseStep] = {}
        for step in steps:
            self._direct[step.name] = needed_by(step, above)
            self.before[step.name] = set().union(*({one} | self.before[one] for one in self._direct[step.name]), set())
            above[step.name] = step
        self.asking = [step for step in steps if _asks(step)]

    def searches_for(self, step: BaseStep) -> bool:
        """Whether a step that asks a model reads what was found in a stored context or a corpus."""
        return any(_is_search(self._steps[name]) and self._finds(name) for name in self.before[step.name])

    def _finds(self, name: str) -> bool:
        stores = any(_is_tool(self._steps[one], ("materialize_context",)) for one in self.before[name])
        step = self._steps[name]
        return stores or (isinstance(step, ToolStep) and "file" not in step.args)

    def models_before(self, name: str) -> set[str]:
        """The steps that ask models whose replies a step reads, not those that these have read in turn."""
        found, ahead, seen = set[str](), list(self._direct[name]), set[str]()
        while ahead:
            one = ahead.pop()
            if one in seen:
                continue
            seen.add(one)
            if _asks(self._steps[one]):
                found.add(one)
            else:
                ahead += self._direct[one]
        return found


def _asks(step: BaseStep) -> bool:
    return not isinstance(step, ToolStep) or step.tool == "query_lm"


def _is_tool(step: BaseStep, names: Iterable[str]) -> bool:
    return isinstance(step, ToolStep) and step.tool in names


def _is_search(step: BaseStep) -> bool:
    return _is_tool(step, (*SEARCHES, "count"))


def _brings_together(step: BaseStep) -> bool:
    return _is_tool(step, ("reduce",)) or _asks(step)


@dataclass(frozen=True, slots=True)
class Wish:
    """Which patterns a graph is to have.

    Args:
        required: every graph has all of these.
        optional: it may have these too.
        prefer: of equal graphs, one with these is better.

    Raises:
        InvalidInput: a name that is no pattern, or two that exclude each other.

    Example:
        >>> Wish.of({"required": ["rlm"]}).missing({"single_shot"})
        ['rlm']
    """

    required: tuple[Pattern, ...] = ()
    optional: tuple[Pattern, ...] = ()
    prefer: tuple[Pattern, ...] = ()

    def __post_init__(self) -> None:
        for where in ("required", "optional", "prefer"):
            for name in getattr(self, where):
                if name not in PATTERNS:
                    raise InvalidInput(
                        f"patterns.{where}: there is no pattern {name!r}{nearest(name, PATTERNS)}; there are {', '.join(PATTERNS)}"
                    )
        if "single_shot" in self.required and len(set(self.required)) > 1:
            raise InvalidInput("patterns.required: single_shot is one call, and no graph has another pattern beside it")

    @classmethod
    def of(cls, given: Mapping[str, Any] | Wish | None) -> Wish:
        """From a mapping with the three lists."""
        if given is None or isinstance(given, Wish):
            return given or cls()
        if not isinstance(given, Mapping):
            raise InvalidInput(
                f"patterns: a mapping of required, optional and prefer is expected, not {type(given).__name__}"
            )
        known = ("required", "optional", "prefer")
        for name in given:
            if name not in known:
                raise InvalidInput(
                    f"patterns: there is no {name!r}{nearest(name, known)}; there are {', '.join(known)}"
                )
            if not isinstance(given[name], list | tuple) or not all(isinstance(one, str) for one in given[name]):
                raise InvalidInput(f"patterns.{name}: a list of names is expected")
        return cls(**{name: tuple(dict.fromkeys(given[name])) for name in given})

    def missing(self, found: Iterable[str]) -> list[Pattern]:
        """The required patterns that are not among those found."""
        there = set(found)
        return [name for name in self.required if name not in there]

    def preferred(self, found: Iterable[str]) -> int:
        """How many of the preferred ones are among those found."""
        return len(set(self.prefer) & set(found))

    def tools(self, graph_type: GraphType, *, corpus: bool = False, shell: bool = False) -> list[str]:
        """The tools that a graph may use: those for searching come by themselves with ``rlm``, as type or as pattern.

        Args:
            graph_type: of the graph.
            corpus: whether there is one.
            shell: whether commands may be run.
        """
        searching = graph_type == "rlm" or "rlm" in (*self.required, *self.optional, *self.prefer)
        names = [*_BASIC_TOOLS, *(_RLM_TOOLS if searching else ("materialize_context", "read", "query_lm"))]
        there: Mapping[str, bool] = {"corpus": corpus, "shell": shell, "": True}
        names += [name for name in SEARCHES if TOOLS[name].needs == "corpus"]
        return [name for name in dict.fromkeys(names) if there[TOOLS[name].needs]]
