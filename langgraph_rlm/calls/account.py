"""One question's account: its budget, and the memo in which its calls and their answers are written down.

reserve ─► written down ─► sent ─► answered ─► settled and recorded in one commit

So after a crash every call that was answered is known with its answer, and every call that may have been sent counts with
the most that it can have cost. Commits of calls that run side by side are made together.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from langgraph_rlm.budget import Budget, Reservation, add_call, no_usage
from langgraph_rlm.calls.memo import CallRecord, Memo, Result, RunId
from langgraph_rlm.limits import Limits
from langgraph_rlm.prices import Prices
from langgraph_rlm.runs.faces import Face
from langgraph_rlm.runs.run import Emit, unheard
from langgraph_rlm.shared_budget import BudgetOfOne
from langgraph_rlm.types import ModelUsage, Usage


class Account:
    """What model calls of one run, the whole tree of them, are paid from. Belongs to one node and to its loop.

    Args:
        budget: of the run.
        memo: where it is written down.
        run: whose.
        face: for what blocks.
        emit: tells whoever streams what calls wait for.
    """

    def __init__(self, budget: Budget, memo: Memo, run: RunId, face: Face, emit: Emit = unheard) -> None:
        self.budget = budget
        self.face = face
        self.emit = emit
        self._told_until = 0.0
        self._memo = memo
        self._run = run
        self._pending: list[tuple[Mapping[str, Result], Sequence[CallRecord], asyncio.Future[None]]] = []
        self._committing: asyncio.Task[None] | None = None

    @classmethod
    async def opened(
        cls, limits: Limits, memo: Memo, run: RunId, face: Face, *, usage: Usage | None, prices: Prices | None = None,
        emit: Emit = unheard, shared: Budget | None = None,
    ) -> Account:  # fmt: skip
        """The account of a run that goes on from ``usage``, its latest checkpoint's, and from what the ledger has.

        Raises:
            MemoError: the memo cannot be read.
        """
        calls = await face.block(memo.calls, run) if memo.durable else memo.calls(run)
        spent = _reconciled(usage, calls)
        budget = Budget(limits, spent, prices) if shared is None else BudgetOfOne(shared, limits, spent, prices)
        return cls(budget, memo, run, face, emit)

    def tell_truncation(self, model: str, sent_tokens: int, read_tokens: int) -> None:
        """Tell that a server has cut a prompt without a word."""
        self.emit("truncated", model=model, sent_tokens=sent_tokens, read_tokens=read_tokens)

    def tell_pause(self, model: str, seconds: float) -> None:
        """Tell that calls wait for a server that asks for fewer requests; once for each pause, however many wait."""
        now = time.monotonic()
        if now >= self._told_until:
            self._told_until = now + seconds
            self.emit("wait", model=model, seconds=round(seconds, 3))

    @property
    def durable(self) -> bool:
        """Whether what is recorded outlives this process."""
        return self._memo.durable

    async def recall(self, keys: Sequence[str]) -> dict[str, Result]:
        """The recorded results among these keys."""
        if self._memo.durable:
            return await self.face.block(self._memo.results, self._run, keys)
        return self._memo.results(self._run, keys)

    def recall_now(self, keys: Sequence[str]) -> dict[str, Result]:
        """As ``recall``, from any thread; for a memo in memory alone, which does not block."""
        return self._memo.results(self._run, keys)

    def record_now(self, results: Mapping[str, Result]) -> None:
        """As ``record``, from any thread; for a memo in memory alone, which does not block."""
        self._memo.record(self._run, results=results)

    async def record(self, results: Mapping[str, Result]) -> None:
        """Record results that cost nothing themselves."""
        await self._commit(results, ())

    async def reserve(self, model: str | Sequence[str], input_tokens: int, output_tokens: int) -> Reservation:
        """Room for one call, written down before the call is sent.

        Args and errors as :meth:`Budget.room_for`; MemoError when it cannot be written down.
        """
        reservation = await self.budget.room_for(model, input_tokens, output_tokens)
        try:
            await self._commit({}, [self._open(reservation)])
        except BaseException:
            self.budget.release(reservation)
            raise
        return reservation

    async def settle(
        self, reservation: Reservation, used: ModelUsage, *, model: str, estimated: bool, results: Mapping[str, Result],
        requests: int = 1,
    ) -> None:  # fmt: skip
        """The call was answered: what it cost and what it said, in one commit."""
        self.budget.settle(reservation, used, model=model, estimated=estimated, requests=requests)
        await self._commit(results, [_settled(reservation, model, used, estimated)])

    async def release(self, reservation: Reservation, *, requests: int = 0) -> None:
        """The call cost nothing: it was never sent, or so many requests for it were refused."""
        self.budget.release(reservation, requests=requests)
        nothing = ModelUsage(calls=0, input_tokens=0, cached_tokens=0, output_tokens=0, cost_usd=0.0)
        await self._commit({}, [_settled(reservation, reservation.model, nothing, estimated=False)])

    def lose(self, reservation: Reservation, *, requests: int = 1) -> None:
        """Nobody knows what the call cost: its record stays open, and counts with the most."""
        self.budget.lose(reservation, requests=requests)

    def _open(self, reservation: Reservation) -> CallRecord:
        return CallRecord(
            id=reservation.id, model=reservation.model, open=True, calls=1, input_tokens=reservation.input_tokens,
            cached_tokens=0, output_tokens=reservation.output_tokens, cost_usd=reservation.price, estimated=True,
        )  # fmt: skip

    async def _commit(self, results: Mapping[str, Result], calls: Sequence[CallRecord]) -> None:
        if not self._memo.durable:
            self._memo.record(self._run, results=results, calls=calls)
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending.append((results, calls, done))
        if self._committing is None:
            # A task of its own: what was answered is written down also when the node is cancelled meanwhile.
            self._committing = asyncio.get_running_loop().create_task(self._commit_all())
        await done

    async def _commit_all(self) -> None:
        try:
            while self._pending:
                batch, self._pending = self._pending, []
                write = self._writing(batch)
                try:
                    await self.face.block(write)
                except Exception as error:  # noqa: BLE001 - it is raised where the commit is awaited
                    _finish(batch, error)
                except asyncio.CancelledError:  # the loop ends; a thread is not cancelled, but the rest would be lost
                    rest, self._pending = self._pending, []
                    if rest:
                        self._writing(rest)()
                    raise
                else:
                    _finish(batch, None)
        finally:
            self._committing = None

    def _writing(
        self, batch: Iterable[tuple[Mapping[str, Result], Sequence[CallRecord], asyncio.Future[None]]]
    ) -> Callable[[], None]:
        results: dict[str, Result] = {}
        calls: list[CallRecord] = []
        for some, more, _ in batch:
            results.update(some)
            calls.extend(more)
        return lambda: self._memo.record(self._run, results=results, calls=calls)


def _finish(batch: Iterable[tuple[Any, Any, asyncio.Future[None]]], error: Exception | None) -> None:
    for _, _, done in batch:
        if done.done():
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)


def _settled(reservation: Reservation, model: str, used: ModelUsage, estimated: bool) -> CallRecord:
    beyond = max(0, used["output_tokens"] - reservation.output_tokens)
    return CallRecord(
        id=reservation.id, model=model, open=False, **used, estimated=estimated, overspent_tokens=beyond
    )  # fmt: skip


def _reconciled(usage: Usage | None, calls: Sequence[CallRecord]) -> Usage:
    """What the run has spent: the ledger knows the calls of a step that died, a checkpoint may know more than a memo
    in memory that has forgotten, or than ours when the user's own route has another. The larger counts, model by model."""
    kept = no_usage() if usage is None else usage
    if not calls:
        return kept
    ledger, merged = no_usage(), no_usage()
    for call in calls:
        if "searches" in call:
            ledger["searches"] += call["searches"]
            ledger["seconds"] += call.get("seconds", 0.0)
            continue
        ledger["requests"] += 1
        ledger["failed_requests"] += not call["calls"]
        if call["calls"]:
            beyond = call.get("overspent_tokens", 0)
            add_call(ledger, call["model"], _used(call), estimated=call["estimated"], overspent_tokens=beyond)
    for model in {**kept["by_model"], **ledger["by_model"]}:
        mine, theirs = kept["by_model"].get(model, _NONE), ledger["by_model"].get(model, _NONE)
        # What embeddings cost is in no ledger: they are no calls.
        add_call(merged, model, mine if mine["calls"] > theirs["calls"] or not theirs["calls"] else theirs)
    for count in ("calls", "input_tokens", "cached_tokens", "output_tokens"):  # what a router counts under no model
        merged[count] += max(0, kept[count] - sum(used[count] for used in kept["by_model"].values()))
    if kept["cost_usd"] is None:
        merged["cost_usd"] = None
    merged["seconds"] = max(kept["seconds"], ledger["seconds"])
    merged["estimated"] = kept["estimated"] or ledger["estimated"]
    for name in _COUNTS:
        merged[name] = max(kept.get(name, 0), ledger[name])
    return merged


_COUNTS: tuple[Literal["overspent_tokens", "requests", "failed_requests", "searches", "embedded_tokens"], ...] = (
    "overspent_tokens", "requests", "failed_requests", "searches", "embedded_tokens",
)  # fmt: skip
"""What stands in a usage once, for all models; a checkpoint of an earlier release has fewer of them."""


def _used(call: CallRecord) -> ModelUsage:
    return ModelUsage(
        calls=call["calls"], input_tokens=call["input_tokens"], cached_tokens=call["cached_tokens"],
        output_tokens=call["output_tokens"], cost_usd=call["cost_usd"],
    )  # fmt: skip


_NONE = ModelUsage(calls=0, input_tokens=0, cached_tokens=0, output_tokens=0, cost_usd=None)
