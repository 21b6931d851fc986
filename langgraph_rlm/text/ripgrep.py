"""Counts matches in a large context file with ripgrep (``rg``), where it is on the PATH and faster than our own scan.

Two engines agree on ASCII, and differ in their tables of Unicode. So ripgrep gets a pattern that is right for lines of
ASCII, and its count is corrected on those that it cannot judge: the one behind the file's header, and those with other
characters. That is exact because no match that is counted so leaves its line::

    matches = rg(file) - rg(those lines) + ours(those lines)

Nothing depends on it: where it is missing, fails or takes too long, the scan counts.
"""

from __future__ import annotations

import contextlib
import functools
import heapq
import mmap
import re
import shutil
import subprocess
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np
import re2

from langgraph_rlm.text.aside import Aside, TooMuch
from langgraph_rlm.text.boundaries import Span
from langgraph_rlm.text.clock import Clock
from langgraph_rlm.text.lines import Data
from langgraph_rlm.text.patterns import LINE_END, Token, tokens
from langgraph_rlm.text.plan import Plan, plan_of
from langgraph_rlm.text.scan import count
from langgraph_rlm.text.search import Count, Searched
from langgraph_rlm.text.stored import Stored

LEAST_BYTES = 32 << 20
"""Of a context; starting a process takes as long as searching some megabytes."""

_OPTIONS = (
    "--no-config", "--text", "--encoding=none", "--count-matches", "--include-zero", "--no-filename", "--no-messages",
    "--no-ignore", "--color=never", "--threads=1",
)  # fmt: skip
_OLDEST = 13
"""The release that knows all of the options."""
_MOST_ASIDE = 8 << 20
"""Bytes of the lines that ripgrep cannot judge, and …"""
_MOST_ASIDE_SHARE = 1 / 16
"""… their share of the text."""
_MOST_PATTERN = 60_000
"""Characters; an argument of a process may have 128 KB."""
_FEW = 4
"""Strings that our scan finds at the speed of memory, when they stand more than …"""
_RARELY = 1 << 12
"""… bytes apart, in …"""
_SAMPLE = 1 << 20
"""… these bytes from the middle."""
_ASK_SECONDS = 5.0
"""For its version, which takes milliseconds."""
_BLOCK = 1 << 16
"""Bytes that are looked through for other characters at once: they stay in the processor's cache."""
_LF = 0x0A
"""Line feed, as a byte."""
_FLAGS = re.compile(r"\(\?([ims]+)\)")
_PLAIN_GROUP = re.compile(r"\((?:\?:|\?P?<\w+>)?")


class Ripgrep:
    """Counts by ripgrep; looks for it once."""

    def count(
        self,
        stored: Stored,
        searched: Sequence[Searched],
        pattern: str,
        *,
        ignore_case: bool = False,
        deadline: float | None = None,
    ) -> Count | None:
        """All matches in a context; None when our own scan has to count them.

        Args:
            stored: the context.
            searched: all of its documents.
            pattern: the regular expression.
            ignore_case: upper and lower case are the same.
            deadline: seconds; of them the half is given to ripgrep, the rest is left for the scan.

        Raises:
            PatternError: the pattern is refused.
        """
        if stored.file is None or len(stored.data) < LEAST_BYTES:
            return None
        plan = plan_of(pattern, ignore_case)
        if (
            not _pays(plan, stored.data)
            or any(one.where(plan) is not None for one in searched)
            or self._program is None
        ):
            return None
        written = translated(pattern, ignore_case)
        if written is None or isinstance(stored.aside, TooMuch):
            return None
        found = _counted(self._program, written, plan, stored, stored.file, None if deadline is None else deadline / 2)
        return None if found is None else Count(found, True)

    @functools.cached_property
    def _program(self) -> str | None:
        """Where it is; None when it is not there, or too old."""
        path = shutil.which("rg")
        if path is None or not Path(path).is_absolute():  # what lies in the working directory is nobody's choice
            return None
        said = _output([path, "--version"], b"", _ASK_SECONDS)
        version = re.match(rb"ripgrep (\d+)\.", said[1]) if said is not None else None
        return path if version is not None and int(version[1]) >= _OLDEST else None


