"""Routes as values: what a question can take through :func:`langgraph_rlm.create_smart_rag`.

The three that are built in stand below. A further one is a value like them:
``Route("summarize", "a summary", make=lambda shared: node, when=lambda question, features: question.startswith("Summarize"))``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import Runnable, RunnableLambda
from langgraph.pregel import Pregel

from langgraph_rlm.errors import InvalidInput, LimitReached
from langgraph_rlm.graphs.answering import Answering, kept_by_parents
from langgraph_rlm.graphs.direct import direct_node
from langgraph_rlm.graphs.nodes import Node
from langgraph_rlm.graphs.rag import rag_graph
from langgraph_rlm.graphs.rlm import rlm_graph
from langgraph_rlm.graphs.shared import Payer, Shared
from langgraph_rlm.graphs.state import SmartState, carried
from langgraph_rlm.graphs.telling import tell_budget
from langgraph_rlm.options import refuse_unknown
from langgraph_rlm.runs.run import Run

When = Callable[[str, Mapping[str, float]], bool | float]
"""``(question, features)`` → whether the route is meant, or how likely that is (0 to 1). Features as in a decision."""

_OF_THE_GRAPH = {"checkpointer", "store", "name"}
"""Parameters of a route's graph that belong to the whole."""
_TAKEN = {"start", "router", "escalate", "auto"}
"""Names of nodes, and of what a request says for no route in particular."""


@dataclass(frozen=True, slots=True)
class Route:
    """A way to an answer.

    Args:
        name: of its node, and what a request or a decision calls it.
        label: some words for people: what it does.
        make: gets what the graph's routes share, and the route's own options by name; gives its node: a function of the
            state (sync or async), a Runnable or a graph. It returns a mapping with ``answer``; what it leaves out of
            ``found``, ``citations``, ``stop_reason`` and ``messages`` is added.
        takes_context: whether it reads the run's context; else it gets no question that comes with one.
        when: offers the route to the router; without it only a request or a classifier chooses it.

    Raises:
        InvalidInput: a name that cannot be one.

    Example:
        >>> Route("echo", "says it again", make=lambda shared: lambda state: {"answer": state["question"]}).name
        'echo'
    """

    name: str
    label: str
    make: Callable[..., Any]
    takes_context: bool = False
    when: When | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.isidentifier() or self.name in _TAKEN:
            raise InvalidInput(
                f"Route: {self.name!r} cannot be a route's name: a Python name, and none of {', '.join(sorted(_TAKEN))}"
            )
        if not callable(self.make):
            raise InvalidInput(f"Route {self.name!r}: make must be a function of what routes share, got {self.make!r}")
        if self.when is not None and not callable(self.when):
            raise InvalidInput(
                f"Route {self.name!r}: when must be a function of question and features, got {self.when!r}"
            )

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the options that ``make`` takes."""
        parameters = inspect.signature(self.make).parameters.values()
        return tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in _OF_THE_GRAPH)


DIRECT = Route("direct", "all of it is read", direct_node, takes_context=True)
RAG = Route("rag", "classic retrieval", rag_graph)
RLM = Route("rlm", "recursive", rlm_graph, takes_context=True)
BUILT_IN = (DIRECT, RAG, RLM)


def node_of(route: Route, given: Runnable[Any, Any] | Mapping[str, Any], shared: Shared, graph: frozenset[str]) -> Any:
    """The node of a route: made from its options, or the runnable that was given in its place.

    Args:
        route: of the graph.
        given: options by name, or a runnable.
        shared: of the graph.
        graph: parameters of the factory, to say where an option belongs that stands in the wrong place.

    Raises:
        InvalidInput: an unknown option (``UnknownOption``; the nearest is told), or one of the whole graph.
    """
    if not isinstance(given, Mapping):
        return answering(given, route.name, shared)
    known = route.options
    for name in given:
        if name in known:
            continue
        if name in graph:
            raise InvalidInput(f"{route.name}: {name!r} belongs to the whole graph: create_smart_rag(…, {name}=…)")
        refuse_unknown(route.name, [str(name)], known)
    made = route.make(shared, **given)
    return made if route in BUILT_IN else answering(made, route.name, shared)


def check_routes(routes: Sequence[Route]) -> tuple[Route, ...]:
    """The routes of a graph: those that are built in, then the user's own.

    Raises:
        InvalidInput: something else than routes, or a name twice.
    """
    if isinstance(routes, Route) or not all(isinstance(route, Route) for route in routes):
        raise InvalidInput("routes: expected a list of Route objects")
    every = (*BUILT_IN, *routes)
    names = [route.name for route in every]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InvalidInput(f"routes: {twice!r} is there already; give the route another name")
    return every


def answering(given: Any, name: str, shared: Shared) -> Runnable[Any, Any]:
    """A user's own route as a node, which may return no more than ``answer``: the rest of what every route writes is added.

    Its calls of ``shared.model`` are billed to the question; any other is its own affair.
    """
    channels = given.output_channels if isinstance(given, Pregel) else ()
    if {"messages", "stop_reason"} <= set(channels):
        return given  # one of our graphs, or one of its shape
    if not isinstance(given, Runnable) and not callable(given):
        raise InvalidInput(
            f"{name}: expected a function of the state, a Runnable or a graph, got {type(given).__name__}"
        )

    async def answer(state: SmartState, run: Run) -> dict[str, Any]:
        account = await shared.accounts.opened(run, state["rlm_run"], state.get("usage"))
        config = Payer(account, name).within(run.config)
        try:
            found = await _called(given, state, run, config)
        except LimitReached as reached:
            found = {"answer": f"Partial answer: {reached}.", "found": False, "stop_reason": reached.stop_reason}
        text = found.get("answer") if isinstance(found, Mapping) else None
        if not isinstance(text, str):
            raise InvalidInput(f"{name}: the given runnable must return a mapping with an 'answer' of type str")
        held = carried(state).get("held", False) and not found.get("messages")
        said = Answering(run, state["rlm_answer_id"], held=held)
        messages = [] if found.get("messages") else said.messages(text)
        run.emit("answer", message_id=said.id, stop_reason=found.get("stop_reason", "answered"))
        tell_budget(run, account)
        update = {
            "found": True,
            "stop_reason": "answered",
            "messages": messages,
            "rlm_held": held,
            "usage": account.budget.usage(),
            **found,
        }
        return kept_by_parents(update, name)

    return Node(answer, name, shared.keys)


async def _called(given: Any, state: Any, run: Run, config: Any) -> Any:
    if isinstance(given, Runnable):
        return await run.face.call(given, state, config)
    work = RunnableLambda(given)  # hands over the config where the function has a parameter of that name
    if inspect.iscoroutinefunction(given):
        return await work.ainvoke(state, config)  # on the sync face this is the runtime's loop
    return await run.face.call(work, state, config)
