"""Accounts of graphs whose steps run side by side: all steps of a run share one budget, so that its limits hold for them together."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from langgraph_rlm.budget import Budget
from langgraph_rlm.calls.account import Account
from langgraph_rlm.calls.accounts import Accounts
from langgraph_rlm.calls.memo import RunId, thread_digest
from langgraph_rlm.runs.run import OpenRun, Run
from langgraph_rlm.types import Usage


class _Budgets:
    """The budgets of the runs that are open here. Safe to share between threads."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[OpenRun, dict[str, Budget]] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def get(self, run: OpenRun, name: str) -> Budget | None:
        with self._lock:
            return self._known.get(run, {}).get(name)

    def keep(self, run: OpenRun, name: str, budget: Budget) -> Budget:
        """This one, or the one that another step has made meanwhile."""
        with self._lock:
            return self._known.setdefault(run, {}).setdefault(name, budget)


@dataclass(frozen=True, slots=True)
class StepAccounts(Accounts):
    """Accounts of which all that belong to one call of a graph, and to one run, share a budget."""

    _budgets: Any = field(default_factory=_Budgets, repr=False, compare=False)

    async def opened(self, run: Run, name: str, usage: Usage | None) -> Account:
        """The account of a step. ``usage`` is what the latest steps knew; the first one that is opened takes it."""
        known = self._budgets.get(run.open, name)
        if known is None:
            account = await Accounts.opened(self, run, name, usage)
            known = self._budgets.keep(run.open, name, account.budget)
        return Account(known, self.memo, RunId(thread_digest(run.thread_id), name), run.face, run.emit)
