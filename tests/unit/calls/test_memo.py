"""Memos: the same behaviour in memory, in a file and in a store; what was changed from outside is refused."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.store.memory import InMemoryStore

from langgraph_rlm.calls import memo_files
from langgraph_rlm.calls.memo import CallRecord, Memo, MemoryMemo, Occurrences, RunId, digest_of, thread_digest
from langgraph_rlm.calls.memo_files import SqliteMemo, StoreMemo, memo_for
from langgraph_rlm.errors import IndexMismatch, InvalidInput, MemoDamaged, MemoError
from langgraph_rlm.text import ContextStore

ANNA, BERT = RunId(thread_digest("anna"), "run-a"), RunId(thread_digest("bert"), "run-b")


def call(name: str, *, open: bool = False, cost: float | None = 0.5) -> CallRecord:
    return CallRecord(
        id=name, model="m", open=open, calls=1, input_tokens=10, cached_tokens=0, output_tokens=5, cost_usd=cost, estimated=open
    )  # fmt: skip


KINDS: dict[str, Callable[[Path], Memo]] = {
    "memory": lambda path: MemoryMemo(),
    "sqlite": lambda path: SqliteMemo(path / "memo.sqlite3"),
    "sqlite, serialized": lambda path: SqliteMemo(path / "memo.sqlite3", serializer=JsonPlusSerializer()),
    "store": lambda path: StoreMemo(InMemoryStore()),
}


@pytest.fixture(params=list(KINDS))
def memo(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    made = KINDS[request.param](tmp_path)
    yield made
    made.close()


def test_what_was_recorded_is_found_and_nothing_else(memo: Memo) -> None:
    memo.record(ANNA, results={"a": {"text": "é\ud800", "parts": [1, None, 0.5]}, "b": {"text": ""}})
    assert memo.results(ANNA, ["a", "c"]) == {"a": {"text": "é\ud800", "parts": [1, None, 0.5]}}
    assert memo.results(ANNA, ["b", "a"]).keys() == {"a", "b"}
    assert memo.results(ANNA, []) == {}


def test_more_keys_than_fit_one_question_are_all_found(memo: Memo) -> None:
    memo.record(ANNA, results={str(n): {"n": n} for n in range(1_200)})
    assert memo.results(ANNA, [str(n) for n in range(1_300)]) == {str(n): {"n": n} for n in range(1_200)}


def test_a_result_or_a_call_takes_the_place_of_an_earlier_one(memo: Memo) -> None:
    memo.record(ANNA, results={"a": {"n": 1}}, calls=[call("1", open=True), call("2", open=True)])
    memo.record(ANNA, results={"a": {"n": 2}}, calls=[call("1")])
    assert memo.results(ANNA, ["a"]) == {"a": {"n": 2}}
    assert {c["id"]: c["open"] for c in memo.calls(ANNA)} == {"1": False, "2": True}


def test_runs_never_see_each_others_records(memo: Memo) -> None:
    memo.record(ANNA, results={"a": {"n": 1}}, calls=[call("1")])
    assert memo.results(BERT, ["a"]) == {}
    assert memo.calls(BERT) == []


def test_what_is_handed_out_cannot_be_changed_in_the_memo(memo: Memo) -> None:
    memo.record(ANNA, results={"a": {"list": [1]}}, calls=[call("1")])
    memo.results(ANNA, ["a"])["a"]["list"].append(2)
    memo.calls(ANNA)[0]["model"] = "other"
    assert memo.results(ANNA, ["a"]) == {"a": {"list": [1]}}
    assert memo.calls(ANNA)[0]["model"] == "m"


def test_a_thread_is_forgotten_and_the_others_stay(memo: Memo) -> None:
    memo.record(ANNA, results={"a": {"n": 1}}, calls=[call("1")])
    memo.record(RunId(ANNA.thread, "another question"), results={"a": {"n": 1}})
    memo.record(BERT, results={"a": {"n": 2}}, calls=[call("1")])
    assert memo.forget("anna") == 3
    assert (memo.results(ANNA, ["a"]), memo.calls(ANNA)) == ({}, [])
    assert memo.results(BERT, ["a"]) == {"a": {"n": 2}}
    assert memo.forget("anna") == 0


def test_old_runs_are_pruned_and_young_ones_stay(memo: Memo) -> None:
    memo.record(ANNA, results={"a": {"n": 1}}, calls=[call("1")])
    assert memo.prune(older_than=3_600) == 0
    assert memo.results(ANNA, ["a"])
    assert memo.prune(older_than=-1) == 2
    assert memo.results(ANNA, ["a"]) == {}


def test_threads_may_record_at_the_same_time(memo: Memo) -> None:
    def record(number: int) -> None:
        for part in range(20):
            memo.record(ANNA, results={f"{number}/{part}": {"n": part}}, calls=[call(f"{number}/{part}")])

    threads = [threading.Thread(target=record, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(memo.calls(ANNA)) == 160
    assert len(memo.results(ANNA, [f"{n}/{p}" for n in range(8) for p in range(20)])) == 160


json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=50, deadline=None)
@given(values=st.dictionaries(st.text(), st.dictionaries(st.text(), json_like, max_size=3), max_size=5))
def test_every_json_like_value_comes_back_as_it_was(
    values: dict[str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    memo = SqliteMemo(tmp_path_factory.mktemp("memo") / "m.sqlite3")
    memo.record(ANNA, results=values)
    assert memo.results(ANNA, list(values)) == values
    memo.close()


# --- in memory ----------------------------------------------------------------------------------------------------


def test_the_runs_used_longest_ago_go_first_and_the_latest_always_stays() -> None:
    memo = MemoryMemo(max_bytes=800)
    runs = [RunId("-", str(n)) for n in range(3)]
    for run in runs[:2]:
        memo.record(run, results={"a": {"v": "x" * 30}})
    assert memo.results(runs[0], ["a"])
    memo.record(runs[2], results={"a": {"v": "x" * 30}})
    assert [bool(memo.results(run, ["a"])) for run in runs] == [True, False, True]
    memo.record(runs[1], results={"a": {"v": "x" * 1_000}})
    assert [bool(memo.results(run, ["a"])) for run in runs] == [False, True, False]


def test_the_bound_counts_a_replaced_result_once() -> None:
    memo = MemoryMemo(max_bytes=2_000)
    memo.record(ANNA, results={"keep": {"v": "k"}})
    for _ in range(50):
        memo.record(BERT, results={"a": {"v": "x" * 30}})
    assert memo.results(ANNA, ["keep"])


# --- files --------------------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memo.sqlite3"


def recorded(path: Path) -> SqliteMemo:
    memo = SqliteMemo(path)
    memo.record(ANNA, results={"a": {"text": "yes"}, "b": {"text": "no"}}, calls=[call("1")])
    memo.close()
    return memo


def edit(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def test_what_was_recorded_is_there_for_another_object_and_only_for_the_owner(path: Path) -> None:
    recorded(path)
    assert SqliteMemo(path).results(ANNA, ["a"]) == {"a": {"text": "yes"}}
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_process_that_records_is_seen_by_another_that_has_the_file_open(path: Path) -> None:
    memo = SqliteMemo(path)
    assert memo.calls(ANNA) == []
    code = (
        "import sys\nfrom langgraph_rlm.calls.memo import RunId\nfrom langgraph_rlm.calls.memo_files import SqliteMemo\n"
        "SqliteMemo(sys.argv[1]).record(RunId(sys.argv[2], 'run-a'), results={'a': {'n': 1}})"
    )
    subprocess.run([sys.executable, "-c", code, str(path), ANNA.thread], check=True)
    assert memo.results(ANNA, ["a"]) == {"a": {"n": 1}}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE results SET value = replace(value, 'yes', 'no!')",
        "UPDATE results SET value = CAST(replace(value, 'yes', 'bad') AS BLOB)",
        "UPDATE results SET value = (SELECT value FROM results AS o WHERE o.rowid != results.rowid LIMIT 1)",
        "UPDATE results SET run = 'run-b'",
        "UPDATE results SET value = x''",
        "UPDATE results SET value = 5",
        "UPDATE results SET value = NULL",
    ],
)
def test_a_record_that_was_edited_or_moved_is_refused(path: Path, statement: str) -> None:
    recorded(path)
    edit(path, statement)
    run = BERT if "run-b" in statement else ANNA
    with pytest.raises(MemoDamaged, match="not what was written"):
        SqliteMemo(path).results(run, ["a", "b"])


def test_an_edited_ledger_is_refused(path: Path) -> None:
    recorded(path)
    edit(path, "UPDATE calls SET id = '2'")
    with pytest.raises(MemoDamaged, match="call of run"):
        SqliteMemo(path).calls(ANNA)


def test_a_file_that_is_cut_off_or_no_memo_at_all_is_refused(path: Path) -> None:
    recorded(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2 + 100])
    with pytest.raises(MemoDamaged, match="damaged"):
        SqliteMemo(path).results(ANNA, ["a", "b"])
    path.write_bytes(b"something else, of some length" * 50)
    with pytest.raises(MemoDamaged, match="not a database"):
        SqliteMemo(path).calls(ANNA)


def test_a_file_of_another_version_or_program_is_refused_by_name(path: Path) -> None:
    recorded(path)
    edit(path, "PRAGMA user_version = 7")
    with pytest.raises(IndexMismatch, match="version 7"):
        SqliteMemo(path).calls(ANNA)
    other = path.with_name("other.db")
    edit(other, "CREATE TABLE mine (x)")
    with pytest.raises(IndexMismatch, match="version 0"):
        SqliteMemo(other).calls(ANNA)


def test_a_file_that_another_program_locks_is_an_error_that_says_so(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("langgraph_rlm.sqlite.BUSY_SECONDS", 0.01)
    recorded(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(MemoError, match="locked"):
        SqliteMemo(path).record(ANNA, results={"c": {}})
    other.close()
    SqliteMemo(path).record(ANNA, results={"c": {}})


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="directory"):
        SqliteMemo(tmp_path)


def test_what_was_forgotten_is_not_in_the_file_any_more(path: Path) -> None:
    memo = SqliteMemo(path)
    memo.record(ANNA, results={"a": {"text": "a very secret answer"}})
    memo.forget("anna")
    memo.close()
    assert not any(b"very secret" in file.read_bytes() for file in path.parent.iterdir())


# --- sealed records -----------------------------------------------------------------------------------------------


def sealing(key: bytes = b"sixteen bytes ok") -> EncryptedSerializer:
    return EncryptedSerializer.from_pycryptodome_aes(key=key)


def test_a_plain_record_is_not_read_with_a_serializer(path: Path) -> None:
    recorded(path)
    for serializer in (JsonPlusSerializer(), sealing()):
        with pytest.raises(MemoDamaged, match="cannot be read with this serializer"):
            SqliteMemo(path, serializer=serializer).results(ANNA, ["a"])


def test_a_sealed_record_is_not_read_without_the_serializer_and_key(path: Path) -> None:
    memo = SqliteMemo(path, serializer=sealing())
    memo.record(ANNA, results={"a": {"text": "yes"}}, calls=[call("1")])
    assert memo.results(ANNA, ["a"]) == {"a": {"text": "yes"}}
    for other in (SqliteMemo(path), SqliteMemo(path, serializer=sealing(b"another sixteen!"))):
        with pytest.raises(MemoDamaged, match="Give the memo the serializer="):
            other.results(ANNA, ["a"])
        with pytest.raises(MemoDamaged, match="Give the memo the serializer="):
            other.calls(ANNA)


@pytest.mark.parametrize("forger", [JsonPlusSerializer(), None], ids=["another type", "not sealed at all"])
@pytest.mark.parametrize("kind", ["sqlite", "store"])
def test_who_has_no_key_cannot_say_that_a_record_is_not_sealed(tmp_path: Path, kind: str, forger: Any) -> None:
    """LangGraph's serializer takes data as not encrypted when their type says so, and the type lies beside the data."""
    store = InMemoryStore()

    def opened(serializer: Any) -> Memo:
        return (
            SqliteMemo(tmp_path / "m", serializer=serializer)
            if kind == "sqlite"
            else StoreMemo(store, serializer=serializer)
        )

    opened(sealing()).record(ANNA, results={"a": {"text": "yes"}}, calls=[call("1")])
    opened(forger).record(ANNA, results={"a": {"text": "forged"}}, calls=[call("1", cost=0.0)])
    with pytest.raises(MemoDamaged, match="written with type"):
        opened(sealing()).results(ANNA, ["a"])
    with pytest.raises(MemoDamaged, match="written with type"):
        opened(sealing()).calls(ANNA)


