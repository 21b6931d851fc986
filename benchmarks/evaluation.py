"""What the routes answer right and what they cost, on tasks made here, with scripts in the place of language models.

python benchmarks/evaluation.py               some minutes
python benchmarks/evaluation.py --tasks 10 --chars 60000

No language model is involved (``_oracle.py``): the scripts are never wrong about what they read, so accuracy shows which
route gets to read what it takes, and tokens (four characters each) are those of the prompts that were really sent. USD are at
public prices: of gpt-5-mini for everything, and of gpt-5 for the root model and the reader with gpt-5-mini as sub-model.

Aggregation: questions over all entries, by the recursive route and by RAG. Shares: look-ups mixed with aggregation, the
router against always taking the recursive route, whose root model has everything read or searches first for look-ups.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from _oracle import Manner, root_model, sub_model
from _report import save

from langgraph_rlm.evaluation import Evaluation
from langgraph_rlm.evaluation.bootstrap import Interval
from langgraph_rlm.evaluation.generated import Generated, counting, mixed, pairs
from langgraph_rlm.evaluation.reporting import Report, RouteFigures, report_on, shown
from langgraph_rlm.prices import Price, price_usd

SHARES = {0.3: None, 0.5: None, 0.7: 60.0, 0.85: 75.0}
"""Shares of look-ups, and the percent of the cost of always taking the recursive route that is to be saved."""
MOST_BEHIND = 1.0
"""Points that ``auto`` may answer worse than the recursive route."""
MODELS = {"scripted-root": "gpt-5", "scripted-sub": "gpt-5-mini"}
ONE = "gpt-5-mini"
TOKENS, USD_ONE, USD_TWO = "tokens", f"USD, {ONE}", "USD, gpt-5 and gpt-5-mini"
"""What is saved."""


class Saved(NamedTuple):
    """One mixture."""

    manner: Manner
    share: float
    tasks: int
    right: dict[str, Interval | None]
    behind: Interval | None
    """``auto - rlm``."""
    costs: dict[str, dict[str, float]]
    """Means per question, by what is counted and route."""
    beyond: float | None
    """Tokens that ``auto`` spent beyond the cheapest route that was right: what better routing could still save."""
    target: float | None

    def saved(self) -> dict[str, float]:
        """Percent that ``auto`` costs less than the recursive route, by what is counted."""
        return {what: 100 * (1 - by_route["auto"] / by_route["rlm"]) for what, by_route in self.costs.items()}


def prices() -> dict[str, Price]:
    """USD per million tokens, from the public lists."""
    return {
        script: Price(input=_price(name, 10**6, 0), output=_price(name, 0, 10**6)) for script, name in MODELS.items()
    }


def _price(name: str, read: int, written: int) -> float:
    price = price_usd(name, read, written)
    if price is None:
        raise LookupError(f"the price list does not know {name}")
    return price


def measure(made: Generated, manner: Manner, routes: Sequence[str]) -> tuple[Report, dict[str, float]]:
    """All tasks over these routes; and USD of each route if one model did everything."""
    with tempfile.TemporaryDirectory(prefix="evaluation-") as folder:
        evaluation = Evaluation(
            made.data,
            root_model(manner, made.labels),
            sub_model=sub_model(made.labels),
            out=Path(folder),
            routes=routes,
            prices=prices(),
        )
        outcome = evaluation.run()
    one = {
        route: fmean(
            _price(ONE, answer["input_tokens"], answer["output_tokens"])
            for (_, asked), answer in outcome.answers.items()
            if asked == route
        )
        for route in routes
    }
    return report_on(outcome), one


def aggregation(tasks: int, chars: int) -> list[dict[str, Any]]:
    """Counting and pairs."""
    rows = []
    print(f"{'tasks':<10} {'characters':>10}  {'rlm right, %':<26} {'rag right, %':<26} {'largest prompt of rlm':>22}")
    for make, size in ((counting, chars), (counting, 2 * chars), (pairs, chars // 5)):
        made = make(tasks=tasks, chars=size)
        figures = _by_route(measure(made, "reads", ["rag", "rlm"])[0])
        rlm, rag = figures["rlm"], figures["rag"]
        print(
            f"{made.data.name:<10} {size:>10,}  {shown(rlm.accuracy):<26} {shown(rag.accuracy):<26} "
            f"{rlm.largest_prompt:>15,} tokens"
        )
        rows.append(
            {"what": made.data.name, "characters": size, "rlm": rlm.accuracy, "rag": rag.accuracy, "largest prompt": rlm.largest_prompt}
        )  # fmt: skip
    return rows


def mixture(manner: Manner, share: float, tasks: int, chars: int) -> Saved:
    """One share of look-ups."""
    report, one = measure(mixed(tasks=tasks, chars=chars, simple_share=share), manner, ["rag", "rlm", "auto"])
    figures = _by_route(report)
    return Saved(
        manner=manner,
        share=share,
        tasks=report.tasks,
        right={name: route.accuracy for name, route in figures.items()},
        behind=report.differences["auto - rlm"],
        costs={
            TOKENS: {name: route.tokens for name, route in figures.items()},
            USD_ONE: one,
            USD_TWO: {name: route.cost_usd or 0.0 for name, route in figures.items()},
        },
        beyond=report.router.extra_tokens if report.router else None,
        target=SHARES[share],
    )


def _by_route(report: Report) -> dict[str, RouteFigures]:
    return {figures.route: figures for figures in report.routes}


def show(rows: Sequence[Saved]) -> None:
    """The table of one manner."""
    how = {"reads": "has everything read", "searches": "searches first for look-ups"}[rows[0].manner]
    print(f"\nmeans per question; the root model of the recursive route {how}")
    print(f"{'look-ups':>8} {'n':>4}  {'counted':<34} {'rag':>10} {'rlm':>10} {'auto':>10} {'saved':>7}  reached")
    for row in rows:
        for what, costs in row.costs.items():
            unit, saved = (1, row.saved()[what]) if what == TOKENS else (1_000, row.saved()[what])
            numbers = " ".join(
                f"{costs[route] * unit:>10,.{0 if what == TOKENS else 2}f}" for route in ("rag", "rlm", "auto")
            )
            reached = "–" if row.target is None else f"≥ {row.target:.0f} %: {'yes' if saved >= row.target else 'no'}"
            name = what if what == TOKENS else f"{what}, × 1000"
            print(f"{row.share:>8.0%} {row.tasks:>4}  {name:<34} {numbers} {saved:>6.1f}%  {reached}")
        right = ", ".join(f"{route} {shown(found)}" for route, found in row.right.items())
        print(f"{'':>14} right, %: {right}")
        if row.behind is not None:
            near = "yes" if 100 * row.behind.mean >= -MOST_BEHIND else "no"
            print(
                f"{'':>14} auto - rlm: {100 * row.behind.mean:+.1f} points [{100 * row.behind.low:+.1f}, "
                f"{100 * row.behind.high:+.1f}] n={row.behind.n}; within {MOST_BEHIND:g} point: {near}; "
                f"beyond the cheapest right route: {row.beyond or 0:+,.0f} tokens"
            )


def main() -> None:
    """Measure, print, write."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--tasks", type=int, default=40)
    arguments.add_argument("--chars", type=int, default=600_000)
    given = arguments.parse_args()
    print("Scripts stand for language models: they are never wrong about what they read.\n")
    rows = aggregation(given.tasks // 2, given.chars // 4)
    manners: tuple[Manner, ...] = ("reads", "searches")
    for manner in manners:
        measured = [mixture(manner, share, given.tasks, given.chars) for share in SHARES]
        show(measured)
        rows += [row._asdict() | {"saved": row.saved()} for row in measured]
    save("evaluation", rows)


if __name__ == "__main__":
    main()
