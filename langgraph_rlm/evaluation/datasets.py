"""Public sets of questions on one corpus each, read from the folder that their files lie in.

Each loader takes that folder and knows its files by the names that the sets were published with.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from langgraph_rlm.errors import DataMissing, InvalidInput
from langgraph_rlm.evaluation.rows import Row, csv_rows, json_of, json_rows, text_of
from langgraph_rlm.evaluation.tasks import Collection, DataSet, Evidence, Label, Match, Task, kept

DOCUMENTS = "documents"
"""The one collection of these sets."""


def load_sec10q(folder: Path) -> DataSet:
    """Questions on 10-Q filings: ``questions.csv`` and ``filings/*.txt``. Answers are prose: only a judge can tell."""
    fields = ("Question", "Source Docs", "Question Type", "Answer")
    rows = csv_rows(folder / "questions.csv", fields)
    paths = sorted((folder / "filings").glob("*.txt"))
    if not paths:
        raise DataMissing(f"{folder / 'filings'} holds no .txt file: the text of the filings is missing")
    tasks = []
    for number, row in enumerate(rows, 1):
        pattern = row.text("Source Docs")
        sources = [path.name for path in paths if fnmatch.fnmatchcase(path.stem, pattern)]
        if not sources:
            raise InvalidInput(f"{row.place}: field 'Source Docs' is {pattern!r}, which no filing in {folder} matches")
        tasks.append(
            Task(
                id=f"sec10q-{number}",
                question=row.text("Question"),
                collection=DOCUMENTS,
                answers=row.answers("Answer"),
                match="free",
                evidence=tuple(Evidence(name) for name in sources),
                label="simple" if "Single-Chunk" in row.text("Question Type") else "complex",
            )
        )
    return on_documents("sec10q", tasks, [(path.name, text_of(path)) for path in paths])


_TATQA_LABELS: dict[str, Label] = {
    "span": "simple",
    "multi-span": "complex",
    "arithmetic": "complex",
    "count": "complex",
}


def load_tatqa(folder: Path) -> DataSet:
    """Questions on tables with text: ``tatqa_dataset_dev.json``. Each is asked about its own table and paragraphs."""
    tasks, collections = list[Task](), dict[str, Collection]()
    for row in json_rows(folder / "tatqa_dataset_dev.json"):
        table = Row(row.value("table"), f"{row.place}, table")
        uid = table.text("uid")
        paragraphs = sorted(row.rows("paragraphs"), key=lambda paragraph: paragraph.number("order"))
        parts = [p.text("text") for p in paragraphs] + [_table(table)]
        collections[uid] = kept([(uid, "\n\n".join(parts))])
        for asked in row.rows("questions"):
            kind = asked.choice("answer_type", list(_TATQA_LABELS))
            answers, scale = _tatqa_answers(asked), asked.text("scale", "", may_be_empty=True)
            numeric = kind in ("arithmetic", "count") or (len(answers) == 1 and _is_number(answers[0]))
            match: Match = "number" if numeric else "all" if kind == "multi-span" else "contains"
            tasks.append(
                Task(
                    id=asked.text("uid"),
                    question=asked.text("question"),
                    collection=uid,
                    answers=answers,
                    match=match,
                    tolerance=0.005 if kind == "arithmetic" else 0.0,  # the set rounds to two decimals
                    scale=scale,
                    evidence=(Evidence(uid),),
                    label=_TATQA_LABELS[kind],
                )
            )
    return DataSet(name="tatqa", tasks=checked_tasks(tasks, folder), collections=collections)


def _tatqa_answers(asked: Row) -> tuple[str, ...]:
    """A few lists of the published file end with an empty item."""
    value = asked.value("answer")
    if isinstance(value, list):
        value = [item for item in value if item not in ("", None)]
        return Row({"answer": value}, asked.place).answers("answer")
    return asked.answers("answer")


def _table(table: Row) -> str:
    lines = table.items("table")
    if not all(isinstance(line, list) for line in lines):
        raise table.wrong("table", "a list of lists")
    return "\n".join(" | ".join(str(cell) for cell in line) for line in lines)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[-−(]?\s?[$€£]?\s?\(?[\d,]+(?:\.\d+)?\)?\s?%?\)?", text.strip()) is not None


def load_2wiki(folder: Path) -> DataSet:
    """2WikiMultihopQA: ``corpus_6119.json`` and ``questions_101_with_gold_titles.json``, which gives no answers."""
    passages = json_rows(folder / "corpus_6119.json")
    places = {passage.text("title"): f"p{number}" for number, passage in enumerate(passages)}
    tasks = []
    for number, row in enumerate(json_rows(folder / "questions_101_with_gold_titles.json")):
        answer = row.text("answer", "", may_be_empty=True)
        tasks.append(
            Task(
                id=f"2wiki-{number}",
                question=row.text("question"),
                collection=DOCUMENTS,
                answers=(answer,) if answer else (),
                evidence=tuple(Evidence(_place(places, title, row)) for title in row.answers("ground_truth")),
                label="complex",
            )
        )
    return _of_passages("2wiki", tasks, [_titled(passage, "text") for passage in passages])


def load_musique(folder: Path) -> DataSet:
    """MuSiQue: ``musique_corpus_1890.json`` and ``musique_100.json``."""
    passages = [_titled(passage, "text") for passage in json_rows(folder / "musique_corpus_1890.json")]
    places = {passage: f"p{number}" for number, passage in enumerate(passages)}
    tasks = []
    for row in json_rows(folder / "musique_100.json"):
        gold = [one for one in row.rows("paragraphs") if one.truth("is_supporting", False)]
        aliases = row.answers("answer_aliases") if row.value("answer_aliases") else ()
        tasks.append(
            Task(
                id=row.name("id"),
                question=row.text("question"),
                collection=DOCUMENTS,
                answers=(*row.answers("answer"), *aliases),
                evidence=tuple(Evidence(_place(places, _titled(one, "paragraph_text"), one)) for one in gold),
                label="complex",
                answerable=row.truth("answerable", True),
            )
        )
    return _of_passages("musique", tasks, passages)


def load_hotpot(folder: Path) -> DataSet:
    """HotpotQA: ``hotpotqa_corpus_994.json`` and ``hotpotqa_100.json``."""
    path = folder / "hotpotqa_corpus_994.json"
    held = Row(json_of(path), str(path))
    places = {title: f"p{number}" for number, title in enumerate(held.names())}
    passages = [f"{title}\n{''.join(map(str, held.items(title)))}" for title in held.names()]
    tasks = []
    for row in json_rows(folder / "hotpotqa_100.json"):
        titles = [str(fact[0]) for fact in row.items("supporting_facts") if isinstance(fact, list) and fact]
        tasks.append(
            Task(
                id=row.name("_id"),
                question=row.text("question"),
                collection=DOCUMENTS,
                answers=row.answers("answer"),
                evidence=tuple(Evidence(_place(places, title, row)) for title in dict.fromkeys(titles)),
                label="complex",
            )
        )
    return _of_passages("hotpot", tasks, passages)


def load_xquad(folder: Path) -> DataSet:
    """XQuAD: ``xquad.en.json``; one paragraph answers each question."""
    path = folder / "xquad.en.json"
    parts = Row(json_of(path), str(path)).rows("data")
    paragraphs = [paragraph for part in parts for paragraph in part.rows("paragraphs")]
    tasks = []
    for number, paragraph in enumerate(paragraphs):
        for asked in paragraph.rows("qas"):
            spans = asked.rows("answers")
            if not spans:
                raise asked.wrong("answers", "a list that is not empty")
            start, text = int(spans[0].number("answer_start")), spans[0].text("text")
            tasks.append(
                Task(
                    id=asked.name("id"),
                    question=asked.text("question"),
                    collection=DOCUMENTS,
                    answers=tuple(dict.fromkeys(span.text("text") for span in spans)),
                    evidence=(Evidence(f"p{number}", start, start + len(text)),),
                    label="simple",
                )
            )
    return _of_passages("xquad", tasks, [paragraph.text("context") for paragraph in paragraphs])


PUBLIC: dict[str, Callable[[Path], DataSet]] = {
    "sec10q": load_sec10q,
    "tatqa": load_tatqa,
    "2wiki": load_2wiki,
    "musique": load_musique,
    "hotpot": load_hotpot,
    "xquad": load_xquad,
}
"""Loaders by name; each takes the folder of its files."""


def _titled(row: Row, field: str) -> str:
    return f"{row.text('title')}\n{row.text(field)}"


def _place(places: dict[str, str], wanted: str, row: Row) -> str:
    if wanted not in places:
        raise InvalidInput(f"{row.place}: its evidence {wanted[:80]!r} is no passage of the corpus")
    return places[wanted]


def _of_passages(name: str, tasks: Sequence[Task], passages: Sequence[str]) -> DataSet:
    """Each passage is one chunk, as those count who publish figures of these sets."""
    documents = [(f"p{number}", passage) for number, passage in enumerate(passages)]
    if not documents:
        raise InvalidInput(f"{name}: its file of passages is empty")
    return on_documents(name, tasks, documents, chunk_size=max(map(len, passages)), chunk_overlap=0)


def on_documents(name: str, tasks: Sequence[Task], documents: Sequence[tuple[str, str]], **chunks: Any) -> DataSet:
    """A set whose tasks are all asked about the same documents."""
    return DataSet(name=name, tasks=checked_tasks(tasks, name), collections={DOCUMENTS: kept(documents)}, **chunks)


def checked_tasks(tasks: Sequence[Task], where: object) -> tuple[Task, ...]:
    """The tasks, if there are any and their ids differ."""
    if not tasks:
        raise InvalidInput(f"{where}: there is no question")
    seen = set[str]()
    for task in tasks:
        if task.id in seen:
            raise InvalidInput(f"{where}: two questions have the id {task.id!r}")
        seen.add(task.id)
    return tuple(tasks)