def translated(pattern: str, ignore_case: bool) -> str | None:
    """The pattern as ripgrep has to be given it for ASCII text; None when the two engines might differ.

    Each atom becomes the ASCII characters that re2 finds with it, so that nothing depends on how classes are written.

    Args:
        pattern: in Python's syntax, one that re2 takes and whose matches stay within a line.
        ignore_case: upper and lower case are the same.

    Example:
        >>> translated(r"(?i)a\\d$", False)
        '[\\\\x41\\\\x61][\\\\x30-\\\\x39](?:\\\\r?$)'
    """
    parts = list(tokens(pattern))
    if parts and parts[0].kind == "group" and (flags := _FLAGS.fullmatch(parts[0].re2)):
        ignore_case = ignore_case or "i" in flags[1]
        parts.pop(0)
    written, opened, repeated = list[str](), list[int](), ""
    for part in parts:
        piece = _piece(part, ignore_case)
        if piece is None or (part.kind == "repeat" and _may_be_empty(repeated)):
            return None
        if piece == "(?:":
            opened.append(len(written))
        written.append(piece)
        repeated = piece if part.kind == "atom" else "".join(written[opened.pop() :]) if piece == ")" else ""
    whole = "".join(written)
    return None if len(whole) > _MOST_PATTERN else whole


def _piece(part: Token, ignore_case: bool) -> str | None:
    match part.kind:
        case "atom":
            return _characters(part.re2, ignore_case)
        case "boundary" | "repeat":
            return part.re2
        case "line_start":
            return "^"
        case "line_end":
            return LINE_END
        case "group" if part.re2 in ")|":
            return part.re2
        case "group" if _PLAIN_GROUP.fullmatch(part.re2):
            return "(?:"
        case _:
            return None


@functools.lru_cache(maxsize=512)
def _characters(atom: str, ignore_case: bool) -> str | None:
    """The ASCII characters that an atom stands for, as a class; None when a line end is among them."""
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = not ignore_case
    found = {match.start() for match in re2.compile(atom.encode(), options).finditer(bytes(range(128)))}
    if _LF in found:
        return None
    if len(found) == 127:
        return "."
    if not found:
        return r"[\x80-\xFF]"  # no byte of ASCII
    edges = sorted(char for char in found if char - 1 not in found), sorted(c for c in found if c + 1 not in found)
    ranges = [f"\\x{a:02X}" if a == b else f"\\x{a:02X}-\\x{b:02X}" for a, b in zip(*edges, strict=True)]
    return f"[{''.join(ranges)}]"


def _may_be_empty(piece: str) -> bool:
    """Whether a part of a pattern can match nothing: engines differ in what a repetition of that prefers."""
    relaxed = re.sub(r"\\[bB]", "(?:)", piece)
    return re2.fullmatch(relaxed.encode(), b"") is not None


def _pays(plan: Plan, data: Data) -> bool:
    """Whether both engines find the same, and ripgrep is the faster one."""
    if plan.crosses_lines or plan.relaxed.fullmatch(b"") or (plan.exact is not None and len(plan.exact.strings) == 1):
        return False
    needles = plan.exact or plan.required
    if needles is None or len(needles.strings) > _FEW:
        return True
    middle = len(data) // 2
    sample = data[middle : middle + _SAMPLE]
    return len(needles.places(sample)) * _RARELY > len(sample)


def _counted(program: str, written: str, plan: Plan, stored: Stored, file: Path, seconds: float | None) -> int | None:
    over, stop = Clock(seconds), None if seconds is None else time.monotonic() + seconds
    command = [program, *_OPTIONS, "-e", written, "--"]
    with _started([*command, str(file)], subprocess.DEVNULL) as process:
        if process is None:
            return None
        if stored.aside is None:
            stored.aside = _aside(stored, file, over)
        aside = stored.aside
        if not isinstance(aside, Aside):
            return None
        ours = count(plan, aside.ours, over)
        theirs = _number(_output([*command, "-"], aside.theirs, _left(stop)))
        whole = _number(_ended(process, None, _left(stop)))
    if whole is None or theirs is None or whole < theirs or over():
        return None
    return whole - theirs + ours


# --- the process ------------------------------------------------------------------------------------------------------

