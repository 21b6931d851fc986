"""The commands: ask, index, grep, names, advise, demo; eval has a file of its own."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from langgraph_rlm.calls.models import ModelCaller
from langgraph_rlm.cli.asking import (
    HOME,
    as_json,
    build_index,
    cache_for,
    choose_model,
    exit_code,
    model_line,
    open_index,
    read_sources,
)
from langgraph_rlm.cli.asking import ask as ask_question
from langgraph_rlm.cli.evaluating import evaluate
from langgraph_rlm.cli.names import edges_of, hops_page, hops_tree, neighbourhood
from langgraph_rlm.cli.render import advice_line, clean, plain, show_answer
from langgraph_rlm.cli.terminal import Terminal
from langgraph_rlm.corpus import Corpus, Words
from langgraph_rlm.corpus.finding.query import MOST_HOPS
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.graphs.routing.detect import advise as advise_size
from langgraph_rlm.limits import Limits

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Ask questions about more text than a language model can read: classic RAG for look-ups, a recursive language "
    "model for everything that takes many documents or steps.",
    epilog="Exit codes: 0 answered, 1 failed, 2 unusable arguments, 3 stopped at a limit with a partial answer, "
    "130 interrupted.",
)


app.command("eval")(evaluate)


class RouteOption(StrEnum):
    """Values of ``--route``."""

    auto = "auto"
    direct = "direct"
    rag = "rag"
    rlm = "rlm"


DOCS_HELP = (
    "A file or folder to ask about (again for more). Its index is kept under .langgraph_rlm/ in the current folder, one "
    "for each set of paths, so that the next question is answered at once; files that changed are indexed again."
)
Docs = Annotated[list[Path] | None, typer.Option("--docs", metavar="PATH", help=DOCS_HELP)]
Index = Annotated[Path | None, typer.Option("--index", metavar="DIR", help="An index made by `langgraph-rlm index`.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object; everything else goes to stderr.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the result only.")]


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="The question, in quotes.")],
    more_docs: Annotated[
        list[Path] | None, typer.Argument(metavar="[PATH]...", help="Further paths for --docs.")
    ] = None,
    docs: Docs = None,
    index: Index = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="PROVIDER:NAME",
            help="Answers, and writes the cells of the recursive route. Default: LANGGRAPH_RLM_MODEL or openai:gpt-5-mini "
            "when OPENAI_API_KEY is set, else `extractive`, which only quotes and counts.",
        ),
    ] = None,
    sub_model: Annotated[
        str | None,
        typer.Option(metavar="PROVIDER:NAME", help="Reads pieces for the recursive route. Default: --model."),
    ] = None,
    route: Annotated[RouteOption, typer.Option(help="`auto` lets the router decide.")] = RouteOption.auto,
    max_cost_usd: Annotated[float | None, typer.Option(metavar="USD", help="Most USD to spend. Default: 1.")] = None,
    max_seconds: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Most seconds to work. Default: 600.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Answer a question about documents, with citations that are checked against the text."""
    terminal = Terminal(as_json=json, quiet=quiet)
    with terminal.errors_shown():
        if not question.strip():
            raise InvalidInput("the question is empty")
        _check_further(more_docs, docs)
        chosen = choose_model(model)
        # Resolved before anything is indexed: a missing package or key should not cost minutes.
        root = ModelCaller(chosen)
        sub = None if sub_model is None else ModelCaller(choose_model(sub_model)).runnable
        wanted = {"max_cost_usd": max_cost_usd, "max_seconds": max_seconds}
        given: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
        limits = Limits(**given)
        with _opened(terminal, [*(docs or []), *(more_docs or [])], index) as corpus:
            advice = advise_size(corpus.total_chars(), root.window if root.knows_window else None)
            terminal.note(advice_line(advice))
            terminal.note(model_line(chosen))
            with terminal.answering() as on_event:
                result = ask_question(
                    corpus,
                    question,
                    model=root.runnable,
                    sub_model=sub,
                    route=route.value,
                    limits=limits,
                    on_event=on_event,
                )
        if json:
            terminal.print_json(as_json(result, question=question, advice=asdict(advice)))
        elif quiet:
            terminal.out.print(plain(result.get("answer") or ""), soft_wrap=True)
        else:
            show_answer(terminal.out, result)
        raise typer.Exit(exit_code(result.get("stop_reason")))


