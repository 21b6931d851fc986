"""A directory of Qdrant's local mode is opened when nobody else can have written it and it holds Qdrant's records alone."""

from __future__ import annotations

import os
import pickle
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langgraph_rlm.integrations.qdrant import QdrantIndex

from langgraph_rlm.conformance import id_of, metadata, text, vector
from langgraph_rlm.errors import CorpusError, StoreUnavailable


class Reduced:
    """Calls a function when it is unpickled."""

    def __init__(self, function: Callable[..., Any], *given: Any) -> None:
        self._call = function, given

    def __reduce__(self) -> Any:
        return self._call


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "qdrant"
    index = QdrantIndex(made)
    index.upsert([id_of(1)], [vector(1)], [text(1)], [metadata(1)])
    index.close()
    return made


def storage(directory: Path) -> Path:
    (found,) = directory.rglob("storage.sqlite")
    return found


def replace_point(directory: Path, blob: object) -> None:
    database = sqlite3.connect(storage(directory))
    database.execute("UPDATE points SET point = ?", (blob,))
    database.commit()
    database.close()


def test_an_own_directory_is_opened_again_and_is_for_its_owner_alone(directory: Path) -> None:
    index = QdrantIndex(directory)
    assert index.get([id_of(1)]) == [(id_of(1), text(1), metadata(1))]
    index.close()
    assert directory.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "function", [os.mkdir, eval, print, Path.mkdir], ids=["os.mkdir", "eval", "print", "Path.mkdir"]
)
def test_a_point_that_calls_something_is_refused_and_calls_nothing(
    directory: Path, tmp_path: Path, function: Callable[..., Any]
) -> None:
    mark = tmp_path / "mark"
    given: dict[Any, tuple[Any, ...]] = {os.mkdir: (str(mark),), Path.mkdir: (mark,), print: ("run",)}
    program = f"__import__('os').mkdir({str(mark)!r})"
    replace_point(directory, pickle.dumps(Reduced(function, *given.get(function, (program,)))))
    with pytest.raises(CorpusError, match=r"storage\.sqlite holds a pickle of") as raised:
        QdrantIndex(directory)
    assert not mark.exists()
    assert (raised.value.store, raised.value.address) == ("qdrant", str(directory))


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("qdrant_client.local.persistence", "pickle.loads"),
        ("qdrant_client.local.persistence", "CollectionPersistence"),
        ("qdrant_client.http.models.models", "BaseModel"),
        ("qdrant_client.local.qdrant_local", "os"),
        ("qdrant_client_evil.models", "PointStruct"),
    ],
)
def test_what_can_be_reached_through_qdrants_modules_is_refused_too(directory: Path, module: str, name: str) -> None:
    replace_point(directory, b"\x80\x04\x8c" + bytes([len(module)]) + module.encode() + b"\x8c" + bytes([len(name)])
                  + name.encode() + b"\x93)R.")  # fmt: skip
    with pytest.raises(CorpusError, match="a pickle of"):
        QdrantIndex(directory)


@pytest.mark.parametrize("blob", [b"no pickle", b"", pickle.dumps(7), "a text", 7, None], ids=repr)
def test_what_is_no_pickle_is_refused_by_the_name_of_the_file(directory: Path, blob: object) -> None:
    replace_point(directory, blob)
    with pytest.raises(CorpusError, match=r"storage\.sqlite holds"):
        QdrantIndex(directory)


def test_a_view_in_the_place_of_the_table_is_refused(directory: Path) -> None:
    database = sqlite3.connect(storage(directory))  # it could show one row to the check and another to the client
    database.executescript("ALTER TABLE points RENAME TO held; CREATE VIEW points AS SELECT rowid, * FROM held;")
    database.close()
    with pytest.raises(CorpusError, match="tables of another form"):
        QdrantIndex(directory)


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o757])
@pytest.mark.parametrize("inner", ["", "collection", "storage.sqlite"])
def test_a_directory_that_others_may_write_is_refused(directory: Path, mode: int, inner: str) -> None:
    path = storage(directory) if inner == "storage.sqlite" else directory / inner
    path.chmod(mode)
    with pytest.raises(CorpusError, match=r"others may write .*chmod -R go-w"):
        QdrantIndex(directory)
    path.chmod(0o700)
    QdrantIndex(directory).close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_directory_of_another_user_is_refused(directory: Path) -> None:
    os.chown(storage(directory), 65534, 65534)
    with pytest.raises(CorpusError, match="belongs to another user"):
        QdrantIndex(directory)


def test_a_link_that_leads_elsewhere_is_refused(directory: Path, tmp_path: Path) -> None:
    held = storage(directory).rename(tmp_path / "elsewhere.sqlite")
    (directory / "collection" / "langgraph-rlm" / "storage.sqlite").symlink_to(held)
    with pytest.raises(CorpusError, match="link or a special file"):
        QdrantIndex(directory)


def test_a_damaged_file_is_named(directory: Path) -> None:
    storage(directory).write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    with pytest.raises(StoreUnavailable, match=r"qdrant at .*opening.*damaged"):
        QdrantIndex(directory)


def test_damaged_settings_are_named(directory: Path) -> None:
    (directory / "meta.json").write_text("{")
    with pytest.raises(StoreUnavailable, match=r"qdrant at .*opening.*damaged"):
        QdrantIndex(directory)


def test_what_a_crash_has_left_half_written_is_undone(directory: Path) -> None:
    database = sqlite3.connect(storage(directory), isolation_level=None)
    database.execute("PRAGMA cache_size = 1")
    database.execute("BEGIN")
    database.executemany("INSERT INTO points VALUES (?, ?)", [(f"x{at}", b"half" * 2000) for at in range(50)])
    copied = storage(directory).read_bytes(), Path(f"{storage(directory)}-journal").read_bytes()
    database.execute("ROLLBACK")
    database.close()
    storage(directory).write_bytes(copied[0])
    Path(f"{storage(directory)}-journal").write_bytes(copied[1])
    index = QdrantIndex(directory)
    assert index.count() == 1
    index.close()
