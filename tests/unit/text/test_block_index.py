"""The index of blocks makes searches shorter and changes nothing of what is found, whatever becomes of its file."""

from __future__ import annotations

import errno
import logging
import os
import re
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_rlm.errors import ContextStoreError
from langgraph_rlm.text import blocks, indexing, line_numbers, lines, stored
from langgraph_rlm.text.blocks import BlockIndex
from langgraph_rlm.text.plan import plan_of
from langgraph_rlm.text.store import ContextStore
from langgraph_rlm.types import ContextRef

TEXT = "".join(f"line {number} says {number * 7919:x}\n" for number in range(20_000))
"""Half a megabyte: some blocks."""
RARE = "line 12345 says"

# --- what is found ----------------------------------------------------------------------------------------------------

WORDS = ["needle", "Kelvin", "kelvin", "\u212aelvin", "masse", "maße", "maſſe", "MASSE", "İstanbul", "istanbul", "ıs", "été", "ÉTÉ", "MAẞE", "ὈΔΥΣΣΕΎΣ", "東京都",
         "abc", "ab", "error 17", "ERROR", "x" * 20, "-", " ", "\n", "\r\n", "\x00"]  # fmt: skip
TEXTS = st.lists(st.sampled_from(WORDS), max_size=40).map("".join)
PATTERNS = [
    "needle", "needle|abc", "(?i)kelvin", "(?i)masse", "(?i)maße", "(?i)istanbul", "(?i)İstanbul", "(?i:error) 17", "été", "東京",
    "(?i)ÉTÉ", "(?i)été", "(?i)ὀδυσσεύς", "error.*needle", "abcab|needle.?x", r"\bneedle\b", r"\berror \d+", "needle$", "^abc", "[kK]elvin", "x{20,}",
    "(?:abc)+", "ab", ".*", "a|needle", "abc\r?\nabc", r"abc\s+needle", "needleabc" * 9, "[nN]eedle[^\n]x", "(?i)s", "(?i)skk|needle",
]  # fmt: skip
TINY = {"BLOCK": 16, "LONGEST": 12, "MOST_SHARE": 1.0}
"""So that a few words make many blocks, and no search goes without the index."""


@contextmanager
def tiny_blocks() -> Iterator[None]:
    with ExitStack() as all_of_them:
        all_of_them.enter_context(patch.multiple(blocks, **TINY))
        for module in (stored, lines, line_numbers):
            all_of_them.enter_context(patch.object(module, "BLOCK", TINY["BLOCK"]))
        yield


def searches(store: ContextStore, ref: ContextRef, wanted: str, **options: Any) -> list[Any]:
    """What all ways of searching say."""
    found = []
    for search in (store.grep, store.search):
        hits = search(ref, wanted, max_matches=1_000, deadline=None, **options)
        found.append((list(hits), hits.seen, hits.complete))
    return [*found, store.count_matches(ref, wanted, **options)]


@settings(deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=4).filter(any), st.sampled_from(PATTERNS), st.booleans(), st.data())
@example(["ab" * 7 + "needle" + "ab" * 20, "", "needle"], "needle", False, None)
@example(["-" * 40 + "\u212aelvin"], "(?i)kelvin", False, None)
@example(["-" * 40 + "maſſe"], "masse", True, None)
@example(["-" * 40 + "ÉTÉ" + "-" * 40], "(?i)été", False, None)
def test_with_the_index_the_same_is_found(texts: list[str], pattern: str, ignore_case: bool, data: Any) -> None:
    plain, indexed = ContextStore(), ContextStore()
    ref = plain.put(texts)
    ids = plain.documents(ref)
    documents = None if data is None else data.draw(st.none() | st.sets(st.sampled_from(ids)))
    with tiny_blocks():
        indexed.build_index(indexed.put(texts))
        assert searches(indexed, ref, pattern, ignore_case=ignore_case, documents=documents) == searches(
            plain, ref, pattern, ignore_case=ignore_case, documents=documents
        )


