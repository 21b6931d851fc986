"""Whole evaluations: what is recorded and reported, killed and resumed, with a budget, with a judge, with failures."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from langgraph_rlm import ExtractiveModel, Limits
from langgraph_rlm.errors import AuthenticationFailed, InvalidInput, ModelError
from langgraph_rlm.evaluation import DataSet, Evaluation, Evidence, Progress, Task
from langgraph_rlm.evaluation.generated import mixed, needle
from langgraph_rlm.evaluation.judging import JUDGE_ROLE
from langgraph_rlm.evaluation.records import ANSWERS
from langgraph_rlm.evaluation.reporting import Report, as_json, as_markdown, report_on, write
from langgraph_rlm.evaluation.running import MOST_FAILURES, Outcome
from langgraph_rlm.evaluation.tasks import kept
from langgraph_rlm.graphs.prompts import NOT_FOUND, READER_ROLE, ROOT_ROLE
from langgraph_rlm.testing import ScriptedModel
from tests.support import by_role, cell, scripted

ROOT = Path(__file__).parents[2]
TOWNS = {f"town-{n}.txt": f"The harbour of town {n} was built in {1900 + n}." for n in range(6)}


def harbours(count: int = 6, **options: Any) -> DataSet:
    """One look-up for each of a few documents."""
    tasks = tuple(
        Task(
            id=str(n),
            question=f"When was the harbour of town {n} built?",
            collection="towns",
            answers=(str(1900 + n),),
            match="number",
            evidence=(Evidence(f"town-{n}.txt"),),
            label="simple",
            **options,
        )
        for n in range(count)
    )
    return DataSet(name="harbours", tasks=tasks, collections={"towns": kept(list(TOWNS.items()))})


def reader(prompt: str, number: int) -> str:
    """Answers the look-ups truly."""
    town = prompt.rpartition("harbour of town ")[2].split()[0]
    return f"It was built in {1900 + int(town)}.\n"


def figures(report: Report) -> Any:
    """A report without the times, which differ from run to run."""
    held = as_json(report)
    for route in held["routes"]:
        del route["seconds"], route["median_seconds"]
    return held


# --- what is measured ---------------------------------------------------------------------------------------------------


def test_every_route_is_measured_on_every_task(tmp_path: Path) -> None:
    root = cell("hits = bm25_search('harbour', k=3)", "cite(hits[0])", "FINAL('It was built in 1950.')")
    model = scripted(by_role(root=root, reader=lambda prompt, n: reader(prompt, n) + "[1]"), usage="auto")
    seen: list[Progress] = []
    outcome = Evaluation(harbours(3), model, out=tmp_path).run(on_progress=seen.append)
    report = report_on(outcome)
    by_route = {route.route: route for route in report.routes}
    assert list(by_route) == ["direct", "rag", "rlm", "auto"]
    accuracies = {name: route.accuracy.mean for name, route in by_route.items() if route.accuracy}
    assert accuracies == {"direct": 1.0, "rag": 1.0, "rlm": 0.0, "auto": 1.0}
    assert report.differences["auto - rlm"] == (1.0, 1.0, 1.0, 3)
    assert [(at.done, at.total) for at in seen] == [(n, 12) for n in range(13)]
    assert report.router is not None
    assert report.router.accuracy == (1.0, 1.0, 1.0, 3)
    assert (report.router.f1, report.router.regret) == (None, (0.0, 0.0, 0.0, 3))  # one kind alone has no macro-F1
    assert (by_route["rlm"].calls, by_route["rag"].calls) == (1.0, 1.0)
    sizes = [
        sum(len(m.text) // 4 + 1 for m in request)
        for request in model.requests
        if request[0].text.startswith(ROOT_ROLE)
    ]
    assert by_route["rlm"].largest_prompt == pytest.approx(max(sizes), rel=0.05)
    rag = outcome.answers["0", "rag"]
    assert (rag["chosen"], rag["answered_by"], rag["stop_reason"]) == ("rag", "rag", "answered")
    assert rag["input_tokens"] == rag["largest_prompt"] > 0
    assert "No language model was used: scripts play its part." in as_markdown(report)


def test_sub_models_count_in_calls_and_in_the_largest_prompt(tmp_path: Path) -> None:
    root = cell("FINAL(llm_query('x' * 40_000))")
    model = scripted(by_role(root=root, sub="1900"), usage="auto", window=128_000)
    outcome = Evaluation(harbours(1), model, out=tmp_path, routes=["rlm"]).run()
    answer = outcome.answers["0", "rlm"]
    assert (answer["calls"], answer["answer"]) == (2, "1900")
    assert 10_000 < answer["largest_prompt"] < 10_500


def test_evidence_counts_when_it_is_cited_and_true(tmp_path: Path) -> None:
    model = scripted(by_role(reader=lambda prompt, n: f'{reader(prompt, n)}\nQUOTES\n[1] "nobody wrote this"'))
    report = report_on(Evaluation(harbours(3), model, out=tmp_path, routes=["rag"]).run())
    assert report.routes[0].evidence == (0.0, 0.0, 0.0, 3)


def test_an_escalation_is_the_router_s_choice_of_rag(tmp_path: Path) -> None:
    data = mixed(tasks=1, chars=60_000, simple_share=1.0).data
    gold = data.tasks[0].answers[0]
    model = scripted(by_role(root=cell(f"FINAL({gold!r})"), reader=f"{NOT_FOUND}: nothing is said of it."))
    outcome = Evaluation(data, model, out=tmp_path, routes=["auto"]).run()
    answer = outcome.answers[data.tasks[0].id, "auto"]
    assert (answer["chosen"], answer["answered_by"], answer["answer"]) == ("rag", "rlm", gold)
    router = report_on(outcome).router
    assert router is not None
    assert router.escalated == 1
    assert router.accuracy is not None
    assert router.accuracy.mean == 1.0


def test_regret_is_what_another_route_would_have_been_right_about_or_cheaper(tmp_path: Path) -> None:
    data = mixed(tasks=2, chars=60_000, simple_share=1.0).data
    golds = {task.question: task.answers[0] for task in data.tasks}

    def root(prompt: str, number: int) -> str:
        return cell(f"FINAL({next(gold for question, gold in golds.items() if question in prompt)!r})")

    model = scripted(by_role(root=root, reader="It is nowhere near Atlantis [1]."), usage="auto")
    outcome = Evaluation(data, model, out=tmp_path, routes=["rag", "rlm", "auto"]).run()
    router = report_on(outcome).router
    assert router is not None
    assert router.regret == (1.0, 1.0, 1.0, 2)
    rlm, auto = ([outcome.answers[t.id, r] for t in data.tasks] for r in ("rlm", "auto"))
    extra = sum(
        a["input_tokens"] + a["output_tokens"] - r["input_tokens"] - r["output_tokens"]
        for a, r in zip(auto, rlm, strict=True)
    )
    assert router.extra_tokens == extra / 2


def test_tasks_that_no_route_is_right_about_have_no_cheapest_right_route(tmp_path: Path) -> None:
    model = scripted(by_role(reader="It was built in 1066 [1]."), usage="auto")
    report = report_on(Evaluation(harbours(2), model, out=tmp_path, routes=["direct", "rag", "auto"]).run())
    assert report.router is not None
    assert (report.router.regret, report.router.extra_tokens) == ((0.0, 0.0, 0.0, 2), None)
    assert "Beyond the cheapest" not in as_markdown(report)


def test_a_route_that_cannot_take_a_task_is_refused_and_wrong(tmp_path: Path) -> None:
    data = needle(tasks=2, chars=30_000).data
    model = scripted(by_role(), window=8_000)
    report = report_on(Evaluation(data, model, out=tmp_path, routes=["direct"]).run())
    (direct,) = report.routes
    assert (direct.refused, direct.calls, direct.accuracy) == (2, 0.0, (0.0, 0.0, 0.0, 2))
    assert "ask for 'rag' or 'rlm'" in json.loads((tmp_path / ANSWERS).read_text().splitlines()[0])["error"]


def test_the_files_hold_what_the_report_says(tmp_path: Path) -> None:
    report = report_on(Evaluation(harbours(3), ExtractiveModel(), out=tmp_path).run())
    table, held, picture = write(report, tmp_path)
    assert table.read_text() == as_markdown(report)
    assert "No language model was used: ExtractiveModel quotes and counts." in table.read_text()
    assert json.loads(held.read_text())["scores"]["0"] == {"direct": 1.0, "rag": 1.0, "rlm": 1.0, "auto": 1.0}
    assert picture.read_text().count("<circle") == 4
    assert "tokens a task" in picture.read_text()


def test_the_picture_measures_usd_where_all_prices_are_known(tmp_path: Path) -> None:
    model = ScriptedModel(by_role(reader=reader), cost_usd=0.25)
    report = report_on(Evaluation(harbours(2), model, out=tmp_path, routes=["rag"]).run())
    assert report.spent_usd == 0.5
    assert "USD a task" in write(report, tmp_path)[2].read_text()


# --- killed and resumed -------------------------------------------------------------------------------------------------

MORTAL = """
import os, signal, sys
from pathlib import Path
from langgraph_rlm import ExtractiveModel
from langgraph_rlm.evaluation import Evaluation
from langgraph_rlm.evaluation.generated import mixed

