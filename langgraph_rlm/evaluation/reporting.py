"""What an evaluation has found: figures of each route with their intervals, as records, as a table and as JSON."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langgraph_rlm.evaluation.bootstrap import Interval, interval, paired
from langgraph_rlm.evaluation.metrics import accuracy, evidence_recall, kind_of, macro_f1, token_f1
from langgraph_rlm.evaluation.picture import Point, draw
from langgraph_rlm.evaluation.records import AGAIN, Answered, cited
from langgraph_rlm.evaluation.running import Outcome
from langgraph_rlm.evaluation.tasks import Task

JSON, TABLE, PICTURE = "report.json", "report.md", "picture.svg"
NO_MODEL = "No language model was used: ExtractiveModel quotes and counts."


@dataclass(frozen=True, slots=True)
class RouteFigures:
    """The figures of one route.

    Args:
        route: which.
        asked: tasks with a result, refused and failed ones included.
        accuracy: of the tasks that are scored; refused and failed tasks count as wrong.
        f1: of words, against gold answers that are no prose.
        evidence: the share of the gold evidence that was cited, of the tasks that have some.
        refused: tasks that the route cannot take.
        failed: tasks without an answer because of an error.
        partial: answers given at a limit.
        calls, tokens, seconds: means over the tasks.
        median_seconds: of the tasks.
        cost_usd: mean; None when some price is not known.
        largest_prompt: tokens, of all tasks.
    """

    route: str
    asked: int
    accuracy: Interval | None
    f1: Interval | None
    evidence: Interval | None
    refused: int
    failed: int
    partial: int
    calls: float
    tokens: float
    cost_usd: float | None
    seconds: float
    median_seconds: float
    largest_prompt: int


@dataclass(frozen=True, slots=True)
class RouterFigures:
    """How well ``auto`` chose.

    Args:
        labelled: tasks whose kind is known.
        accuracy, f1: of its first choice against the kinds. F1 is the mean of both; None where only one kind occurs.
        escalated: tasks that went from rag to rlm.
        compared: tasks that fixed routes answered too.
        regret: share of right answers lost against the best fixed route of each task.
        extra_cost_usd, extra_tokens: mean beyond the cheapest fixed route that was right, of the tasks that one was right about.
    """

    labelled: int
    accuracy: Interval | None
    f1: float | None
    escalated: int
    compared: int
    regret: Interval | None
    extra_cost_usd: float | None
    extra_tokens: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """Everything there is to say about an outcome."""

    settings: Mapping[str, Any]
    tasks: int
    scored: int
    routes: Sequence[RouteFigures]
    differences: Mapping[str, Interval | None]
    """``auto - rag`` and so on: accuracy on the tasks that both have, paired."""
    router: RouterFigures | None
    scores: Mapping[str, Mapping[str, float | None]]
    """Accuracy by task and route."""
    spent_usd: float
    stopped: str


def report_on(outcome: Outcome) -> Report:
    """The figures of an outcome; a pure function of its answers."""
    tasks = {task.id: task for task in outcome.tasks}
    scores = {key: score_of(tasks[key[0]], record) for key, record in outcome.answers.items()}
    routes = [
        _figures(route, [(tasks[t], record, scores[t, r]) for (t, r), record in outcome.answers.items() if r == route])
        for route in outcome.routes
    ]
    differences = {
        f"auto - {route}": _difference(outcome.tasks, scores, "auto", route)
        for route in outcome.routes
        if "auto" in outcome.routes and route != "auto"
    }
    return Report(
        settings=outcome.settings,
        tasks=len(outcome.tasks),
        scored=len({task for (task, _), score in scores.items() if score is not None}),
        routes=[figures for figures in routes if figures.asked],
        differences=differences,
        router=_router(outcome, scores) if "auto" in outcome.routes else None,
        scores={
            task.id: {r: scores[task.id, r] for r in outcome.routes if (task.id, r) in scores} for task in outcome.tasks
        },
        spent_usd=outcome.spent_usd,
        stopped=outcome.stopped,
    )


def score_of(task: Task, record: Answered) -> float | None:
    """Accuracy of one answer: the judge's word, else the rules'; what was refused or failed is wrong."""
    if record["judged"] is not None:
        return float(record["judged"])
    by_rules = accuracy(task, record["answer"])
    if record["stop_reason"] in ("refused", *AGAIN):
        return None if by_rules is None else 0.0
    return by_rules


def _figures(route: str, rows: Sequence[tuple[Task, Answered, float | None]]) -> RouteFigures:
    records = [record for _, record, _ in rows]
    costs = [record["cost_usd"] for record in records]
    seconds = [record["seconds"] for record in records]
    worded = [(task, record) for task, record, _ in rows if task.answers and task.match in ("exact", "contains")]
    recalls = [evidence_recall(task.evidence, cited(record)) for task, record, _ in rows]
    return RouteFigures(
        route=route,
        asked=len(rows),
        accuracy=interval([score for _, _, score in rows if score is not None]),
        f1=interval([token_f1(record["answer"], task.answers) for task, record in worded]),
        evidence=interval([recall for recall in recalls if recall is not None]),
        refused=sum(record["stop_reason"] == "refused" for record in records),
        failed=sum(record["stop_reason"] in AGAIN for record in records),
        partial=sum(record["stop_reason"] in ("budget", "turns", "deadline") for record in records),
        calls=_mean([record["calls"] for record in records]),
        tokens=_mean([tokens_of(record) for record in records]),
        cost_usd=None if None in costs else _mean([cost or 0.0 for cost in costs]),
        seconds=_mean(seconds),
        median_seconds=statistics.median(seconds) if seconds else 0.0,
        largest_prompt=max((record["largest_prompt"] for record in records), default=0),
    )


def tokens_of(record: Answered) -> int:
    """Input and output tokens of an answer."""
    return record["input_tokens"] + record["output_tokens"]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


Scores = Mapping[tuple[str, str], float | None]


def _difference(tasks: Sequence[Task], scores: Scores, one: str, other: str) -> Interval | None:
    both = [(scores.get((task.id, one)), scores.get((task.id, other))) for task in tasks]
    known = [(a, b) for a, b in both if a is not None and b is not None]
    return paired([a for a, _ in known], [b for _, b in known])


def _router(outcome: Outcome, scores: Scores) -> RouterFigures:
    chosen = [
        (task, outcome.answers[task.id, "auto"]) for task in outcome.tasks if (task.id, "auto") in outcome.answers
    ]
    labelled = [(task.label, kind_of(record["chosen"])) for task, record in chosen if task.label and record["chosen"]]
    regrets, costs, tokens = list[float](), list[float | None](), list[float]()
    for task, record in chosen:
        got = scores[task.id, "auto"]
        fixed = [
            (score, outcome.answers[task.id, route])
            for route in outcome.routes
            if route != "auto" and (score := scores.get((task.id, route))) is not None
        ]
        if got is None or not fixed:
            continue
        best = max(score for score, _ in fixed)
        regrets.append(best - got)
        if not best:
            continue  # what it costs to be wrong is no measure: a route that refuses costs nothing
        right = [found for score, found in fixed if score == best]
        tokens.append(tokens_of(record) - min(map(tokens_of, right)))
        prices = [found["cost_usd"] for found in [record, *right]]
        known = [price for price in prices if price is not None]
        costs.append(known[0] - min(known[1:]) if len(known) == len(prices) else None)
    both = len({gold for gold, _ in labelled}) == 2
    return RouterFigures(
        labelled=len(labelled),
        accuracy=interval([float(gold == said) for gold, said in labelled]),
        f1=macro_f1([gold for gold, _ in labelled], [said for _, said in labelled]) if both else None,
        escalated=sum(record["chosen"] == "rag" and record["answered_by"] == "rlm" for _, record in chosen),
        compared=len(regrets),
        regret=interval(regrets),
        extra_cost_usd=None if None in costs or not costs else _mean([cost or 0.0 for cost in costs]),
        extra_tokens=_mean(tokens) if tokens else None,
    )


# --- as text -----------------------------------------------------------------------------------------------------------

COLUMNS: tuple[tuple[str, Callable[[RouteFigures], str]], ...] = (
    ("route", lambda f: f.route),
    ("n", lambda f: f"{f.asked:,}"),
    ("accuracy %", lambda f: shown(f.accuracy)),
    ("word F1 %", lambda f: shown(f.f1)),
    ("evidence %", lambda f: shown(f.evidence)),
    ("calls", lambda f: f"{f.calls:,.1f}"),
    ("tokens", lambda f: f"{f.tokens:,.0f}"),
    ("USD", lambda f: "?" if f.cost_usd is None else f"{f.cost_usd:.5f}"),
    ("seconds", lambda f: f"{f.median_seconds:.2f}"),
    ("largest prompt", lambda f: f"{f.largest_prompt:,}"),
    ("refused / failed / partial", lambda f: f"{f.refused} / {f.failed} / {f.partial}"),
)
"""Of the table: calls, tokens and USD are means over the tasks, seconds the median, the largest prompt in tokens."""


def shown(found: Interval | None) -> str:
    """A share in percent with its interval and n: ``75.0 [50.0, 100.0] n=12``."""
    if found is None:
        return "–"
    return f"{100 * found.mean:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}] n={found.n:,}"


def notes(report: Report) -> list[str]:
    """What belongs to the table, in sentences."""
    settings = report.settings
    models = [settings["model"], settings["sub-model"]]
    told = [
        f"Model {settings['model']}, sub-model {settings['sub-model']}, judge {settings['judge'] or 'none (rules)'}."
    ]
    if all(name == "extractive" for name in models):
        told.append(NO_MODEL)
    elif all(name.startswith("scripted") for name in models):
        told.append("No language model was used: scripts play its part.")
    told.append("Intervals: 95 %, bootstrap over tasks. Refused and failed tasks count as wrong.")
    if report.scored < report.tasks:
        told.append(
            f"{report.tasks - report.scored:,} of {report.tasks:,} tasks are not scored for accuracy: they have no gold answer, "
            "were not asked, or only a judge can tell."
        )
    for name, found in report.differences.items():
        if found is not None:
            told.append(f"Accuracy, {name}, paired: {_points(found)}.")
    if (router := report.router) is not None:
        if router.labelled:
            f1 = "" if router.f1 is None else f", macro-F1 {100 * router.f1:.1f}"
            told.append(f"Router, % right by label: {shown(router.accuracy)}{f1}.")
        if router.regret is not None:
            told.append(f"Regret of auto against the best fixed route of each task: {_points(router.regret)}.")
        if router.extra_tokens is not None:
            cost = "" if router.extra_cost_usd is None else f" and {router.extra_cost_usd:+.5f} USD"
            told.append(
                f"Beyond the cheapest fixed route that was right: {router.extra_tokens:+,.0f} tokens{cost} a task."
            )
        told.append(f"Escalated from rag to rlm: {router.escalated:,}.")
    told.append(f"Spent on this folder: {report.spent_usd:.4f} USD, as far as prices are known.")
    if report.stopped:
        told.append("Stopped early: the evaluation's budget is used up. The same command with a larger one goes on.")
    return told


def _points(found: Interval) -> str:
    return f"{100 * found.mean:+.1f} points [{100 * found.low:+.1f}, {100 * found.high:+.1f}], n={found.n:,}"


def title_of(report: Report) -> str:
    """``needle: 20 tasks``."""
    return f"{report.settings['data set']}: {report.tasks:,} task{'' if report.tasks == 1 else 's'}"


def as_markdown(report: Report) -> str:
    """Title, table and notes."""
    lines = [
        f"# {_cell(title_of(report))}",
        "",
        "| " + " | ".join(name for name, _ in COLUMNS) + " |",
        "|" + "---|" * len(COLUMNS),
        *("| " + " | ".join(_cell(show(figures)) for _, show in COLUMNS) + " |" for figures in report.routes),
        "",
        *(f"- {_cell(note)}" for note in notes(report)),
    ]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def as_json(report: Report) -> dict[str, Any]:
    """Everything, intervals with mean, low, high and n."""

    def plain(value: Any) -> Any:
        if isinstance(value, Interval):
            return value._asdict()
        if isinstance(value, RouteFigures | RouterFigures):
            return {name: plain(getattr(value, name)) for name in type(value).__slots__}
        if isinstance(value, Mapping):
            return {name: plain(item) for name, item in value.items()}
        if isinstance(value, Sequence) and not isinstance(value, str):
            return [plain(item) for item in value]
        return value

    return {name: plain(getattr(report, name)) for name in Report.__slots__} | {"notes": notes(report)}


def points_of(report: Report) -> tuple[list[Point], str]:
    """The points of the picture, and what its horizontal axis measures: USD where all prices are known, else tokens."""
    priced = all(f.cost_usd is not None for f in report.routes) and any(f.cost_usd for f in report.routes)
    points = [
        Point(f.route, f.cost_usd if priced and f.cost_usd is not None else f.tokens, f.accuracy)
        for f in report.routes
        if f.accuracy is not None
    ]
    return points, "USD a task" if priced else "tokens a task"


def write(report: Report, folder: Path) -> list[Path]:
    """Write the table, the JSON file and the picture; returns where."""
    points, unit = points_of(report)
    settings = report.settings
    picture = draw(
        points,
        title="Accuracy against cost",
        subtitle=f"{title_of(report)}, model {settings['model']}, sub-model {settings['sub-model']}; bars are 95 % intervals",
        unit=unit,
    )
    texts = {TABLE: as_markdown(report), JSON: json.dumps(as_json(report), indent=2) + "\n", PICTURE: picture}
    for name, text in texts.items():
        making = folder / f"{name}.tmp"
        making.write_text(text, "utf-8")
        making.replace(folder / name)
    return [folder / name for name in texts]
