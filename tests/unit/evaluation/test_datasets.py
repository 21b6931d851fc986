"""Loaders of public sets, on small files of the published shapes; what is missing or wrong is named."""

from __future__ import annotations

import copy
import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from langgraph_rlm.errors import DataMissing, InvalidInput
from langgraph_rlm.evaluation import DataSet, Evidence
from langgraph_rlm.evaluation.datasets import PUBLIC
from langgraph_rlm.evaluation.downloaded import DOWNLOADED
from langgraph_rlm.evaluation.metrics import accuracy

LOADERS = {**PUBLIC, **DOWNLOADED}
SEC10Q = {
    "Question": "What were the net sales?",
    "Source Docs": "*2023 Q1 ABC*",
    "Question Type": "Single-Doc Single-Chunk RAG",
    "Source Chunk Type": "Table",
    "Answer": "Net sales were $12 million.\n\nSOURCE(S): 2023 Q1 ABC.pdf",
}
TATQA = {
    "table": {"uid": "t1", "table": [["", "2019", "2018"], ["Sales", "1,496.5", "1,202.9"]]},
    "paragraphs": [{"uid": "p2", "order": 2, "text": "Second."}, {"uid": "p1", "order": 1, "text": "First."}],
    "questions": [
        {"uid": "q1", "question": "Sales in 2019?", "answer": ["$1,496.5"], "answer_type": "span", "scale": "million"},
        {"uid": "q2", "question": "Change?", "answer": 293.6, "answer_type": "arithmetic", "scale": "million"},
        {"uid": "q3", "question": "Years?", "answer": ["2019", "2018", ""], "answer_type": "multi-span", "scale": ""},
        {"uid": "q4", "question": "How is it counted?", "answer": ["by hand"], "answer_type": "span", "scale": ""},
    ],
}
PASSAGES = [{"title": "Lothair II", "text": "A king."}, {"title": "Ermengarde", "text": "A queen."}]
MUSIQUE = {
    "id": "2hop__1_2",
    "paragraphs": [
        {"idx": 0, "title": "Lothair II", "paragraph_text": "A king.", "is_supporting": True},
        {"idx": 1, "title": "Ermengarde", "paragraph_text": "A queen.", "is_supporting": False},
    ],
    "question": "Who was the king?",
    "answer": "Lothair II",
    "answer_aliases": ["Lothair"],
    "answerable": True,
}
HOTPOT = {
    "_id": "5a77",
    "question": "What is Lilu?",
    "answer": "a spirit",
    "supporting_facts": [["Lilu", 0], ["Lilu", 1], ["Gallu", 0]],
}
XQUAD = {
    "context": "It gave up 308 points.",
    "qas": [{"id": "x1", "question": "How many points?", "answers": [{"answer_start": 11, "text": "308"}]}],
}
ARTICLES = [
    {"title": "One", "source": "The Post", "published_at": "2023", "body": "Body one."},
    {"title": "Two", "body": "B."},
]
MULTIHOP = [
    {"query": "Who?", "answer": "Ada", "question_type": "inference_query", "evidence_list": [{"title": "One"}]},
    {"query": "Why?", "answer": "Insufficient information.", "question_type": "null_query", "evidence_list": []},
]
LONGBENCH = {
    "_id": "66f", "question": "Which?", "choice_A": "a", "choice_B": "b", "choice_C": "c", "choice_D": "d",
    "answer": "B", "context": "Long text.",
}  # fmt: skip
OOLONG = [
    {"id": 7, "context_window_text": "Date: …", "question": "How many?", "answer": "[12]", "answer_type": "ANSWER_TYPE.NUMERIC"},
    {"id": 8, "context_window_text": "Date: …", "question": "Which label?", "answer": "['entity']", "answer_type": "ANSWER_TYPE.LABEL"},
    {"id": "real-1", "context_window_text": "Scene one.", "question": "Rolls?", "answer": "84"},
]  # fmt: skip
BROWSED = {
    "query_id": "769",
    "query": "Which paper?",
    "answer": "On Bees",
    "evidence_docs": [{"docid": "d1", "text": "Evidence."}],
    "gold_docs": [{"docid": "d1", "text": "Evidence."}],
    "negative_docs": [{"docid": "d2", "text": "Other."}, {"docid": "d3", "text": ""}],
}

