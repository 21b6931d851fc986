"""A context is put once, read back exactly, and refused clearly when it cannot be."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document

from langgraph_rlm.errors import (
    ContextMissing,
    DocumentMissing,
    IndexMismatch,
    InvalidInput,
    PatternError,
)
from langgraph_rlm.text.recent import RecentTexts
from langgraph_rlm.text.store import ContextStore

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@pytest.fixture(params=["memory", "directory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ContextStore]:
    made = ContextStore(None if request.param == "memory" else tmp_path / "deep" / "contexts")
    yield made
    made.close()


def only_file(path: Path) -> Path:
    (found,) = path.glob("*.ctx")
    return found


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(text=TEXT.filter(bool), start=st.integers(0, 50), length=st.integers(0, 50))
def test_any_text_is_read_back_by_characters(store: ContextStore, text: str, start: int, length: int) -> None:
    ref = store.put(text)
    assert store.read(ref) == text
    assert store.read(ref, "context", start, start + length) == text[start : start + length]
    assert ref["chars"] == len(text)
    assert bytes(store.payload(ref).data) == text.encode()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(fields=st.dictionaries(TEXT.filter(bool), TEXT, min_size=1).filter(lambda fields: any(fields.values())))
def test_any_mapping_is_taken_apart_and_joined_again(store: ContextStore, fields: dict[str, str]) -> None:
    ref = store.put(fields)
    payload = store.payload(ref)
    cut, at = {}, 0
    for name, size in zip(payload.names, payload.sizes, strict=True):
        cut[name] = bytes(payload.data[at : at + size]).decode()
        at += size
    assert cut == fields
    assert store.documents(ref) == [f"context/{key}" for key in fields]
    assert {doc_id: bytes(data).decode() for doc_id, data in store.parts(ref)} == {
        f"context/{key}": text for key, text in fields.items()
    }


def test_each_kind_has_its_document_ids(store: ContextStore) -> None:
    documents = [Document("one", id="a.txt"), Document("two", metadata={"source": "b"}), Document("three")]
    assert store.documents(store.put("text")) == ["context"]
    assert store.documents(store.put(["a", "", "c"])) == ["context/0", "context/1", "context/2"]
    ref = store.put(documents)
    assert store.documents(ref) == ["a.txt", "b", "context/2"]
    assert store.payload(ref).names == ("a.txt", "b", "context/2")
    assert store.stat(ref) == {"kind": "documents", "chars": 11, "docs": 3, "bytes": 11}


def test_equal_content_has_one_reference_and_other_content_another(store: ContextStore) -> None:
    contexts: list[Any] = ["ab", ["ab"], ["a", "b"], ["ab", ""], {"k": "ab"}, {"k": "a", "l": "b"}, {"ka": "b"}]
    refs = [store.put(context)["context_ref"] for context in contexts]
    assert len(set(refs)) == len(contexts)
    assert [store.put(context)["context_ref"] for context in contexts] == refs


def test_a_reference_is_checked_and_given_back_corrected(store: ContextStore) -> None:
    ref = store.put("héllo")
    assert store.put(ref) == ref
    assert store.put({"context_ref": ref["context_ref"], "kind": "list", "chars": 10**9, "docs": 3}) == ref  # a lie


@pytest.mark.parametrize(
    "value",
    ["../../etc/passwd", "sha256:../x", "sha256:" + "0" * 63, "sha256:" + "0" * 64 + "\n", "SHA256:" + "0" * 64,
     "sha256:" + "A" * 64, None, 7, ["sha256:" + "0" * 64]],
)  # fmt: skip
def test_a_reference_that_is_none_is_refused(store: ContextStore, value: object) -> None:
    with pytest.raises(InvalidInput, match="ContextRef"):
        store.parts({"context_ref": value})  # type: ignore[typeddict-item]


def test_a_context_that_was_never_put_is_missing(store: ContextStore) -> None:
    with pytest.raises(ContextMissing, match="put it again"):
        store.put({"context_ref": "sha256:" + "0" * 64})  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("context", "says"),
    [
        ("", "empty"),
        ([], "empty"),
        ({}, "empty"),
        (["", ""], "empty"),
        (7, "int"),
        (b"bytes", "bytes"),
        (None, "NoneType"),
        (["a", 3], r"context\[1\].*int"),
        (["a", Document("b")], r"context\[1\].*Document"),
        ({"a": 1}, r"context\['a'\].*int"),
        ({1: "a"}, "keys must be str"),
        ({"": "a"}, "not empty"),
        ("ab\ud800", r"character 2.*lone surrogate '\\ud800'"),
        ({"key": "\udfff"}, "character 0 of 'key'"),
        ({"\udfff": "a"}, "lone surrogate"),
        ([Document("a", id="x"), Document("b", id="x")], r"context\[1\].*'x'"),
        ([Document("a", id="context/1"), Document("b")], r"'context/1'"),
    ],
)
def test_what_is_no_context_is_refused_with_its_place(store: ContextStore, context: Any, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        store.put(context)


def test_reading_beyond_the_end_gives_what_is_there(store: ContextStore) -> None:
    ref = store.put("héllo")
    assert store.read(ref, start=3, end=99) == "lo"
    assert store.read(ref, start=99) == ""


@pytest.mark.parametrize(("start", "end"), [(-1, None), (0, -1), (3, 2), (1.0, None), (True, None), ("0", None)])
def test_offsets_that_are_none_are_refused(store: ContextStore, start: Any, end: Any) -> None:
    ref = store.put("hello")
    with pytest.raises(InvalidInput, match="read:"):
        store.read(ref, start=start, end=end)


def test_an_unknown_document_is_answered_with_similar_ids(store: ContextStore) -> None:
    ref = store.put({"chapter one": "a", "chapter two": "b"})
    with pytest.raises(DocumentMissing, match="context/chapter one"):
        store.read(ref, "context/chapter on")
    with pytest.raises(DocumentMissing, match="context/chapter"):
        store.grep(ref, "a", documents=["chapter"])


def test_grep_and_search_look_into_the_chosen_documents(store: ContextStore) -> None:
    ref = store.put(["red\napple", "green apple"])
    hits = store.grep(ref, r"\bapple$")
    assert [(hit["doc_id"], hit["line"], hit["text"]) for hit in hits] == [
        ("context/0", 2, "apple"),
        ("context/1", 1, "green apple"),
    ]
    assert [hit["doc_id"] for hit in store.search(ref, "apple", documents=["context/1"], max_matches=5)] == [
        "context/1"
    ]
    with pytest.raises(PatternError):
        store.grep(ref, "(")


async def test_put_has_an_async_twin(store: ContextStore) -> None:
    assert await store.aput("text") == store.put("text")


def test_old_contexts_are_pruned_and_used_ones_stay(store: ContextStore) -> None:
    old = store.put("old")
    time.sleep(0.06)
    young = store.put("young")
    assert store.prune(older_than=0.05) == 1
    assert store.read(young) == "young"
    with pytest.raises(ContextMissing):
        store.read(old)


def test_threads_may_share_a_store(store: ContextStore) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(20):
                text = f"text {(number + turn) % 5} é"
                assert store.read(store.put(text)) == text
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.parametrize("text", ["a" * 10_000, "é" * 10_000], ids=["ascii", "other"])
def test_a_text_put_again_is_neither_encoded_nor_hashed_again(
    store: ContextStore, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = store.put(text)
    monkeypatch.setattr("langgraph_rlm.text.given.utf8", None)
    monkeypatch.setattr("langgraph_rlm.text.store.digest_of", None)
    assert store.put(text) == ref
    assert store.put("".join(list(text))) == ref  # an equal text that is another object


def test_a_text_that_was_removed_is_stored_when_it_is_put_again(store: ContextStore) -> None:
    text = "a" * 10_000
    ref = store.put(text)
    assert store.prune(older_than=-1) == 1
    assert store.put(text) == ref
    assert store.read(ref) == text
    if store.path is not None:
        only_file(store.path).unlink()  # behind its back
        assert store.put(text) == ref
        assert ContextStore(store.path).read(ref) == text


def test_an_ascii_text_in_memory_is_held_without_a_copy() -> None:
    store, text = ContextStore(), "a" * 1_000_000
    held = sys.getrefcount(text)
    view = store.payload(store.put(text)).data
    assert isinstance(view, memoryview) and view.readonly
    assert sys.getrefcount(text) > held
    store.close()
    del text
    assert bytes(view) == b"a" * 1_000_000  # the view keeps the text


def test_texts_that_are_remembered_are_few() -> None:
    recent = RecentTexts()
    for number in range(20):
        recent.keep("a" * (5_000 + number), str(number))
    assert sum(recent.find("a" * (5_000 + number)) is not None for number in range(20)) == 8
    recent.keep("b" * (65 << 20), "large")
    assert recent.find("b" * (65 << 20)) is None
    recent.keep("short", "short")
    assert recent.find("short") is None


# --- directories ----------------------------------------------------------------------------------------------------


def test_only_the_owner_can_read_a_directory(tmp_path: Path) -> None:
    store = ContextStore(tmp_path / "contexts")
    store.put("secret")
    assert stat.S_IMODE((tmp_path / "contexts").stat().st_mode) == 0o700
    assert stat.S_IMODE(only_file(tmp_path / "contexts").stat().st_mode) == 0o600
    assert store.durable and not ContextStore().durable


def test_another_process_finds_the_context(tmp_path: Path) -> None:
    ref = ContextStore(tmp_path).put(["é", "b"])
    code = (
        "import sys; from langgraph_rlm.text.store import ContextStore;"
        f"print(ContextStore(sys.argv[1]).read({{'context_ref': {ref['context_ref']!r}}}, 'context/0'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, env={**os.environ, "PYTHONUTF8": "1"}
    )
    assert done.stdout.decode().strip() == "é", done.stderr.decode()


def test_putting_again_writes_nothing_but_keeps_it_young(tmp_path: Path) -> None:
    store = ContextStore(tmp_path)
    ref = store.put("text")
    file = only_file(tmp_path)
    inode = file.stat().st_ino
    os.utime(file, (1, 1))
    assert store.put("text") == ref
    assert file.stat().st_ino == inode
    assert store.prune(older_than=3600) == 0


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: b"", lambda data: b"x" * 40, lambda data: data[:18]]
)
def test_a_damaged_file_is_refused_and_mended_by_putting_again(tmp_path: Path, damage: Any) -> None:
    ref = ContextStore(tmp_path).put("some text")
    file = only_file(tmp_path)
    file.write_bytes(damage(file.read_bytes()))
    store = ContextStore(tmp_path)
    with pytest.raises(ContextMissing, match="damaged"):
        store.read(ref)
    store.put("some text")
    assert store.read(ref) == "some text"


def test_another_format_version_is_refused_by_name(tmp_path: Path) -> None:
    ref = ContextStore(tmp_path).put("text")
    file = only_file(tmp_path)
    data = bytearray(file.read_bytes())
    data[8] = 9
    file.write_bytes(data)
    with pytest.raises(IndexMismatch, match=r"version 9.*version 1"):
        ContextStore(tmp_path).read(ref)
    with pytest.raises(IndexMismatch, match="version 9"):
        ContextStore(tmp_path).put("text")


def test_a_context_in_use_is_not_pruned_and_its_view_outlives_closing(tmp_path: Path) -> None:
    store = ContextStore(tmp_path)
    view = store.payload(store.put("text")).data
    assert store.prune(older_than=-1) == 0
    store.close()
    assert bytes(view) == b"text"
    assert store.prune(older_than=-1) == 0
    del view
    assert store.prune(older_than=-1) == 1


def test_a_file_in_the_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InvalidInput, match="not a directory"):
        ContextStore(tmp_path / "file")


def test_memory_is_bounded_and_what_was_not_used_for_longest_goes_first() -> None:
    store = ContextStore(max_bytes=30)
    first, second = store.put("a" * 12), store.put("b" * 12)
    store.read(first)
    third = store.put("c" * 12)
    assert [store.read(ref)[0] for ref in (first, third)] == ["a", "c"]
    with pytest.raises(ContextMissing, match="put it again"):
        store.read(second)


def test_the_newest_context_stays_however_large_it_is() -> None:
    store = ContextStore(max_bytes=10)
    old, new = store.put("small"), store.put("x" * 100)
    assert store.read(new) == "x" * 100
    with pytest.raises(ContextMissing):
        store.read(old)


def test_room_that_was_pruned_is_free_again() -> None:
    store = ContextStore(max_bytes=20)
    store.put("a" * 15)
    assert store.prune(older_than=-1) == 1
    kept = [store.put("b" * 10), store.put("c" * 10)]
    assert [store.read(ref)[0] for ref in kept] == ["b", "c"]


@pytest.mark.parametrize("bound", [0, -1, True, 1.5, "1"])
def test_a_bound_that_is_no_size_is_refused(bound: Any) -> None:
    with pytest.raises(InvalidInput, match="max_bytes"):
        ContextStore(max_bytes=bound)
