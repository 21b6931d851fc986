"""The commands ``graph run|check|draw|export``: a graph's spec, run, checked, drawn, and exported as Python."""

from __future__ import annotations

import json as json_lines
from pathlib import Path
from typing import Annotated, Any

import typer

from langgraph_rlm.cli.asking import choose_model
from langgraph_rlm.cli.cleaning import clean
from langgraph_rlm.cli.group import Commands, PlainCommand
from langgraph_rlm.cli.options import Json, Quiet, after_help
from langgraph_rlm.cli.render import plain
from langgraph_rlm.cli.sources import MOST_FILE_BYTES, Sources, open_index
from langgraph_rlm.cli.terminal import Terminal
from langgraph_rlm.errors import InvalidInput, nearest
from langgraph_rlm.limits import Limits
from langgraph_rlm.specs import GraphSpec, create_graph
from langgraph_rlm.specs.python import langgraph_json
from langgraph_rlm.specs.wiring import edges_of, models_of

_MOST_SPEC_BYTES = 1 << 20
"""Read of a file; what is larger than a spec may be is refused by its size."""

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"max_content_width": 80, "help_option_names": ["-h", "--help"]},
    help="Graphs as data: run, check, draw and export a spec (docs/graph-specs.md).",
)
Spec = Annotated[Path, typer.Argument(metavar="SPEC", help="The YAML file of the spec.")]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="NAME=PROVIDER:NAME",
        help="Which model a name of the spec stands for; without NAME= all that are not named. As in `ask`.",
    ),
]


@app.command(
    cls=PlainCommand,
    short_help="Run a graph.",
    epilog=after_help(
        'graph run qa.yaml --input question="What was Q3 revenue?" --input documents=@reports --model openai:gpt-5-mini'
    ),
)
def run(
    spec: Spec,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input", metavar="NAME=VALUE", help="An input; @PATH reads it from a file or folder. Again for more."
        ),
    ] = None,
    model: Models = None,
    index: Annotated[
        Path | None, typer.Option("--index", metavar="DIR", help="An index that retrieval tools search.")
    ] = None,
    max_cost_usd: Annotated[float | None, typer.Option(metavar="USD", help="Most USD of the run.")] = None,
    max_calls: Annotated[int | None, typer.Option(metavar="N", help="Most calls of models.")] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run a graph on the given inputs, and print its outputs."""
    terminal = Terminal(as_json=json, quiet=quiet)
    with terminal.errors_shown():
        graph = _read(spec)
        given = dict(_input(graph, one) for one in inputs or [])
        limits = {
            name: value
            for name, value in (("max_cost_usd", max_cost_usd), ("max_calls", max_calls))
            if value is not None
        }
        chosen = {name: choose_model(wanted) for name, wanted in _chosen(graph, model).items()}
        corpus = None if index is None else open_index(index)
        try:
            compiled = create_graph(graph, models=chosen, corpus=corpus, limits=Limits.of(limits))
            result = compiled.invoke(given)
        finally:
            if corpus is not None:
                corpus.close()
        outputs = {name: result.get(name) for name in graph.output}
        if json:
            told = {name: result[name] for name in ("usage", "coverage", "failures")}
            terminal.print_json({"output": outputs, **told})
            return
        for name, value in outputs.items():
            shown = value if isinstance(value, str) else json_lines.dumps(value, ensure_ascii=False, indent=2)
            terminal.out.print(plain(shown if len(outputs) == 1 else f"{name}: {shown}"), soft_wrap=True)
        for name, covered in result["coverage"].items():
            if covered["failed"]:
                terminal.note(
                    f"{name}: {covered['answered']:,} of {covered['items']:,} items; failed: {covered['failed']}"
                )
        terminal.note(f"{result['usage']['calls']:,} calls, {result['usage']['input_tokens']:,} tokens in.")


@app.command(
    cls=PlainCommand,
    short_help="Check a graph's spec.",
    epilog=after_help("graph check qa.yaml", "graph check qa.yaml --json"),
)
def check(spec: Spec, json: Json = False, quiet: Quiet = False) -> None:
    """Check a spec; every problem is told with its line and column. Nothing is run and no model is asked."""
    terminal = Terminal(as_json=json, quiet=quiet)
    with terminal.errors_shown():
        graph = _read(spec)
        about = {
            "name": graph.name, "graph_type": graph.graph_type, "steps": len(graph.steps), "models": list(models_of(graph.steps)),
            "inputs": {name: one.type for name, one in graph.inputs.items()}, "output": list(graph.output),
            "patterns": sorted(graph.patterns()), "digest": graph.digest,
        }  # fmt: skip
        if json:
            terminal.print_json(about)
        else:
            patterns = ", ".join(about["patterns"]) or "none"  # type: ignore[arg-type]
            terminal.out.print(
                plain(f"{clean(graph.name)}: {len(graph.steps)} steps, patterns: {patterns}"), soft_wrap=True
            )


@app.command(cls=PlainCommand, short_help="Draw a graph.", epilog=after_help("graph draw qa.yaml > qa.mermaid"))
def draw(spec: Spec, json: Json = False, quiet: Quiet = False) -> None:
    """Draw a graph as a Mermaid diagram."""
    terminal = Terminal(as_json=json, quiet=quiet)
    with terminal.errors_shown():
        graph = _read(spec)
        pairs = [(source, target) for sources, target in edges_of(graph.steps) for source in sources]
        lines = ["graph TD;", *(f"\t{source} --> {target};" for source, target in pairs)]
        if json:
            terminal.print_json({"mermaid": "\n".join(lines), "edges": pairs})
        else:
            terminal.out.print(plain("\n".join(lines)), soft_wrap=True)


@app.command(
    cls=PlainCommand,
    short_help="Export a graph as Python.",
    epilog=after_help("graph export qa.yaml --out ./qa --model small=openai:gpt-5-mini"),
)
def export(
    spec: Spec,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Where graph.py, graph.yaml and langgraph.json go.")
    ],
    model: Models = None,
    force: Annotated[bool, typer.Option("--force", help="Write over files that are there.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Export a graph: a Python module of your own, the spec, and the settings with which `langgraph dev` serves it."""
    terminal = Terminal(as_json=json, quiet=quiet)
    with terminal.errors_shown():
        graph = _read(spec)
        names = _chosen(graph, model, default=False)
        files = {
            "graph.py": graph.to_python({name: wanted for name, wanted in names.items() if wanted is not None}),
            "graph.yaml": graph.to_yaml(),
            "langgraph.json": json_lines.dumps(langgraph_json(graph.name), indent=2) + "\n",
        }
        there = [name for name in files if (out / name).exists()]
        if there and not force:
            raise InvalidInput(f"{out / there[0]} is there already; --force writes over it")
        try:
            out.mkdir(parents=True, exist_ok=True)
            for name, text in files.items():
                (out / name).write_text(text, encoding="utf-8")
        except OSError as error:
            raise InvalidInput(f"{out} cannot be written: {error.strerror or error}") from error
        if json:
            terminal.print_json({"written": [str(out / name) for name in files]})
        else:
            terminal.note(f"Written: {', '.join(str(out / name) for name in files)}.")