out, log, last = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])

class Mortal(ExtractiveModel):
    def _generate(self, messages, *more, **options):
        with log.open("a") as file:
            file.write("asked\\n")
        if len(log.read_text().splitlines()) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._generate(messages, *more, **options)

Evaluation(mixed(tasks=2, chars=36_000).data, Mortal(), out=out).run()
"""


@pytest.mark.parametrize("last", [8, *(pytest.param(last, marks=pytest.mark.slow) for last in (1, 2, 12, 15))])
def test_after_a_kill_nothing_that_was_answered_is_asked_again_and_the_table_is_the_same(
    tmp_path: Path, last: int
) -> None:
    out, log = tmp_path / "out", tmp_path / "log"
    command = [sys.executable, "-c", MORTAL, str(out), str(log), str(last)]
    killed = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    lines = (out / ANSWERS).read_bytes().splitlines()
    paid = sum(json.loads(line)["calls"] for line in lines)
    assert paid < last

    data = mixed(tasks=2, chars=36_000).data
    whole = Evaluation(data, ExtractiveModel(), out=tmp_path / "whole").run()
    counting = CountingModel()
    resumed = Evaluation(data, counting, out=out).run()
    assert resumed.resumed == len(lines)
    assert counting.count() == sum(answer["calls"] for answer in whole.answers.values()) - paid
    assert figures(report_on(resumed)) == figures(report_on(whole))

    again = CountingModel()
    third = Evaluation(data, again, out=out).run()
    assert again.count() == 0
    assert as_json(report_on(third)) == as_json(report_on(resumed))


class CountingModel(ExtractiveModel):
    """Counts how often it was asked."""

    asked: list[int] = Field(default_factory=list)

    def count(self) -> int:
        return len(self.asked)

    def _generate(self, messages: Any, *more: Any, **options: Any) -> Any:
        self.asked.append(1)
        return super()._generate(messages, *more, **options)


def test_a_larger_sample_goes_on_from_a_smaller_one(tmp_path: Path) -> None:
    first = CountingModel()
    small = Evaluation(harbours(), first, out=tmp_path, routes=["rag"]).run(limit=2)
    assert (len(small.answers), first.count()) == (2, 2)
    second = CountingModel()
    large = Evaluation(harbours(), second, out=tmp_path, routes=["rag", "direct"]).run(limit=4)
    assert (len(large.answers), large.resumed, second.count()) == (8, 2, 6)


def test_other_settings_are_refused_and_nothing_is_asked(tmp_path: Path) -> None:
    Evaluation(harbours(1), ExtractiveModel(), out=tmp_path, routes=["rag"]).run()
    model = scripted(by_role())
    with pytest.raises(InvalidInput, match="model was 'extractive' and is now 'scripted'"):
        Evaluation(harbours(1), model, out=tmp_path, routes=["rag"]).run()
    with pytest.raises(InvalidInput, match="digest of the data"):
        Evaluation(harbours(2), ExtractiveModel(), out=tmp_path, routes=["rag"]).run()
    with pytest.raises(InvalidInput, match="limit max_calls was 500 and is now 3"):
        Evaluation(harbours(1), ExtractiveModel(), out=tmp_path, limits=Limits(max_calls=3)).run()
    assert model.requests == []


# --- budget ---------------------------------------------------------------------------------------------------------------


def priced() -> dict[str, Any]:
    return {"prices": {"scripted": {"input": 1_000.0, "output": 1_000.0}}, "limits": Limits(max_cost_usd=50)}


def test_a_budget_ends_the_evaluation_and_what_was_done_is_kept(tmp_path: Path) -> None:
    model = ScriptedModel(by_role(reader=reader), usage="auto")
    evaluation = Evaluation(harbours(), model, out=tmp_path, routes=["rag"], **priced())
    outcome = evaluation.run(max_cost_usd=4.0)
    assert outcome.stopped == "budget"
    assert 1 <= len(outcome.answers) < 6
    assert 0 < outcome.spent_usd <= 4.0
    report = report_on(outcome)
    assert report.routes[0].accuracy == (1.0, 1.0, 1.0, len(outcome.answers))
    assert "Stopped early" in as_markdown(report)
    assert "were not asked" in as_markdown(report)

    asked = len(model.requests)
    assert evaluation.run(max_cost_usd=outcome.spent_usd).stopped == "budget"
    assert len(model.requests) == asked
    finished = evaluation.run(max_cost_usd=100.0)
    assert (finished.stopped, len(finished.answers), finished.resumed) == ("", 6, len(outcome.answers))
    assert len(model.requests) == 6


def test_a_question_that_meets_its_own_limit_is_a_partial_answer_and_no_end(tmp_path: Path) -> None:
    model = ScriptedModel(by_role(reader=reader), usage="auto")
    limits = Limits(max_cost_usd=0.5)
    evaluation = Evaluation(harbours(2), model, out=tmp_path, routes=["rag"], prices=priced()["prices"], limits=limits)
    outcome = evaluation.run(max_cost_usd=5.0)
    assert outcome.stopped == ""
    assert report_on(outcome).routes[0].partial == 2


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"limit": 0}, "limit must be a whole number of tasks from 1"),
        ({"limit": 1.5}, "limit must be"),
        ({"max_cost_usd": -1}, "max_cost_usd must be"),
        ({"max_cost_usd": float("nan")}, "max_cost_usd must be a finite number"),
    ],
)
def test_limits_that_cannot_be_used_are_refused(tmp_path: Path, options: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        Evaluation(harbours(1), ExtractiveModel(), out=tmp_path / "out").run(**options)
    assert not (tmp_path / "out").exists()


def test_routes_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="unknown 'fast'; known are direct, rag, rlm, auto"):
        Evaluation(harbours(1), ExtractiveModel(), out=tmp_path, routes=["fast"])
    with pytest.raises(InvalidInput, match="none is named"):
        Evaluation(harbours(1), ExtractiveModel(), out=tmp_path, routes=[])


# --- a judge --------------------------------------------------------------------------------------------------------------


def free(count: int = 2) -> DataSet:
    data = harbours(count)
    tasks = tuple(
        Task(id=t.id, question=t.question, collection=t.collection, answers=t.answers, match="free") for t in data.tasks
    )
    return DataSet(name="free", tasks=tasks, collections=data.collections)


def test_a_judge_decides_and_is_paid_for(tmp_path: Path) -> None:
    def verdict(messages: Any) -> str:
        assert messages[0].text.startswith(JUDGE_ROLE)
        return "RIGHT" if "gold answer" in messages[1].text and "town 0" in messages[1].text else "Wrong."

    judge = ScriptedModel(verdict, name="judge", cost_usd=0.5)
    model = scripted(by_role(reader=reader))
    outcome = Evaluation(free(), model, out=tmp_path, routes=["rag"], judge=judge).run()
    report = report_on(outcome)
    assert report.scores == {"0": {"rag": 1.0}, "1": {"rag": 0.0}}
    assert outcome.spent_usd == 1.0
    assert "judge judge." in as_markdown(report)
    Evaluation(free(), model, out=tmp_path, routes=["rag"], judge=judge).run()
    assert len(judge.requests) == 2


def test_without_a_judge_free_answers_are_not_scored(tmp_path: Path) -> None:
    report = report_on(Evaluation(free(), scripted(by_role(reader=reader)), out=tmp_path, routes=["rag"]).run())
    assert report.routes[0].accuracy is None
    assert "2 of 2 tasks are not scored" in as_markdown(report)
    assert "nothing was scored" in write(report, tmp_path)[2].read_text()


def test_a_judge_that_says_something_else_has_failed(tmp_path: Path) -> None:
    judge = ScriptedModel(lambda messages: "perhaps", name="judge", cost_usd=0.0)
    outcome = Evaluation(free(1), scripted(by_role(reader=reader)), out=tmp_path, routes=["rag"], judge=judge).run()
    answer = outcome.answers["0", "rag"]
    assert answer["stop_reason"] == "failed"
    assert "neither RIGHT nor WRONG but 'perhaps'" in answer["error"]
    assert report_on(outcome).routes[0].failed == 1


# --- failures -------------------------------------------------------------------------------------------------------------


class Refused(Exception):
    status_code = 400


def failing(which: Callable[[int], bool], error: BaseException) -> ScriptedModel:
    count = iter(range(1_000))

    def reply(messages: Any) -> Any:
        assert messages[0].text.startswith(READER_ROLE)
        return error if which(next(count)) else reader(messages[-1].text, 0)

    return scripted(reply)


def test_a_task_that_failed_is_wrong_for_now_and_asked_again_next_time(tmp_path: Path) -> None:
    model = failing(lambda n: n == 1, Refused("no"))
    first = report_on(Evaluation(harbours(3), model, out=tmp_path, routes=["rag"]).run())
    assert (first.routes[0].failed, first.routes[0].accuracy and first.routes[0].accuracy.mean) == (
        1,
        pytest.approx(2 / 3),
    )
    second = report_on(Evaluation(harbours(3), model, out=tmp_path, routes=["rag"]).run())
    assert (second.routes[0].failed, second.routes[0].accuracy) == (0, (1.0, 1.0, 1.0, 3))
    assert len(model.requests) == 4


def test_several_failures_in_a_row_end_it_and_keep_what_was_answered(tmp_path: Path) -> None:
    model = failing(lambda n: n >= 1, Refused("overloaded for today"))
    with pytest.raises(
        ModelError, match=f"{MOST_FAILURES} tasks in a row have failed, the last with: .*overloaded for today"
    ):
        Evaluation(harbours(), model, out=tmp_path, routes=["rag"]).run()
    assert len(model.requests) == 1 + MOST_FAILURES
    healthy = failing(lambda n: False, Refused())
    outcome: Outcome = Evaluation(harbours(), healthy, out=tmp_path, routes=["rag"]).run()
    assert (outcome.resumed, len(outcome.answers), len(healthy.requests)) == (1, 6, 5)


def test_a_rejected_key_ends_it_at_once(tmp_path: Path) -> None:
    class Rejected(Exception):
        status_code = 401

    model = failing(lambda n: True, Rejected("bad key"))
    with pytest.raises(AuthenticationFailed):
        Evaluation(harbours(), model, out=tmp_path, routes=["rag"]).run()
    assert len(model.requests) == 1
