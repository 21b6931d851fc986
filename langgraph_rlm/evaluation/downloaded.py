"""Public sets of long texts that their users download themselves: each loader takes the file or folder.

What is kept in memory are the tasks; the texts of JSON Lines files are read again when their task's turn comes.
"""

from __future__ import annotations

import ast
import datetime
import re
from collections.abc import Callable
from pathlib import Path

from langgraph_rlm.errors import DataMissing, InvalidInput
from langgraph_rlm.evaluation.datasets import DOCUMENTS, checked_tasks, on_documents
from langgraph_rlm.evaluation.rows import Row, json_rows, jsonl_rows, row_at
from langgraph_rlm.evaluation.tasks import Collection, DataSet, Evidence, Match, Task, digest_of, kept

_NO_ANSWER = "Insufficient information."
_DATE = re.compile(r"\[datetime\.date\((\d{1,4}), (\d{1,2}), (\d{1,2})\)\]")
_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]


def load_multihop_rag(folder: Path) -> DataSet:
    """MultiHop-RAG: ``MultiHopRAG.json`` and ``corpus.json`` (news articles), as published."""
    articles = json_rows(folder / "corpus.json")
    places = {article.text("title"): f"article-{number}" for number, article in enumerate(articles)}
    tasks = []
    for number, row in enumerate(json_rows(folder / "MultiHopRAG.json")):
        titles = dict.fromkeys(item.text("title") for item in row.rows("evidence_list"))
        if missing := [title for title in titles if title not in places]:
            raise InvalidInput(f"{row.place}: field 'evidence_list' names {missing[0]!r:.80}, which is no article")
        tasks.append(
            Task(
                id=f"multihop-rag-{number}",
                question=row.text("query"),
                collection=DOCUMENTS,
                answers=row.answers("answer"),
                evidence=tuple(Evidence(places[title]) for title in titles),
                label="complex",
                answerable=row.text("question_type") != "null_query" and row.text("answer") != _NO_ANSWER,
            )
        )
    texts = [
        f"{article.text('title')}\n{article.text('source', '')}, {article.text('published_at', '')}\n\n{article.text('body')}"
        for article in articles
    ]
    return on_documents("multihop-rag", tasks, [(f"article-{n}", text) for n, text in enumerate(texts)])


def load_longbench_v2(path: Path) -> DataSet:
    """LongBench v2: ``data.json``, or the folder that holds it. Multiple choice; each question has its own context."""
    path = path / "data.json" if path.is_dir() else path
    tasks, collections = list[Task](), dict[str, Collection]()
    for row in json_rows(path):
        task_id = row.name("_id")
        choices = "\n".join(f"({letter}) {row.text(f'choice_{letter}')}" for letter in "ABCD")
        collections[task_id] = kept([("context", row.text("context"))])
        tasks.append(
            Task(
                id=task_id,
                question=f"{row.text('question')}\n\nChoose one, and answer with its letter:\n{choices}",
                collection=task_id,
                answers=(row.choice("answer", "ABCD"),),
                match="choice",
                label="complex",
            )
        )
    return DataSet(name="longbench-v2", tasks=checked_tasks(tasks, path), collections=collections)


def load_oolong(path: Path) -> DataSet:
    """OOLONG: JSON Lines of oolong-synth or oolong-real (``id``, ``context_window_text``, ``question``, ``answer``)."""
    tasks, collections = list[Task](), dict[str, Collection]()
    for row, start in jsonl_rows(path):
        task_id = row.name("id")
        text = row.text("context_window_text")
        digest = digest_of([text])
        collections.setdefault(digest, Collection(digest, _oolong_text(path, start)))
        answers, match = _oolong_gold(row)
        tasks.append(
            Task(
                id=task_id,
                question=row.text("question"),
                collection=digest,
                answers=answers,
                match=match,
                label="complex",
            )
        )
    return DataSet(name="oolong", tasks=checked_tasks(tasks, path), collections=collections)


