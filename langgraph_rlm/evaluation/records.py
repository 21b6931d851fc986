"""What an evaluation has written down: its settings, and each answer as soon as it was given.

A folder holds ``settings.json`` and ``answers.jsonl``. An answer is one line, written to the disk before the next task
is asked, so that a killed run goes on where it stopped; a line that was cut off by the kill does not count.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from typing_extensions import TypedDict

from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.evaluation.tasks import Evidence

FORMAT = 1
"""Raised with each change of the lines."""
SETTINGS, ANSWERS = "settings.json", "answers.jsonl"


class Answered(TypedDict):
    """What came of one task on one route."""

    task: str
    route: str
    """That was asked for: ``direct``, ``rag``, ``rlm`` or ``auto``."""
    chosen: str
    """By the router, before any escalation."""
    answered_by: str
    """The route that gave the answer."""
    answer: str
    citations: list[list[Any]]
    """``[doc_id, start, end]`` of those that were verified."""
    stop_reason: str
    """As the graph's, or ``refused`` (the route cannot take this task), ``failed`` (asked again next time) or ``unpaid``
    (the evaluation's budget ended it; asked again next time)."""
    error: str
    calls: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_usd: float | None
    estimated: bool
    seconds: float
    largest_prompt: int
    """Tokens."""
    judged: bool | None
    """What the judge said; None without one."""
    judge_cost_usd: float | None


AGAIN = ("failed", "unpaid")


def cited(record: Answered) -> list[Evidence]:
    """The citations of a record."""
    return [Evidence(*citation) for citation in record["citations"]]


class Records:
    """The records of one folder, held by one evaluation at a time. Made by :meth:`opened`."""

    def __init__(self, folder: Path, held: list[Answered], file: Any) -> None:
        self._folder, self._file = folder, file
        self._answers = {(record["task"], record["route"]): record for record in held}
        self._spent = sum((record["cost_usd"] or 0.0) + (record["judge_cost_usd"] or 0.0) for record in held)

    @classmethod
    @contextmanager
    def opened(cls, folder: Path, settings: Mapping[str, Any]) -> Iterator[Records]:
        """The records of a folder, made when it is missing.

        Args:
            folder: where.
            settings: what the answers depend on; flat, of values that JSON knows.

        Raises:
            InvalidInput: it holds an evaluation with other settings (they are named), another process writes to it, or
                it cannot be written or read.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = (folder / ANSWERS).open("a+b")
        except OSError as error:
            raise InvalidInput(f"{folder} cannot be written: {error.strerror}; choose another folder") from None
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InvalidInput(
                    f"{folder} is in use by another evaluation: wait until it has finished, or choose another folder"
                ) from None
            _check_settings(folder / SETTINGS, settings)
            yield cls(folder, _read(file, folder / ANSWERS), file)

    @property
    def spent_usd(self) -> float:
        """USD of everything so far, what was thrown away included; unknown prices count as nothing."""
        return self._spent

    def get(self, task: str, route: str) -> Answered | None:
        """The answer to a task, if it was given. What failed or was not paid for to the end is no answer."""
        record = self._answers.get((task, route))
        return None if record is None or record["stop_reason"] in AGAIN else record

    def last(self, task: str, route: str) -> Answered | None:
        """As :meth:`get`, or how the task failed last time."""
        return self._answers.get((task, route))

    def add(self, record: Answered) -> None:
        """Write an answer to the disk."""
        self._file.write(json.dumps(record).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._answers[record["task"], record["route"]] = record
        self._spent += (record["cost_usd"] or 0.0) + (record["judge_cost_usd"] or 0.0)


def _check_settings(path: Path, settings: Mapping[str, Any]) -> None:
    wanted = {"format": FORMAT, **settings}
    if not path.exists():
        making = path.with_suffix(".tmp")
        making.write_text(json.dumps(wanted, indent=2, sort_keys=True) + "\n", "utf-8")
        making.replace(path)
        return
    try:
        held = json.loads(path.read_text("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError):
        held = None
    if not isinstance(held, dict):
        raise InvalidInput(f"{path} is no record of settings: remove the folder, or choose another")
    # A limit that an earlier release did not know was held by nothing then; it is no other setting.
    known = {name for name in wanted if name in held or not name.startswith("limit ")}
    different = [name for name in sorted({*held, *known}) if held.get(name) != wanted.get(name)]
    if different:
        told = "; ".join(f"{name} was {held.get(name)!r:.80} and is now {wanted.get(name)!r:.80}" for name in different)
        raise InvalidInput(
            f"{path.parent} holds an evaluation with other settings ({told}): choose another folder, or the same settings"
        )


def _read(file: Any, path: Path) -> list[Answered]:
    """All whole lines; what a killed writer left behind the last of them is cut off."""
    file.seek(0)
    held = list[Answered]()
    good = 0
    for number, line in enumerate(file, 1):
        if not line.endswith(b"\n"):
            break
        try:
            record = json.loads(line)
        except (json.JSONDecodeError, UnicodeDecodeError):
            record = None
        if not isinstance(record, dict) or set(record) != Answered.__required_keys__:
            raise InvalidInput(
                f"{path}, line {number} is no answer of an evaluation: remove the line, or choose another folder"
            )
        held.append(cast(Answered, record))
        good += len(line)
    file.truncate(good)
    file.seek(good)
    return held
