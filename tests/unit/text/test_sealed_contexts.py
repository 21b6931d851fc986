"""Contexts that are encrypted on the disk: nothing of them can be read there, and nothing wrong is believed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_rlm.calls.memo import RunId
from langgraph_rlm.calls.memo_files import memo_for
from langgraph_rlm.errors import ContextMissing, InvalidInput, MemoDamaged
from langgraph_rlm.text.store import ContextStore

KEY = b"sixteen bytes ok"
SECRET = {"the secret name": "the secret text é\nits second line", "other": ""}


def sealing(key: bytes = KEY) -> EncryptedSerializer:
    return EncryptedSerializer.from_pycryptodome_aes(key=key)


def sealed(path: Path, **options: Any) -> ContextStore:
    return ContextStore(path, serializer=sealing(), **options)


def only_file(path: Path) -> Path:
    (found,) = path.glob("*.ctx")
    return found


@pytest.mark.parametrize(
    "context",
    ["text é", ["a", "", "b"], SECRET, [Document("one é", id="a.txt"), Document("two")]],
    ids=["text", "list", "fields", "documents"],
)
def test_every_kind_is_read_back_by_whoever_has_the_key(tmp_path: Path, context: Any) -> None:
    ref = sealed(tmp_path).put(context)
    assert ref == ContextStore().put(context)  # the same reference as anywhere
    here, plain = sealed(tmp_path), ContextStore()
    plain.put(context)
    assert here.stat(ref) == plain.stat(ref)
    assert here.documents(ref) == plain.documents(ref)
    assert [(doc_id, bytes(data)) for doc_id, data in here.parts(ref)] == [
        (doc_id, bytes(data)) for doc_id, data in plain.parts(ref)
    ]
    assert here.payload(ref).names == plain.payload(ref).names
    assert here.put(ref) == ref


def test_another_process_reads_it_with_the_key(tmp_path: Path) -> None:
    ref = sealed(tmp_path).put("text é")
    code = (
        "import sys; from langgraph_rlm.text.store import ContextStore\n"
        "from langgraph.checkpoint.serde.encrypted import EncryptedSerializer\n"
        f"serializer = EncryptedSerializer.from_pycryptodome_aes(key={KEY!r})\n"
        f"print(ascii(ContextStore(sys.argv[1], serializer=serializer).read({ref!r})))"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True)
    assert done.stdout.strip() == r"'text \xe9'", done.stderr


def test_nothing_of_the_text_or_its_names_lies_on_the_disk(tmp_path: Path) -> None:
    sealed(tmp_path).put(SECRET)
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for part in (b"secret", b"second line", b"fields", b"other"):
        assert part not in written


@pytest.mark.parametrize(
    "reader",
    [lambda path: ContextStore(path, serializer=sealing(b"another sixteen!")), ContextStore],
    ids=["wrong key", "no key"],
)
def test_without_the_key_it_is_missing_and_can_be_put_again(tmp_path: Path, reader: Any) -> None:
    ref = sealed(tmp_path).put(SECRET)
    store = reader(tmp_path)
    with pytest.raises(ContextMissing, match="serializer"):
        store.read(ref, "context/other")
    with pytest.raises(ContextMissing):
        store.put(ref)
    assert store.put(SECRET) == ref
    assert reader(tmp_path).read(ref, "context/the secret name") == SECRET["the secret name"]


def test_turning_encryption_on_does_not_leave_what_was_plain(tmp_path: Path) -> None:
    ref = ContextStore(tmp_path).put(SECRET)
    store = sealed(tmp_path)
    with pytest.raises(ContextMissing, match="written with no serializer"):
        store.stat(ref)
    store.put(SECRET)
    assert b"secret" not in only_file(tmp_path).read_bytes()


@pytest.mark.parametrize("at", [0, 20, 100, -40, -1])
def test_a_file_that_was_changed_is_refused(tmp_path: Path, at: int) -> None:
    ref = sealed(tmp_path).put("some text " * 50)
    data = bytearray(only_file(tmp_path).read_bytes())
    data[at] ^= 1
    only_file(tmp_path).write_bytes(data)
    with pytest.raises(ContextMissing, match=r"[Pp]ut"):
        sealed(tmp_path).read(ref)


def test_a_file_in_the_place_of_another_is_refused(tmp_path: Path) -> None:
    store = sealed(tmp_path)
    one, other = store.put("pay one"), store.put("pay two")
    paths = [tmp_path / (ref["context_ref"][7:] + ".ctx") for ref in (one, other)]
    names = [ref["context_ref"][7:].encode() for ref in (one, other)]
    paths[0].write_bytes(paths[1].read_bytes().replace(names[1], names[0]))
    with pytest.raises(ContextMissing, match="damaged"):
        sealed(tmp_path).read(one)
    assert sealed(tmp_path).read(other) == "pay two"


def test_a_description_that_lies_is_refused(tmp_path: Path) -> None:
    """Whoever has the key may have sealed anything under this name."""
    serializer = JsonPlusSerializer()  # seals nothing, so that it can be edited
    ref = ContextStore(tmp_path, serializer=serializer).put("some text")
    file = only_file(tmp_path)
    file.write_bytes(file.read_bytes().replace(b"some text", b"fake text"))
    with pytest.raises(ContextMissing, match="damaged"):
        ContextStore(tmp_path, serializer=serializer).read(ref)


def test_who_has_no_key_cannot_say_that_there_is_none(tmp_path: Path) -> None:
    """LangGraph's serializer takes data as not encrypted when their type says so, and the type lies beside the data."""
    ref = sealed(tmp_path).put("some text")
    plain = ContextStore(tmp_path / "forged", serializer=JsonPlusSerializer())
    plain.put("some text")
    only_file(tmp_path).write_bytes(only_file(tmp_path / "forged").read_bytes())
    with pytest.raises(ContextMissing, match="serializer"):
        sealed(tmp_path).read(ref)


