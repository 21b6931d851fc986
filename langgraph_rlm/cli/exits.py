"""How commands end: one table of exit codes for the code, the help and the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from langgraph_rlm.errors import InvalidFilter, InvalidInput, LimitReached, MissingDependency, PatternError


class Exit(IntEnum):
    """Exit codes of every command."""

    DONE = 0
    NOT_FOUND = 1
    USAGE = 2
    LIMIT = 3
    FAILED = 4
    INTERRUPTED = 130


MEANINGS = {
    Exit.DONE: "answered, matched or done; also when `| head` reads no further",
    Exit.NOT_FOUND: "no match, or the documents do not hold the answer",
    Exit.USAGE: "the arguments cannot be used",
    Exit.LIMIT: "stopped at a limit, mostly with a partial answer",
    Exit.FAILED: "failed: a model, a file or the index could not be used",
    Exit.INTERRUPTED: "interrupted (Ctrl-C), with or without a partial answer",
}
"""The table of docs/command-line.md."""

_LIMITS = ("turns", "budget", "deadline")
_USAGE = (InvalidInput, InvalidFilter, PatternError, MissingDependency)


def table() -> str:
    """The table as lines of a help text."""
    return "Exit codes:\n" + "\n".join(f"  {code:<4} {meaning}" for code, meaning in MEANINGS.items())


def exit_of(result: Mapping[str, Any]) -> Exit:
    """The exit code of a run's output: by its ``stop_reason``, and by ``found`` where it was answered."""
    reason = result.get("stop_reason")
    if reason in _LIMITS:
        return Exit.LIMIT
    if reason == "cancelled":
        return Exit.INTERRUPTED
    if reason != "answered":
        return Exit.FAILED
    return Exit.DONE if result.get("found", True) else Exit.NOT_FOUND


def exit_of_error(error: BaseException) -> Exit:
    """The exit code of what a command raised."""
    if isinstance(error, KeyboardInterrupt):
        return Exit.INTERRUPTED
    if isinstance(error, LimitReached):
        return Exit.LIMIT
    return Exit.USAGE if isinstance(error, _USAGE) else Exit.FAILED