@app.command()
def index(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files and folders to index.")],
    index: Annotated[Path, typer.Option("--index", metavar="DIR", help="Where the index is or will be.")],
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove documents that are not below PATH... any more.")
    ] = False,
    language: Annotated[
        str | None,
        typer.Option(metavar="LANGUAGE", help="The texts' language, e.g. english: other forms of words are found too."),
    ] = None,
    code: Annotated[
        bool, typer.Option("--code", help="Take identifiers apart: getUserName is found by `user` and get_user_name.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Index files and folders, or bring an index up to date; unchanged files cost a look-up.

    A document's id is its path below PATH, with the folder's name before it when several are given: give the same PATHs
    again to update. Hidden folders, __pycache__ and node_modules are left out. An index keeps its --language and --code:
    leave them out to update it.
    """
    terminal = Terminal(as_json=json, quiet=quiet)
    with terminal.errors_shown():
        words = Words(language=language, stem=language is not None, code=code) if language or code else None
        corpus, told = _built(terminal, paths, index, prune=prune, words=words, most_named=20)
        corpus.close()
        if json:
            terminal.print_json(told)


@app.command()
def grep(
    pattern: Annotated[str, typer.Argument(help="A regular expression (RE2: linear time, no lookaround).")],
    more_docs: Annotated[
        list[Path] | None, typer.Argument(metavar="[PATH]...", help="Further paths for --docs.")
    ] = None,
    docs: Docs = None,
    index: Index = None,
    most: Annotated[int, typer.Option("--max", min=1, max=1_000_000, help="Most matches to show.")] = 100,
    ignore_case: Annotated[bool, typer.Option("--ignore-case", "-i", help="Ignore case.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find a pattern in the documents of an index, as path:line:text."""
    terminal = Terminal(as_json=json, quiet=quiet)
    with terminal.errors_shown():
        if not pattern:
            raise InvalidInput("the pattern is empty")
        _check_further(more_docs, docs)
        with _opened(terminal, [*(docs or []), *(more_docs or [])], index) as corpus:
            hits = corpus.grep(pattern, max_matches=most, ignore_case=ignore_case)
        if json:
            matches = [
                {"path": h["doc_id"], "line": h["line"], "text": h["text"], "start": h["start"], "end": h["end"],
                 "match": h["metadata"]["match"]}
                for h in hits
            ]  # fmt: skip
            terminal.print_json({"matches": matches, "seen": hits.seen, "complete": hits.complete})
            return
        for hit in hits:
            first, last = (offset - hit["start"] for offset in hit["metadata"]["match"])
            line = plain(f"{hit['doc_id']}:{hit['line']}:", "cyan")
            for part, style in (
                (hit["text"][:first], ""),
                (hit["text"][first:last], "bold red"),
                (hit["text"][last:], ""),
            ):
                line.append(clean(part), style)
            terminal.out.print(line, soft_wrap=True)
        if not hits.complete:
            terminal.note(f"The search stopped after {len(hits):,} matches: there may be more (--max).")
        elif not hits:
            terminal.note("No match.")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror or error}") from error


@app.command()
def names(
    question: Annotated[str, typer.Argument(help="The question, in quotes.")],
    more_docs: Annotated[
        list[Path] | None, typer.Argument(metavar="[PATH]...", help="Further paths for --docs.")
    ] = None,
    docs: Docs = None,
    index: Index = None,
    most: Annotated[int, typer.Option("--max", min=1, max=1_000, help="Most chunks to show.")] = 8,
    hops: Annotated[int, typer.Option(min=1, max=MOST_HOPS, help="Links to follow one after the other.")] = 1,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw them into an HTML page instead.")] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show how a question leads from name to name: what it names, what that mentions, and where the path ends.

    Names are titles, headings, files and modules, defined classes and functions, and metadata. No model is asked.
    """
    terminal = Terminal(as_json=json, quiet=quiet)
    with terminal.errors_shown():
        _check_further(more_docs, docs)
        with _opened(terminal, [*(docs or []), *(more_docs or [])], index) as corpus:
            named = corpus.named_in(question)
            hits = corpus.retrieve(question, most, "hop", hops=hops)
            if html is not None:
                edges = neighbourhood(corpus, list(edges_of(question, hits)))
                _write(html, hops_page(question, hits, edges))
        if json:
            terminal.print_json({"named": named, "hits": hits})
            return
        if hits and hits[0]["source"] != "hop":
            terminal.note("No document has a name: these were found by words alone.")
        if html is None:
            terminal.out.print(hops_tree(question, hits), soft_wrap=True)
        else:
            terminal.note(f"Written to {html}.")


@app.command()
def advise(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files and folders.")],
    window: Annotated[
        int | None, typer.Option(metavar="TOKENS", min=1, help="What the model can read. Default: not known.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say whether texts are better read at once or by a recursive model; nothing is indexed and no model is asked.

    Up to three quarters of the model's window they are read at once, unless they have more than 500,000 tokens. Tokens
    are estimated: four characters each.
    """
    terminal = Terminal(as_json=json, quiet=quiet)
    with terminal.errors_shown():
        sources = read_sources(paths)
        advice = advise_size(sources.chars, window)
        if json:
            terminal.print_json({**asdict(advice), "chars": sources.chars, "documents": len(sources.documents)})
        else:
            terminal.tell_skipped(sources)
            terminal.out.print(plain(advice_line(advice)), soft_wrap=True)


@app.command()
def demo(
    reindex: Annotated[bool, typer.Option("--reindex", help="Build the demo's index anew.")] = False,
) -> None:
    """Index the standard library of this Python and ask it two questions: a look-up and a count over many files."""
    from langgraph_rlm.cli.demo import run_demo

    terminal = Terminal()
    with terminal.errors_shown():
        raise typer.Exit(run_demo(terminal, HOME / "demo", reindex=reindex))


def _check_further(paths: list[Path] | None, docs: list[Path] | None) -> None:
    """Further arguments are paths only behind ``--docs``; mostly they are the rest of a question without quotes."""
    for path in paths or []:
        if not docs:
            raise InvalidInput(
                f"unexpected {str(path)!r}: put the question or pattern in quotes, and name paths with --docs"
            )
        if not path.exists():
            raise InvalidInput(f"there is no file or folder {str(path)!r}; a question of several words needs quotes")


def _opened(terminal: Terminal, docs: list[Path], index: Path | None) -> Corpus:
    if docs and index is not None:
        raise InvalidInput("give --docs or --index, not both: --index takes an index as it is, --docs makes its own")
    if index is not None:
        return open_index(index)
    if not docs:
        raise InvalidInput("nothing to ask about: give --docs PATH or --index DIR")
    return _built(terminal, docs, cache_for(docs), prune=True)[0]


def _built(
    terminal: Terminal, paths: list[Path], where: Path, *, prune: bool, words: Words | None = None, most_named: int = 3
) -> tuple[Corpus, dict[str, object]]:
    sources = read_sources(paths)
    with terminal.indexing(sources) as on_progress:
        corpus, report = build_index(where, sources, prune=prune, words=words, on_progress=on_progress)
    terminal.tell_indexed(report, sources, where, most_named=most_named)
    told: dict[str, object] = {name: getattr(report, name) for name in type(report).__slots__}
    told |= {
        "index": str(where),
        "documents": corpus.count(),
        "skipped": [{"path": p, "reason": r} for p, r in sources.skipped],
    }
    return corpus, told
