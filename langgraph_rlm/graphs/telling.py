"""An event that every graph sends: what a question has spent."""

from __future__ import annotations

from langgraph_rlm.calls.account import Account
from langgraph_rlm.runs.run import Run


def tell_budget(run: Run, account: Account) -> None:
    """Tell what the question has spent so far, and what is left."""
    if run.heard:
        run.emit("budget", usage=account.budget.usage(), left=account.budget.left())
