"""Small helpers that the tests of calls and graphs share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from langchain_core.documents import Document
from langchain_core.messages import BaseMessage

from langgraph_rlm.budget import Budget
from langgraph_rlm.calls.account import Account
from langgraph_rlm.calls.memo import Memo, MemoryMemo, RunId
from langgraph_rlm.corpus import Corpus
from langgraph_rlm.limits import Limits
from langgraph_rlm.repl import ProcessFactory, ProcessRepl, ReplContext, ReplFactory, ReplLimits
from langgraph_rlm.runs.faces import Face
from langgraph_rlm.testing import ScriptedModel

Ask = Callable[..., Awaitable[dict[str, Any]]]


def cell(*lines: str) -> str:
    """A model's reply that holds one cell."""
    return "```repl\n" + "\n".join(lines) + "\n```"


def text_of(messages: Iterable[BaseMessage]) -> str:
    """Everything that a model was told in one request."""
    return "\n".join(message.text for message in messages)


def by_role(
    *,
    root: Any = None,
    sub: Any = None,
    reader: Any = None,
    condense: Any = None,
    grader: Any = None,
    router: Any = None,
) -> Callable[[Any], Any]:
    """One function that plays all roles of a model; each gets ``(prompt, number of its call)`` or is a fixed text."""
    marks = {
        "You are the root model": root,
        "You are the sub-model": sub,
        "You answer a question from": reader,
        "You rewrite the last question": condense,
        "You judge whether passages": grader,
        "You decide how a question": router,
    }
    counts: dict[str, int] = {}

    def reply(messages: list[BaseMessage]) -> Any:
        for mark, role in marks.items():
            if messages[0].text.startswith(mark):
                number = counts[mark] = counts.get(mark, -1) + 1
                if role is None:
                    raise AssertionError(f"nobody should ask: {mark}")
                if isinstance(role, list):
                    return role[number]
                return role(messages[-1].text, number) if callable(role) else role
        raise AssertionError(f"an unknown role: {messages[0].text[:80]}")

    return reply


def account_of(
    limits: Limits | Budget | None = None, *, face: Face, memo: Memo | None = None, run: str = "run"
) -> Account:
    """The account of a run that has spent nothing yet."""
    budget = limits if isinstance(limits, Budget) else Budget(limits or Limits(max_cost_usd=None))
    return Account(budget, memo or MemoryMemo(), RunId("-", run), face)


class SyncAsk:
    """``graph.invoke`` from a thread, as a sync caller does it."""

    name = "invoke"

    async def __call__(self, graph: Any, input: Any, config: Any = None, **options: Any) -> dict[str, Any]:
        return await asyncio.to_thread(graph.invoke, input, config, **options)


class AsyncAsk:
    """``graph.ainvoke``."""

    name = "ainvoke"

    async def __call__(self, graph: Any, input: Any, config: Any = None, **options: Any) -> dict[str, Any]:
        return await graph.ainvoke(input, config, **options)


class WatchedFactory(ReplFactory):
    """Starts real REPL processes and remembers them, so that a test can see that none is left."""

    def __init__(self) -> None:
        self.started: list[ProcessRepl] = []
        self._processes = ProcessFactory(spare=0)

    def start(
        self,
        context: ReplContext | None,
        functions: Collection[str],
        limits: ReplLimits,
        variables: Mapping[str, Any] | None = None,
    ) -> ProcessRepl:
        repl = self._processes.start(context, functions, limits, variables)
        self.started.append(repl)
        return repl

    @property
    def alive(self) -> list[ProcessRepl]:
        """Those whose process is still there (one that is being killed is waited for)."""
        return [repl for repl in self.started if repl.alive or repl._worker.wait(10.0) is None]

    def lose_all(self) -> None:
        """End every REPL, as a crash of the host would."""
        for repl in self.started:
            repl.close()


def make_corpus(directory: Path, texts: Mapping[str, str | tuple[str, dict[str, Any]]], **options: Any) -> Corpus:
    """A real corpus in embedded Chroma."""
    corpus = Corpus.open(f"chroma:{directory}", **options)
    documents = []
    for name, given in texts.items():
        text, metadata = (given, {}) if isinstance(given, str) else given
        documents.append(Document(text, id=name, metadata=metadata))
    corpus.add(documents)
    return corpus


def scripted(replies: Any, **options: Any) -> ScriptedModel:
    """A scripted model whose price is known to be nothing."""
    return ScriptedModel(replies, **{"cost_usd": 0.0, **options})
