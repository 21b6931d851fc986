"""SQLite files of a corpus: opened in one way; what is damaged, closed or no file at all is an error by name."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from langgraph_rlm.errors import CorpusError
from langgraph_rlm.sqlite import Database, connect


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.sqlite"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    opened = Database(path, "list of things", "write it anew")
    with opened.transaction() as connection:
        connection.execute("CREATE TABLE things (name TEXT)")
        connection.executemany("INSERT INTO things VALUES (?)", [(f"{number:0500}",) for number in range(500)])
    yield opened
    opened.close()


def test_a_file_is_its_owners_alone_and_has_a_log(path: Path) -> None:
    connection = connect(path, synchronous="NORMAL", pragmas=("cache_size = -123",))
    settings = [
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "cache_size")
    ]
    assert settings == ["wal", 1, -123]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    connection.close()


def test_a_transaction_is_rolled_back_by_what_is_raised_in_it(database: Database) -> None:
    with pytest.raises(KeyError), database.transaction() as connection:
        connection.execute("DELETE FROM things")
        raise KeyError
    assert list(database.read("SELECT count(*) FROM things")) == [(500,)]


def test_each_thread_has_a_connection_of_its_own(database: Database) -> None:
    others: list[sqlite3.Connection] = []
    thread = threading.Thread(target=lambda: others.append(database.connection()))
    thread.start()
    thread.join()
    assert others[0] is not database.connection() and database.connection() is database.connection()


@pytest.mark.parametrize("kind", ["pipe", "directory", "text"])
def test_what_is_no_database_is_named_with_a_way_out(kind: str, path: Path) -> None:
    {"pipe": os.mkfifo, "directory": os.mkdir, "text": lambda path: path.write_text("no database" * 100)}[kind](path)
    with pytest.raises(CorpusError, match=r"some\.sqlite") as caught:
        Database(path, "list of things", "write it anew").connection()
    assert "list of things" in str(caught.value)
    assert isinstance(caught.value.__cause__, sqlite3.Error)


def test_damage_in_the_middle_of_a_file_is_named_when_it_is_met(database: Database, path: Path) -> None:
    database.close()
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 3)
        file.write(b"\xff" * (path.stat().st_size // 2))
    with pytest.raises(CorpusError, match=r"no sound list of things.*: write it anew"):
        list(Database(path, "list of things", "write it anew").read("SELECT name FROM things ORDER BY name"))


def test_a_file_that_another_holds_is_named(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("langgraph_rlm.sqlite.BUSY_SECONDS", 0.0)
    database.reopen()
    with database.transaction() as connection:
        connection.execute("BEGIN IMMEDIATE")
        errors: list[CorpusError] = []

        def write() -> None:
            with pytest.raises(CorpusError) as caught, database.transaction() as other:
                other.execute("DELETE FROM things")
            errors.append(caught.value)

        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
    assert "no other process holds it" in str(errors[0])


def test_a_closed_database_says_so_even_where_it_was_closed_meanwhile(database: Database) -> None:
    rows = database.read("SELECT name FROM things")
    next(rows)
    database.close()
    with pytest.raises(CorpusError, match="closed"):
        list(rows)
    with pytest.raises(CorpusError, match="closed"):
        database.connection()