Said = tuple[int, bytes]
"""Exit code and standard output."""


@contextlib.contextmanager
def _started(command: Sequence[str], stdin: int) -> Iterator[subprocess.Popen[bytes] | None]:
    """A process without a shell and without our environment, gone afterwards; None when it cannot be started."""
    try:
        process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={})
    except OSError:
        yield None
        return
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):  # what it was not told any more
                if pipe is not None:
                    pipe.close()


def _ended(process: subprocess.Popen[bytes], given: bytes | None, seconds: float | None) -> Said | None:
    try:
        output, _ = process.communicate(given, seconds)
    except (subprocess.TimeoutExpired, OSError):
        return None
    return process.returncode, output


def _output(command: Sequence[str], given: bytes, seconds: float | None) -> Said | None:
    with _started(command, subprocess.PIPE) as process:
        return None if process is None else _ended(process, given, seconds)


def _left(stop: float | None) -> float | None:
    return None if stop is None else max(0.0, stop - time.monotonic())


def _number(said: Said | None) -> int | None:
    """The count that was printed; the exit code is 1 when there is no match."""
    if said is None or not re.fullmatch(rb"[0-9]{1,18}\n", said[1]):
        return None
    found = int(said[1])
    return found if said[0] == (0 if found else 1) else None


# --- the lines that are put aside -------------------------------------------------------------------------------------


def _aside(stored: Stored, file: Path, over: Clock) -> Aside | TooMuch | None:
    """The lines of a context's file that ripgrep cannot judge; None when it cannot be read, or not in time."""
    try:
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            header = len(mapped) - len(stored.data)
            borders = sorted({header + before for before in accumulate(stored.sizes[:-1], initial=0)})
            spans = _odd_lines(mapped, borders, () if stored.ascii else _not_ascii(mapped, borders[0], over))
            if spans is None:
                return TooMuch()
            theirs = b"".join([mapped[start:end] for start, end in spans])
            if len(borders) == 1:
                return Aside(theirs, memoryview(theirs)[header:])
            ours = (mapped[start:end] for start, end in _cut(spans, borders))
            return Aside(theirs, b"".join(one if one.endswith(b"\n") else one + b"\n" for one in ours))
    except (OSError, ValueError):  # also a TimeoutError
        return None


def _odd_lines(mapped: mmap.mmap, borders: list[int], others: Iterable[int]) -> list[Span] | None:
    """Byte spans of lines in the file, the first from its beginning; None when they are too much.

    Args:
        mapped: the file.
        borders: where its documents begin.
        others: byte offsets that make a line one of them, in order.
    """
    header = borders[0]
    most = min(_MOST_ASIDE, int((len(mapped) - header) * _MOST_ASIDE_SHARE))
    done = _line_end(mapped, header)
    spans, total = [(0, done)], done - header
    inside = [border for border in borders[1:] if border < len(mapped) and mapped[border - 1] != _LF]
    for place in heapq.merge(inside, others) if inside else others:
        if place < done:
            continue
        start, done = mapped.rfind(b"\n", done, place) + 1 or done, _line_end(mapped, place)
        spans.append((start, done))
        total += done - start
        if total > most:
            return None
    return spans if total <= most else None


def _not_ascii(mapped: mmap.mmap, start: int, over: Clock) -> Iterator[int]:
    """Byte offsets of what is not ASCII, in order, the first of those that stand together.

    Raises:
        TimeoutError: the time is over.
    """
    for at in range(start, len(mapped), _BLOCK):
        if over():
            raise TimeoutError
        block = mapped[at : at + _BLOCK]
        if not block.isascii():
            places = np.flatnonzero(np.frombuffer(block, np.int8) < 0)
            yield from (places[np.diff(places, prepend=-2) > 1] + at).tolist()


def _line_end(mapped: mmap.mmap, at: int) -> int:
    return mapped.find(b"\n", at) + 1 or len(mapped)


def _cut(spans: list[Span], borders: list[int]) -> Iterator[Span]:
    """The spans without the header, and without a border between documents in any of them."""
    for start, end in spans:
        start = max(start, borders[0])
        for border in borders[bisect_right(borders, start) : bisect_left(borders, end)]:
            yield start, border
            start = border
        yield start, end
