"""Tasks of one's own as JSON Lines: what each field means, and what is said of one that cannot be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_rlm.errors import DataMissing, InvalidInput
from langgraph_rlm.evaluation import DataSet, Evidence
from langgraph_rlm.evaluation.own import load_tasks

DOCUMENTS = [("leave.md", "Parental leave is 16 weeks."), ("travel.md", "Trains first.")]


def write(folder: Path, *rows: Any) -> Path:
    path = folder / "tasks.jsonl"
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows), "utf-8")
    return path


def loaded(folder: Path, *rows: Any) -> DataSet:
    return load_tasks(write(folder, *rows), DOCUMENTS)


def test_a_question_and_an_answer_are_enough(tmp_path: Path) -> None:
    one, other = loaded(
        tmp_path, {"question": "How long?", "answer": "16 weeks"}, "", {"question": "How many?", "answer": 2}
    ).tasks
    assert (one.id, one.match, one.answers, one.collection) == ("1", "contains", ("16 weeks",), "documents")
    assert (other.id, other.match, other.answers) == ("2", "number", ("2",))


def test_every_field_is_read(tmp_path: Path) -> None:
    row = {
        "id": 12, "question": "How long?", "answer": ["16", "112"], "match": "number", "tolerance": 0.1, "scale": "thousand",
        "evidence": ["travel.md", {"doc_id": "leave.md", "start": 0, "end": 8}], "label": "simple", "answerable": True,
    }  # fmt: skip
    (task,) = loaded(tmp_path, row).tasks
    assert (task.id, task.answers, task.match, task.tolerance, task.scale) == (
        "12",
        ("16", "112"),
        "number",
        0.1,
        "thousand",
    )
    assert task.evidence == (Evidence("travel.md"), Evidence("leave.md", 0, 8))
    assert (task.label, task.answerable) == ("simple", True)


def test_a_context_belongs_to_its_task_alone(tmp_path: Path) -> None:
    data = loaded(
        tmp_path,
        {"question": "a?", "answer": "x", "context": "Übung — one text"},
        {"question": "b?", "answer": "x", "context": {"a.txt": "A", "b.txt": "B"}, "evidence": ["b.txt"]},
    )
    held = [data.collections[task.collection].documents() for task in data.tasks]
    assert held == [(("context", "Übung — one text"),), (("a.txt", "A"), ("b.txt", "B"))]


def test_a_sample_is_fixed_and_part_of_a_larger_one(tmp_path: Path) -> None:
    rows = [{"question": f"{n}?", "answer": "x"} for n in range(20)]
    data, turned = (
        loaded(tmp_path, *rows),
        loaded(tmp_path, *({**row, "id": n + 1} for n, row in reversed([*enumerate(rows)]))),
    )
    assert [task.id for task in data.first(20)[:5]] == [task.id for task in data.first(5)]
    assert [task.id for task in data.first(5)] == [task.id for task in turned.first(5)]
    assert data.digest() == turned.digest()


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"answer": "x"}, "line 2: field 'question' is missing; there are: answer"),
        ({"question": "?"}, "line 2: field 'answer' is missing"),
        ({"question": " ", "answer": "x"}, "line 2: field 'question' is empty"),
        ({"question": "?", "answer": ""}, "line 2: field 'answer' must be a text, a number"),
        ({"question": "?", "answer": [[]]}, "line 2: field 'answer' must be"),
        ({"question": "?", "answer": {"a": 1}}, "line 2: field 'answer' must be"),
        ({"question": "?", "answer": True}, "line 2: field 'answer' must be"),
        ('{"question": "?", "answer": NaN}', "line 2: field 'answer' must be"),
        ({"question": "?", "answer": "x", "match": "fuzzy"}, "field 'match' must be one of exact"),
        ({"question": "?", "answer": "x", "label": "hard"}, "field 'label' must be one of simple, complex"),
        ({"question": "?", "answer": "x", "tolerance": -1}, "field 'tolerance' must be a number from 0"),
        ({"question": "?", "answer": "x", "answerable": "yes"}, "field 'answerable' must be true or false"),
        ({"question": "?", "answer": "x", "evidence": "leave.md"}, "field 'evidence' must be a list"),
        ({"question": "?", "answer": "x", "evidence": ["gone.md"]}, "names 'gone.md', which is no document; there are: leave.md"),
        ({"question": "?", "answer": "x", "evidence": [{"doc_id": "leave.md", "start": 5}]}, r"evidence\[0\] must have 0 <= start"),
        ({"question": "?", "answer": "x", "evidence": [{"doc": 1}]}, r"evidence\[0\] must be a document id"),
        ({"question": "?", "answer": "x", "context": ""}, "field 'context' is empty"),
        ({"question": "?", "answer": "x", "context": {}}, "field 'context' must be"),
        ({"question": "?", "answer": "x", "context": {"a": 1}}, "context: field 'a' must be a text"),
        ({"question": "?", "answer": "x", "awnser": "x"}, "unknown field 'awnser'; known are id, question"),
        ({"question": "?", "answer": "x", "id": "1"}, "field 'id' is '1', as in .*line 1: ids must differ"),
        ({"question": "\ud800", "answer": "x"}, "field 'question' holds a lone surrogate"),
        ([1, 2], "line 2: expected an object with fields"),
        ("{nonsense", "line 2 is not JSON"),
        ("[" * 100_000, "line 2 is not JSON"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_used_is_named_with_its_field(tmp_path: Path, row: Any, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        loaded(tmp_path, {"question": "How long?", "answer": "16 weeks"}, row)


def test_tasks_need_something_to_be_asked_about(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="field 'context' is missing: give each task a context"):
        load_tasks(write(tmp_path, {"question": "?", "answer": "x"}))
    with pytest.raises(InvalidInput, match="holds no task"):
        load_tasks(write(tmp_path, ""))
    with pytest.raises(DataMissing, match="is not there"):
        load_tasks(tmp_path / "gone.jsonl")
    with pytest.raises(InvalidInput, match="cannot be read"):
        load_tasks(tmp_path)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(["question", "answer", "evidence", "context"]) | st.text(), inner)
        ),
    )
)
def test_any_json_is_loaded_or_refused(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    path = write(tmp_path_factory.mktemp("any"), json.dumps(value))
    try:
        data = load_tasks(path, DOCUMENTS)
    except InvalidInput as error:
        assert str(path) in str(error)
    else:
        assert len(data.tasks) == 1