def test_who_has_no_key_cannot_move_a_sealed_record(path: Path) -> None:
    memo = SqliteMemo(path, serializer=sealing())
    memo.record(ANNA, results={"a": {"text": "pay"}, "b": {"text": "do not pay"}})
    memo.close()
    connection = sqlite3.connect(path)
    rows = dict(connection.execute("SELECT key, value FROM results").fetchall())
    (one, first), (other, second) = rows.items()
    for key, value in ((one, second), (other, first)):
        inner = bytes(value)[memo_files._SUM :]
        forged = memo_files._summed(("result", ANNA.run, key), inner)
        connection.execute("UPDATE results SET value = ? WHERE key = ?", (forged, key))
    connection.commit()
    connection.close()
    with pytest.raises(MemoDamaged, match="not what was written"):
        SqliteMemo(path, serializer=sealing()).results(ANNA, ["a"])


def test_a_serializer_that_is_none_is_refused(path: Path) -> None:
    with pytest.raises(InvalidInput, match="dumps_typed"):
        SqliteMemo(path, serializer="key")  # type: ignore[arg-type]


def test_an_edited_item_of_a_store_is_refused() -> None:
    store = InMemoryStore()
    memo = StoreMemo(store)
    memo.record(ANNA, results={"a": {"n": 1}})
    [item] = store.search(("rlm_memo",))
    for value in ({"sealed": "AAAA"}, {"sealed": 5}, {}):
        store.put(item.namespace, item.key, value)
        with pytest.raises(MemoDamaged):
            memo.results(ANNA, ["a"])


