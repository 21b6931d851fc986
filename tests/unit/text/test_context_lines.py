"""Lines by number: head, tail, lines and their count agree with plain Python on any text."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from langgraph_rlm.errors import ContextMissing, DocumentMissing, InvalidInput
from langgraph_rlm.text import line_numbers
from langgraph_rlm.text.store import ContextStore

PIECES = ["\n", "\r\n", "\r", "\x00", "\u2028", "\x0b", "a", "é", "e\u0301", "👩‍👩‍👧", "中文", "word " * 7]
TEXTS = st.one_of(st.text(st.characters(exclude_categories=["Cs"])), st.lists(st.sampled_from(PIECES)).map("".join))
ANY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)


@pytest.fixture(params=["memory", "directory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ContextStore]:
    made = ContextStore(None if request.param == "memory" else tmp_path)
    yield made
    made.close()


@pytest.fixture(params=[1, 2, 7, 1 << 16])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small blocks, so that every line and character lies across their borders."""
    monkeypatch.setattr(line_numbers, "BLOCK", request.param)


def lines_of(text: str) -> list[str]:
    """The model: lines with their ends, of which only ``\\n`` is one."""
    *whole, rest = text.split("\n")
    return [line + "\n" for line in whole] + ([rest] if rest else [])


@pytest.mark.usefixtures("block")
@ANY
@given(texts=st.lists(TEXTS, min_size=1, max_size=4).filter(any), data=st.data())
@example(texts=["a\r\nb\r\n\r\nc"], data=None)
@example(texts=["", "\n", "a"], data=None)
def test_lines_are_those_of_the_text(store: ContextStore, texts: list[str], data: Any) -> None:
    ref = store.put(texts)
    for number, text in enumerate(texts):
        doc_id, wanted = f"context/{number}", lines_of(text)
        first = data.draw(st.integers(1, len(wanted) + 2)) if data else 1
        last = data.draw(st.integers(first, len(wanted) + 3)) if data else len(wanted) + 1
        few = data.draw(st.integers(0, len(wanted) + 2)) if data else 2
        assert store.head(ref, few, doc_id) == "".join(wanted[:few])  # before there is an index
        assert store.tail(ref, few, doc_id) == "".join(wanted[len(wanted) - min(few, len(wanted)) :])
        assert store.lines(ref, first, last, doc_id) == "".join(wanted[first - 1 : last])
        assert store.count_lines(ref, doc_id) == len(wanted)
    assert store.count_lines(ref) == sum(len(lines_of(text)) for text in texts)


@pytest.mark.usefixtures("block")
@ANY
@given(text=TEXTS.filter(bool), cut=st.integers(1, 30))
def test_lines_add_up_to_the_text(store: ContextStore, text: str, cut: int) -> None:
    ref = store.put(text)
    lines = max(1, store.count_lines(ref))
    assert store.lines(ref, 1, cut) + (store.lines(ref, cut + 1, lines) if cut < lines else "") == text
    assert store.head(ref, lines) == store.tail(ref, lines) == store.read(ref) == text


@ANY
@given(text=TEXTS.filter(bool), start=st.integers(0, 60), length=st.integers(0, 60))
def test_spans_are_those_of_the_text(store: ContextStore, text: str, start: int, length: int) -> None:
    ref = store.put(["é", text, ""])
    assert store.read(ref, "context/1", start, start + length) == text[start : start + length]
    assert store.read(ref, "context/1", start) == text[start:]
    assert store.read(ref, "context/2", start) == ""
    assert store.chars(ref) == {"context/0": 1, "context/1": len(text), "context/2": 0}


def test_long_texts_are_read_across_blocks(store: ContextStore) -> None:
    text = "".join(f"{n} é中👩\r\n" * (n % 7) + "x" * (n * 37 % 900) for n in range(2_000)) + "end"
    ref, wanted = store.put(text), lines_of(text)
    assert store.count_lines(ref) == len(wanted)
    for first in range(1, len(wanted), 311):
        assert store.lines(ref, first, first + 4) == "".join(wanted[first - 1 : first + 4])
    for few in (1, 10, 3_000):
        assert store.head(ref, few) == "".join(wanted[:few])
        assert store.tail(ref, few) == "".join(wanted[-few:])
    for start in range(0, len(text), 70_001):
        assert store.read(ref, start=start, end=start + 100) == text[start : start + 100]


