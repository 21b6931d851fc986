"""Opens the account of a run at each of its nodes: the same budget and memo, whichever process goes on with it."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langgraph_rlm.calls.account import Account
from langgraph_rlm.calls.memo import Memo, RunId, thread_digest
from langgraph_rlm.errors import NotDurableWarning
from langgraph_rlm.graphs.bridge import Run
from langgraph_rlm.graphs.state import Carry, new_id
from langgraph_rlm.limits import Limits
from langgraph_rlm.prices import Prices
from langgraph_rlm.runs.request import limits_of
from langgraph_rlm.text import ContextStore


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
    prices: Prices | None

    async def opened(self, state: Mapping[str, Any], run: Run) -> Account:
        """The account of a state that has ``rlm_run`` and ``usage``."""
        return await self._opened(state["rlm_run"], state.get("usage"), run)

    async def begun(self, carry: Carry, run: Run) -> tuple[Account, str]:
        """The account of a new question, or the one that a router hands over, and the run's id."""
        name = carry.get("run") or run_id(run)
        return await self._opened(name, carry.get("usage"), run), name

    async def _opened(self, name: str, usage: Any, run: Run) -> Account:
        thread = thread_digest(run.config.get("configurable", {}).get("thread_id"))
        return await Account.opened(
            limits_of(self.limits, run.options),
            self.memo,
            RunId(thread, name),
            run.face,
            usage=usage,
            prices=self.prices,
        )


def run_id(run: Run) -> str:
    """An id for what starts in this node: the same when the step is run again after a crash, and never another's.

    LangGraph names the task of a node after the checkpoint that it starts from, whose id is drawn at random.
    """
    configurable = run.config.get("configurable", {})
    place = configurable.get("checkpoint_ns")
    if not place:  # not inside a graph
        return new_id()
    return hashlib.sha256(f"{configurable.get('thread_id')}\n{place}".encode("utf-8", "backslashreplace")).hexdigest()[
        :32
    ]


def resumable(run: Run) -> bool:
    """Whether the run has a checkpointer, so that somebody may go on with it."""
    return bool(run.config.get("configurable", {}).get("__pregel_checkpointer"))


def warn_if_not_durable(run: Run, contexts: ContextStore, memo: Memo) -> None:
    """Say once for each store of contexts that a run whose checkpoints outlive this process cannot go on in another."""
    saver = run.config.get("configurable", {}).get("__pregel_checkpointer")
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
