"""The benchmark of the evaluation: that its scripts answer truly, and that it counts what it says."""

from __future__ import annotations

import sys
from typing import Any

import evaluation as benchmark
import pytest
from _oracle import CLASSIFY, counted, look_up, root_model, sub_model
from langchain_core.messages import HumanMessage, SystemMessage

from langgraph_rlm.evaluation.generated import Generated, counting, mixed, pairs
from langgraph_rlm.graphs.prompts import NOT_FOUND, reader_messages, sub_messages


def documents(made: Generated) -> list[tuple[str, str]]:
    return [document for held in made.data.collections.values() for document in held.documents()]


@pytest.mark.parametrize("make", [counting, pairs])
def test_the_scripts_answer_every_task_truly_when_they_read_everything(make: Any) -> None:
    made = make(tasks=15, chars=6_000)
    text = "".join(text for _, text in documents(made))
    classified = sub_model(made.labels).invoke(sub_messages(f"{CLASSIFY}\n\n{text}")).text
    rows = [(user, kind) for user, _, kind in (line.partition(" ") for line in classified.splitlines())]
    for task in made.data.tasks:
        gold = "; ".join(task.answers)
        assert counted(task.question, rows) == gold


def test_a_look_up_is_answered_from_the_passages_or_not_at_all() -> None:
    made = mixed(tasks=6, chars=2_000, simple_share=1.0)
    passages = documents(made)
    reader = root_model("reads", made.labels)
    for task in made.data.tasks:
        told = reader.invoke(reader_messages(task.question, passages)).text
        assert told.startswith(f"{task.answers[0]} [{len(passages)}]")
        assert reader.invoke(reader_messages(task.question, passages[:1])).text.startswith(NOT_FOUND)
        assert look_up(task.question, passages[-1][1])[0] == task.answers[0]


def test_the_reader_counts_no_more_than_it_sees() -> None:
    made = counting(tasks=1, chars=4_000)
    name, text = documents(made)[0]
    few = text.splitlines(keepends=True)[:3]
    told = (
        root_model("reads", made.labels)
        .invoke(reader_messages(made.data.tasks[0].question, [(name, "".join(few))]))
        .text
    )
    assert told == f"{sum(made.labels[line.strip().split('Entry: ')[1]] == 'person' for line in few)} [1]"


def test_the_scripts_are_told_apart_from_other_prompts() -> None:
    with pytest.raises(AssertionError):
        sub_model({}).invoke([SystemMessage("something else"), HumanMessage("?")])


def test_the_recursive_route_is_right_about_every_aggregation(capsys: pytest.CaptureFixture[str]) -> None:
    rows = benchmark.aggregation(2, 5_000)
    assert [(row["what"], row["characters"]) for row in rows] == [
        ("counting", 5_000),
        ("counting", 10_000),
        ("pairs", 1_000),
    ]
    assert [row["rlm"].mean for row in rows] == [1.0, 1.0, 1.0]
    assert "rlm right" in capsys.readouterr().out


def test_what_auto_saves_is_counted_against_the_recursive_route(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    saved: list[Any] = []
    monkeypatch.setattr(benchmark, "save", lambda name, rows: saved.extend(rows))
    monkeypatch.setattr(benchmark, "aggregation", lambda tasks, chars: [])
    monkeypatch.setattr(benchmark, "SHARES", {0.5: 10.0})
    monkeypatch.setattr(sys, "argv", ["evaluation.py", "--tasks", "2", "--chars", "36000"])
    benchmark.main()
    told = capsys.readouterr().out
    assert "Scripts stand for language models" in told
    assert "≥ 10 %" in told
    assert [(row["manner"], row["share"]) for row in saved] == [("reads", 0.5), ("searches", 0.5)]
    for row in saved:
        assert row["right"]["rlm"].mean == 1.0
        for what, costs in row["costs"].items():
            assert row["saved"][what] == pytest.approx(100 * (1 - costs["auto"] / costs["rlm"]))
            assert 0 < costs["rag"] < costs["rlm"]
