"""What was paid for is kept: for its own thread only, as it was written, and as long as nobody forgets it."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import uuid
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.store.memory import InMemoryStore

from langgraph_rlm import ContextStore, SqliteMemo, create_rlm
from langgraph_rlm.calls.memo import MemoryMemo
from langgraph_rlm.errors import MemoDamaged, NotDurableWarning
from langgraph_rlm.testing import ScriptedModel
from tests.killable import KEY, Job, Log, Nursery, asked_again
from tests.support import WatchedFactory, by_role, cell, scripted

QUESTION = {"question": "Which?", "context": "some text"}


def on(thread: str) -> Any:
    return {"configurable": {"thread_id": thread}}


def model() -> ScriptedModel:
    """Asks one question of the sub-model and submits what it says."""
    root = cell("FINAL(llm_query('one'))")
    return scripted(by_role(root=root, sub=lambda text, n: f"answer {n}", condense="Which?"))


MEMOS: dict[str, Callable[[Path], Any]] = {
    "beside the contexts": lambda path: None,
    "a file": lambda path: SqliteMemo(path / "own.sqlite3"),
    "memory": lambda path: MemoryMemo(),
    "a store": lambda path: InMemoryStore(),
}
EVERY_MEMO = pytest.mark.parametrize("make_memo", MEMOS.values(), ids=MEMOS)


# --- whose it is ------------------------------------------------------------------------------------------------------


@EVERY_MEMO
@pytest.mark.parametrize("threads", [("a", "b"), ("a", "a")], ids=["two tenants", "one thread"])
def test_a_question_asked_twice_is_paid_twice_by_whoever_asks(make_memo: Any, threads: Any, tmp_path: Path) -> None:
    asked, contexts = model(), ContextStore(tmp_path / "contexts")
    graph = create_rlm(asked, contexts=contexts, memo=make_memo(tmp_path), checkpointer=InMemorySaver())
    answers = [graph.invoke(QUESTION, on(thread))["answer"] for thread in threads]
    assert answers == ["answer 0", "answer 1"]
    assert [request[0].text[:21] for request in asked.requests].count("You are the root model"[:21]) == 2
    contexts.close()


@EVERY_MEMO
def test_a_question_asked_twice_without_a_thread_is_paid_twice(make_memo: Any, tmp_path: Path) -> None:
    asked, contexts = model(), ContextStore(tmp_path / "contexts")
    graph = create_rlm(asked, contexts=contexts, memo=make_memo(tmp_path))
    assert [graph.invoke(QUESTION)["answer"] for _ in range(2)] == ["answer 0", "answer 1"]
    contexts.close()


@EVERY_MEMO
def test_a_run_that_failed_goes_on_from_its_memo(make_memo: Any, tmp_path: Path) -> None:
    replies = [cell("x = llm_query('one')", "print(x)"), RuntimeError("down"), cell("FINAL(x)")]
    asked = scripted(by_role(root=replies, sub=lambda text, n: f"answer {n}"))
    factory, contexts = WatchedFactory(), ContextStore(tmp_path / "contexts")
    graph = create_rlm(
        asked, contexts=contexts, memo=make_memo(tmp_path), checkpointer=InMemorySaver(), sandbox=factory
    )
    with pytest.raises(Exception, match="down"):
        graph.invoke(QUESTION, on("a"))
    factory.lose_all()  # so that the cell runs again
    assert graph.invoke(None, on("a"))["answer"] == "answer 0"
    assert len(factory.started) == 2
    contexts.close()


# --- hosts that were killed -------------------------------------------------------------------------------------------


@pytest.fixture
def nursery(nurseries: list[Nursery]) -> Nursery:
    """Of the hosts that go on."""
    return nurseries[1]


@pytest.fixture(scope="module")
def killed(nurseries: list[Nursery], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Job]:
    """``killed(directory, memo)``: a copy of what two hosts have left, each of its own thread, killed in cell 2."""
    made: dict[Any, Path] = {}

    def get(directory: Path, memo: str | None = None) -> Job:
        if memo not in made:
            made[memo] = tmp_path_factory.mktemp("killed")
            for thread in ("a", "b"):
                job = Job(
                    directory=str(made[memo]), script="cells", thread=thread, memo=memo, die_at_request="sub three"
                )
                assert nurseries[0].run(job) == -signal.SIGKILL
        shutil.copytree(made[memo], directory, dirs_exist_ok=True)
        return Job(directory=str(directory), script="cells", memo=memo, resume=True)

    return get


def file_of(job: Job) -> Path:
    return Path(job.directory) / ("encrypted.sqlite3" if job.memo == "encrypted" else "contexts/memo.sqlite3")


def bytes_of(job: Job) -> bytes:
    """Everything that the memo has on disk, its log included."""
    path = file_of(job)
    return b"".join(part.read_bytes() for part in sorted(path.parent.glob(f"{path.name}*")))


def go_on(nursery: Nursery, job: Job, thread: str) -> str:
    """The requests of the host that goes on, or, where it fails, what it says."""
    before = Log(job.directory).names("request")
    if nursery.run(replace(job, thread=thread)) != 0:
        return (Path(job.directory) / "output.txt").read_text()
    return " | ".join(Log(job.directory).names("request")[len(before) :])


MISSING = "sub three <two <one>> | root Which? #3"
ALL_OF_THE_CELLS = f"sub one | sub two <one> | {MISSING}"


@pytest.mark.parametrize(
    "memo", [None, "encrypted", "sqlite-store", pytest.param("postgres-store", marks=pytest.mark.slow)]
)
def test_a_new_process_goes_on_from_every_kind_of_memo(
    memo: str | None, nurseries: list[Nursery], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres_url") if memo == "postgres-store" else ""
    thread = uuid.uuid4().hex
    job = Job(directory=str(tmp_path), script="cells", memo=memo, url=url, thread=thread)
    assert nurseries[0].run(replace(job, die_at_request="sub three")) == -signal.SIGKILL
    assert go_on(nurseries[1], replace(job, resume=True), thread) == MISSING
    assert asked_again(tmp_path) == Counter(["sub three <two <one>>"])
    result = json.loads((tmp_path / f"result-{thread}.json").read_text())
    assert (result["answer"], result["usage"]["calls"]) == ("<one> / <two <one>> / <three <two <one>>>", 7)


def test_a_forgotten_thread_pays_again_and_no_other(nursery: Nursery, killed: Any, tmp_path: Path) -> None:
    job = killed(tmp_path)
    with closing(SqliteMemo(file_of(job))) as memo:
        assert memo.forget("a") >= 4  # two thoughts, two answers
        assert memo.forget("a") == 0
    assert go_on(nursery, job, "a") == ALL_OF_THE_CELLS
    assert go_on(nursery, job, "b") == MISSING


def test_nothing_of_a_forgotten_thread_is_left_in_the_file(killed: Any, tmp_path: Path) -> None:
    job = killed(tmp_path)
    assert b"<two <one>>" in bytes_of(job)
    with closing(SqliteMemo(file_of(job))) as memo:
        memo.forget("a")
        memo.forget("b")
    assert b"<two <one>>" not in bytes_of(job)


def test_pruning_takes_what_is_old_and_leaves_the_rest(nursery: Nursery, killed: Any, tmp_path: Path) -> None:
    job = killed(tmp_path)
    with closing(SqliteMemo(file_of(job))) as memo:
        assert memo.prune(older_than=3600) == 0
        with closing(sqlite3.connect(file_of(job))) as connection, connection:
            for table in ("results", "calls"):
                connection.execute(f"UPDATE {table} SET at = at - 7200 WHERE thread = ?", (first_thread(connection),))
        assert memo.prune(older_than=3600) >= 4
    assert sorted(go_on(nursery, job, thread) for thread in ("a", "b")) == sorted([ALL_OF_THE_CELLS, MISSING])


def first_thread(connection: sqlite3.Connection) -> str:
    found: str = connection.execute("SELECT thread FROM results ORDER BY thread").fetchone()[0]
    return found


def test_an_encrypted_memo_does_not_hold_what_was_said(nursery: Nursery, killed: Any, tmp_path: Path) -> None:
    plain, encrypted = killed(tmp_path / "plain"), killed(tmp_path / "encrypted", "encrypted")
    said = [b"<two <one>>", b"llm_query"]
    assert [text in bytes_of(plain) for text in said] == [True, True]
    assert [text in bytes_of(encrypted) for text in said] == [False, False]
    assert go_on(nursery, encrypted, "a") == MISSING


def test_an_encrypted_memo_is_refused_under_another_key(killed: Any, tmp_path: Path) -> None:
    job = killed(tmp_path, "encrypted")
    other = EncryptedSerializer.from_pycryptodome_aes(key=KEY[::-1])
    contexts = ContextStore(tmp_path / "contexts")
    with (
        closing(SqliteMemo(file_of(job), serializer=other)) as memo,
        SqliteSaver.from_conn_string(str(tmp_path / "checkpoints.sqlite3")) as saver,
    ):
        graph = create_rlm(model(), contexts=contexts, memo=memo, checkpointer=saver)
        with pytest.raises(MemoDamaged):
            graph.invoke(None, on("a"))
    contexts.close()


# --- hands in the file ------------------------------------------------------------------------------------------------


def another_value(connection: sqlite3.Connection, table: str) -> None:
    """As somebody does it who wants another answer, or a lower bill."""
    rows = connection.execute(f"SELECT rowid, value FROM {table}").fetchall()
    for rowid, value in rows:
        changed = bytes(value).replace(b"<one>", b"<six>").replace(b"\xa4open\xc3", b"\xa4open\xc2")
        connection.execute(f"UPDATE {table} SET value = ? WHERE rowid = ?", (changed, rowid))


def swapped_values(connection: sqlite3.Connection, table: str) -> None:
    """The records of each thread change places among themselves."""
    for (thread,) in connection.execute(f"SELECT DISTINCT thread FROM {table}").fetchall():
        rows = connection.execute(f"SELECT rowid, value FROM {table} WHERE thread = ?", (thread,)).fetchall()
        for (rowid, _), (_, value) in zip(rows, rows[1:] + rows[:1], strict=True):
            connection.execute(f"UPDATE {table} SET value = ? WHERE rowid = ?", (value, rowid))


def of_another_thread(connection: sqlite3.Connection, table: str) -> None:
    """Everybody gets the records of the other tenant: the same questions, so that nothing else is odd about them."""
    threads = [thread for (thread,) in connection.execute(f"SELECT DISTINCT thread FROM {table} ORDER BY 1")]
    rows = {
        thread: connection.execute(
            f"SELECT rowid, value FROM {table} WHERE thread = ? ORDER BY at, rowid", (thread,)
        ).fetchall()
        for thread in threads
    }
    for mine, other in (threads, threads[::-1]):
        for (rowid, _), (_, value) in zip(rows[mine], rows[other], strict=False):
            connection.execute(f"UPDATE {table} SET value = ? WHERE rowid = ?", (value, rowid))


@pytest.mark.parametrize("table", ["results", "calls"])
@pytest.mark.parametrize("edit", [another_value, swapped_values, of_another_thread])
def test_a_memo_edited_by_hand_is_refused(edit: Any, table: str, nursery: Nursery, killed: Any, tmp_path: Path) -> None:
    job = killed(tmp_path)
    with closing(sqlite3.connect(file_of(job))) as connection, connection:
        before = connection.execute(f"SELECT value FROM {table} ORDER BY rowid").fetchall()
        edit(connection, table)
        assert connection.execute(f"SELECT value FROM {table} ORDER BY rowid").fetchall() != before
    asked = Log(tmp_path).names("request")
    said = go_on(nursery, job, "a")
    assert Log(tmp_path).names("request") == asked  # nor is anything paid again
    assert "MemoDamaged" in said
    assert "Restore it, or delete it" in said
    assert not (tmp_path / "result-a.json").exists()


@pytest.mark.parametrize("damage", ["cut off", "overwritten"])
def test_a_damaged_memo_is_refused(damage: str, nursery: Nursery, killed: Any, tmp_path: Path) -> None:
    job = killed(tmp_path)
    with closing(sqlite3.connect(file_of(job))) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    content = file_of(job).read_bytes()
    file_of(job).write_bytes(content[: len(content) // 2] if damage == "cut off" else b"x" * len(content))
    said = go_on(nursery, job, "a")
    assert "MemoDamaged" in said
    assert file_of(job).name in said
    assert not (tmp_path / "result-a.json").exists()


# --- what does not outlive the process --------------------------------------------------------------------------------


def warned(make: Callable[[], Any]) -> list[str]:
    """What is said about durability when a graph is made and asked twice."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        graph = make()
        for _ in range(2):
            graph.invoke(QUESTION, on("a"))
    return [str(warning.message) for warning in caught if issubclass(warning.category, NotDurableWarning)]


