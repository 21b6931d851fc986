"""The smart router: which of direct, classic RAG and the recursive route a question should take, and why.

A look-up is answered best and cheapest by RAG; counting, comparing, enumerating and following several steps over many
documents needs the recursive route; and what fits the model's window altogether needs neither.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, cast

from langchain_core.messages import BaseMessage
from langgraph.types import Command

from langgraph_rlm.budget import Budget
from langgraph_rlm.calls.account import Account
from langgraph_rlm.calls.accounts import Accounts
from langgraph_rlm.calls.models import Model, ModelCaller
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.graphs.detect import measure
from langgraph_rlm.graphs.graph import OPTIONS
from langgraph_rlm.graphs.keys import Keys, is_empty
from langgraph_rlm.graphs.nodes import Node, routing_node
from langgraph_rlm.graphs.routes import BUILT_IN, RAG, RLM, Route
from langgraph_rlm.graphs.routing.judging import Classifier, Judge
from langgraph_rlm.graphs.routing.rules import GREY, SHIFT, Means, Rules, Size, Weighed, decided
from langgraph_rlm.graphs.routing.weights import Weights
from langgraph_rlm.limits import Limits
from langgraph_rlm.runs.contexts import ContextsLike, check_contexts
from langgraph_rlm.runs.corpora import CorpusLike, check_corpus, known_corpus
from langgraph_rlm.runs.request import limits_of
from langgraph_rlm.runs.run import Run
from langgraph_rlm.runs.runtime import Runtime
from langgraph_rlm.text import ContextStore
from langgraph_rlm.threads import in_thread
from langgraph_rlm.types import ContextRef, Decision

_LEVELS = {"rlm": 2, "complex": 2, True: 2, "rag+": 1, "rag": 0, "simple": 0, False: 0}
"""What a question needs, by its label: eight passages, twenty and names that are followed, or a recursive run."""


class SmartRouter:
    """Decides by the question, by how the corpus answers its words, and by the sizes of what there is to read.

    The rules take no training data and no model call. What they cannot tell may be asked of a classifier.

    Args:
        corpus: what RAG and the recursive route search; one search by words tells how well it answers the question.
        contexts: resolves ``ContextRef``s; needed only for texts that are given raw to ``decide``.
        window: tokens that the answering model can read, or the model itself.
        classifier: a second opinion. A chat model (or its name) is asked only where the rules are not sure; a function
            of question and features, a Runnable or an object with ``decide(question)`` wherever the sizes do not decide.
            Verdicts: a route, ``simple`` or ``complex``, a bool, the probability of ``rlm``, or probabilities by route.
            When it fails or answers nonsense the rules decide, and the decision says so.
        weights: what :meth:`fit` or :meth:`calibrate` learnt, or the file that :meth:`save` wrote.
        prefer: ``cost`` sends fewer questions to the recursive route, ``quality`` more.
        question: where a user's state holds the question: a key, or a function of the state. Default: ``question``,
            else the last human message.
        routes: of the user's own beside ``direct``, ``rag`` and ``rlm``, see :class:`Route`.

    Raises:
        InvalidInput, MissingDependency, AuthenticationFailed: the arguments cannot be used.

    Example:
        >>> SmartRouter().decide("How many times does `retry` occur in all modules?")["route"]
        'rlm'
    """

    def __init__(
        self,
        *,
        corpus: CorpusLike | None = None,
        contexts: ContextsLike | None = None,
        window: int | Model | None = None,
        classifier: Classifier | None = None,
        weights: Weights | str | os.PathLike[str] | None = None,
        prefer: Literal["cost", "balanced", "quality"] = "balanced",
        question: str | Callable[[Any], str] | None = None,
        routes: Sequence[Route] = (),
    ) -> None:
        check_corpus(corpus, required=False)
        check_contexts(contexts)
        if prefer not in SHIFT:
            raise InvalidInput(f"prefer must be 'cost', 'balanced' or 'quality', not {prefer!r}")
        if isinstance(window, bool) or (isinstance(window, int) and window <= 0):
            raise InvalidInput(f"window must be a number of tokens above 0, not {window}")
        self._corpus, self._contexts, self._question = corpus, contexts, question
        self._routes = {route.name: route for route in (*BUILT_IN, *routes)}
        self._judge = None if classifier is None else Judge(classifier)
        caller = None if window is None or isinstance(window, int) else ModelCaller(window)
        self._model = "" if caller is None else caller.name
        self._rules = Rules(
            Weights() if weights is None else weights if isinstance(weights, Weights) else Weights.load(weights),
            caller.window if caller is not None else cast("int | None", window),
            prefer,
        )

    # --- deciding ---

    def decide(self, question: str, *, context: Any = None, limits: Limits | None = None) -> Decision:
        """The route for a question.

        Args:
            question: as the user asked it.
            context: the run's context, where there is one.
            limits: what the answer may use; where they allow very few calls or seconds the recursive route is not
                taken. USD count when the router was given the model (``window=``) and its price is known.

        Raises:
            InvalidInput: the question is empty, or the context is none.
        """
        weighed = self._weighed(question, context, self._means(limits))
        if (offered := self._offered(question, weighed, context)) is not None:
            return offered
        if not self._to_be_judged(weighed):
            return weighed.decision
        return Runtime.default().run(self._judged(question, weighed, Run.alone(is_async=False), None))

    async def adecide(self, question: str, *, context: Any = None, limits: Limits | None = None) -> Decision:
        """As ``decide``; what reads the corpus runs in a thread, and a classifier is awaited."""
        weighed = await in_thread(self._weighed, question, context, self._means(limits))
        if (offered := await in_thread(self._offered, question, weighed, context)) is not None:
            return offered
        if not self._to_be_judged(weighed):
            return weighed.decision
        return await self._judged(question, weighed, Run.alone(is_async=True), None)

    async def decide_for(
        self, question: str, context: Any, run: Run, account: Account | None = None, model: str = ""
    ) -> Decision:
        """As ``decide`` inside a node: with the request's corpus, limits and forced route.

        Args:
            question: stands alone.
            context: of the run, or None.
            run: the node's.
            account: pays for the classifier; what is left on it counts as the limits.
            model: name of the recursive route's, whose price tells how far what is left goes; ``window=``'s when empty.
        """
        corpus = None if self._corpus is None else await run.corpus(self._corpus)
        where = run.options.get("where")
        means = (
            self._means(limits_of(_NO_LIMITS, run.options))
            if account is None
            else Means.of(account.budget, model or self._model)
        )
        contexts = None if self._contexts is None else await run.contexts(self._contexts)
        size = _size_of(context, contexts)
        weighed = await run.face.block(
            lambda: self._rules.weigh(question, context=size, corpus=corpus, where=where, means=means)
        )
        forced = run.options.get("route", "auto")
        decision = weighed.decision
        if forced != "auto":
            self._check_known(forced)
            decision["route"], decision["confidence"] = forced, 1.0
            decision["options"] = weighed.reading if forced == RAG.name else {}
            decision["reasons"] = [f"the request asks for the {forced} route"]
        elif (offered := await run.face.block(self._offered, question, weighed, context)) is not None:
            decision = offered
        elif self._to_be_judged(weighed):
            decision = await self._judged(question, weighed, run, account)
        run.emit("route", decision=decision)
        return decision

    def offering(self, routes: Sequence[Route]) -> SmartRouter:
        """A router like this one that knows these routes too."""
        made = copy.copy(self)
        made._routes = {**self._routes, **{route.name: route for route in routes}}
        return made

    def _offered(self, question: str, weighed: Weighed, context: Any) -> Decision | None:
        """A route of the user's own that says that it is meant; of several the likeliest."""
        features = weighed.decision["features"]
        chances = list[tuple[float, str]]()
        for route in self._routes.values():
            if route.when is None or (context is not None and not route.takes_context):
                continue
            chance = float(route.when(question, features))
            if not 0 <= chance <= 1:  # NaN too
                raise InvalidInput(
                    f"Route {route.name!r}: when() must give a bool or a number from 0 to 1, not {chance!r}"
                )
            chances.append((chance, route.name))
        chance, name = max(chances, default=(0.0, ""))
        if chance < 0.5:
            return None
        reasons = [f"the route {name!r} says that it is meant", *weighed.decision["reasons"]]
        return decided(name, chance, reasons, features)

    def _check_known(self, name: str) -> None:
        if name not in self._routes:
            raise InvalidInput(f"there is no route {name!r}; there are {', '.join(self._routes)}")

    def _weighed(self, question: str, context: Any, means: Means) -> Weighed:
        corpus = known_corpus(self._corpus)  # a function needs a request
        contexts = self._contexts if isinstance(self._contexts, ContextStore) else None
        return self._rules.weigh(question, context=_size_of(context, contexts), corpus=corpus, means=means)

    def _means(self, limits: Limits | None) -> Means:
        return Means() if limits is None else Means.of(Budget(limits), self._model)

    def _to_be_judged(self, weighed: Weighed) -> bool:
        if self._judge is None or weighed.log_odds is None:
            return False
        return self._judge.model is None or abs(weighed.log_odds) < GREY

    async def _judged(self, question: str, weighed: Weighed, run: Run, account: Account | None) -> Decision:
        if self._judge is None:
            return weighed.decision
        if account is None:
            account = await Accounts.for_one_call(run, Limits())
        decision = weighed.decision
        verdict, problem = await self._judge.verdict(question, decision["features"], run, account)
        if verdict is None:
            decision["reasons"] = [*decision["reasons"], problem]
            return decision
        route = RLM.name if verdict.chance >= 0.5 else RAG.name
        said = f"the classifier {self._judge.name} says {route}{f': {verdict.reason}' if verdict.reason else ''}"
        options = weighed.reading if route == RAG.name else {}
        return decided(route, verdict.chance, [said, *decision["reasons"]], decision["features"], options)

    # --- learning from a user's own questions ---

    def fit(
        self,
        questions: Sequence[str],
        labels: Sequence[Any],
        *,
        cost_of_missing_complex: float = 1.0,
        cost_of_needless_rlm: float = 1.0,
    ) -> SmartRouter:
        """A router like this one, with weights learnt from questions whose right route is known.

        The weights stay near those that ship unless the examples say otherwise. With a corpus, what it shows of each
        question is learnt from as well.

        Args:
            questions: as users asked them.
            labels: for each ``rag`` or ``rlm`` (also ``simple`` or ``complex``, or whether it is complex), or ``rag+`` where RAG
                with 20 passages and names that are followed answers it; without a corpus that counts as complex.
            cost_of_missing_complex: of a complex question that goes to RAG, in any unit.
            cost_of_needless_rlm: of a simple one that goes to the recursive route, in the same unit.

        Raises:
            InvalidInput: other labels, questions of one kind only, a cost that is no number above 0.

        Example:
            >>> asked = ["What is the notice period?", "Who wrote the report?", "List every change since 2020."]
            >>> router = SmartRouter().fit(asked, ["rag", "rag", "rlm"], cost_of_missing_complex=5)
            >>> [router.decide(question)["route"] for question in ("When was it built?", "List all the names.")]
            ['rag', 'rlm']
        """
        return self._learnt(Weights.fitted, questions, labels, cost_of_missing_complex, cost_of_needless_rlm)

    def calibrate(
        self,
        questions: Sequence[str],
        labels: Sequence[Any],
        *,
        cost_of_missing_complex: float = 1.0,
        cost_of_needless_rlm: float = 1.0,
    ) -> SmartRouter:
        """As :meth:`fit`, but only the threshold moves: to where these questions would have cost least. For few examples."""
        return self._learnt(Weights.calibrated, questions, labels, cost_of_missing_complex, cost_of_needless_rlm)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the weights to a small JSON file, for ``SmartRouter(weights=path)``."""
        self._rules.weights.save(path)

    def _learnt(
        self,
        learn: Callable[..., Weights],
        questions: Sequence[str],
        labels: Sequence[Any],
        missing: float,
        needless: float,
    ) -> SmartRouter:
        if isinstance(questions, str) or len(questions) != len(labels):
            raise InvalidInput(
                f"questions and labels must be lists of the same length, got {len(questions)} and {len(labels)}"
            )
        levels = [_level(label) for label in labels]
        examples = [self._weighed(one, None, Means()).decision["features"] for one in questions]
        weights = self._rules.weights
        learnt = learn(weights, examples, [level > 0 for level in levels], missing=missing, needless=needless)
        if any("fall_off" in one for one in examples) and {0, 1} & set(levels) and 2 in levels:
            deep = [level == 2 for level in levels]
            further = learn(weights.for_further(), examples, deep, missing=missing, needless=needless)
            learnt = replace(learnt, further=further)
        made = copy.copy(self)
        made._rules = replace(self._rules, weights=learnt)
        return made

    # --- in a user's graph ---

    def node(self, *, name: str = "router", keys: Mapping[str, str] | None = None, **routes: str) -> Node:
        """A node that goes to the user's own nodes; the destinations are drawn, and checked when the graph compiles.

        The state may be a dict, a dataclass or a pydantic model. The decision is sent as a custom event, and written
        to the state's keys ``route``, ``decision`` and ``rlm_options`` where it has them: :func:`create_rag` as a node retrieves by
        these options, and a node of your own may.

        Args:
            name: of this node in traces.
            keys: other names of ``question``, ``messages``, ``context``, ``route`` and ``decision`` in the state.
            routes: by name of the route the name of the user's node: ``rag="lookup", rlm="research"``. ``rag`` takes what
                would go to ``direct`` when this has no node.

        Raises:
            InvalidInput: an unknown route, or no node for ``rag`` or ``rlm``.

        Example:
            >>> from langgraph.graph import START, MessagesState, StateGraph
            >>> builder = StateGraph(MessagesState)
            >>> for name in ("lookup", "research"):
            ...     _ = builder.add_node(name, lambda state: {"messages": []})
            >>> _ = builder.add_node("router", SmartRouter().node(rag="lookup", rlm="research"))
            >>> graph = builder.add_edge(START, "router").compile()
        """
        for route in routes:
            self._check_known(route)
        for needed in (RAG.name, RLM.name):
            if needed not in routes:
                raise InvalidInput(f'SmartRouter.node: name the node for {needed!r}: node({needed}="…", …)')
        targets = {"direct": routes[RAG.name], **routes}
        named = Keys(keys, ("question", "messages", "context", "route", "decision"))
        offered = self._only(targets)

        async def choose(state: Any, run: Run) -> Command[str]:
            decision = await offered._decided(state, run, named)
            update = {named.name("route"): decision["route"], named.name("decision"): decision}
            update[OPTIONS] = decision["options"]
            return Command(goto=targets[decision["route"]], update=update)

        return routing_node(choose, name, sorted(set(targets.values())))

    @property
    def edge(self) -> Node:
        """For ``add_conditional_edges``: gives ``"rag"``, ``"rlm"`` or ``"direct"``, to be mapped to nodes.

        Example:
            >>> from langgraph.graph import START, MessagesState, StateGraph
            >>> builder, nodes = StateGraph(MessagesState), {"rag": "lookup", "rlm": "research", "direct": "lookup"}
            >>> for name in ("lookup", "research"):
            ...     _ = builder.add_node(name, lambda state: {"messages": []})
            >>> graph = builder.add_conditional_edges(START, SmartRouter().edge, nodes).compile()
        """

        async def route(state: Any, run: Run) -> str:
            return (await self._decided(state, run, Keys()))["route"]

        return Node(route, "router")

    def _only(self, names: Mapping[str, str]) -> SmartRouter:
        made = copy.copy(self)
        made._routes = {name: route for name, route in self._routes.items() if name in names}
        return made

    async def _decided(self, state: Any, run: Run, keys: Keys) -> Decision:
        context = _value(state, keys.name("context"))
        return await self.decide_for(self._asked(state, keys), None if is_empty(context) else context, run)

    def _asked(self, state: Any, keys: Keys) -> str:
        if callable(self._question):
            asked: Any = self._question(state)
        else:
            asked = _value(state, self._question or keys.name("question"))
            if asked is None and self._question is None:
                humans = [
                    m
                    for m in _value(state, keys.name("messages")) or []
                    if isinstance(m, BaseMessage) and m.type == "human"
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


_NO_LIMITS = Limits(max_calls=None, max_cost_usd=None, max_seconds=None)


def _level(label: Any) -> int:
    known = _LEVELS.get(label) if isinstance(label, str | bool) else None
    if known is None:
        raise InvalidInput(f"labels must be 'rag', 'rag+' or 'rlm', 'simple' or 'complex', or bools; got {label!r}")
    return known


def _value(state: Any, key: str) -> Any:
    return state.get(key) if isinstance(state, Mapping) else getattr(state, key, None)


def _size_of(context: Any, contexts: ContextStore | None) -> Size | None:
    if context is None:
        return None
    if contexts is not None and isinstance(context, Mapping) and "context_ref" in context:
        stat = contexts.stat(cast(ContextRef, context))  # a client may claim any
        return Size(stat["chars"], stat["docs"])
    measured = measure(context)
    if measured is None:
        raise InvalidInput(f"router: context must be text, texts, documents or a ContextRef, got {str(context)[:80]!r}")
    return Size(measured.chars, measured.docs)
