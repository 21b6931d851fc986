"""What the benchmarks share: repeated timing, a table with ratios, a JSON file beside it."""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

RESULTS = Path(__file__).parent / "results"


class Row(NamedTuple):
    """One measured figure.

    ``target`` and ``value`` are in the same unit; a smaller value is better.
    """

    what: str
    value: float
    unit: str
    target: float | None = None
    peer: str = ""
    peer_value: float | None = None


def median_ms(work: Callable[[], object], *, repeats: int, warm_up: int = 1) -> float:
    """Median wall time of ``work`` in milliseconds, after ``warm_up`` runs that do not count."""
    times = []
    for turn in range(warm_up + repeats):
        started = time.perf_counter()
        work()
        if turn >= warm_up:
            times.append((time.perf_counter() - started) * 1e3)
    return statistics.median(times)


def best_ms(work: Callable[[], object], *, repeats: int) -> float:
    """Shortest wall time of ``work`` in milliseconds: what others do on the machine only adds to it."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append((time.perf_counter() - started) * 1e3)
    return min(times)


def report(name: str, rows: list[Row]) -> None:
    """Print the table and write ``results/NAME.json``."""
    width = max(len(row.what) for row in rows)
    print(f"{'what':<{width}}  {'measured':>14}  {'target':>12}  {'reached':>8}  compared in the same run")
    for row in rows:
        target = "–" if row.target is None else f"≤ {row.target:g} {row.unit}"
        reached = (
            "–" if row.target is None else "yes" if row.value <= row.target else f"no {row.value / row.target:.1f}×"
        )
        peer = (
            ""
            if row.peer_value is None
            else f"{row.peer}: {row.peer_value:,.1f} {row.unit}, {row.peer_value / row.value:.2f}×"
        )
        print(f"{row.what:<{width}}  {row.value:>11,.1f} {row.unit:<2}  {target:>12}  {reached:>8}  {peer}")
    save(name, [row._asdict() for row in rows])


def save(name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of any shape to ``results/NAME.json``, and say so."""
    RESULTS.mkdir(exist_ok=True)
    machine = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()}
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine, "rows": rows}, indent=2) + "\n")
    print(f"written to {path.relative_to(Path(__file__).parents[1])}")
