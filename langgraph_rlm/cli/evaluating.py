"""The command ``eval``: which data set, which routes, which models; what was found, on the terminal and in files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from langgraph_rlm.calls.models import ModelCaller
from langgraph_rlm.cli.asking import asked_model, choose_model, model_line, taken_line
from langgraph_rlm.cli.cleaning import clean
from langgraph_rlm.cli.exits import Exit
from langgraph_rlm.cli.options import Json, MaxFileBytes
from langgraph_rlm.cli.render import plain
from langgraph_rlm.cli.sources import MOST_FILE_BYTES, Sources
from langgraph_rlm.cli.terminal import Terminal
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.evaluation.datasets import PUBLIC
from langgraph_rlm.evaluation.downloaded import DOWNLOADED
from langgraph_rlm.evaluation.generated import GENERATED
from langgraph_rlm.evaluation.own import load_tasks
from langgraph_rlm.evaluation.reporting import COLUMNS, Report, as_json, notes, report_on, title_of, write
from langgraph_rlm.evaluation.running import ROUTES, Evaluation
from langgraph_rlm.evaluation.tasks import DataSet
from langgraph_rlm.specs.documents import read_yaml

DATASET_HELP = (
    f"A JSON Lines file of tasks, or a name. Made here: {', '.join(GENERATED)}. Read from --data: "
    f"{', '.join([*PUBLIC, *DOWNLOADED])}."
)


def evaluate(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help=DATASET_HELP)],
    out: Annotated[
        Path,
        typer.Option("--out", metavar="DIR", help="Where answers and the report go; the same again goes on there."),
    ],
    data: Annotated[
        Path | None, typer.Option(metavar="PATH", help="File or folder of a named data set, as it was downloaded.")
    ] = None,
    docs: Annotated[
        list[Path] | None,
        typer.Option(
            "--docs", metavar="PATH", help="What the tasks of a JSON Lines file are asked about (again for more)."
        ),
    ] = None,
    routes: Annotated[str, typer.Option(metavar="ROUTES", help="Which to measure, with commas.")] = ",".join(ROUTES),
    model: Annotated[
        str | None, typer.Option(metavar="PROVIDER:NAME", help="As in `ask`; `extractive` without a key.")
    ] = None,
    sub_model: Annotated[
        str | None, typer.Option(metavar="PROVIDER:NAME", help="As in `ask`. Default: --model.")
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(metavar="PROVIDER:NAME", help="Decides which answers are right. Default: rules (words, numbers)."),
    ] = None,
    rubric: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Criteria by which --judge decides, YAML or JSON (docs/graph-specs.md)."),
    ] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", help="Ask N tasks, a fixed sample. Default: all.")] = None,
    max_cost_usd: Annotated[
        float | None, typer.Option(metavar="USD", help="Most USD for all of it, earlier runs on DIR included.")
    ] = None,
    tasks: Annotated[int | None, typer.Option(metavar="N", help="Tasks to make, for sets that are made here.")] = None,
    chars: Annotated[int | None, typer.Option(metavar="N", help="Characters of text to make.")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Of what is made. Default: 0.")] = None,
    simple_share: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Share of look-ups in `mixed`, 0 to 1. Default: 0.7.")
    ] = None,
    max_file_bytes: MaxFileBytes = MOST_FILE_BYTES,
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the table only.")] = False,
) -> None:
    """Measure the routes on a data set: right answers, evidence, routing, calls, tokens, USD, time.

    Every answer is written to DIR at once: stopped or killed, the same command goes on and asks nothing twice. DIR then
    holds the table (report.md), everything behind it (report.json) and accuracy against cost (picture.svg).
    """
    terminal = Terminal(as_json=json, quiet=quiet)
    with terminal.errors_shown():
        made = {"tasks": tasks, "chars": chars, "seed": seed, "simple_share": simple_share}
        terminal.when_interrupted = "Every answer is kept: the same command goes on from here, and asks nothing twice."
        asked_for = {name: value for name, value in made.items() if value is not None}
        held = _loaded(dataset, data, docs, asked_for, max_file_bytes)
        chosen = choose_model(model)
        evaluation = Evaluation(
            held,
            ModelCaller(chosen).runnable,
            out=out,
            sub_model=None if sub_model is None else choose_model(sub_model),
            judge=None if judge is None else _judge(judge),
            rubric=None if rubric is None else _rubric(rubric),
            routes=[route.strip() for route in routes.split(",") if route.strip()],
        )
        terminal.note(model_line(chosen))
        if taken := taken_line(*(asked_model(name) for name in (model, sub_model, judge) if name is not None)):
            terminal.note(taken)
        with terminal.evaluating() as on_progress:
            outcome = evaluation.run(limit=limit, max_cost_usd=max_cost_usd, on_progress=on_progress)
        report = report_on(outcome)
        paths = write(report, out)
        if json:
            terminal.print_json(as_json(report))
        else:
            _show(terminal, report)
        if outcome.resumed:
            terminal.note(f"{outcome.resumed:,} answers were there already.")
        terminal.note(f"Written: {', '.join(map(str, paths))}.")
        raise typer.Exit(Exit.LIMIT if report.stopped else Exit.DONE)


def _loaded(dataset: str, data: Path | None, docs: list[Path] | None, made: dict[str, float], most: int) -> DataSet:
    """The data set, if the options are those that it takes."""
    if dataset in GENERATED:
        _refuse(dataset, {"--data": data, "--docs": docs})
        if "simple_share" in made and dataset != "mixed":
            raise InvalidInput(f"--simple-share is for mixed, not for {dataset}")
        return GENERATED[dataset](**made).data
    _refuse(dataset, {f"--{name.replace('_', '-')}": value for name, value in made.items()})
    if (load := {**PUBLIC, **DOWNLOADED}.get(dataset)) is not None:
        _refuse(dataset, {"--docs": docs})
        if data is None:
            raise InvalidInput(f"{dataset}: name where its files lie with --data PATH")
        return load(data)
    path = Path(dataset)
    if not path.suffix and not path.exists():
        known = ", ".join([*GENERATED, *PUBLIC, *DOWNLOADED])
        raise InvalidInput(f"{dataset!r} is no data set and no file; known are {known}, or a JSON Lines file of tasks")
    _refuse(dataset, {"--data": data})
    documents = None
    if docs:
        documents = [(document.id or "", document.page_content) for document in Sources(docs, max_file_bytes=most)]
    return load_tasks(path, documents)


def _judge(name: str) -> str:
    chosen = choose_model(name)
    if not isinstance(chosen, str):
        raise InvalidInput("--judge: extractive only quotes and counts, it cannot judge; name a language model")
    return chosen


def _rubric(path: Path) -> Any:
    try:
        return read_yaml(path.read_text(encoding="utf-8"))[0]
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"--rubric: {path} cannot be read: {error}") from error


def _refuse(dataset: str, options: dict[str, object]) -> None:
    if given := [name for name, value in options.items() if value is not None]:
        raise InvalidInput(f"{given[0]} is not for {dataset}")


def _show(terminal: Terminal, report: Report) -> None:
    """The table, upright: a column for each route, since there are more figures than a terminal is wide."""
    table = Table(title=plain(title_of(report)), title_justify="left")
    table.add_column("")
    for figures in report.routes:
        table.add_column(plain(figures.route, "bold"), justify="right")
    for name, show in COLUMNS[1:]:
        table.add_row(name, *(clean(show(figures)) for figures in report.routes))
    terminal.out.print(table)
    for note in notes(report):
        terminal.out.print(plain(f"· {note}"), soft_wrap=not terminal.out.is_terminal)
