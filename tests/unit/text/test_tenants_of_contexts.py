"""A reference is good for its tenant alone: to all others it is an unknown one."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer

from langgraph_rlm.errors import ContextMissing, InvalidInput
from langgraph_rlm.text.store import ContextStore

KEY = b"0123456789abcdef"


@pytest.fixture(params=["memory", "directory", "sealed"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ContextStore]:
    made = {
        "memory": lambda: ContextStore(),
        "directory": lambda: ContextStore(tmp_path),
        "sealed": lambda: ContextStore(tmp_path, serializer=EncryptedSerializer.from_pycryptodome_aes(key=KEY)),
    }[request.param]()
    yield made
    made.close()


def message(store: ContextStore, ref: object) -> str:
    """Of the error, without the reference."""
    with pytest.raises(ContextMissing) as caught:
        store.read(ref)  # type: ignore[arg-type]
    with pytest.raises(ContextMissing) as put:
        store.put(ref)  # type: ignore[arg-type]
    assert str(put.value) == str(caught.value)
    digest = ref["context_ref"]  # type: ignore[index]
    assert digest[:19] in str(caught.value)
    return str(caught.value).replace(digest[:19], "")


def test_a_tenants_reference_is_unknown_to_everybody_else(store: ContextStore) -> None:
    anna, bert = store.tenant("anna"), store.tenant("bert")
    ref = anna.put("launch code 0000")
    unknown = {**ref, "context_ref": "sha256:" + "0" * 64}
    assert message(bert, ref) == message(bert, unknown)
    assert message(store, ref) == message(store, unknown)
    assert store.tenant("anna").read(ref) == anna.read(anna.put(ref)) == "launch code 0000"
    own = store.put("of the store")
    assert message(anna, own) == message(anna, unknown)


def test_equal_texts_of_two_tenants_have_different_references(store: ContextStore) -> None:
    text = "the same " * 1_000
    refs = [
        where.put(text)["context_ref"] for where in (store, store.tenant("a"), store.tenant("b"), store.tenant("a"))
    ]
    assert len(set(refs)) == 3 and refs[1] == refs[3]


def test_what_lies_on_the_disk_is_no_reference(tmp_path: Path) -> None:
    store = ContextStore(tmp_path)
    ref = store.tenant("a").put("text")
    [file] = tmp_path.glob("*.ctx")
    assert file.stem not in ref["context_ref"]
    for view in (store.tenant("a"), store.tenant("b")):
        with pytest.raises(ContextMissing):
            view.read({**ref, "context_ref": f"sha256:{file.stem}"})


def test_a_tenants_contexts_are_found_by_another_process_and_searched(store: ContextStore) -> None:
    anna = store.tenant("anna")
    ref = anna.put({"a": "one\ntwo", "b": "two"})
    again = anna
    if store.path is not None:
        store.close()
        again = ContextStore(store.path, serializer=store.serializer).tenant("anna")
    assert again.read(ref, "context/a", start=4) == "two"
    assert again.count_matches(ref, "two") == (2, True)
    assert [hit["doc_id"] for hit in again.grep(ref, "^two")] == ["context/a", "context/b"]
    again.build_index(ref)
    assert again.search(ref, "one").seen == 1


def test_bounds_and_pruning_are_those_of_the_store(tmp_path: Path) -> None:
    small = ContextStore(max_bytes=100)
    first = small.tenant("a").put("a" * 80)
    second = small.tenant("b").put("b" * 80)
    with pytest.raises(ContextMissing):
        small.tenant("a").read(first)
    assert small.tenant("b").read(second) == "b" * 80
    assert small.prune(-1) == 1
    kept = ContextStore(tmp_path)
    kept.tenant("a").put("a")
    kept.put("b")
    assert kept.prune(-1) == 2


def test_closing_a_tenants_contexts_leaves_the_others(store: ContextStore) -> None:
    ref, other = store.put("x"), store.tenant("a")
    other.close()
    assert store.read(ref) == "x"
    assert (other.durable, other.path) == (store.durable, store.path)


def test_a_name_that_is_none_is_refused(store: ContextStore) -> None:
    for name in ("", None, 3, "\ud800"):
        with pytest.raises(InvalidInput, match="tenant"):
            store.tenant(name)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="a tenant already"):
        store.tenant("a").tenant("b")


def test_every_blocking_method_has_a_coroutine_of_the_same_parameters() -> None:
    public = {name for name, one in vars(ContextStore).items() if inspect.isfunction(one) and not name.startswith("_")}
    sync = {name for name in public if not inspect.iscoroutinefunction(getattr(ContextStore, name))} - {"tenant"}
    for name in sync:
        twin = getattr(ContextStore, f"a{name}")
        assert (
            inspect.signature(twin).parameters.keys()
            == inspect.signature(getattr(ContextStore, name)).parameters.keys()
        )
    assert public == sync | {f"a{name}" for name in sync} | {"tenant"}


async def test_coroutines_do_what_their_methods_do() -> None:
    store = ContextStore()
    ref = await store.aput("one\ntwo\n")
    assert await store.aread(ref, start=4) == "two\n"
    assert (await store.acount_matches(ref, "o", deadline=None)).matches == 2
    assert [hit["line"] for hit in await store.agrep(ref, "^t")] == [2]
