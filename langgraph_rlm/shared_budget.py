"""One budget over several runs: each run has its own limits, and all of them together those of the shared one."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from langgraph_rlm.budget import Budget, Reservation
from langgraph_rlm.errors import BudgetExceeded, DeadlineExceeded, InvalidInput
from langgraph_rlm.limits import Limits
from langgraph_rlm.prices import Prices
from langgraph_rlm.types import ModelUsage, Usage

_KEY = "__rlm_budget"
"""In ``configurable``: with these marks LangGraph keeps it out of checkpoints and traces."""


class SharedBudget:
    """What several runs may spend together; made by :meth:`Runtime.budget`. Safe to share between threads and loops.

    It lives in this process: a run that is resumed elsewhere goes on under its own limits alone.

    Args:
        limits: of all runs together. ``max_turns`` and ``max_depth`` stay those of each run.
        prices: USD per million tokens, for models that the public lists do not know.
    """

    def __init__(self, limits: Limits | Mapping[str, Any], prices: Prices | None = None) -> None:
        self._budget: Budget | None = Budget(Limits.of(limits), prices=prices)
        self._last: Usage | None = None

    def config(self, config: Mapping[str, Any] | None = None) -> Any:
        """A config for runs that are paid from this budget.

        Args:
            config: of the user's own, to go with it.

        Raises:
            InvalidInput: the budget is closed.
        """
        given = dict(config or {})
        return {**given, "configurable": {**given.get("configurable", {}), _KEY: self.budget}}

    @property
    def budget(self) -> Budget:
        """The budget itself.

        Raises:
            InvalidInput: it is closed.
        """
        if self._budget is None:
            raise InvalidInput("this budget is closed: make runs inside of its  with  block")
        return self._budget

    def usage(self) -> Usage:
        """What all runs together have spent, also after it was closed."""
        if self._budget is not None:
            self._last = self._budget.usage()
        assert self._last is not None  # close() keeps it
        return self._last

    def close(self) -> None:
        """No run can be made under it any more."""
        self.usage()
        self._budget = None


def shared_budget_of(config: Mapping[str, Any]) -> Budget | None:
    """The shared budget that a run is paid from, if there is one."""
    found = config.get("configurable", {}).get(_KEY)
    return found if isinstance(found, Budget) else None


class BudgetOfOne(Budget):
    """The budget of one run among several.

    Args:
        above: what all of them share.
        limits: of this run.
        spent: what it has used before.
        prices: the user's own.
    """

    def __init__(self, above: Budget, limits: Limits, spent: Usage | None = None, prices: Prices | None = None) -> None:
        super().__init__(limits, spent, prices)
        self._above = above
        self._taken: dict[str, tuple[Reservation, Reservation]] = {}  # here and above, as they were made
        self._guard = threading.Lock()
        if prices:
            with above._lock:
                above._prices = {**prices, **(above._prices or {})}

    def seconds_left(self) -> float | None:
        """The fewer of both."""
        left = [seconds for seconds in (super().seconds_left(), self._above.seconds_left()) if seconds is not None]
        return min(left, default=None)

    def check(self) -> None:
        """Raise DeadlineExceeded when the time of the run, or of all, is over."""
        super().check()
        _told(self._above.check)

    async def room_for(self, model: str | Sequence[str], input_tokens: int, output_tokens: int) -> Reservation:
        """Room in both; waits for calls in flight of this run and of the others."""
        while True:
            own = await super().room_for(model, input_tokens, output_tokens)
            with self._above._lock:  # in the queue before looking, so that no room that is made meanwhile is missed
                woken = self._above._waiters.join()
            try:
                if (taken := self._taken_above(own, model, input_tokens)) is not None:
                    return taken
                if not await self._above._waiters.wait(woken, self.seconds_left()):
                    self.check()
            finally:
                with self._above._lock:
                    self._above._waiters.leave(woken)

    def reserve(self, model: str | Sequence[str], input_tokens: int, output_tokens: int) -> Reservation | None:
        """Room in both; None when calls in flight of this run or of the others may make some."""
        own = super().reserve(model, input_tokens, output_tokens)
        return None if own is None else self._taken_above(own, model, input_tokens)

    def _taken_above(self, own: Reservation, model: str | Sequence[str], input_tokens: int) -> Reservation | None:
        """The reservation, once there is room above too; else it is given back."""
        try:
            above = _told(lambda: self._above.reserve(model, input_tokens, own.output_tokens))
        except BaseException:
            super().release(own)
            raise
        if above is None:
            super().release(own)
            return None
        with self._guard:
            self._taken[own.id] = own, above
        return replace(own, output_tokens=min(own.output_tokens, above.output_tokens))

    def search(self, queries: Sequence[str], model: str | None = None, *, refuse: bool = True) -> None:
        """Counted in both."""
        super().search(queries, model, refuse=refuse)
        _told(lambda: self._above.search(queries, model, refuse=refuse))

    def release(self, reservation: Reservation, *, requests: int = 0) -> None:
        """Given back to both."""
        own, above = self._given_back(reservation)
        super().release(own, requests=requests)
        if above is not None:
            self._above.release(above, requests=requests)

    def settle(
        self, reservation: Reservation, used: ModelUsage, *, model: str | None = None, estimated: bool = False,
        requests: int = 1,
    ) -> None:  # fmt: skip
        """Recorded in both."""
        own, above = self._given_back(reservation)
        super().settle(own, used, model=model, estimated=estimated, requests=requests)
        if above is not None:
            self._above.settle(above, used, model=model, estimated=estimated, requests=requests)

    def calls_left(self, model: str, input_tokens: int, output_tokens: int) -> tuple[int | None, str]:
        """The fewer of both."""
        both = [
            super().calls_left(model, input_tokens, output_tokens),
            self._above.calls_left(model, input_tokens, output_tokens),
        ]
        return min((one for one in both if one[0] is not None), default=(None, ""))

    def _given_back(self, reservation: Reservation) -> tuple[Reservation, Reservation | None]:
        with self._guard:
            return self._taken.pop(reservation.id, (reservation, None))


def _told(work: Any) -> Any:
    """The result; an error says that it is the shared budget's."""
    try:
        return work()
    except BudgetExceeded as error:
        raise BudgetExceeded(f"the budget that several runs share: {error}", limit=error.limit) from None
    except DeadlineExceeded as error:
        raise DeadlineExceeded(f"the budget that several runs share: {error}") from None
