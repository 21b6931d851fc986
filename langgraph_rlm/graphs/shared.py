"""What all routes of one graph share, made once: models, corpus, contexts, accounts, the wanted shape of answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, convert_to_messages
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config
from langgraph.store.base import BaseStore

from langgraph_rlm.calls.account import Account
from langgraph_rlm.calls.accounts import Accounts
from langgraph_rlm.calls.memo import Memo, Occurrences, digest_of
from langgraph_rlm.calls.memo_files import memo_for
from langgraph_rlm.calls.models import Model, ModelCaller
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.graphs.keys import Keys
from langgraph_rlm.graphs.structured import Shape
from langgraph_rlm.limits import Limits
from langgraph_rlm.prices import Prices, checked_prices
from langgraph_rlm.runs.contexts import ContextsLike, check_contexts
from langgraph_rlm.runs.corpora import CorpusLike, check_corpus
from langgraph_rlm.text import ContextStore

_ACCOUNT = "__rlm_account"
"""In ``configurable``, for what a user's own route calls: who pays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What the routes of one graph have in common. A user's own route gets it: ``Route("mine", "…", make=lambda shared: …)``.

    Args:
        root: answers; the root model of the recursive route.
        sub: answers sub-calls, rewrites follow-ups.
        corpus: what is searched; None without one.
        contexts: where contexts live.
        accounts: what runs are paid from.
        shape: of ``structured_response``; None for none.
        window: tokens that the user says fit a request; None for what the model's profile says.
        keys: the user's names of the state's keys.
    """

    root: ModelCaller
    sub: ModelCaller
    corpus: CorpusLike | None
    contexts: ContextsLike
    accounts: Accounts
    shape: Shape | None = None
    window: int | None = None
    keys: Keys = field(default_factory=Keys)

    @classmethod
    def made(
        cls,
        model: Model,
        *,
        sub_model: Model | None = None,
        corpus: CorpusLike | None = None,
        contexts: ContextsLike | None = None,
        limits: Limits | Mapping[str, Any] | None = None,
        response_format: Any = None,
        window: int | None = None,
        prices: Prices | None = None,
        memo: Memo | BaseStore | None = None,
        keys: Mapping[str, str] | None = None,
        known_keys: tuple[str, ...] = (),
    ) -> Self:
        """From the arguments of a factory, which are checked here.

        Raises:
            InvalidInput, MissingDependency, AuthenticationFailed: an argument cannot be used.
        """
        check_corpus(corpus, required=False)
        check_contexts(contexts)
        held = ContextStore() if contexts is None else contexts
        root = ModelCaller(model, window=window)
        return cls(
            root=root,
            sub=root if sub_model is None else ModelCaller(sub_model, window=window),
            corpus=corpus,
            contexts=held,
            accounts=Accounts(
                Limits.of(limits),
                memo_for(memo, held if isinstance(held, ContextStore) else None),
                checked_prices(prices),
            ),
            shape=Shape.of(response_format),
            window=window,
            keys=Keys(keys, known_keys),
        )

    @property
    def model(self) -> BilledModel:
        """The graph's model, for a route of the user's own: each call is billed to the question and held by its limits."""
        return BilledModel(self.root, "route")

    @property
    def sub_model(self) -> BilledModel:
        """The graph's sub-model, likewise."""
        return BilledModel(self.sub, "route")


class BilledModel(Runnable[LanguageModelInput, AIMessage]):
    """A model whose calls are paid from the account of the question that is being answered.

    Args:
        caller: asks it.
        role: of these calls, in traces.

    Example:
        >>> def make(shared):
        ...     return lambda state: {"answer": shared.model.invoke(f"Summarize: {state['question']}").text}
    """

    def __init__(self, caller: ModelCaller, role: str) -> None:
        self._caller, self._role = caller, role
        self.name = caller.name

    def invoke(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> AIMessage:
        """The answer; blocks.

        Raises:
            LimitReached, ModelError: as for every model call of the graph.
            InvalidInput: called outside of a run.
        """
        config = ensure_config(config)
        payer = _payer_of(config)
        if _running_loop() is payer.loop:
            raise InvalidInput("shared.model.invoke() would wait for itself here: write  await shared.model.ainvoke(…)")
        return asyncio.run_coroutine_threadsafe(self._asked(input, config, payer), payer.loop).result()

    async def ainvoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """As ``invoke``."""
        config = ensure_config(config)
        payer = _payer_of(config)
        if _running_loop() is payer.loop:
            return await self._asked(input, config, payer)
        return await asyncio.wrap_future(
            asyncio.run_coroutine_threadsafe(self._asked(input, config, payer), payer.loop)
        )

    async def _asked(self, input: LanguageModelInput, config: RunnableConfig, payer: Payer) -> AIMessage:
        messages = _messages(input)
        asked = digest_of(self.name, [[message.type, message.content] for message in messages])
        key = payer.occurrences.key(f"{self._role}/{payer.place}", asked)
        reply = await self._caller.ask(messages, account=payer.account, config=config, role=self._role, key=key)
        return AIMessage(reply.text)


@dataclass(frozen=True, slots=True)
class Payer:
    """Who pays for the calls of a route of the user's own.

    Args:
        account: of the question.
        place: name of the route.
        loop: on which the account lives.
        occurrences: of equal requests.
    """

    account: Account
    place: str
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    occurrences: Occurrences = field(default_factory=Occurrences)

    def within(self, config: RunnableConfig) -> RunnableConfig:
        """The config for what it pays."""
        return {**config, "configurable": {**config.get("configurable", {}), _ACCOUNT: self}}


def _payer_of(config: RunnableConfig) -> Payer:
    payer = config.get("configurable", {}).get(_ACCOUNT)
    if not isinstance(payer, Payer):
        raise InvalidInput(
            "shared.model can only be called while a question is being answered: inside of the route's node"
        )
    return payer


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _messages(input: LanguageModelInput) -> list[BaseMessage]:
    if isinstance(input, PromptValue):
        return input.to_messages()
    return convert_to_messages([input] if isinstance(input, str) else input)
