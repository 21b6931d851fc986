"""Processes and their memory, as Linux's /proc shows them."""

from __future__ import annotations

import os
from pathlib import Path

PROC = Path("/proc")


def proportional_mb(pid: int) -> float:
    """Memory of a process, each page divided by the number of processes that share it; 0 when it has ended.

    Only root may look at processes that are not dumpable, such as those in the jail.
    """
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text("ascii").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0) / 1024


def descendants(pid: int | None = None) -> list[int]:
    """Children of a process (this one when None), their children, and so on."""
    parents: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            parents.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [pid or os.getpid()]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += children
        waiting += children
    return found
