"""Whether a directory of Qdrant's local mode is safe to open: its points are pickles, and a pickle may run anything."""

from __future__ import annotations

import io
import os
import pickle
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from langgraph_rlm.stores import CorpusError, Place, StoreUnavailable

_STORAGE = "storage.sqlite"
_SCHEMA = [("table", "points", "points", "CREATE TABLE points (id TEXT PRIMARY KEY, point BLOB)"),
           ("index", "sqlite_autoindex_points_1", "points", None)]  # fmt: skip


def check_files(directory: Path, place: Place) -> None:
    """Refuse a directory before Qdrant's client reads it.

    It has to be writable by its owner alone, who is this process' user or root, and its points have to be made of
    Qdrant's own classes and plain values.

    Args:
        directory: of the local mode.
        place: for the message.

    Raises:
        CorpusError: others may write it, or it holds something else; the message says what to do.
        StoreUnavailable: a file cannot be read.
    """
    try:
        _check_owner(directory, place)
        for path in _entries(directory, place):
            _check_owner(path, place)
            if path.name == _STORAGE:
                _check_points(path, place)
    except (OSError, sqlite3.Error) as error:
        raise place.error(StoreUnavailable, "opening", error, "Its files may be damaged, or another's") from error


def _entries(directory: Path, place: Place) -> Iterator[Path]:
    for folder, folders, files in os.walk(directory):
        for name in [*folders, *files]:
            path = Path(folder) / name
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                out = "Qdrant's local mode makes none: remove it, or index the documents again in another directory"
                raise place.error(CorpusError, "opening", f"{path} is a link or a special file", out)
            yield path


def _check_owner(path: Path, place: Place) -> None:
    found = path.stat()
    others = found.st_uid not in (os.geteuid(), 0)
    if others or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        what = f"{path} belongs to another user" if others else f"others may write {path}"
        out = f"What they write could run as code here: if all in it is yours, chown it and run chmod -R go-w {place.address}"
        raise place.error(CorpusError, "opening", what, out)


def _check_points(path: Path, place: Place) -> None:
    """The table is as Qdrant makes it (a view could show other rows the second time), and so are its rows."""
    with closing(sqlite3.connect(path)) as database:  # for writing too, or it could not undo what a crash has left
        schema = database.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
        if sorted(schema, key=str) != sorted(_SCHEMA, key=str) and schema:
            raise _foreign(path, place, "tables of another form")
        for (point,) in database.execute("SELECT point FROM points") if schema else ():
            try:
                loaded = _Points(io.BytesIO(point)).load()
            except Exception as error:
                raise _foreign(path, place, str(error)) from error
            if type(loaded).__name__ != "PointStruct":
                raise _foreign(path, place, f"a pickle of {type(loaded).__name__}")


def _foreign(path: Path, place: Place, what: str) -> CorpusError:
    out = "It was not written by Qdrant alone and is not opened: index the documents again in another directory"
    return place.error(CorpusError, "opening", f"{path} holds {what}", out)


class _Points(pickle.Unpickler):
    """Finds the models of Qdrant's client, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        from pydantic import BaseModel

        if module.startswith("qdrant_client.") and "." not in name:
            found = super().find_class(module, name)
            if isinstance(found, type) and issubclass(found, BaseModel) and found.__module__ == module:
                return found
        raise pickle.UnpicklingError(f"a pickle of {module}.{name}")
