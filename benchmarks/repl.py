"""REPLs in the jail: starting sessions, sharing a context, cells and host calls, against exec in this process.

python benchmarks/repl.py            all of it; takes 2 GB of memory and about a minute
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from _processes import proportional_mb
from _report import Row, median_ms, report

from langgraph_rlm.repl import ProcessFactory, ReplContext, ReplLimits, replay
from langgraph_rlm.repl.jail import JailFactory, available
from langgraph_rlm.types import Turn

LIMITS = ReplLimits()
SESSIONS = 50
THREADS = 16
WAIT = 0.2
LOOK_AT_ALL = "sum(map(len, context))"


def text(megabytes: int) -> ReplContext:
    """A text with an accent in each line, so that it is not plain ASCII and takes a byte a character."""
    line = "à " + "x" * 1020 + "\n"
    data = (line * (megabytes << 10)).encode()
    return ReplContext("text", [], [len(data)], data, f"text {megabytes}")


def answer(name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """A host function that answers at once."""
    return args[0] if args else None


def shows(repl: Any, code: str) -> str:
    """What a cell shows; an error in it is an error here."""
    result = repl.execute(code, answer)
    if result["error"] is not None:
        raise RuntimeError(result["error"])
    return str(result["stdout"]).strip()


@contextlib.contextmanager
def jail() -> Iterator[JailFactory]:
    """A factory that is ended at the end."""
    factory = JailFactory()
    try:
        yield factory
    finally:
        factory.close()
        gc.collect()


def first_zygote() -> list[Row]:
    """A factory's first session: zygote, template and session."""

    def start() -> None:
        with jail() as factory:
            factory.start(None, [], LIMITS).close()

    return [Row("first zygote, template and session", median_ms(start, repeats=5), "ms", 250)]


def starts(factory: JailFactory) -> list[Row]:
    """Sessions on a warm template, and their memory."""
    rows = []
    for megabytes in (4, 40, 400):
        context = text(megabytes)
        began = time.perf_counter()
        factory.start(context, [], LIMITS).close()
        first = (time.perf_counter() - began) * 1e3
        times = []
        for _ in range(15):
            began = time.perf_counter()
            repl = factory.start(context, [], LIMITS)
            times.append((time.perf_counter() - began) * 1e3)
            repl.close()
            time.sleep(0.02)  # the kernel takes its memory apart in the background
        row = Row(f"session on a warm template, {megabytes} MB of text", sorted(times)[7], "ms", 5)
        rows += [row._replace(peer="first session on it", peer_value=first)]
    return rows


def sharing(factory: JailFactory) -> list[Row]:
    """Memory of many sessions on one context, all of which have looked at it."""
    if os.geteuid() != 0:
        print("Memory is not measured: only root may look at processes that are not dumpable.")
        return []
    context = text(400)
    began = time.perf_counter()
    repls = [factory.start(context, [], LIMITS) for _ in range(SESSIONS)]
    started = (time.perf_counter() - began) * 1e3 / SESSIONS
    for repl in repls:
        shows(repl, "context.count('à')")
    template = repls[0]._worker._template
    total = sum(proportional_mb(pid) for pid in [template.pid, *(repl._worker.pid for repl in repls)])
    for repl in repls:
        repl.close()
    copy = len(context.data) / (1 << 20)
    lines = [b"line %d of a long text, and a few words more\n" % number for number in range(1_000_000)]
    many = ReplContext("list", [], [len(line) for line in lines], b"".join(lines), "a million lines")
    repl = factory.start(many, [], LIMITS)
    shows(repl, LOOK_AT_ALL)
    of_lines = proportional_mb(repl._worker.pid) + proportional_mb(repl._worker._template.pid)
    one = len(many.data) / (1 << 20)
    look = median_ms(lambda: shows(repl, LOOK_AT_ALL), repeats=5)
    plain = [line.decode() for line in lines]
    here = median_ms(lambda: sum(map(len, plain)), repeats=5)
    repl.close()
    return [
        Row(f"{SESSIONS} sessions on 400 MB at once, each", started, "ms", 5),
        Row(f"{SESSIONS} sessions on 400 MB, summed PSS", total, "MB", 1.3 * copy + 5 * SESSIONS, "one copy", copy),
        Row("a list of a million lines looked at once, PSS", of_lines, "MB", 1.5 * one + 2 * 15, "one copy", one),
        Row("the same, time", look, "ms", None, "list in this process", here),
    ]


def cells(factory: JailFactory) -> list[Row]:
    """Cells and host calls."""
    repl = factory.start(None, ["f"], LIMITS)
    plain_factory = ProcessFactory(spare=0)
    plain = plain_factory.start(None, ["f"], LIMITS)
    space: dict[str, Any] = {}

    def here() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile("x = 1", "<cell>", "exec"), space)

    empty = median_ms(lambda: repl.execute("x = 1", answer), repeats=500, warm_up=50) * 1e3
    local = median_ms(here, repeats=500, warm_up=50) * 1e3
    unjailed = median_ms(lambda: plain.execute("x = 1", answer), repeats=500, warm_up=50) * 1e3
    loop = "import time\nbegan = time.perf_counter()\nfor _ in range(2000): f(1)\n(time.perf_counter() - began) / 2000 * 1e6"
    call = min(float(shows(repl, loop)) for _ in range(3))
    call_unjailed = min(float(shows(plain, loop)) for _ in range(3))
    plain.close()
    plain_factory.close()
    return [
        Row("empty cell", empty, "µs", 100, "exec in this process", local),
        Row("empty cell", empty, "µs", 100, "worker without a jail", unjailed),
        Row("host call", call, "µs", 100, "worker without a jail", call_unjailed),
        Row(f"{THREADS} threads of a cell × {WAIT:g} s of host calls", threads(repl), "ms", 300),
    ]


def threads(repl: Any) -> float:
    """Milliseconds for a cell whose threads wait for the host at once."""
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        f"with ThreadPoolExecutor({THREADS}) as pool: list(pool.map(f, range({THREADS})))"
    )
    with ThreadPoolExecutor(THREADS) as pool:
        return median_ms(
            lambda: repl.execute(code, lambda name, args, kwargs: pool.submit(time.sleep, WAIT)), repeats=3
        )


def replayed(factory: JailFactory) -> list[Row]:
    """A session of two cells with ten calls each, rebuilt from recorded results."""
    codes = ["found = [f(n) for n in range(10)]\nsum(found)", "found += [f(n) for n in range(10)]\nlen(found)"]
    repl = factory.start(None, ["f"], LIMITS)
    turns = []
    for number, code in enumerate(codes):
        result = repl.execute(code, answer)
        turns.append(
            Turn(number=number, thought="", code=code, output=result["stdout"], error=None, digest=result["digest"],
                 seconds=0.0, killed=False, calls={})
        )  # fmt: skip
    repl.close()

    def again() -> None:
        rebuilt, differing = replay(lambda: factory.start(None, ["f"], LIMITS), turns, lambda index: answer)
        rebuilt.close()
        if differing:
            raise RuntimeError("the replay showed something else")

    return [Row("2 cells with 20 calls replayed", median_ms(again, repeats=10), "ms", 50)]


def main() -> None:
    """Measure, print, write."""
    if (why_not := available()) is not None:
        print(f"The jail cannot run here: {why_not}")
        return
    rows = first_zygote()
    with jail() as factory:
        rows += [*starts(factory), *sharing(factory), *cells(factory), *replayed(factory)]
    report("repl", rows)


if __name__ == "__main__":
    main()