def _oolong_text(path: Path, start: int) -> Callable[[], tuple[tuple[str, str], ...]]:
    return lambda: (("context", row_at(path, start).text("context_window_text")),)


def _oolong_gold(row: Row) -> tuple[tuple[str, ...], Match]:
    """The gold answers, and how to compare. The synthetic half writes Python lists: ``"['entity']"``, or of a date."""
    given = row.answers("answer")
    if len(given) == 1 and (date := _DATE.fullmatch(given[0])):
        try:
            return _written(datetime.date(*map(int, date.groups()))), "contains"
        except ValueError:
            raise row.wrong("answer", "a date that there is") from None
    answers = _listed(given, row)
    numeric = "NUMERIC" in row.text("answer_type", "").upper() or all(a.replace(",", "").isdigit() for a in answers)
    return answers, "count" if numeric else "all" if len(answers) > 1 else "contains"


def _listed(given: tuple[str, ...], row: Row) -> tuple[str, ...]:
    if len(given) == 1 and given[0].startswith("["):
        try:
            listed = ast.literal_eval(given[0])
        except (ValueError, SyntaxError, RecursionError):
            return given
        if isinstance(listed, list) and listed:
            return Row(
                {"answer": [item if isinstance(item, int | float) else str(item) for item in listed]}, row.place
            ).answers("answer")
    return given


def _written(date: datetime.date) -> tuple[str, ...]:
    """The usual ways to write a date, the month first where only numbers tell: the set is American."""
    day, year, month = date.day, date.year, _MONTHS[date.month - 1]
    words = [f"{day} {name} {year}" for name in (month, month[:3])]
    words += [f"{name} {number}, {year}" for name in (month, month[:3]) for number in (f"{day}", f"{day:02}")]
    return (date.isoformat(), *words, f"{date.month}/{day}/{year}", f"{date.month:02}/{day:02}/{year}")


def load_browsecomp_plus(path: Path) -> DataSet:
    """BrowseComp-Plus, decrypted: JSON Lines with ``query_id``, ``query``, ``answer`` and its documents.

    Each question is asked about its evidence, its gold and its negative documents.
    """
    tasks, collections = list[Task](), dict[str, Collection]()
    for row, start in jsonl_rows(path):
        task_id = row.name("query_id")
        documents = _browsed(row)
        digest = digest_of(part for document in documents for part in document)
        collections[task_id] = Collection(digest, _browsed_again(path, start))
        tasks.append(
            Task(
                id=task_id,
                question=row.text("query"),
                collection=task_id,
                answers=row.answers("answer"),
                evidence=tuple(Evidence(one.name("docid")) for one in row.rows("evidence_docs")),
                label="complex",
            )
        )
    return DataSet(name="browsecomp-plus", tasks=checked_tasks(tasks, path), collections=collections)


def _browsed(row: Row) -> tuple[tuple[str, str], ...]:
    found = dict[str, str]()
    for kind in ("evidence_docs", "gold_docs", "negative_docs"):
        for one in row.rows(kind) if kind in row else ():
            found.setdefault(one.name("docid"), one.text("text", may_be_empty=True))
    there = tuple((doc_id, text) for doc_id, text in found.items() if text.strip())
    if not there:
        raise DataMissing(f"{row.place}: its documents are missing (evidence_docs, gold_docs, negative_docs)")
    return there


def _browsed_again(path: Path, start: int) -> Callable[[], tuple[tuple[str, str], ...]]:
    return lambda: _browsed(row_at(path, start))


DOWNLOADED: dict[str, Callable[[Path], DataSet]] = {
    "multihop-rag": load_multihop_rag,
    "longbench-v2": load_longbench_v2,
    "oolong": load_oolong,
    "browsecomp-plus": load_browsecomp_plus,
}
"""Loaders by name; each takes the file or folder that was downloaded."""