@settings(deadline=None)
@given(st.text("abcdeé", min_size=60, max_size=200), st.data())
def test_a_string_across_blocks_is_found(text: str, data: Any) -> None:
    """Also one that is longer than what is looked up of it."""
    start = data.draw(st.integers(0, len(text) - 30))
    wanted = text[start : start + data.draw(st.integers(3, 30))]
    store = ContextStore()
    ref = store.put(text)
    with tiny_blocks():
        store.build_index(ref)
        assert store.count_matches(ref, wanted).matches == text.count(wanted)


@given(st.lists(st.sampled_from(["needle", "abc\n", "été", "-"]), min_size=1, max_size=60), st.integers(1, 4))
def test_every_place_of_a_string_lies_in_a_window(words: list[str], parts: int) -> None:
    texts = ["".join(words[number::parts]) for number in range(parts)]
    store = ContextStore()
    with tiny_blocks():
        if not any(texts):
            return
        ref = store.put(texts)
        store.build_index(ref)
        for number, one in enumerate(store._stored(ref).searched()):
            windows = one.where(plan_of("needle"))
            assert windows is not None
            found = [at for at in range(len(one.data)) if bytes(one.data[at : at + 6]) == b"needle"]
            assert all(any(start <= at < end for start, end in windows) for at in found)
            assert all(0 <= start <= end <= len(one.data) for start, end in windows)
            assert len(found) == texts[number].count("needle")


@settings(deadline=None)
@given(st.text("abé東😀\n\r", min_size=1, max_size=150), st.integers(0, 150), st.integers(0, 150), st.integers(1, 30))
def test_what_the_index_has_counted_is_where_characters_and_lines_are(text: str, a: int, b: int, line: int) -> None:
    store = ContextStore()
    ref = store.put(text)
    with tiny_blocks():
        store.build_index(ref)
        start, end = sorted((a, b))
        known = [one + "\n" for one in text.split("\n")]
        known[-1] = known[-1][:-1]
        known = [one for one in known if one]
        assert store.read(ref, start=start, end=end) == text[start:end]
        assert store.count_lines(ref) == len(known)
        assert store.lines(ref, line, line + 2) == "".join(known[line - 1 : line + 2])
        document = store._document(ref, "context")
        for at in range(len(text)):
            assert document.place_of(len(text[:at].encode())) == (at, text.count("\n", 0, at) + 1)


