"""The class of our compiled graphs: what happens at the edge of a run, before LangGraph writes or traces anything.

LangGraph checkpoints and traces a graph's input before its first node runs: by then it is too late to replace a text
by a reference. So ``stream`` and ``astream``, through which every other way of running a graph goes, do it, and so do
``astream_events``, whose first event is the input, and the two methods through which a state is updated by hand.

LangGraph's ``stream`` waits for the nodes that run in its threads before it lets a ``close()`` or a Ctrl-C through; an
endless cell would hold it up for ever. So the nodes of a sync run are given up first.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import aclosing, closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, Self

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel import Pregel
from langgraph.types import Command, StateSnapshot, StateUpdate
from pydantic import BaseModel, TypeAdapter, create_model

from langgraph_rlm.errors import InvalidInput, nearest
from langgraph_rlm.graphs.detect import detect_context_fields, measure
from langgraph_rlm.graphs.estimate import Estimate, Estimating
from langgraph_rlm.graphs.keys import PRIVATE, Keys, is_empty, plain, public_names, public_of
from langgraph_rlm.graphs.state import Carry
from langgraph_rlm.graphs.structured import Shape
from langgraph_rlm.limits import Limits
from langgraph_rlm.runs.contexts import ContextsLike
from langgraph_rlm.runs.listeners import forwarding, is_node
from langgraph_rlm.runs.run import OpenRun, new_id
from langgraph_rlm.runs.runtime import Runtime
from langgraph_rlm.text import ContextStore
from langgraph_rlm.threads import in_thread
from langgraph_rlm.types import Stream

CARRY = "rlm_carry"
OPTIONS = "rlm_options"
"""What a router's node says of the route that it chose; it stands in the state of the graph around this one."""
TAKEN = "rlm_taken"
"""Names of the fields that ``keys={"context": "auto"}`` has taken for the context."""
LEAST_STEPS = 6
"""Nodes of the longest chain, that of a question which escalates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """What the edge of a graph needs to know.

    Args:
        contexts: where raw text goes; None for a graph without contexts.
        keys: the user's names.
        shape: makes instances of ``response_format``; None where plain JSON is wanted.
        routes: names that a request may ask for.
        window: tokens of the model, for ``keys={"context": "auto"}``.
        stream: which tokens are streamed, unless a request says it.
        estimating: makes :meth:`RLMGraph.estimate`'s figures.
        context_keys: our names of the keys that hold contexts.
        as_text: makes a context of what such a key holds, where that is no text yet; by name.
        least_steps: what the longest chain of nodes takes; a smaller ``recursion_limit`` is raised to it: LangGraph's error
            would throw away what was paid, and every graph of ours ends by itself. By default that of a question which
            escalates.
        input_model: what a server reads from a request in place of the schema of the state; None for that.
    """

    contexts: ContextsLike | None = None
    keys: Keys = field(default_factory=Keys)
    shape: Shape | None = None
    routes: tuple[str, ...] = ("direct", "rag", "rlm")
    window: int | None = None
    estimating: Estimating | None = None
    context_keys: tuple[str, ...] = ("context",)
    as_text: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    least_steps: int = LEAST_STEPS
    stream: Stream = "answer"
    input_model: type[BaseModel] | None = None


class RLMGraph(CompiledStateGraph[Any, Any, Any, Any]):
    """A ``CompiledStateGraph`` whose input ``context`` becomes a ``ContextRef``; made by :func:`compiled`."""

    def __init__(self, *args: Any, rlm: Edge, **kwargs: Any) -> None:
        """``copy``, which ``with_config`` and servers call for every request, hands over every attribute."""
        super().__init__(*args, **kwargs)
        self.rlm = rlm

    def __copy__(self) -> Self:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> Self:
        return self.copy()  # models and stores stay the same ones: they hold connections and locks

    def __reduce__(self) -> NoReturn:
        raise InvalidInput(
            f"the graph {self.name!r} cannot be pickled: it holds models and stores. Make it where it runs"
        )

    # --- runs ---

    def stream(
        self, input: Any, config: RunnableConfig | None = None, *args: Any, **kwargs: Any
    ) -> Generator[Any, None, None]:
        """As ``CompiledStateGraph.stream``."""
        config = forwarding(self._merged(config))
        with closing(self._opened(config)) as own:
            config = own.within(config)
            call = _Call(OpenRun.of(config), config, is_inner=_is_inner(input, OpenRun.of(config), own))
            taken = self._interned_now(self._taken(input, call), call)
            parts = super().stream(taken, config, *args, **self._stops(kwargs, call))
            try:
                while True:
                    with own.stop.at_ctrl_c():
                        try:
                            part = next(parts)
                        except StopIteration:
                            return
                    yield part if call.is_inner else self._shown(part)
            except BaseException:  # closed, or a Ctrl-C outside of what is guarded: between two parts
                own.stop.now()
                raise
            finally:
                parts.close()  # type: ignore[attr-defined]  # it is a generator

    async def astream(
        self, input: Any, config: RunnableConfig | None = None, *args: Any, **kwargs: Any
    ) -> AsyncIterator[Any]:
        """As ``CompiledStateGraph.astream``."""
        config = forwarding(self._merged(config))
        with closing(self._opened(config)) as own:
            config = own.within(config)
            call = _Call(OpenRun.of(config), config, is_inner=_is_inner(input, OpenRun.of(config), own))
            taken = await self._interned(self._taken(input, call), call)
            parts = super().astream(taken, config, *args, **self._stops(kwargs, call))
            async with aclosing(parts):  # type: ignore[type-var]  # else it is closed when it is collected
                async for part in parts:
                    yield part if call.is_inner else self._shown(part)

    def astream_events(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """As ``CompiledStateGraph.astream_events``; the first event shows the reference in place of the text."""
        if kwargs.get("version") == "v3":
            return super().astream_events(input, config, **kwargs)  # goes through astream
        return self._events(input, config, kwargs)

    async def _events(self, input: Any, config: RunnableConfig | None, kwargs: dict[str, Any]) -> AsyncIterator[Any]:
        input, call = self._auto(plain(input)), _Call(OpenRun(), self._merged(config))
        events = super().astream_events(await self._interned(input, call), config, **kwargs)
        async with aclosing(events):
            async for event in events:
                yield event

    def bulk_update_state(self, config: RunnableConfig, supersteps: Sequence[Sequence[StateUpdate]]) -> RunnableConfig:
        """As ``CompiledStateGraph.bulk_update_state``, which ``update_state`` calls."""
        call = _Call(OpenRun(), config)
        taken = [
            [step._replace(values=self._interned_now(plain(step.values), call)) for step in steps]
            for steps in supersteps
        ]
        return super().bulk_update_state(config, taken)

    async def abulk_update_state(
        self, config: RunnableConfig, supersteps: Sequence[Sequence[StateUpdate]]
    ) -> RunnableConfig:
        """As ``CompiledStateGraph.abulk_update_state``, which ``aupdate_state`` calls."""
        call = _Call(OpenRun(), config)
        taken = [
            [step._replace(values=await self._interned(plain(step.values), call)) for step in steps]
            for steps in supersteps
        ]
        return await super().abulk_update_state(config, taken)

    # --- schemas: what a client may send and gets, without our private keys ---

    def get_input_jsonschema(self, config: RunnableConfig | None = None) -> dict[str, Any]:
        """As ``CompiledStateGraph.get_input_jsonschema``."""
        return TypeAdapter(public_of(self.builder.input_schema)).json_schema()

    def get_output_jsonschema(self, config: RunnableConfig | None = None) -> dict[str, Any]:
        """As ``CompiledStateGraph.get_output_jsonschema``."""
        return TypeAdapter(public_of(self.builder.output_schema)).json_schema()

    def get_input_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:
        """As ``CompiledStateGraph.get_input_schema``."""
        return self.rlm.input_model or _model(self.get_name("Input"), public_of(self.builder.input_schema))

    def get_output_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:
        """As ``CompiledStateGraph.get_output_schema``."""
        return _model(self.get_name("Output"), public_of(self.builder.output_schema))

    # --- before a run ---

    def estimate(
        self, question: str, *, context: Any = None, limits: Limits | Mapping[str, Any] | None = None
    ) -> Estimate:
        """What a question may take on each route: calls, tokens, USD and seconds. No model and no vector store is asked.

        Args:
            question: as it would be asked.
            context: what would come with it, or its ``ContextRef``.
            limits: of the request: they narrow the graph's.

        Raises:
            InvalidInput: the question is empty, the context is no text, a limit cannot be used, or the graph has no routes.

        Example:
            >>> from langgraph_rlm import ExtractiveModel, create_rlm
            >>> graph = create_rlm(ExtractiveModel(), sandbox="unsafe", limits={"max_calls": 50})
            >>> graph.estimate("How many errors are there?", context="an error " * 1_000_000)["routes"]["rlm"]["calls"]
            {'low': 2, 'high': 50}
        """
        if self.rlm.estimating is None:
            raise InvalidInput(
                f"the graph {self.name!r} has no routes to estimate; create_rlm, create_rag and create_smart_rag do"
            )
        if not isinstance(question, str) or not question.strip():
            raise InvalidInput("the question is empty")
        measured = None if is_empty(context) else measure(context)
        if measured is None and not is_empty(context):
            raise InvalidInput(f"a context is text, several texts or a ContextRef, not {type(context).__name__}")
        return self.rlm.estimating.of(question, measured, limits)

    # --- the parts of a run ---

    def _opened(self, config: RunnableConfig) -> OpenRun:
        return OpenRun(self.rlm.routes, config, is_node=is_node(self, config), stream=self.rlm.stream)

    def _merged(self, config: RunnableConfig | None) -> RunnableConfig:
        """With what ``with_config`` has bound, so that functions of the config see it, and with steps enough."""
        bound, given = self.config or {}, config or {}
        configurable = {**bound.get("configurable", {}), **given.get("configurable", {})}
        merged: RunnableConfig = {**given, "configurable": configurable}
        steps = ensure_config(bound | given).get("recursion_limit")
        if isinstance(steps, int) and 0 < steps < self.rlm.least_steps:
            merged["recursion_limit"] = self.rlm.least_steps
        return merged

    def _taken(self, input: Any, call: _Call) -> Any:
        """The input, checked, with the id of its run, so that this is known even where no checkpoint but the input's was
        written. A graph in a node of another one leaves the id to that node: its input comes again when it runs again."""
        if input is None or isinstance(input, Command):
            return input
        input = plain(input)
        if not isinstance(input, Mapping):
            raise InvalidInput(f"the input must be a mapping with {self._wanted()}, not {type(input).__name__}")
        if call.is_inner:
            return input
        if private := [key for key in input if str(key).startswith(PRIVATE) and key not in (TAKEN, OPTIONS)]:
            raise InvalidInput(f"{private[0]}: keys that begin with {PRIVATE!r} are private; leave it out")
        input = self._auto({key: value for key, value in input.items() if value is not None})  # servers fill in None
        # The second: a tool, such as deepagents' `task`, that calls us with a config of its own and its graph's whole state.
        around = (ensure_config(call.config), ensure_config(None))
        if any(one.get("configurable", {}).get("checkpoint_ns") for one in around):
            return input
        known = public_names(self.builder.input_schema)
        unknown = [str(key) for key in input if key not in known and key != TAKEN]
        if unknown and not self.rlm.keys.auto_context:  # else it is a state of which we take what we need
            own_context = "context" in self.rlm.context_keys
            if own_context and unknown[0] == self._key("context"):
                raise InvalidInput(
                    f"the graph {self.name!r} reads no context: it searches its corpus. create_rlm and create_smart_rag read one"
                )
            named = (
                f" Another name for a key is given when the graph is made: keys={{'context': {unknown[0]!r}}}"
                if own_context
                else ""
            )
            raise InvalidInput(
                f"the graph {self.name!r} reads no {unknown[0]!r}{nearest(unknown[0], known)}; it reads {', '.join(known)}.{named}"
            )
        return {**input, CARRY: Carry(run=new_id())}

    def _auto(self, input: Any) -> Any:
        """The input with the fields that hold long text as its context, where the keys leave that to us."""
        if not self.rlm.keys.auto_context or not isinstance(input, Mapping) or self._key("context") in input:
            return input
        own = {self._key(name) for name in ("question", "messages")}
        rest = {key: value for key, value in input.items() if key not in own and not str(key).startswith(PRIVATE)}
        found = [one.name for one in detect_context_fields(rest, window_tokens=self.rlm.window)] or _longest_of(rest)
        if not found:
            return input
        context = rest[found[0]] if len(found) == 1 else {name: rest[name] for name in found}
        left = {key: value for key, value in input.items() if key not in found}
        return {**left, self._key("context"): context, TAKEN: found}

    def _stops(self, given: Mapping[str, Any], call: _Call) -> dict[str, Any]:
        """``interrupt_before`` and ``interrupt_after``, also for the nodes of the graphs that are nodes of this one."""
        options = dict(given)
        mine = set(self.nodes)
        inner = {name for node in self.nodes.values() for name in _nodes_of(node.bound)}
        for when in ("interrupt_before", "interrupt_after"):
            names = options.get(when)
            if names is None:
                wanted = call.opened.pauses.get(when, ())
                options[when] = wanted if wanted == "*" else [name for name in wanted if name in mine]
                continue
            if names == "*":
                call.opened.pauses[when] = names
                continue
            if unknown := [name for name in names if name not in mine | inner]:
                known = ", ".join(sorted((mine | inner) - {"__start__"}))
                raise InvalidInput(f"{when}: there is no node {unknown[0]!r}; there are {known}")
            call.opened.pauses[when] = list(names)
            options[when] = [name for name in names if name in mine]
        return options

    def _interned_now(self, input: Any, call: _Call) -> Any:
        if not (raw := self._raw_contexts(input)):
            return input
        store = Runtime.default().run(self._store_of(call, is_async=False), call.opened.stop)
        refs = dict[str, Any]()
        for key, text in raw.items():
            with _naming(key):
                refs[key] = store.put(text)
        return self._with_contexts(input, refs)

    async def _interned(self, input: Any, call: _Call) -> Any:
        raw = await in_thread(self._raw_contexts, input) if self.rlm.as_text else self._raw_contexts(input)
        if not raw:
            return input
        store = await self._store_of(call, is_async=True)
        refs = dict[str, Any]()
        for key, text in raw.items():
            with _naming(key):
                refs[key] = await store.aput(text)
        return self._with_contexts(input, refs)

    async def _store_of(self, call: _Call, *, is_async: bool) -> ContextStore:
        assert self.rlm.contexts is not None  # there is a context
        face = Runtime.default().face(is_async=is_async)
        return await call.opened.contexts.of(self.rlm.contexts, call.config, face)

    def _raw_contexts(self, input: Any) -> dict[str, Any]:
        """The contexts of an input by key, where they are to be put into the store."""
        if self.rlm.contexts is None:
            return {}
        values = input.update if isinstance(input, Command) else input
        if isinstance(values, list | tuple) and all(
            isinstance(pair, list | tuple) and len(pair) == 2 for pair in values
        ):
            values = dict(values)  # a Command's update may be pairs
        if not isinstance(values, Mapping):
            return {}
        raw = dict[str, Any]()
        for ours in self.rlm.context_keys:
            if not is_empty(given := values.get(key := self._key(ours))):
                is_stored = isinstance(given, Mapping) and "context_ref" in given
                raw[key] = given if is_stored or ours not in self.rlm.as_text else self.rlm.as_text[ours](given)
        return raw

    def _with_contexts(self, input: Any, refs: Mapping[str, Any]) -> Any:
        if isinstance(input, Command):
            return replace(input, update=self._with_contexts(input.update, refs))
        if isinstance(input, Mapping):
            return {**input, **refs}
        return [*(pair for pair in input if pair[0] not in refs), *refs.items()]

    def _shown(self, part: Any) -> Any:
        """A part of the stream as the user sees it: without private keys, with an instance of ``response_format``."""
        if isinstance(part, tuple):
            if len(part) == 3 and part[0]:
                return part  # of a sub-graph
            return (*part[:-1], self._values(part[-1]))
        if isinstance(part, dict) and part.get("type") == "values" and part.get("ns") == () and "data" in part:
            return {**part, "data": self._values(part["data"])}
        return self._values(part)

    def _values(self, values: Any) -> Any:
        key = self._key("structured_response")
        if not isinstance(values, dict):
            return values
        shown = {name: value for name, value in values.items() if not str(name).startswith(PRIVATE)}
        if self.rlm.shape is not None and shown.get(key) is not None:
            shown[key] = self.rlm.shape.instance(shown[key])
        return shown

    def _key(self, ours: str) -> str:
        return self.rlm.keys.name(ours)

    def _wanted(self) -> str:
        known = public_names(self.builder.input_schema)
        wanted = [name for name in (self._key("question"), self._key("messages")) if name in known]
        return " or ".join(map(repr, wanted)) if len(wanted) == 2 else ", ".join(map(repr, known))


@dataclass(frozen=True, slots=True)
class _Call:
    """One call of a graph.

    Args:
        opened: the run that it belongs to.
        config: with that run.
        is_inner: the graph is a route of another one of ours.
    """

    opened: OpenRun
    config: RunnableConfig
    is_inner: bool = False


def _is_inner(input: Any, opened: OpenRun, own: OpenRun) -> bool:
    return opened is not own and isinstance(input, Mapping) and CARRY in input


def compiled(
    builder: StateGraph[Any, Any, Any, Any], edge: Edge, *, name: str, checkpointer: Any = None, store: Any = None
) -> RLMGraph:
    """The builder's graph, as one of ours.

    ``StateGraph.compile`` has no hook for the class it makes, so the class is changed afterwards.
    """
    graph = builder.compile(checkpointer=checkpointer, store=store, name=name)
    graph.__class__ = RLMGraph
    graph.rlm = edge  # type: ignore[attr-defined]
    return graph  # type: ignore[return-value]


def has_ended(state: StateSnapshot) -> bool:
    """Whether a thread's run came to its end. ``state.next`` does not tell: it leaves out a step that is done and whose
    checkpoint was not written any more."""
    return bool(state.values) and not state.tasks


@contextmanager
def _naming(key: str) -> Iterator[None]:
    """An error that calls a text "context" says which key it was in, where that has another name."""
    try:
        yield
    except InvalidInput as error:
        raise error if key == "context" else InvalidInput(f"input {key!r}: {error}") from None


def _longest_of(inputs: Mapping[str, Any]) -> list[str]:
    """The name of the longest text, where none is long enough to be a context by itself."""
    sizes = {name: size.chars for name, value in inputs.items() if (size := measure(value)) is not None and size.chars}
    return [max(sizes, key=lambda name: sizes[name])] if sizes else []


def _nodes_of(bound: Any) -> set[str]:
    """Names of the nodes of a graph that is a node."""
    steps = [bound, *getattr(bound, "steps", ())]
    return {name for step in steps if isinstance(step, Pregel) for name in step.nodes if name != "__start__"}


def _model(name: str, kind: type) -> type[BaseModel]:
    made: type[BaseModel] = create_model(name, **{key: (hint, None) for key, hint in kind.__annotations__.items()})  # type: ignore[call-overload]
    return made
