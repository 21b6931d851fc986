"""Opens the account of a run at each of its steps: the same budget and memo, whichever process goes on with it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

from langgraph_rlm.calls.account import Account
from langgraph_rlm.calls.memo import Memo, MemoryMemo, RunId, thread_digest
from langgraph_rlm.errors import NotDurableWarning
from langgraph_rlm.limits import Limits
from langgraph_rlm.prices import Prices
from langgraph_rlm.runs.request import limits_of
from langgraph_rlm.runs.run import Run, new_id
from langgraph_rlm.shared_budget import shared_budget_of
from langgraph_rlm.text import ContextStore
from langgraph_rlm.types import Usage


@dataclass(frozen=True, slots=True)
class Accounts:
    """What the runs of one graph are paid from.

    Args:
        limits: of one question.
        memo: where calls and answers are written down.
        prices: the user's own.
    """

    limits: Limits
    memo: Memo
    prices: Prices | None = None

    async def begun(self, run: Run, *, name: str = "", usage: Usage | None = None) -> tuple[Account, str]:
        """The account of a new question, or the one that a router hands over, and the run's id.

        Args:
            run: the request.
            name: id of the question, when it has one already.
            usage: what it has spent so far.
        """
        name = name or run.started_here()
        return await self.opened(run, name, usage), name

    async def opened(self, run: Run, name: str, usage: Usage | None) -> Account:
        """The account of a question that goes on."""
        run.open.id = run.open.id or name
        limits = limits_of(self.limits, run.options)
        return await Account.opened(
            limits, self.memo, RunId(thread_digest(run.thread_id), name), run.face, usage=usage, prices=self.prices,
            emit=run.emit, shared=shared_budget_of(run.config),
        )  # fmt: skip

    @classmethod
    async def for_one_call(cls, run: Run, limits: Limits, prices: Prices | None = None) -> Account:
        """An account for a call outside of any graph: held by the limits, kept nowhere."""
        return await cls(limits, MemoryMemo(), prices).opened(run, new_id(), None)


def warn_if_not_durable(run: Run, contexts: ContextStore, memo: Memo) -> None:
    """Say once for each store of contexts that a run whose checkpoints outlive this process cannot go on in another."""
    saver: Any = run.saver
    if saver is None or isinstance(saver, bool) or "InMemory" in type(saver).__name__:
        return
    missing = [what for what, durable in (("contexts", contexts.durable), ("the memo", memo.durable)) if not durable]
    if missing and contexts not in run.runtime.warned:  # Python's own "once" is reset by whoever catches warnings
        run.runtime.warned.add(contexts)
        warnings.warn(
            f"Checkpoints are kept by {type(saver).__name__}, but {' and '.join(missing)} only in memory: a resume in "
            "another process will not find the text, or pay again for what was answered. Give contexts=ContextStore(path).",
            NotDurableWarning,
            stacklevel=2,
        )