@pytest.mark.parametrize("what", ["contexts", "memo", "both"])
def test_a_durable_saver_over_what_is_not_durable_is_warned_about_once(what: str, tmp_path: Path) -> None:
    contexts = ContextStore() if what != "memo" else ContextStore(tmp_path / "contexts")
    memo = SqliteMemo(tmp_path / "memo.sqlite3") if what == "contexts" else MemoryMemo()
    with SqliteSaver.from_conn_string(str(tmp_path / "checkpoints.sqlite3")) as saver:
        said = warned(lambda: create_rlm(model(), contexts=contexts, memo=memo, checkpointer=saver))
    assert len(said) == 1
    assert "ContextStore(" in said[0] or "SqliteMemo(" in said[0]  # says what to do
    contexts.close()
    memo.close()


def test_what_is_durable_or_need_not_be_is_not_warned_about(tmp_path: Path) -> None:
    assert warned(lambda: create_rlm(model(), checkpointer=InMemorySaver())) == []
    assert warned(lambda: create_rlm(model())) == []
    contexts = ContextStore(tmp_path / "contexts")
    with SqliteSaver.from_conn_string(str(tmp_path / "checkpoints.sqlite3")) as saver:
        assert warned(lambda: create_rlm(model(), contexts=contexts, checkpointer=saver)) == []
    contexts.close()
