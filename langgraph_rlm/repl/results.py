"""What comes of a cell, and what a failed host call is to it: the same for every kind of REPL."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from langgraph_rlm.types import CellResult

_KINDS = (TypeError, ValueError, KeyError, TimeoutError)


def cell_result(
    stdout: str, error: str | None, final: Any, seconds: float, *, killed: bool = False, times: Sequence[int] = ()
) -> CellResult:
    """The record of one cell; its digest covers what the cell showed, not how long it took."""
    shown = json.dumps([stdout, error, final], sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(shown.encode()).hexdigest()
    return CellResult(
        stdout=stdout, error=error, final=final, citations=[], seconds=seconds, digest=digest, killed=killed,
        times=list(times),
    )  # fmt: skip


def mistake(error: Exception) -> tuple[str, str]:
    """The name of the exception that a cell gets for an exception of the host, and its message."""
    kind = next((one.__name__ for one in _KINDS if isinstance(error, one)), "RuntimeError")
    text = error.args[0] if isinstance(error, KeyError) and error.args else error
    return kind, str(text) or type(error).__name__