def _read(path: Path) -> GraphSpec:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_SPEC_BYTES)
        return GraphSpec.from_yaml(data.decode("utf-8"))
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError:
        raise InvalidInput(f"{path} is no UTF-8 text") from None


def _input(graph: GraphSpec, given: str) -> tuple[str, Any]:
    """Name and value of an input as it is written: ``name=value`` or ``name=@path``."""
    name, equals, value = given.partition("=")
    if not equals or name not in graph.inputs:
        raise InvalidInput(
            f"--input {given[:80]!r}: write NAME=VALUE; the graph reads {', '.join(graph.inputs)}{nearest(name, graph.inputs)}"
        )
    kind = graph.inputs[name].type
    if value.startswith("@"):
        path = Path(value[1:])
        if kind == "context":
            return name, _documents(path)
        try:
            value = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"--input {name}: {path} cannot be read: {error}") from error
    if kind in ("json", "number"):
        try:
            return name, json_lines.loads(value)
        except ValueError as error:
            raise InvalidInput(f"--input {name}: no JSON: {error}") from None
    return name, value


def _documents(path: Path) -> Any:
    documents = list(Sources([path], max_file_bytes=MOST_FILE_BYTES))
    if not documents:
        raise InvalidInput(f"{path}: there is nothing to read")
    return documents[0].page_content if len(documents) == 1 else documents


def _chosen(graph: GraphSpec, given: list[str] | None, *, default: bool = True) -> dict[str, str | None]:
    """The models of the spec by name: as given, else what is given for all."""
    wanted: dict[str, str | None] = dict.fromkeys(models_of(graph.steps)) or {"default": None}
    others: str | None = None
    for one in given or []:
        name, equals, model = one.partition("=")
        if not equals:
            others = one
        elif name not in wanted:
            raise InvalidInput(
                f"--model {one!r}: the spec has no model {name!r}{nearest(name, wanted)}; it has {', '.join(wanted)}"
            )
        else:
            wanted[name] = model
    return {name: others if model is None else model for name, model in wanted.items() if default or model or others}
