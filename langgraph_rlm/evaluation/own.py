r"""Data sets of one's own: a JSON Lines file with a task on each line.

    {"question": "How long is parental leave?", "answer": "16 weeks", "evidence": ["leave.md"], "label": "simple"}

Fields: ``question``; ``answer`` (a text, a number, or a list: any of it is right, or all of it with ``match`` ``all`` and
``set``); ``match`` (see ``Match``; ``number`` for a number, else ``contains``); ``tolerance`` and ``scale`` for numbers;
``evidence``, a list of document ids or ``{"doc_id", "start", "end"}``; ``label`` (``simple`` or ``complex``); ``id``;
``answerable``; ``context``, a text or an object of texts, where a task has documents of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast, get_args

from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.evaluation.rows import Row, jsonl_rows, row_at
from langgraph_rlm.evaluation.tasks import Collection, DataSet, Evidence, Label, Match, Task, digest_of, kept

SHARED = "documents"
"""The collection of tasks without a context of their own."""
FIELDS = (
    "id", "question", "answer", "match", "tolerance", "scale", "evidence", "label", "answerable", "context",
)  # fmt: skip
_SCALES = ("", "thousand", "million", "billion", "percent")


def load_tasks(path: Path, documents: Sequence[tuple[str, str]] | None = None) -> DataSet:
    """The tasks of a JSON Lines file.

    Args:
        path: of the file.
        documents: ``(id, text)`` of what tasks without a context are asked about.

    Raises:
        DataMissing: the file is not there.
        InvalidInput: it holds no task, or a row that cannot be used: row and field are named.
    """
    shared = None if documents is None else kept(documents)
    shared_ids = {doc_id for doc_id, _ in documents or ()}
    tasks, collections = list[Task](), dict[str, Collection]()
    seen = dict[str, str]()
    for number, (row, start) in enumerate(jsonl_rows(path), 1):
        if unknown := [name for name in row.names() if name not in FIELDS]:
            raise InvalidInput(f"{row.place}: unknown field {unknown[0]!r}; known are {', '.join(FIELDS)}")
        task_id = row.name("id", str(number))
        if task_id in seen:
            raise InvalidInput(f"{row.place}: field 'id' is {task_id!r}, as in {seen[task_id]}: ids must differ")
        seen[task_id] = row.place
        if "context" in row:
            name, held = f"context of {task_id}", _own(path, start, row)
        elif shared is not None:
            name, held = SHARED, shared
        else:
            raise InvalidInput(
                f"{row.place}: field 'context' is missing: give each task a context, or what all are asked about with --docs"
            )
        collections[name] = held
        task = _task(row, task_id, name)
        if task.evidence:
            _check_evidence(row, task, shared_ids if held is shared else {doc_id for doc_id, _ in _context(row)})
        tasks.append(task)
    if not tasks:
        raise InvalidInput(f"{path} holds no task: write one JSON object on each line")
    return DataSet(name=path.stem, tasks=tuple(tasks), collections=collections)


def _task(row: Row, task_id: str, collection: str) -> Task:
    answers = row.answers("answer") if "answer" in row else ()
    numeric = bool(answers) and isinstance(row.value("answer"), int | float)
    answerable = row.truth("answerable", True)
    match = cast(Match, row.choice("match", get_args(Match), "number" if numeric else "contains"))
    if not answers and answerable and match != "free":
        raise InvalidInput(f'{row.place}: field \'answer\' is missing (leave it out only with "match": "free")')
    return Task(
        id=task_id,
        question=row.text("question"),
        collection=collection,
        answers=answers,
        match=match,
        tolerance=row.number("tolerance", 0.0),
        scale=row.choice("scale", _SCALES, ""),
        evidence=tuple(_evidence(row, number, item) for number, item in enumerate(row.items("evidence")))
        if "evidence" in row
        else (),
        label=cast(Label, row.choice("label", get_args(Label))) if "label" in row else None,
        answerable=answerable,
    )


def _evidence(row: Row, number: int, item: Any) -> Evidence:
    if isinstance(item, str) and item:
        return Evidence(item)
    place = f"evidence[{number}]"
    if (
        not isinstance(item, Mapping)
        or not isinstance(item.get("doc_id"), str)
        or set(item) - {"doc_id", "start", "end"}
    ):
        raise InvalidInput(
            f'{row.place}: {place} must be a document id or {{"doc_id", "start", "end"}}, not {item!r:.80}'
        )
    start, end = item.get("start"), item.get("end")
    if (start is None) != (end is None) or (
        start is not None and not (type(start) is type(end) is int and 0 <= start < end)
    ):
        raise InvalidInput(f"{row.place}: {place} must have 0 <= start < end, whole numbers of characters, or neither")
    return Evidence(item["doc_id"], start, end)


def _check_evidence(row: Row, task: Task, there: set[str]) -> None:
    if missing := [item.doc_id for item in task.evidence if item.doc_id not in there]:
        known = ", ".join(sorted(there)[:5])
        raise InvalidInput(
            f"{row.place}: field 'evidence' names {missing[0]!r}, which is no document; there are: {known}"
        )


def _own(path: Path, start: int, row: Row) -> Collection:
    """A context is read again when its task's turn comes: all of them may not fit the memory."""
    held = _context(row)
    return Collection(digest_of(part for document in held for part in document), lambda: _context(row_at(path, start)))


def _context(row: Row) -> tuple[tuple[str, str], ...]:
    value = row.value("context")
    if isinstance(value, Mapping):
        if not value:
            raise row.wrong("context", "a text or an object of texts, and not empty")
        inner = Row(value, f"{row.place}, context")
        return tuple((name, inner.text(name)) for name in inner.names())
    return (("context", row.text("context")),)
