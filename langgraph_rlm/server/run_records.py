"""What is known of runs, in a file that several servers share."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langgraph_rlm.errors import StoreError
from langgraph_rlm.sqlite import connect
from langgraph_rlm.types import ContextRef

FORMAT_VERSION = 1
"""Of the file; kept in it as SQLite's ``user_version``."""
_TABLE = """
CREATE TABLE IF NOT EXISTS runs (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, same TEXT NOT NULL, asked TEXT NOT NULL, status TEXT NOT NULL, result TEXT,
    since REAL NOT NULL
) STRICT
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question.

    Args:
        question: of it.
        context: what is read, instead of the corpus.
        options: of the request, for ``configurable["rlm"]``.
    """

    question: str
    context: ContextRef | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def input(self) -> dict[str, Any]:
        """Of the graph."""
        return {"question": self.question} | ({} if self.context is None else {"context": dict(self.context)})

    def written(self) -> str:
        """As text, the same for equal questions."""
        return json.dumps([self.question, self.context, self.options], sort_keys=True)

    @classmethod
    def read(cls, text: str) -> Asked:
        """From :meth:`written`."""
        return cls(*json.loads(text))


class RunRecords:
    """One row for each run. Every method blocks.

    Args:
        path: the file; made when it is missing.

    Raises:
        StoreError: it is damaged, or of another release.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._connection = connect(path, synchronous="NORMAL", isolation_level=None)
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version not in (0, FORMAT_VERSION):
            self._connection.close()
            raise StoreError(
                f"{path} was written by another release (format {version}, this one reads {FORMAT_VERSION}): use that release, "
                "or remove the file; answers that were not fetched are then lost"
            )
        self._connection.execute(_TABLE)
        self._connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")

    def add(self, run_id: str, owner: str, asked: Asked) -> None:
        """A new run."""
        written = asked.written()
        self._do(
            "INSERT INTO runs VALUES (?, ?, ?, ?, 'running', NULL, ?)",
            run_id,
            owner,
            _digest(written),
            written,
            time.time(),
        )

    def unanswered(self, owner: str, asked: Asked) -> str | None:
        """The owner's newest run of an equal question that is running or has failed."""
        rows = self._do(
            "SELECT id FROM runs WHERE owner = ? AND same = ? AND status IN ('running', 'failed') ORDER BY since DESC LIMIT 1",
            owner,
            _digest(asked.written()),
        )
        return rows[0][0] if rows else None

    def find(self, owner: str, run_id: str | None) -> tuple[str, Asked] | None:
        """An owner's run by its id, or the newest."""
        which, values = ("", [owner]) if run_id is None else (" AND id = ?", [owner, run_id])
        rows = self._do(f"SELECT id, asked FROM runs WHERE owner = ?{which} ORDER BY since DESC LIMIT 1", *values)
        return (rows[0][0], Asked.read(rows[0][1])) if rows else None

    def status(self, run_id: str) -> Any:
        """Of a run."""
        return self.outcome(run_id)[0]

    def outcome(self, run_id: str) -> tuple[Any, dict[str, Any] | None]:
        """Status and result of a run; one that is gone was cancelled."""
        rows = self._do("SELECT status, result FROM runs WHERE id = ?", run_id)
        return (rows[0][0], None if rows[0][1] is None else json.loads(rows[0][1])) if rows else ("cancelled", None)

    def end(self, run_id: str, status: str, result: Mapping[str, Any] | None, *, only_running: bool = False) -> None:
        """Write down how a run ended.

        Args:
            run_id: of it.
            status: the new one.
            result: its answer, or ``{"error": …}``.
            only_running: leave a run alone that has ended meanwhile.
        """
        only = " AND status = 'running'" if only_running else ""
        text = None if result is None else json.dumps(result)
        self._do(f"UPDATE runs SET status = ?, result = ? WHERE id = ?{only}", status, text, run_id)

    def older_than(self, seconds: float) -> list[str]:
        """Ids of runs that began before so many seconds."""
        return [row[0] for row in self._do("SELECT id FROM runs WHERE since < ?", time.time() - seconds)]

    def remove(self, run_id: str) -> None:
        """Forget a run."""
        self._do("DELETE FROM runs WHERE id = ?", run_id)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _do(self, statement: str, *values: Any) -> list[Any]:
        with self._lock, closing(self._connection.execute(statement, values)) as cursor:
            return cursor.fetchall()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
