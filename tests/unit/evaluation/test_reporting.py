"""Figures of a report against a plain count over the same answers."""

from __future__ import annotations

import json
from statistics import fmean
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langgraph_rlm.evaluation import Task
from langgraph_rlm.evaluation.records import Answered
from langgraph_rlm.evaluation.reporting import as_json, as_markdown, notes, points_of, report_on
from langgraph_rlm.evaluation.running import ROUTES, Outcome
from tests.unit.evaluation.test_records import answer

SETTINGS = {"data set": "some", "model": "m", "sub-model": "m", "judge": None}
given_answers = st.dictionaries(
    st.tuples(st.sampled_from("123456"), st.sampled_from(ROUTES)),
    st.fixed_dictionaries(
        {
            "answer": st.sampled_from(["yes", "no"]),
            "stop_reason": st.sampled_from(["answered", "answered", "refused", "failed", "budget"]),
            "input_tokens": st.integers(0, 1_000),
            "output_tokens": st.integers(0, 10),
            "cost_usd": st.sampled_from([None, 0.0, 0.25, 1.0]),
            "chosen": st.sampled_from(["direct", "rag", "rlm"]),
            "answered_by": st.sampled_from(["direct", "rag", "rlm"]),
        }
    ),
)


def outcome(answers: dict[tuple[str, str], Any], **more: Any) -> Outcome:
    tasks = tuple(
        Task(id=n, question="?", collection="c", answers=("yes",), label="simple" if n in "135" else "complex")
        for n in "123456"
    )
    held = {key: answer(*key, **values) for key, values in answers.items()}
    return Outcome(SETTINGS, tasks, ROUTES, held, 0, 0.0, "", **more)


def right(record: Answered) -> float:
    return float(record["answer"] == "yes" and record["stop_reason"] not in ("refused", "failed"))


@settings(max_examples=40)
@given(given_answers)
def test_every_figure_is_that_of_a_plain_count(answers: Any) -> None:
    made = outcome(answers)
    report = report_on(made)
    held = made.answers
    for figures in report.routes:
        own = [record for (_, route), record in held.items() if route == figures.route]
        assert figures.accuracy is not None
        assert figures.accuracy.mean == pytest.approx(fmean(map(right, own)))
        assert figures.tokens == pytest.approx(fmean(r["input_tokens"] + r["output_tokens"] for r in own))
        costs = [r["cost_usd"] for r in own]
        assert figures.cost_usd == (None if None in costs else pytest.approx(fmean(cast(list[float], costs))))
        assert figures.refused == sum(r["stop_reason"] == "refused" for r in own)
    for name, found in report.differences.items():
        route = name.removeprefix("auto - ")
        both = [t.id for t in made.tasks if (t.id, "auto") in held and (t.id, route) in held]
        expected = [right(held[task, "auto"]) - right(held[task, route]) for task in both]
        assert (found is None) == (not expected)
        assert found is None or found.mean == pytest.approx(fmean(expected))

    router = report.router
    assert router is not None
    lost, extra = [], []
    for task in made.tasks:
        fixed = [held[task.id, route] for route in ("direct", "rag", "rlm") if (task.id, route) in held]
        if (task.id, "auto") in held and fixed:
            own = held[task.id, "auto"]
            lost.append(max(map(right, fixed)) - right(own))
            cheap = [r["input_tokens"] + r["output_tokens"] for r in fixed if right(r)]
            extra += [own["input_tokens"] + own["output_tokens"] - min(cheap)] if cheap else []
    assert router.compared == len(lost)
    assert router.regret is None if not lost else router.regret and router.regret.mean == pytest.approx(fmean(lost))
    assert router.extra_tokens == (pytest.approx(fmean(extra)) if extra else None)
    assert json.loads(json.dumps(as_json(report)))["scores"].keys() == {task.id for task in made.tasks}
    assert report_on(made) == report


@given(given_answers)
def test_the_picture_is_in_usd_only_where_every_price_is_known(answers: Any) -> None:
    report = report_on(outcome(answers))
    points, unit = points_of(report)
    assert len(points) == len(report.routes)
    costs = [record["cost_usd"] for record in outcome(answers).answers.values()]
    assert unit == ("USD a task" if None not in costs and any(costs) else "tokens a task")


def test_a_route_without_answers_has_no_column() -> None:
    report = report_on(outcome({("1", "rag"): {}}))
    assert [figures.route for figures in report.routes] == ["rag"]
    assert as_markdown(report).count("\n| ") == 2
    assert "not scored" in " ".join(notes(report))
