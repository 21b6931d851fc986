"""Rebuilding a session: its cells are run again, in order, in a fresh REPL, and what they show is compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from langgraph_rlm.errors import ReplError
from langgraph_rlm.repl.base import OnCall, Repl
from langgraph_rlm.types import Turn


def replay(
    start: Callable[[], Repl], turns: Sequence[Turn], on_call_for: Callable[[int], OnCall]
) -> tuple[Repl, list[int]]:
    """A REPL in which the cells of these turns have run.

    Random numbers come from the same seed again, hashes too, and the clock shows the times that it showed then.
    Turns without a cell and cells that were killed are left out: the first run went on without them as well.

    Args:
        start: starts a fresh REPL, with the session's context and functions.
        turns: in the order in which they ran.
        on_call_for: what answers the calls of the cell of ``turns[index]``; a memo there makes the replay free.

    Returns:
        The REPL, and the indices of the cells that showed something else than the first time (their code depends on
        how long something takes, on addresses, or on functions that answer differently now).

    Raises:
        ReplError: a cell that had run to its end killed the REPL this time.

    Example:
        repl, differing = replay(lambda: factory.start(context, functions, limits), state["turns"], memo_only)
    """
    repl = start()
    differing = []
    try:
        for index, turn in enumerate(turns):
            if not turn["code"].strip() or turn["killed"]:
                continue
            if times := turn.get("times"):
                repl.serve_times(times)
            result = repl.execute(turn["code"], on_call_for(index))
            if result["killed"]:
                raise ReplError(
                    f"the session cannot be rebuilt: cell {index} of {len(turns)}, which had ended by itself, "
                    f"killed the REPL this time: {result['error']}"
                )
            if result["digest"] != turn["digest"]:
                differing.append(index)
    except BaseException:
        repl.close()
        raise
    return repl, differing
