"""What an interrupted ``ask`` leaves behind, so that the same command goes on and pays nothing twice.

Each command has a directory of its own in the user's cache directory: checkpoints, contexts and the memo of paid answers. A
command is the same when its question, sources, models and limits are. What has come to its end is removed.

The index's directory would be no place for it: it may be read-only, or shared with people who should not read the questions.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langgraph_rlm import ContextStore, SqliteMemo
from langgraph_rlm.calls.memo import CallRecord, Result, RunId
from langgraph_rlm.cli.sources import user_cache

if TYPE_CHECKING:
    from langgraph.checkpoint.sqlite import SqliteSaver

FORMAT_VERSION = 1
KEPT_SECONDS = 30 * 86_400
"""How long an interrupted command can be continued."""
_ASKED = "asked"
_LOCK, _CHECKPOINTS, _CONTEXTS, _MEMO = "lock", "checkpoints.sqlite3", "contexts", "memo.sqlite3"


class Ledger(SqliteMemo):
    """A memo that knows whether it holds anything that was paid for.

    Args:
        path: as for ``SqliteMemo``.
        answered: whether an earlier run has left answers there.
    """

    def __init__(self, path: Path, *, answered: bool) -> None:
        super().__init__(path)
        self.answered = answered

    def record(
        self, run: RunId, *, results: Mapping[str, Result] | None = None, calls: Sequence[CallRecord] = ()
    ) -> None:
        """See ``SqliteMemo``."""
        super().record(run, results=results, calls=calls)
        self.answered = self.answered or bool(results)


@dataclass
class Record:
    """What one command keeps while it runs.

    Args:
        directory: of this command alone.
        since: when it was begun, in seconds since 1970; None when it is begun now.
        memo: of paid answers.
        contexts: texts of its children.
        saver: its checkpoints.
        finished: set by whoever has shown the answer: nothing is kept.
    """

    directory: Path
    since: float | None
    memo: Ledger
    contexts: ContextStore
    saver: SqliteSaver
    finished: bool = False


def name_of(parts: Mapping[str, Any]) -> str:
    """The name of a command, from everything that makes it the same: a digest, so that it can be read from no file name.

    Example:
        >>> name_of({"question": "Who?"}) == name_of({"question": "Who?"}) != name_of({"question": "When?"})
        True
    """
    canonical = json.dumps([FORMAT_VERSION, parts], sort_keys=True, default=str)
    return hashlib.sha256(canonical.encode("utf-8", "backslashreplace")).hexdigest()[:32]


@contextlib.contextmanager
def recorded(name: str, *, fresh: bool, note: Callable[[str], None]) -> Iterator[Record | None]:
    """The record of a command, held by this process alone; None where nothing can be kept, which is told.

    Args:
        name: of :func:`name_of`.
        fresh: forget what an earlier run of it has left.
        note: told what the user should know.
    """
    lock, record = None, None
    try:
        if (home := user_cache()) is None:
            raise OSError("there is no home directory")
        asked = _own_directory(home / _ASKED)
        _prune(asked)
        if (lock := _held(asked / name)) is None:
            note("The same command is running already. This one does not share its answers with it.")
        else:
            record = _opened(asked / name, fresh=fresh, note=note)
    except OSError as error:
        place = f": {error.filename}" if error.filename else ""
        note(f"An interruption would begin anew, as nothing can be kept ({error.strerror or error}{place}).")
    try:
        yield record
    finally:
        if record is not None:
            record.memo.close()
            record.contexts.close()
            record.saver.conn.close()
            if record.finished:
                shutil.rmtree(record.directory, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _opened(directory: Path, *, fresh: bool, note: Callable[[str], None]) -> Record | None:
    try:
        from langgraph.checkpoint.sqlite import SqliteSaver
    except ImportError:
        note('An interruption would begin anew: it needs a package. Run: pip install "langgraph-rlm[cli]"')
        return None
    if fresh:
        _empty(directory)
    path = directory / _CHECKPOINTS
    for last in (False, True):
        since = path.stat().st_mtime if path.exists() else None
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600))
        connection = sqlite3.connect(path, check_same_thread=False)
        try:
            saver = SqliteSaver(connection)
            saver.setup()
            left = next(saver.list(None, limit=1), None) is not None
        except Exception as error:
            connection.close()
            if last:
                raise OSError(f"{path} cannot be used: {error}") from error
            note("What an interrupted run of this command has left is damaged: it begins anew.")
            _empty(directory)
        else:
            memo = Ledger(directory / _MEMO, answered=left)
            return Record(directory, since if left else None, memo, ContextStore(directory / _CONTEXTS), saver)
    raise AssertionError("the second try returns or raises")


def _own_directory(path: Path) -> Path:
    """A directory for this user alone, made when it is missing. Nobody else may have put checkpoints there."""
    path.parent.parent.mkdir(parents=True, exist_ok=True)
    for part in (path.parent, path):
        with contextlib.suppress(FileExistsError):
            part.mkdir(mode=0o700)
        found = part.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise PermissionError(0, "others may write to it, or it is not yours", str(part))
    return path


def _held(directory: Path) -> int | None:
    """The descriptor of a lock on a command's directory, which is made; None when another process has it."""
    while True:
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode=0o700)
        try:
            lock = os.open(directory / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except FileNotFoundError:
            continue  # whoever had it is removing it
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(lock).st_ino == (directory / _LOCK).stat().st_ino:
                os.utime(lock)
                return lock
        except BlockingIOError:
            os.close(lock)
            return None
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)


def _empty(directory: Path) -> None:
    """Remove everything but the lock, which is held."""
    for path in directory.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != _LOCK:
            path.unlink(missing_ok=True)


def _prune(asked: Path) -> None:
    """Remove what was interrupted too long ago, unless it runs."""
    before = time.time() - KEPT_SECONDS
    for directory in asked.iterdir():
        with contextlib.suppress(OSError):
            if (directory / _LOCK).stat().st_mtime < before and (lock := _held(directory)) is not None:
                shutil.rmtree(directory, ignore_errors=True)
                os.close(lock)