FILES: dict[str, dict[str, Any]] = {
    "sec10q": {
        "questions.csv": [SEC10Q],
        "filings/2023 Q1 ABC.txt": "Page one\fPage two",
        "filings/2023 Q2 ABC.txt": "x",
    },
    "tatqa": {"tatqa_dataset_dev.json": [TATQA]},
    "2wiki": {
        "corpus_6119.json": PASSAGES,
        "questions_101_with_gold_titles.json": [
            {"question": "Who?", "answer": "", "ground_truth": ["Lothair II", "Ermengarde"]}
        ],
    },
    "musique": {"musique_corpus_1890.json": PASSAGES, "musique_100.json": [MUSIQUE]},
    "hotpot": {"hotpotqa_corpus_994.json": {"Lilu": ["A. ", "B."], "Gallu": ["C."]}, "hotpotqa_100.json": [HOTPOT]},
    "xquad": {"xquad.en.json": {"data": [{"paragraphs": [XQUAD]}]}},
    "multihop-rag": {"MultiHopRAG.json": MULTIHOP, "corpus.json": ARTICLES},
    "longbench-v2": {"data.json": [LONGBENCH]},
    "oolong": {"test.jsonl": OOLONG},
    "browsecomp-plus": {"decrypted.jsonl": [BROWSED]},
}


def written(folder: Path, name: str, files: dict[str, Any] | None = None) -> Path:
    """The files of a set; what its loader takes."""
    path = folder
    for file, held in (FILES[name] if files is None else files).items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".csv":
            text = io.StringIO(newline="")
            writer = csv.DictWriter(text, list(held[0]))
            writer.writeheader()
            writer.writerows(held)
            path.write_text(text.getvalue(), "utf-8", newline="")
        elif path.suffix == ".jsonl":
            path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in held) + "\n\n", "utf-8")
        else:
            path.write_text(held if isinstance(held, str) else json.dumps(held), "utf-8")
    return path if path.suffix == ".jsonl" else folder


def loaded(folder: Path, name: str) -> DataSet:
    return LOADERS[name](written(folder, name))


def texts(data: DataSet, collection: str) -> dict[str, str]:
    return dict(data.collections[collection].documents())


def test_sec10q_names_the_filings_that_its_pattern_matches(tmp_path: Path) -> None:
    (task,) = (data := loaded(tmp_path, "sec10q")).tasks
    assert (task.label, task.match, task.evidence) == ("simple", "free", (Evidence("2023 Q1 ABC.txt"),))
    assert task.answers[0].startswith("Net sales were $12 million.\n")
    assert texts(data, task.collection)["2023 Q1 ABC.txt"] == "Page one\fPage two"


def test_tatqa_asks_each_question_about_its_own_table_and_text(tmp_path: Path) -> None:
    tasks = (data := loaded(tmp_path, "tatqa")).tasks
    assert [(t.match, t.answers, t.scale, t.label) for t in tasks] == [
        ("number", ("$1,496.5",), "million", "simple"),
        ("number", ("293.6",), "million", "complex"),
        ("all", ("2019", "2018"), "", "complex"),
        ("contains", ("by hand",), "", "simple"),
    ]
    assert texts(data, "t1") == {"t1": "First.\n\nSecond.\n\n | 2019 | 2018\nSales | 1,496.5 | 1,202.9"}


def test_2wiki_has_evidence_but_no_answers(tmp_path: Path) -> None:
    (task,) = (data := loaded(tmp_path, "2wiki")).tasks
    assert (task.answers, task.evidence) == ((), (Evidence("p0"), Evidence("p1")))
    assert texts(data, task.collection)["p0"] == "Lothair II\nA king."
    assert data.chunk_size == len("Ermengarde\nA queen.")