@pytest.mark.parametrize("size", [1_000_000, pytest.param(100_000_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_one_long_line_is_one_line(store: ContextStore, size: int, end: str) -> None:
    text = "a" * (size - 1) + "é" + end
    ref = store.put(text)
    assert store.count_lines(ref) == 1
    assert store.head(ref, 1) == text
    assert store.tail(ref, 1) == text
    assert store.lines(ref, 1, 5) == text
    assert store.lines(ref, 2, 5) == ""


def test_head_and_tail_look_at_nothing_else(store: ContextStore, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = store.put("line\n" * 1_000_000)
    looked: list[int] = []
    marks = line_numbers.LineIndex._marks
    monkeypatch.setattr(
        line_numbers.LineIndex, "_marks", lambda self, start, end: looked.append(end - start) or marks(self, start, end)
    )
    assert store.head(ref) == store.tail(ref) == "line\n" * 10
    assert sum(looked) <= 4 * (1 << 16)
    looked.clear()
    store.count_lines(ref)
    assert 5_000_000 <= sum(looked) < 5_100_000
    looked.clear()
    assert store.count_lines(ref) == 1_000_000  # the index is kept
    assert store.lines(ref, 500_000, 500_001) == "line\n" * 2
    assert sum(looked) <= 2 * (1 << 16)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (("lines", 0, 1), "lines: first"),
        (("lines", 1, 0), "lines: last"),
        (("lines", 3, 2), r"last \(2\) lies before first \(3\)"),
        (("lines", 1.0, 2), "lines: first"),
        (("lines", True, 2), "lines: first"),
        (("lines", 1, None), "lines: last"),
        (("head", -1), "head: lines"),
        (("head", "1"), "head: lines"),
        (("tail", -1), "tail: lines"),
    ],
)
def test_line_numbers_that_are_none_are_refused(store: ContextStore, call: tuple[Any, ...], says: str) -> None:
    name, *numbers = call
    with pytest.raises(InvalidInput, match=says):
        getattr(store, name)(store.put("a\nb"), *numbers)


def test_what_is_not_there_is_said(store: ContextStore) -> None:
    ref = store.put({"one": "a"})
    for call in (store.head, store.tail, store.count_lines):
        with pytest.raises(DocumentMissing, match="context/one"):
            call(ref, doc_id="context/on")
    with pytest.raises(DocumentMissing, match="context/one"):
        store.lines(ref, 1, 2)
    with pytest.raises(ContextMissing):
        store.count_lines({**ref, "context_ref": "sha256:" + "0" * 64})


MEMORY = """
import sys
from pathlib import Path
from langgraph_rlm.text.store import ContextStore

def private():
    return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))

store, ref = ContextStore(sys.argv[1]), {"context_ref": sys.argv[2]}
chars, lines = int(sys.argv[3]), int(sys.argv[4])
store.head({"context_ref": sys.argv[5]})
before = private()
assert store.stat(ref)["chars"] == chars
assert store.count_lines(ref) == lines
assert store.read(ref, start=chars // 2, end=chars // 2 + 10)
assert store.lines(ref, lines // 2, lines // 2)
assert store.head(ref) and store.tail(ref)
print(private() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("megabytes", [40, pytest.param(400, marks=pytest.mark.slow)])
def test_a_mapped_context_is_not_copied_into_memory(tmp_path: Path, megabytes: int) -> None:
    text = ("Größe und Maß\n" * 64 * 1024)[: 1 << 20] * megabytes
    store = ContextStore(tmp_path)
    ref, small, lines = store.put(text), store.put("warm é\nup\n"), text.count("\n")
    lines += not text.endswith("\n")
    chars = len(text)
    del text
    arguments = [str(tmp_path), ref["context_ref"], str(chars), str(lines), small["context_ref"]]
    done = subprocess.run([sys.executable, "-c", MEMORY, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 8 * 1024  # kB