# --- which memo a graph gets --------------------------------------------------------------------------------------


def test_the_memo_is_where_the_contexts_are(tmp_path: Path) -> None:
    assert isinstance(memo_for(None, ContextStore()), MemoryMemo)
    memo = memo_for(None, ContextStore(tmp_path / "contexts"))
    memo.record(ANNA, results={"a": {}})
    assert (tmp_path / "contexts" / "memo.sqlite3").exists()


def test_a_store_is_a_memo_and_something_else_is_refused() -> None:
    assert isinstance(memo_for(InMemoryStore(), ContextStore()), StoreMemo)
    mine = MemoryMemo()
    assert memo_for(mine, ContextStore()) is mine
    with pytest.raises(InvalidInput, match="expected a Memo or a BaseStore, got dict"):
        memo_for({}, ContextStore())  # type: ignore[arg-type]


# --- keys ---------------------------------------------------------------------------------------------------------


def test_equal_requests_are_counted_apart() -> None:
    occurrences = Occurrences()
    keys = [occurrences.key("cell", "same") for _ in range(3)] + [occurrences.key("cell", "other")]
    assert len(set(keys)) == 4
    again = Occurrences()
    assert [again.key("cell", "same") for _ in range(3)] == keys[:3]


def test_threads_never_get_the_same_number() -> None:
    occurrences, keys, lock = Occurrences(), list[str](), threading.Lock()

    def draw() -> None:
        for _ in range(200):
            key = occurrences.key("cell", "same")
            with lock:
                keys.append(key)

    threads = [threading.Thread(target=draw) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(keys)) == 1_600


def test_digests_do_not_depend_on_the_order_of_keys_but_on_every_part() -> None:
    assert digest_of("f", {"a": 1, "b": 2}) == digest_of("f", {"b": 2, "a": 1})
    different = {
        digest_of("f", "ab", "c"),
        digest_of("f", "a", "bc"),
        digest_of("fa", "b", "c"),
        digest_of("f", ["ab", "c"]),
    }
    assert len(different) == 4


def test_a_lone_surrogate_has_a_digest_too() -> None:
    assert digest_of("\ud800") != digest_of("\ud801")
