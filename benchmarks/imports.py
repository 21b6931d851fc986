"""What importing costs: the package beside LangGraph itself, each in fresh processes with warm file caches."""

from __future__ import annotations

import statistics
import subprocess
import sys

from _report import Row, report

REPEATS = 7


def import_ms(statement: str) -> float:
    """Median milliseconds of a statement in a fresh interpreter, without the interpreter's own start."""
    code = f"import time; t = time.perf_counter(); {statement}; print((time.perf_counter() - t) * 1e3)"
    times = []
    for turn in range(REPEATS + 1):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        if turn:  # the first run fills the caches
            times.append(float(done.stdout))
    return statistics.median(times)


def main() -> None:
    peer = import_ms("import langgraph.graph")
    name = "import langgraph.graph"
    report(
        "imports",
        [
            Row("import langgraph_rlm", import_ms("import langgraph_rlm"), "ms", peer + 150, name, peer),
            Row("… with create_smart_rag and Corpus", import_ms("from langgraph_rlm import Corpus, create_smart_rag"), "ms", peer + 150, name, peer),
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