def test_a_sealed_context_in_use_stays(tmp_path: Path) -> None:
    store = sealed(tmp_path, max_bytes=15_000)
    first = store.put("a" * 10_000)
    fresh = sealed(tmp_path, max_bytes=15_000)
    views = [memoryview(one.payload(first).data)[:3] for one in (store, fresh)]  # just written, and decrypted
    store.close()
    fresh.close()
    for _ in range(2):
        assert sealed(tmp_path).prune(older_than=-1) == 0
        assert bytes(views.pop()) == b"aaa"
    second = store.put("b" * 10_000)
    assert store.read(second)
    with pytest.raises(ContextMissing):
        store.read(first)


def test_few_sealed_contexts_are_held_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("langgraph_rlm.text.files._KEPT_UNSEALED_BYTES", 25_000)
    store, opened = sealed(tmp_path), []
    refs = [store.put(letter * 10_000) for letter in "abc"]
    load = store.serializer.loads_typed  # type: ignore[union-attr]
    monkeypatch.setattr(store.serializer, "loads_typed", lambda data: opened.append(1) or load(data))
    for ref in (refs[2], refs[1], refs[0]):
        assert len(store.read(ref)) == 10_000
    assert len(opened) == 1  # the first of the three was let go


@pytest.mark.parametrize(
    ("arguments", "says"),
    [((None, sealing()), "give path="), (("here", "key"), "dumps_typed.*got str"), (("here", object()), "got object")],
)
def test_a_serializer_that_cannot_be_used_is_refused(tmp_path: Path, arguments: Any, says: str) -> None:
    path, serializer = arguments
    with pytest.raises(InvalidInput, match=says):
        ContextStore(path and tmp_path / path, serializer=serializer)
    assert list(tmp_path.iterdir()) == []


def test_the_memo_beside_sealed_contexts_is_sealed_too(tmp_path: Path) -> None:
    run = RunId("thread", "run")
    memo = memo_for(None, sealed(tmp_path))
    memo.record(run, results={"key": {"text": "the secret answer"}})
    memo.close()
    assert b"secret" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert memo_for(None, sealed(tmp_path)).results(run, ["key"]) == {"key": {"text": "the secret answer"}}
    with pytest.raises(MemoDamaged):
        memo_for(None, ContextStore(tmp_path, serializer=sealing(b"another sixteen!"))).results(run, ["key"])
