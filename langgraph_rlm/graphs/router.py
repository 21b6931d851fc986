"""The smart router: which of direct, classic RAG and the recursive route a question should take, and why.

A look-up is answered best and cheapest by RAG; counting, comparing, enumerating and following several steps over many
documents needs the recursive route; and what fits the model's window altogether needs neither.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, cast

from langchain_core.messages import BaseMessage
from langgraph.types import Command

from langgraph_rlm.calls.models import DEFAULT_WINDOW, Model, ModelCaller
from langgraph_rlm.corpus import Corpus
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.graphs.bridge import Node, Run, routing_node
from langgraph_rlm.graphs.rag import CorpusLike, corpus_of
from langgraph_rlm.graphs.signals import probability, weigh
from langgraph_rlm.text import ContextStore
from langgraph_rlm.text.detect import advise, measure, room_of, tokens_of
from langgraph_rlm.types import ContextRef, Decision, Route

SMALL_CORPUS_TOKENS = 8_000
"""A whole corpus below this costs no more to read than a few passages do."""
_SHIFT = {"cost": -1.0, "balanced": 0.0, "quality": 1.0}


class Sizes(NamedTuple):
    """What there is to read, in characters; None where there is none."""

    context: int | None
    corpus: int | None


class SmartRouter:
    """Decides by rules on the question and on the sizes of what there is to read; no training data, no model call.

    Args:
        corpus: what RAG and the recursive route search.
        contexts: resolves ``ContextRef``s; needed only for texts that are given raw to ``decide``.
        window: tokens that the answering model can read, or the model itself.
        prefer: ``cost`` sends fewer questions to the recursive route, ``quality`` more.
        question: where a user's state holds the question: a key, or a function of the state. Default: ``question``,
            else the last human message.

    Example:
        >>> SmartRouter().decide("How many times does `retry` occur in all modules?")["route"]
        'rlm'
    """

    def __init__(
        self,
        *,
        corpus: CorpusLike | None = None,
        contexts: ContextStore | None = None,
        window: int | Model | None = None,
        prefer: Literal["cost", "balanced", "quality"] = "balanced",
        question: str | Callable[[Any], str] | None = None,
    ) -> None:
        if prefer not in _SHIFT:
            raise InvalidInput(f"prefer must be 'cost', 'balanced' or 'quality', not {prefer!r}")
        if isinstance(window, bool) or (isinstance(window, int) and window <= 0):
            raise InvalidInput(f"window must be a number of tokens above 0, not {window}")
        self._corpus, self._contexts, self._prefer, self._question = corpus, contexts, prefer, question
        self._window = (
            DEFAULT_WINDOW if window is None else window if isinstance(window, int) else ModelCaller(window).window
        )

    # --- deciding ---

    def decide(self, question: str, *, context: Any = None) -> Decision:
        """The route for a question.

        Args:
            question: as the user asked it.
            context: the run's context, where there is one.

        Raises:
            InvalidInput: the question is empty.
        """
        corpus = self._corpus if isinstance(self._corpus, Corpus) else None
        return self._weighed(question, self._sizes(context, corpus))

    async def adecide(self, question: str, *, context: Any = None) -> Decision:
        """As ``decide``; what reads the corpus runs in a thread."""
        return await asyncio.to_thread(self.decide, question, context=context)

    async def decide_for(self, question: str, context: Any, run: Run) -> Decision:
        """As ``decide`` inside a node: with the request's corpus and the request's forced route."""
        corpus = None if self._corpus is None else await corpus_of(self._corpus, run)
        where = run.options.get("where")
        decision = await run.face.block(lambda: self._weighed(question, self._sizes(context, corpus, where)))
        forced = run.options.get("route", "auto")
        if forced != "auto":
            decision["route"], decision["confidence"] = forced, 1.0
            decision["reasons"] = [f"the request asks for the {forced} route"]
        run.emit({"type": "rlm", "event": "route", "depth": 0, "path": [], "decision": decision})
        return decision

    def _sizes(self, context: Any, corpus: Corpus | None, where: dict[str, Any] | None = None) -> Sizes:
        return Sizes(
            _context_chars(context, self._contexts), None if corpus is None else _readable_chars(corpus, where)
        )

    def _weighed(self, question: str, sizes: Sizes) -> Decision:
        if not isinstance(question, str) or not question.strip():
            raise InvalidInput("the question is empty")
        log_odds, features, reasons = weigh(question)
        log_odds += _SHIFT[self._prefer]
        chance = probability(log_odds)
        for name, chars in zip(("context_tokens", "corpus_tokens"), sizes, strict=True):
            if chars is not None:
                features[name] = float(tokens_of(chars))
        if features.get("occurrences"):
            # Models miscount what they read; code does not, however short the text is.
            choice: tuple[Route, float, list[str]] = ("rlm", chance, ["counting is for code, not for reading"])
        else:
            choice = self._route(chance, sizes)
        route, confidence, why = choice
        told = why + (reasons if route == "rlm" else [])
        if route == "rag":
            told += [f"although {reason}" for reason in reasons[:1]] or [
                "it reads like a look-up: nothing asks for many documents or several steps"
            ]
        return Decision(
            route=route, confidence=round(confidence, 3), reasons=told, features=features, escalated_from=None
        )

    def _route(self, chance: float, sizes: Sizes) -> tuple[Route, float, list[str]]:
        """By size first, then by the question."""
        if sizes.context is not None:
            advice = advise(sizes.context, self._window)
            return cast(Route, advice.route), advice.confidence, list(advice.reasons)  # the window is known
        if sizes.corpus is None:
            return ("rlm" if chance >= 0.5 else "rag"), abs(chance - 0.5) * 2, []
        tokens = tokens_of(sizes.corpus)
        if tokens <= min(SMALL_CORPUS_TOKENS, room_of(self._window)):
            return "direct", 1.0, [f"all documents together have about {tokens:,} tokens: they are read at once"]
        return ("rlm" if chance >= 0.5 else "rag"), abs(chance - 0.5) * 2, []

    # --- in a user's graph ---

    def node(self, *, rag: str, rlm: str, direct: str | None = None, name: str = "router") -> Node:
        """A node that goes to the user's own nodes; the destinations are drawn, and checked when the graph compiles.

        The state may be a dict, a dataclass or a pydantic model. The decision is sent as a custom event, and written
        to the state's keys ``route`` and ``decision`` where it has them.

        Args:
            rag: name of the node for look-ups.
            rlm: name of the node for everything that needs many documents or steps.
            direct: name of the node that reads everything at once; ``rag`` takes its questions when None.
            name: of this node in traces.

        Example:
            >>> builder.add_node("router", SmartRouter().node(rag="lookup", rlm="research"))  # doctest: +SKIP
        """
        targets = {"rag": rag, "rlm": rlm, "direct": direct or rag}

        async def route(state: Any, run: Run) -> Command[str]:
            decision = await self._decided(state, run)
            return Command(goto=targets[decision["route"]], update={"route": decision["route"], "decision": decision})

        return routing_node(route, name, sorted(set(targets.values())))

    @property
    def edge(self) -> Node:
        """For ``add_conditional_edges``: gives ``"rag"``, ``"rlm"`` or ``"direct"``, to be mapped to nodes.

        Example:
            >>> builder.add_conditional_edges(START, router.edge, {"rag": "lookup", "rlm": "research", "direct": "lookup"})  # doctest: +SKIP
        """

        async def route(state: Any, run: Run) -> str:
            return (await self._decided(state, run))["route"]

        return Node(route, "router")

    async def _decided(self, state: Any, run: Run) -> Decision:
        return await self.decide_for(self._asked(state), _value(state, "context"), run)

    def _asked(self, state: Any) -> str:
        if callable(self._question):
            asked: Any = self._question(state)
        else:
            asked = _value(state, self._question or "question")
            if asked is None and self._question is None:
                humans = [
                    m for m in _value(state, "messages") or [] if isinstance(m, BaseMessage) and m.type == "human"
                ]
                asked = humans[-1].text if humans else None
        if not isinstance(asked, str) or not asked.strip():
            where = (
                "by the given function"
                if callable(self._question)
                else f"under {self._question or 'question or messages'}"
            )
            raise InvalidInput(f"router: no question was found in the state {where}")
        return asked


def _readable_chars(corpus: Corpus, where: dict[str, Any] | None) -> int:
    """Of what the request may read."""
    return sum(entry["chars"] for entry in corpus.list_documents(where)) if where else corpus.total_chars()


def _value(state: Any, key: str) -> Any:
    return state.get(key) if isinstance(state, Mapping) else getattr(state, key, None)


def _context_chars(context: Any, contexts: ContextStore | None) -> int | None:
    if context is None:
        return None
    if contexts is not None and isinstance(context, Mapping) and "context_ref" in context:
        chars: int = contexts.stat(cast(ContextRef, context))["chars"]  # a client may claim any
        return chars
    measured = measure(context)
    if measured is None:
        raise InvalidInput(f"router: context must be text, texts, documents or a ContextRef, got {str(context)[:80]!r}")
    return measured.chars