def test_musique_takes_aliases_and_supporting_paragraphs(tmp_path: Path) -> None:
    (task,) = loaded(tmp_path, "musique").tasks
    assert (task.id, task.answers, task.evidence) == ("2hop__1_2", ("Lothair II", "Lothair"), (Evidence("p0"),))


def test_hotpot_names_each_document_once(tmp_path: Path) -> None:
    (task,) = (data := loaded(tmp_path, "hotpot")).tasks
    assert (task.answers, task.evidence) == (("a spirit",), (Evidence("p0"), Evidence("p1")))
    assert texts(data, task.collection)["p0"] == "Lilu\nA. B."


def test_xquad_knows_the_span_of_its_answer(tmp_path: Path) -> None:
    (task,) = (data := loaded(tmp_path, "xquad")).tasks
    (gold,) = task.evidence
    assert texts(data, task.collection)[gold.doc_id][gold.start : gold.end] == task.answers[0] == "308"


def test_multihop_rag_knows_what_is_not_in_its_articles(tmp_path: Path) -> None:
    one, other = (data := loaded(tmp_path, "multihop-rag")).tasks
    assert (one.evidence, one.answerable, other.answerable) == ((Evidence("article-0"),), True, False)
    assert texts(data, one.collection)["article-0"] == "One\nThe Post, 2023\n\nBody one."


def test_longbench_v2_is_multiple_choice_over_a_context_of_its_own(tmp_path: Path) -> None:
    (task,) = (data := loaded(tmp_path, "longbench-v2")).tasks
    assert task.question == "Which?\n\nChoose one, and answer with its letter:\n(A) a\n(B) b\n(C) c\n(D) d"
    assert (task.answers, task.match) == (("B",), "choice")
    assert texts(data, task.collection) == {"context": "Long text."}


def test_oolong_reads_both_halves_and_shares_equal_contexts(tmp_path: Path) -> None:
    tasks = (data := loaded(tmp_path, "oolong")).tasks
    assert [(t.id, t.answers, t.match) for t in tasks] == [
        ("7", ("12",), "count"),
        ("8", ("entity",), "contains"),
        ("real-1", ("84",), "count"),
    ]
    assert tasks[0].collection == tasks[1].collection != tasks[2].collection
    assert texts(data, tasks[2].collection) == {"context": "Scene one."}


@pytest.mark.parametrize("said", ["2024-03-05", "March 5, 2024", "Mar 05, 2024", "on 5 March 2024.", "3/5/2024"])
def test_a_date_of_oolong_may_be_written_in_any_usual_way(said: str, tmp_path: Path) -> None:
    row = {**OOLONG[0], "answer": "[datetime.date(2024, 3, 5)]", "answer_type": "ANSWER_TYPE.DATE"}
    (task,) = LOADERS["oolong"](written(tmp_path, "oolong", {"test.jsonl": [row]})).tasks
    assert accuracy(task, f"Answer: {said}") == 1.0
    assert accuracy(task, "Answer: 2024-03-15") == 0.0


def test_browsecomp_plus_asks_about_the_documents_of_its_row(tmp_path: Path) -> None:
    (task,) = (data := loaded(tmp_path, "browsecomp-plus")).tasks
    assert texts(data, task.collection) == {"d1": "Evidence.", "d2": "Other."}
    assert task.evidence == (Evidence("d1"),)


# --- what is wrong -----------------------------------------------------------------------------------------------------


def without(field: str) -> Callable[[dict[str, Any]], None]:
    return lambda row: row.pop(field)


