"""Rooms: one account for all calls of a conversation that are made outside of our graphs, such as those of tools.

A graph has an account for each question. Tools have no question: their calls come one by one, from several threads and loops
at once, and the limits are to hold for all of them together.
"""

from __future__ import annotations

import threading
import uuid
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic

from langchain_core.runnables import RunnableConfig

from langgraph_rlm.budget import Budget
from langgraph_rlm.calls.account import Account
from langgraph_rlm.calls.accounts import Accounts
from langgraph_rlm.calls.memo import CallRecord, Memo, Result, RunId
from langgraph_rlm.limits import Limits
from langgraph_rlm.prices import Prices
from langgraph_rlm.runs.faces import Face
from langgraph_rlm.runs.request import limits_of
from langgraph_rlm.runs.run import Run
from langgraph_rlm.types import Usage

_ROOM = "__rlm_room"
"""In ``configurable``: LangGraph keeps names with these marks out of checkpoints and traces."""
_MOST_ROOMS = 10_000
"""Whose usage is kept in memory, a kilobyte each. One that comes back later has what the memo knows of it."""
_SECONDS_UNWRITTEN = 1.0
"""Of work, which a crash may forget: a search of a text takes a thousandth of it, and is not to wait for a disk each time."""


class RoomBudget(Budget):
    """A budget that outlives a call: its seconds count only while calls are at work."""

    def __init__(self, limits: Limits, spent: Usage | None = None, prices: Prices | None = None) -> None:
        super().__init__(limits, spent, prices)
        self._at_work = 0
        self._worked = 0.0
        before = self._spent
        self._before = (before["searches"], before["seconds"])
        self._written = (0, 0.0)
        self._id = uuid.uuid4().hex

    @contextmanager
    def working(self) -> Iterator[None]:
        """A call is at work; several may be at once."""
        with self._lock:
            if not self._at_work:
                self._started = monotonic()
            self._at_work += 1
        try:
            yield
        finally:
            with self._lock:
                self._at_work -= 1
                if not self._at_work:
                    self._worked += monotonic() - self._started

    def unwritten(self) -> CallRecord | None:
        """What has been spent here beside calls, which have records of their own; None where that is written down already.

        It is one record of each process, so that several may write at once.
        """
        usage = self.usage()
        with self._lock:
            searches, seconds = usage["searches"] - self._before[0], usage["seconds"] - self._before[1]
            if searches == self._written[0] and seconds - self._written[1] < _SECONDS_UNWRITTEN:
                return None
            self._written = (searches, seconds)
        return CallRecord(
            id=self._id, model="", open=False, calls=0, input_tokens=0, cached_tokens=0, output_tokens=0, cost_usd=0.0,
            estimated=False, searches=searches, seconds=seconds,
        )  # fmt: skip

    def _seconds_at_work(self) -> float:
        return self._worked + (monotonic() - self._started if self._at_work else 0.0)


class RoomBudgets:
    """The budgets of the rooms that were used last. Safe to share between threads."""

    def __init__(self) -> None:
        self._known: OrderedDict[RunId, RoomBudget] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, room: RunId) -> RoomBudget | None:
        """The budget of a room, when it is known here."""
        with self._lock:
            if room in self._known:
                self._known.move_to_end(room)
            return self._known.get(room)

    def keep(self, room: RunId, budget: RoomBudget) -> RoomBudget:
        """This budget, or the one that another call has made meanwhile."""
        with self._lock:
            kept = self._known.setdefault(room, budget)
            while len(self._known) > _MOST_ROOMS:
                self._known.popitem(last=False)
            return kept


@dataclass(frozen=True, slots=True)
class RoomAccounts(Accounts):
    """Accounts of which all that belong to one room share a budget. Whatever is opened must be :func:`in_room`.

    Args:
        budgets: of the rooms.
    """

    budgets: RoomBudgets = field(default_factory=RoomBudgets)

    async def opened(self, run: Run, name: str, usage: Usage | None) -> Account:
        """The account of a call; its memo keys are its own, its calls stand in the ledger of the room."""
        run.open.id = run.open.id or name
        room, memo = room_of(run.config), _Named(self.memo, name)
        limits = limits_of(self.limits, run.options)
        budget = self.budgets.get(room)
        if budget is None:
            known = await Account.opened(limits, memo, room, run.face, usage=None, prices=self.prices)
            budget = self.budgets.keep(room, RoomBudget(limits, known.budget.usage(), self.prices))
        budget.limits = limits  # a request may have narrowed them
        return Account(budget, memo, room, run.face, run.emit)

    def working(self, room: RunId) -> RoomBudget:
        """The budget of a room that was opened."""
        budget = self.budgets.get(room)
        assert budget is not None
        return budget

    async def written(self, room: RunId, face: Face) -> None:
        """Write down what calls of the room have spent beside their records: searches, and seconds of work.

        Raises:
            MemoError: the memo cannot be written.
        """
        budget = self.budgets.get(room)
        record = None if budget is None else budget.unwritten()
        if record is None:
            return
        if self.memo.durable:
            await face.block(lambda: self.memo.record(room, calls=[record]))
        else:
            self.memo.record(room, calls=[record])


def in_room(config: RunnableConfig, room: RunId) -> RunnableConfig:
    """The config for what belongs to a room."""
    return {**config, "configurable": {**config.get("configurable", {}), _ROOM: room}}


def room_of(config: RunnableConfig) -> RunId:
    """The room that a config was made for."""
    room = config.get("configurable", {}).get(_ROOM)
    assert isinstance(room, RunId)
    return room


class _Named:
    """A memo in which each call has keys of its own.

    Args:
        memo: where they are kept.
        name: of the call.
    """

    def __init__(self, memo: Memo, name: str) -> None:
        self._memo, self._prefix = memo, f"{name}/"
        self.durable = memo.durable

    def results(self, run: RunId, keys: Sequence[str]) -> dict[str, Result]:
        """See :class:`Memo`."""
        found = self._memo.results(run, [self._prefix + key for key in keys])
        return {key.removeprefix(self._prefix): result for key, result in found.items()}

    def calls(self, run: RunId) -> list[CallRecord]:
        """See :class:`Memo`."""
        return self._memo.calls(run)

    def record(
        self, run: RunId, *, results: Mapping[str, Result] | None = None, calls: Sequence[CallRecord] = ()
    ) -> None:
        """See :class:`Memo`."""
        named = {self._prefix + key: result for key, result in (results or {}).items()}
        self._memo.record(run, results=named, calls=calls)

    def forget(self, thread_id: str) -> int:
        """See :class:`Memo`."""
        return self._memo.forget(thread_id)

    def prune(self, older_than: float) -> int:
        """See :class:`Memo`."""
        return self._memo.prune(older_than)

    def close(self) -> None:
        """See :class:`Memo`."""
        self._memo.close()