def test_a_reopened_index_knows_lines_and_characters_without_looking_at_the_text(
    tmp_path: Path, any_size: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "é" * 700_000 + "\n" + TEXT
    ref = indexed_in(tmp_path, text)
    store = ContextStore(tmp_path)
    monkeypatch.setattr(line_numbers.LineIndex, "_ends_by_block", never_counted(line_numbers.LineIndex._ends_by_block))
    (hit,) = store.grep(ref, RARE)
    assert (hit["start"], hit["line"]) == (text.index(RARE), 12_347)
    assert store.read(ref, start=700_001, end=700_011) == TEXT[:10]


def never_counted(method: Callable[[Any], list[int]]) -> Callable[[Any], list[int]]:
    def ends(index: Any) -> list[int]:
        assert index._ends is not None, "the whole text was looked at"
        return method(index)

    return ends


def test_a_rare_string_is_looked_for_in_few_blocks_and_a_common_one_everywhere() -> None:
    index = BlockIndex.of((TEXT * 2).encode())
    found = index.blocks([RARE.encode()])
    assert found is not None and {TEXT.index(RARE) >> 16, TEXT.index(RARE) + len(TEXT) >> 16} <= {*found}
    assert len(found) <= 4
    assert index.blocks([b"line "]) is None
    assert index.blocks([b"no such string anywhere"]) == []
    assert index.blocks([b"ks"]) is None, "too short to be looked up"
    assert index.blocks([b"kSsk"], fold=True) is None, "other characters have these for a case"
    assert index.blocks([b"no such string", RARE.upper().encode()]) == index.blocks([RARE.encode()])


# --- memory -----------------------------------------------------------------------------------------------------------


def test_building_holds_one_copy_of_the_index_and_a_written_one_is_let_go(tmp_path: Path) -> None:
    store, size = ContextStore(tmp_path), 64 << 20
    ref = store.put("some text of eight letters......" * (size // 32))
    tracemalloc.start()
    try:
        store.build_index(ref)
        left, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.75 * size / 8
    assert left < size / 80


# --- the file ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small contexts are treated as large ones."""
    monkeypatch.setattr(indexing, "LEAST_BYTES", 1)
    monkeypatch.setattr(indexing, "INDEXED_BYTES", 1)


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was looked up in indexes."""
    calls: list[Any] = []
    look = BlockIndex.blocks

    def spy(index: BlockIndex, *arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        return look(index, *arguments, **options)

    monkeypatch.setattr(BlockIndex, "blocks", spy)
    return calls


def indexed_in(path: Path, context: Any = TEXT) -> ContextRef:
    store = ContextStore(path)
    ref = store.put(context)
    store.build_index(ref)
    store.close()
    return ref


def index_of(path: Path) -> Path:
    (found,) = path.glob("*.blocks")
    return found


def never(*arguments: Any) -> None:
    raise AssertionError("it is there already")


def test_a_written_index_is_used_from_the_first_search_on(
    tmp_path: Path, any_size: None, looked_up: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import sys; from langgraph_rlm.text.store import ContextStore\n"
    code += "store = ContextStore(sys.argv[1]); store.build_index(store.put(sys.stdin.read()))"
    subprocess.run([sys.executable, "-c", code, tmp_path], input=TEXT, text=True, check=True)
    assert index_of(tmp_path).stat().st_mode & 0o777 == 0o600
    monkeypatch.setattr(BlockIndex, "of", never)
    store = ContextStore(tmp_path)
    ref = store.put(TEXT)
    assert store.count_matches(ref, RARE).matches == 1
    assert looked_up
    store.build_index(ref)


def test_a_context_that_was_let_go_has_its_index_when_it_is_opened_again(
    tmp_path: Path, any_size: None, looked_up: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("langgraph_rlm.text.files._KEPT_OPEN", 1)
    store = ContextStore(tmp_path)
    ref = store.put(TEXT)
    for _ in range(3):
        store.grep(ref, RARE)
    in_background()
    monkeypatch.setattr(BlockIndex, "of", never)
    for _ in range(2):
        store.put("another one")
        looked_up.clear()
        assert len(store.grep(ref, RARE)) == 1
        assert looked_up


ROWS = 56 + (1 << 18) + 64
"""Where they begin in the file of a text of eight blocks."""
REGIONS = {
    "magic": slice(0, 8), "version": slice(8, 12), "digest": slice(12, 44), "size": slice(44, 52), "checksum": slice(52, 56),
    "sums": slice(56, ROWS - 64), "counts": slice(ROWS - 64, ROWS), "rows": slice(ROWS, None), "end": slice(-1, None),
}  # fmt: skip


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("change", ["zeros", "one bit"])
def test_a_damaged_file_is_not_believed(tmp_path: Path, any_size: None, region: str, change: str) -> None:
    ref = indexed_in(tmp_path)
    file, data = index_of(tmp_path), bytearray(index_of(tmp_path).read_bytes())
    sound = bytes(data)
    for at in range(*REGIONS[region].indices(len(data)))[: None if change == "zeros" else 1]:
        data[at] = 0 if change == "zeros" and data[at] else data[at] ^ 1
    file.write_bytes(data)
    assert BlockIndex.read(file, ref["context_ref"][7:], len(TEXT), whole=True) is None
    plain = ContextStore()
    plain.put(TEXT)
    for wanted in (RARE, "no such string", "says 1f8d7", "ine 1234"):
        assert searches(ContextStore(tmp_path), ref, wanted) == searches(plain, ref, wanted)
    in_background()
    ContextStore(tmp_path).build_index(ref)
    assert file.read_bytes() == sound, "it is made anew"


def test_a_damaged_row_is_noticed_when_it_is_looked_at_and_the_index_is_built_again(
    tmp_path: Path, any_size: None, caplog: pytest.LogCaptureFixture
) -> None:
    ref = indexed_in(tmp_path)
    data = index_of(tmp_path).read_bytes()
    start = REGIONS["rows"].start
    index_of(tmp_path).write_bytes(data[:start] + bytes(len(data) - start))
    store = ContextStore(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert len(store.grep(ref, RARE)) == 1
        assert len(store.grep(ref, RARE)) == 1
    assert [record.message for record in caplog.records if "damaged" in record.message] == caplog.messages != []
    for _ in range(3):
        store.grep(ref, RARE)
    in_background()
    assert index_of(tmp_path).read_bytes() == data


@pytest.mark.parametrize("size", [0, 10, 56, 1_000, -1])
def test_a_file_that_was_cut_off_is_not_believed(tmp_path: Path, any_size: None, size: int) -> None:
    ref = indexed_in(tmp_path)
    file = index_of(tmp_path)
    file.write_bytes(file.read_bytes()[:size])
    store = ContextStore(tmp_path)
    assert store.count_matches(ref, RARE).matches == 1
    store.build_index(ref)
    assert BlockIndex.read(file, ref["context_ref"][7:], len(TEXT), whole=True)


def test_the_index_of_another_context_is_not_believed(tmp_path: Path, any_size: None) -> None:
    ref, other = indexed_in(tmp_path / "a"), indexed_in(tmp_path / "b", TEXT[::-1])
    index_of(tmp_path / "a").write_bytes(index_of(tmp_path / "b").read_bytes())
    assert ContextStore(tmp_path / "a").count_matches(ref, RARE).matches == 1
    digest = other["context_ref"][7:]
    assert BlockIndex.read(index_of(tmp_path / "b"), digest, len(TEXT))
    assert BlockIndex.read(index_of(tmp_path / "b"), digest, len(TEXT) - 1) is None, "of another length"


def test_a_store_with_a_serializer_writes_no_index(tmp_path: Path, any_size: None) -> None:
    """It would tell which letters stand together."""
    store = ContextStore(tmp_path, serializer=JsonPlusSerializer())
    ref = store.put(TEXT)
    store.build_index(ref)
    assert store.count_matches(ref, RARE).matches == 1
    assert [path.suffix for path in tmp_path.iterdir()] == [".ctx"]


def test_an_index_goes_with_its_context(tmp_path: Path) -> None:
    indexed_in(tmp_path)
    assert ContextStore(tmp_path).prune(older_than=-1) == 1
    assert list(tmp_path.iterdir()) == []


def test_an_index_counts_for_the_bound_and_goes_when_its_context_does(tmp_path: Path) -> None:
    indexed_in(tmp_path)
    bound = 2 * len(TEXT)
    assert index_of(tmp_path).stat().st_size + 2 * len(TEXT) > bound
    store = ContextStore(tmp_path, max_bytes=bound)
    ref = store.put(TEXT[::-1])
    assert [path.stem for path in tmp_path.iterdir()] == [ref["context_ref"][7:]]


@pytest.mark.parametrize("failing", ["tempfile.mkstemp", "os.fsync", "os.replace"])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_an_index_that_cannot_be_written_is_said_and_searches_use_it_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looked_up: list[Any], failing: str, error: int
) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        raise OSError(error, os.strerror(error))

    store = ContextStore(tmp_path)
    ref = store.put(TEXT)
    with monkeypatch.context() as context:
        context.setattr(f"langgraph_rlm.text.blocks.{failing}", fail)
        with pytest.raises(
            ContextStoreError, match=f"cannot be written to {tmp_path}: {os.strerror(error)}.*free some"
        ):
            store.build_index(ref)
    assert [path.suffix for path in tmp_path.iterdir()] == [".ctx"]
    assert store.count_matches(ref, RARE).matches == 1
    assert looked_up


def test_a_file_too_large_to_write_leaves_nothing(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from langgraph_rlm.text.store import ContextStore\n"
        "from langgraph_rlm.errors import ContextStoreError\n"
        "store = ContextStore(sys.argv[1]); ref = store.put('some text\\n' * 1000)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try: store.build_index(ref)\n"
        "except ContextStoreError as error: print(error)\n"
        "print(store.count_matches(ref, 'text').matches)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True)
    assert "File too large" in done.stdout, done.stderr
    assert done.stdout.endswith("\n1000\n")
    assert [path.suffix for path in tmp_path.iterdir()] == [".ctx"]


def test_two_processes_may_build_at_once(tmp_path: Path) -> None:
    ref = ContextStore(tmp_path).put(TEXT)
    code = (
        "import sys; from langgraph_rlm.text.store import ContextStore\n"
        "store = ContextStore(sys.argv[1]); print(flush=True); sys.stdin.readline()\n"
        f"store.build_index({dict(ref)!r}); print(store.count_matches({dict(ref)!r}, {RARE!r}).matches)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    both = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        assert process.stdout is not None
        process.stdout.readline()
    assert [process.communicate("\n")[0] for process in both] == ["1\n", "1\n"]
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".blocks", ".ctx"]
    assert BlockIndex.read(index_of(tmp_path), ref["context_ref"][7:], len(TEXT), whole=True)


# --- in the background ------------------------------------------------------------------------------------------------


def in_background() -> int:
    """Wait for what is built in the background; how many threads there were."""
    threads = [thread for thread in threading.enumerate() if thread.name == "rlm-index"]
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return len(threads)


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    """Building waits in its middle: an event that says that it has come there, and one that lets it go on."""
    there, go_on = threading.Event(), threading.Event()
    fill = blocks._fill

    def slowly(*arguments: Any) -> None:
        there.set()
        assert go_on.wait(60)
        fill(*arguments)

    monkeypatch.setattr(blocks, "_fill", slowly)
    yield there, go_on
    go_on.set()
    in_background()


def test_the_index_of_a_large_context_is_built_after_three_searches_that_it_would_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "INDEXED_BYTES", len(TEXT))
    store = ContextStore(tmp_path)
    large, small = store.put(TEXT), store.put(TEXT[1:])
    for _ in range(9):
        store.grep(small, RARE)
        store.grep(large, ".*")
    for search in (store.grep, store.search):
        search(large, RARE)
    assert (in_background(), list(tmp_path.glob("*.blocks"))) == (0, [])
    store.count_matches(large, RARE)
    in_background()
    assert index_of(tmp_path).stem == large["context_ref"][7:]


def test_meanwhile_it_is_searched_without(
    any_size: None, waiting: tuple[threading.Event, threading.Event], looked_up: list[Any]
) -> None:
    there, go_on = waiting
    store = ContextStore()
    ref = store.put(TEXT)
    for _ in range(20):
        assert len(store.grep(ref, RARE)) == 1
    assert there.wait(60)
    assert not looked_up
    go_on.set()
    assert in_background() <= 1, "it was begun once"
    assert len(store.grep(ref, RARE)) == 1
    assert looked_up


def test_closing_the_store_ends_it(
    tmp_path: Path, any_size: None, waiting: tuple[threading.Event, threading.Event], caplog: pytest.LogCaptureFixture
) -> None:
    there, go_on = waiting
    store = ContextStore(tmp_path)
    ref = store.put(TEXT)
    for _ in range(3):
        store.grep(ref, RARE)
    assert there.wait(60)
    store.close()
    go_on.set()
    in_background()
    assert [path.suffix for path in tmp_path.iterdir()] == [".ctx"]
    assert caplog.records == []


FAILURES: list[tuple[Callable[[], BaseException], str]] = [
    (lambda: RuntimeError("nobody expects it"), "no search index.*go on without"),
    (MemoryError, "no search index"),
    (lambda: OSError(errno.ENOSPC, "No space left on device"), "No space left on device. Searches work without"),
]


@pytest.mark.parametrize(("error", "says"), FAILURES, ids=["unexpected", "memory", "disk"])
def test_a_failure_in_the_background_is_logged_and_searches_go_on(
    tmp_path: Path,
    any_size: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Callable[[], BaseException],
    says: str,
) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        raise error()

    monkeypatch.setattr(BlockIndex, "write" if "No space" in says else "of", fail)
    store = ContextStore(tmp_path)
    ref = store.put(TEXT)
    for _ in range(6):
        assert len(store.grep(ref, RARE)) == 1
        in_background()
    assert len(caplog.messages) == 1, "it is tried once"
    assert caplog.records[0].name == "langgraph_rlm.text.indexing"
    assert re.search(says, caplog.messages[0])


def test_what_is_told_of_the_progress_ends_with_all_of_it() -> None:
    store, told = ContextStore(), list[tuple[int, int]]()
    store.build_index(store.put(TEXT * 4), on_progress=lambda done, total: told.append((done, total)))
    assert len(told) > 2
    assert told == sorted(told)
    assert told[-1] == (4 * len(TEXT), 4 * len(TEXT))
