"""A conversation that outgrows the model's window: the oldest outputs are shortened, and the model is told."""

from __future__ import annotations

from collections.abc import Sequence

from langgraph_rlm.calls.models import estimated_tokens
from langgraph_rlm.graphs.prompts import FENCE_TOKENS
from langgraph_rlm.types import Turn

KEPT_CHARS = 300
"""Of a shortened output: what it began with tells what it was."""
CELL_TOKENS = 2 * FENCE_TOKENS
"""Marks around an output, fence around its code, and what separates messages."""


def fitting(turns: Sequence[Turn], tokens: int) -> list[Turn]:
    """The turns with as few outputs shortened as possible, the oldest first, so that they take so many tokens at most.

    Args:
        turns: of a run, oldest first; they are not changed.
        tokens: estimated, for all of them in the prompt.

    Returns:
        The same turns, some of them with a short output. Where even that does not fit, the last output is cut too, and the
        prompt may still be too long: then the call says so.

    Example:
        >>> fitting([], 1_000)
        []
    """
    costs = [_cost(turn) for turn in turns]
    fitted, over = list(turns), sum(costs) - tokens
    for number, turn in enumerate(turns):
        if over <= 0:
            break
        kept = KEPT_CHARS if number < len(turns) - 1 else max(KEPT_CHARS, len(turn["output"]) - 4 * over)
        short = _shortened(turn, kept)
        over -= costs[number] - _cost(short)
        fitted[number] = short
    return fitted


def _shortened(turn: Turn, kept: int) -> Turn:
    left_out = len(turn["output"]) - kept
    if left_out <= KEPT_CHARS:
        return turn
    note = f"\n[{left_out:,} more characters of this output are not shown any more: your window is full. Print less, keep it in variables]"
    return Turn(**{**turn, "output": turn["output"][:kept] + note})


def _cost(turn: Turn) -> int:
    texts = (turn["thought"], turn["code"], turn["output"], turn["error"] or "")
    return sum(map(estimated_tokens, texts)) + CELL_TOKENS
