"""The benchmark of routing: what it counts, what it leaves out, and that it runs on data of the known shape."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import _questions
import _routing_labels
import numpy as np
import pytest
import routing as benchmark
from _routing_data import GROUPS, EvidenceSet, Labelled, labelled
from _routing_labels import quality
from _routing_plot import Line, Panel, draw
from _routing_regret import RATIO, Trial, left_out, outcome, outcomes

SIMPLE = ["Who wrote it?", "When was the bridge opened?", "What is the capital of Peru?"]
COMPLEX = ["List all the bridges of each town.", "Are Anna and Bela from the same country?", "Compare the two bridges."]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with labels; nothing of the benchmark leaves the test's folder."""
    folder = tmp_path / "data"
    (folder / "router").mkdir(parents=True)
    sources = [source for sources in GROUPS.values() for source in sources]
    rows = [
        {"query": text, "label": label, "source": source}
        for source in sources
        for label, texts in (("simple", SIMPLE), ("complex", COMPLEX))
        for text in texts
    ]
    (folder / "router/router_dev.jsonl").write_text("\n".join(map(json.dumps, rows)))
    monkeypatch.setenv(_questions.DATA, str(folder))
    monkeypatch.delenv(_routing_labels.PYTHON, raising=False)
    monkeypatch.setattr(benchmark, "RESULTS", tmp_path / "results")
    return folder


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The rows that would have been written."""
    rows: list[Any] = []
    monkeypatch.setattr(benchmark, "save", lambda name, written: rows.extend(written))
    return rows


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["routing.py", *arguments])
    benchmark.main()


def trial(name: str, *, rag: bool, deep: bool = True, doubted: bool = False, score: float = -1.0) -> Trial:
    return Trial(name, rag, deep, doubted, score, score, (score, 0.5, 0.5))


def test_labelled_questions_are_measured_group_by_group(
    data: Path, saved: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, "--parts", "labels")
    shipped = next(row for row in saved if row["router"] == "ours, as shipped")
    assert shipped["macro_f1"] == shipped["recall"] == 100.0
    assert set(shipped["by_group"]) == set(GROUPS)
    assert "skipped, ROUTING_PYTHON names no interpreter" in capsys.readouterr().out
    assert ElementTree.parse(data.parent / "results" / "routing.svg").getroot().tag.endswith("svg")


def test_sets_that_are_not_there_are_named(
    tmp_path: Path, saved: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(_questions.DATA, str(tmp_path / "nowhere"))
    run(monkeypatch, "--parts", "labels", "evidence")
    told = capsys.readouterr().out
    assert not saved
    assert all(f"{name}: skipped" in told for name in ("labels", "xquad", "sec10q", "tatqa", "hotpot_100"))


def test_evidence_is_looked_for_on_both_routes(
    data: Path, saved: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "xquad").mkdir()
    paragraphs = [
        {"context": f"The lighthouse of {town} was lit in {year}.", "qas": [{"id": town, "question": f"When was the lighthouse of {town} lit?", "answers": [{"text": str(year), "answer_start": 0}]}]}
        for town, year in (("Norderney", 1874), ("Borkum", 1879))
    ]  # fmt: skip
    (data / "xquad/xquad.en.json").write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    run(monkeypatch, "--parts", "evidence", "--k", "1")
    rag = next(row for row in saved if row["policy"] == "always RAG")
    assert (rag["questions"], rag["complete"], rag["cost"][RATIO]) == (2, 100.0, 10.0)


def test_the_published_numbers_are_the_evidence_of_a_filing(tmp_path: Path) -> None:
    from _routing_data import evidence_sets

    (tmp_path / "sec10q/filings").mkdir(parents=True)
    (tmp_path / "sec10q/filings/2023 Q1 X.txt").write_text("Revenue was $1,234.\fNet loss was 56,789.\f ")
    (tmp_path / "sec10q/questions.csv").write_text(
        'Question,Answer\nHow much?,"In 2023, $1,234 and 56,789."\nWhy?,Because of 12.\n'
    )
    loaded: EvidenceSet = evidence_sets(tmp_path)["sec10q"]()
    [case] = loaded.cases  # years and small numbers prove nothing
    pages: list[Any] = [{"text": one.page_content} for one in loaded.documents]
    assert [one.id for one in loaded.documents] == ["2023 Q1 X, page 1", "2023 Q1 X, page 2"]
    assert (case.complete(pages), case.complete(pages[:1])) == (True, False)


def test_what_a_policy_costs_and_completes_is_added_up() -> None:
    asked = [
        trial("a", rag=True),
        trial("a", rag=False),
        trial("b", rag=False, doubted=True),
        trial("b", rag=False, deep=False),
    ]
    alone = outcome("x", asked, np.array([False, True, False, False]), escalate=False)
    assert (alone.complete, alone.recursive) == (50.0, 25.0)
    assert alone.cost[10] == pytest.approx(100 * (1 + 10 + 1 + 1) / 40)
    escalated = outcome("x", asked, np.array([False, True, False, False]))
    assert (escalated.complete, escalated.recursive) == (75.0, 50.0)
    assert escalated.cost[10] == pytest.approx(100 * (1 + 10 + 11 + 1) / 40)
    assert escalated.of_always_rlm == 100.0
    assert escalated.mean_complete == 75.0
    assert escalated.low <= escalated.complete <= escalated.high


def test_no_set_has_a_say_in_its_own_constants() -> None:
    rng = np.random.default_rng(0)
    asked = [trial(name, rag=bool(score < 0), score=score) for name in "abc" for score in rng.normal(size=60)]
    chosen = left_out(asked)
    changed = [one._replace(rag=not one.rag) if one.set == "a" else one for one in asked]
    own = np.array([one.set == "a" for one in asked])
    assert (left_out(changed)[own] == chosen[own]).all()
    assert {one.policy for one in outcomes(asked)} >= {"always RAG", "always RLM", "auto"}


def test_macro_f1_is_the_mean_of_both_kinds_and_of_the_groups() -> None:
    rows = [Labelled("?", kind, group) for group in GROUPS for kind in (True, True, False, False)]
    found = quality("x", rows, np.array([True, True, True, False] * len(GROUPS)))
    assert found.macro_f1 == pytest.approx(100 * (4 / 5 + 2 / 3) / 2)
    assert found.recall == 100.0


def test_every_source_belongs_to_one_group(data: Path) -> None:
    assert {row.group for row in labelled(data)} == set(GROUPS)


def test_a_drawing_holds_its_lines(tmp_path: Path) -> None:
    panel = Panel("A & B", "cost", "complete", 50, [Line("curve", [(0, 60), (100, 100)]), Line("point", [(30, 40)])])
    draw([panel, panel], tmp_path / "made" / "plot.svg")
    root = ElementTree.parse(tmp_path / "made" / "plot.svg").getroot()
    tags = [element.tag.split("}")[1] for element in root]
    assert (tags.count("polyline"), tags.count("circle")) == (2, 2)