def with_(field: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda row: row.update({field: value})


@pytest.mark.parametrize(
    ("name", "file", "spoil", "told"),
    [
        ("sec10q", "questions.csv", without("Answer"), "column 'Answer' is missing"),
        ("sec10q", "questions.csv", with_("Answer", ""), "row 1: field 'Answer'"),
        ("sec10q", "questions.csv", with_("Source Docs", "*XYZ*"), r"row 1: field 'Source Docs' is '\*XYZ\*', which no filing"),
        ("tatqa", "tatqa_dataset_dev.json", without("table"), "record 1: field 'table' is missing; there are: paragraphs"),
        ("tatqa", "tatqa_dataset_dev.json", lambda r: r["questions"][1].pop("answer"), r"record 1, questions\[1\]: field 'answer'"),
        ("tatqa", "tatqa_dataset_dev.json", lambda r: r["questions"][0].update(answer_type="x"), "must be one of span"),
        ("tatqa", "tatqa_dataset_dev.json", lambda r: r["questions"][1].update(uid="q1"), "two questions have the id 'q1'"),
        ("2wiki", "questions_101_with_gold_titles.json", with_("ground_truth", ["Nobody"]), "its evidence 'Nobody' is no passage"),
        ("2wiki", "corpus_6119.json", without("title"), "record 1: field 'title' is missing"),
        ("musique", "musique_100.json", with_("answer", []), "field 'answer' must be a text, a number, or a list"),
        ("musique", "musique_100.json", with_("question", 5), "field 'question' must be a text, not 5"),
        ("hotpot", "hotpotqa_100.json", without("supporting_facts"), "field 'supporting_facts' is missing"),
        ("multihop-rag", "MultiHopRAG.json", with_("evidence_list", [{"title": "Three"}]), "names 'Three', which is no article"),
        ("longbench-v2", "data.json", with_("answer", "E"), "field 'answer' must be one of A, B, C, D"),
        ("longbench-v2", "data.json", without("context"), "record 1: field 'context' is missing"),
        ("oolong", "test.jsonl", with_("answer", "[datetime.date(2024, 2, 30)]"), r"line 1: field 'answer' must be a date that there is, not .*2, 30"),
        ("oolong", "test.jsonl", without("context_window_text"), "line 1: field 'context_window_text' is missing"),
        ("browsecomp-plus", "decrypted.jsonl", lambda r: [r.pop(k) for k in list(r) if k.endswith("docs")], "its documents are missing"),
    ],
)  # fmt: skip
def test_a_field_that_is_missing_or_wrong_is_named_with_its_row(
    tmp_path: Path, name: str, file: str, spoil: Callable[[dict[str, Any]], Any], told: str
) -> None:
    files = copy.deepcopy(FILES[name])
    spoil(files[file][0])
    with pytest.raises(InvalidInput, match=told):
        LOADERS[name](written(tmp_path, name, files))


@pytest.mark.parametrize("name", LOADERS)
def test_files_that_are_not_there_are_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataMissing, match=str(tmp_path)):
        LOADERS[name](tmp_path / "nothing")


@pytest.mark.parametrize("name", sorted(set(LOADERS) - {"sec10q"}))
@pytest.mark.parametrize("held", ["{", "[1, 2]", "5", "null", '{"a": 1}', "\ud800", b"\xff\xfe"])
def test_files_of_another_shape_are_refused_by_name(tmp_path: Path, name: str, held: Any) -> None:
    written(tmp_path, name)
    for file in FILES[name]:
        (tmp_path / file).write_bytes(held if isinstance(held, bytes) else held.encode("utf-8", "surrogatepass"))
    with pytest.raises(InvalidInput, match=str(tmp_path)):
        LOADERS[name](tmp_path / file if file.endswith(".jsonl") else tmp_path)


def test_what_changes_an_answer_changes_the_digest(tmp_path: Path) -> None:
    before = loaded(tmp_path, "musique").digest()
    files = copy.deepcopy(FILES["musique"])
    files["musique_100.json"][0]["answer"] = "Lothar"
    assert LOADERS["musique"](written(tmp_path, "musique", files)).digest() != before
    assert loaded(tmp_path, "musique").digest() == before
