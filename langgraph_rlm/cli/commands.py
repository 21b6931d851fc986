"""The commands: index, grep, names, advise, demo; ask, eval, mcp and serve have files of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from langgraph_rlm.cli.cleaning import clean, one_line
from langgraph_rlm.cli.evaluating import evaluate
from langgraph_rlm.cli.exits import Exit, table
from langgraph_rlm.cli.graphs import app as graphs
from langgraph_rlm.cli.group import Commands, PlainCommand
from langgraph_rlm.cli.mcp import EPILOG as MCP_EPILOG
from langgraph_rlm.cli.mcp import mcp
from langgraph_rlm.cli.names import edges_of, hops_page, hops_tree, neighbourhood
from langgraph_rlm.cli.opening import built, check_further, check_one_source, opened
from langgraph_rlm.cli.options import (
    VERBATIM,
    Docs,
    Index,
    Json,
    MaxFileBytes,
    MoreDocs,
    Question,
    Quiet,
    Where,
    after_help,
)
from langgraph_rlm.cli.questions import ask
from langgraph_rlm.cli.render import advice_line, plain
from langgraph_rlm.cli.serving import serve
from langgraph_rlm.cli.sources import HOME, MOST_FILE_BYTES, Sources, open_index
from langgraph_rlm.cli.terminal import Terminal
from langgraph_rlm.cli.where import where_of
from langgraph_rlm.corpus import Words
from langgraph_rlm.corpus.filters import matches
from langgraph_rlm.corpus.finding.query import MOST_HOPS
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.graphs.detect import advise as advise_size
from langgraph_rlm.text.search import Hits, grep_documents

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"max_content_width": 80, "help_option_names": ["-h", "--help"]},
    epilog=f"{VERBATIM}{table()}",
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"langgraph-rlm {version('langgraph-rlm')}")
        raise typer.Exit


@app.callback()
def _commands(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Ask questions about more text than a language model can read.

    Look-ups are answered by classic RAG; what takes many documents or steps by a recursive language model.

    \b
    Example:
      langgraph-rlm ask "What is the notice period?" --docs contract.md
    """


app.command(
    cls=PlainCommand,
    short_help="Answer a question about documents.",
    epilog=after_help(
        'ask "What is the notice period?" --docs contract.md',
        'ask "Who changed it?" --index ./index --where team=hr --json',
    ),
)(ask)
app.command(
    "eval",
    cls=PlainCommand,
    short_help="Measure which route answers best, and what it costs.",
    epilog=after_help("eval tasks.jsonl --docs ./docs --out ./measured", "eval needle --tasks 5 --out ./made"),
)(evaluate)
app.command(
    cls=PlainCommand,
    short_help="Serve an index over HTTP (OpenAI's protocol).",
    epilog=after_help("serve --index ./index --openai", "serve --index ./index --langserve --keys keys.json"),
)(serve)
app.command(cls=PlainCommand, short_help="Serve an index to editors and desktop clients (MCP).", epilog=MCP_EPILOG)(mcp)

app.add_typer(graphs, name="graph", short_help="Run, check, draw and export graphs that are data.")


@app.command(
    cls=PlainCommand,
    short_help="Index files, or bring an index up to date.",
    epilog=after_help("index ./docs --index ./index"),
)
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
        bool, typer.Option("--code", help="Take identifiers apart: getUserName is found by user and by get_user_name.")
    ] = False,
    max_file_bytes: MaxFileBytes = MOST_FILE_BYTES,
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
        sources = Sources(paths, max_file_bytes=max_file_bytes)
        corpus, report = built(terminal, sources, index, prune=prune, words=words, most_named=20)
        with corpus:
            documents = corpus.count()
        if json:
            told: dict[str, object] = {name: getattr(report, name) for name in type(report).__slots__}
            skipped = [{"path": path, "reason": reason} for path, reason in sources.skipped]
            terminal.print_json(told | {"index": str(index), "documents": documents, "skipped": skipped})


@app.command(
    cls=PlainCommand,
    short_help="Find a pattern in files or in an index.",
    epilog=after_help(r'grep "timeout.*\d+ ms" --docs server.log', 'grep "TODO" --index ./index -i --max 1000'),
)
def grep(
    pattern: Annotated[
        str, typer.Argument(metavar="PATTERN", help="A regular expression (RE2: linear time, no lookaround).")
    ],
    more_docs: MoreDocs = None,
    docs: Annotated[
        list[Path] | None,
        typer.Option("--docs", metavar="PATH", help="A file or folder to look through; give it again for more."),
    ] = None,
    index: Index = None,
    where: Where = None,
    most: Annotated[int, typer.Option("--max", metavar="N", min=1, max=1_000_000, help="Most matches to show.")] = 100,
    ignore_case: Annotated[bool, typer.Option("--ignore-case", "-i", help="Ignore case.")] = False,
    max_file_bytes: MaxFileBytes = MOST_FILE_BYTES,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find a pattern in files or in the documents of an index, as path:line:text. No model is asked, nothing is indexed."""
    terminal = Terminal(as_json=json, quiet=quiet)
    with terminal.errors_shown():
        if not pattern:
            raise InvalidInput("the pattern is empty")
        check_further(more_docs, docs)
        paths, only = [*(docs or []), *(more_docs or [])], where_of(where or [])
        check_one_source(paths, index)
        if index is not None:
            with open_index(index) as corpus:
                hits = corpus.grep(pattern, where=only, max_matches=most, ignore_case=ignore_case, deadline=None)
        else:
            hits = _grepped(terminal, Sources(paths, max_file_bytes=max_file_bytes), pattern, only, most, ignore_case)
        if json:
            shown = [
                {"path": h["doc_id"], "line": h["line"], "text": h["text"], "start": h["start"], "end": h["end"],
                 "match": h["metadata"]["match"]}
                for h in hits
            ]  # fmt: skip
            terminal.print_json({"matches": shown, "seen": hits.seen, "complete": hits.complete})
        else:
            _show_matches(terminal, hits)
        raise typer.Exit(Exit.DONE if hits else Exit.NOT_FOUND)


def _grepped(
    terminal: Terminal, sources: Sources, pattern: str, where: Mapping[str, Any] | None, most: int, ignore_case: bool
) -> Hits:
    """The matches in files, one of which is in memory at a time."""
    texts = (
        (document.id or "", document.page_content.encode()) for document in sources if matches(where, document.metadata)
    )
    with terminal.reading(sources):
        hits = grep_documents(texts, pattern, max_matches=most, ignore_case=ignore_case, deadline=None)
    terminal.tell_skipped(sources)
    return hits


def _show_matches(terminal: Terminal, hits: Hits) -> None:
    for hit in hits:
        first, last = (offset - hit["start"] for offset in hit["metadata"]["match"])
        line = plain(f"{one_line(hit['doc_id'])}:{hit['line']}:", "cyan")
        for part, style in ((hit["text"][:first], ""), (hit["text"][first:last], "bold red"), (hit["text"][last:], "")):
            line.append(clean(part), style)
        terminal.out.print(line, soft_wrap=True)
    if not hits.complete:
        terminal.note(f"The search stopped after {len(hits):,} matches: there may be more (--max).")
    elif not hits:
        terminal.note("No match.")


@app.command(
    cls=PlainCommand,
    short_help="Show how a question leads from name to name.",
    epilog=after_help(
        'names "Who directed the film that won?" --index ./index', 'names "Who made it?" --docs ./docs --html hops.html'
    ),
)
def names(
    question: Question,
    more_docs: MoreDocs = None,
    docs: Docs = None,
    index: Index = None,
    where: Where = None,
    most: Annotated[int, typer.Option("--max", metavar="N", min=1, max=1_000, help="Most chunks to show.")] = 8,
    hops: Annotated[
        int, typer.Option(metavar="N", min=1, max=MOST_HOPS, help="Links to follow one after the other.")
    ] = 1,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw them into an HTML page instead.")] = None,
    max_file_bytes: MaxFileBytes = MOST_FILE_BYTES,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show how a question leads from name to name: what it names, what that mentions, and where the path ends.

    Names are titles, headings, files and modules, defined classes and functions, and metadata. No model is asked.
    """
    terminal = Terminal(as_json=json, quiet=quiet)
    with terminal.errors_shown():
        if not question.strip():
            raise InvalidInput("the question is empty")
        check_further(more_docs, docs)
        only = where_of(where or [])
        with opened(terminal, [*(docs or []), *(more_docs or [])], index, max_file_bytes) as (corpus, _):
            named = corpus.named_in(question, only)
            hits = corpus.retrieve(question, most, "hop", hops=hops, where=only)
            if html is not None:
                edges = neighbourhood(corpus, list(edges_of(question, hits)))
                _write(html, hops_page(question, hits, edges))
        if json:
            terminal.print_json({"named": named, "hits": hits})
        elif html is not None:
            terminal.note(f"Written to {one_line(str(html))}.")
        elif hits:
            if hits[0]["source"] != "hop":
                terminal.note("No document has a name: these were found by words alone.")
            terminal.out.print(hops_tree(question, hits), soft_wrap=True)
        else:
            terminal.note("Nothing was found.")
        raise typer.Exit(Exit.DONE if hits else Exit.NOT_FOUND)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror or error}") from error


@app.command(
    cls=PlainCommand,
    short_help="Say whether texts are read at once or not.",
    epilog=after_help("advise ./docs --window 128000"),
)
def advise(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files and folders.")],
    window: Annotated[
        int | None, typer.Option(metavar="TOKENS", min=1, help="What the model can read. Default: not known.")
    ] = None,
    max_file_bytes: MaxFileBytes = MOST_FILE_BYTES,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say whether texts are better read at once or by a recursive model; nothing is indexed and no model is asked.

    Up to three quarters of the model's window they are read at once, unless they have more than 500,000 tokens. Tokens
    are estimated: four characters each.
    """
    terminal = Terminal(as_json=json, quiet=quiet)
    with terminal.errors_shown():
        sources = Sources(paths, max_file_bytes=max_file_bytes)
        with terminal.reading(sources):
            for _ in sources:
                pass
        advice = advise_size(sources.chars, window)
        if json:
            terminal.print_json({**asdict(advice), "chars": sources.chars, "documents": sources.documents})
        else:
            terminal.tell_skipped(sources)
            terminal.out.print(plain(advice_line(advice)), soft_wrap=True)


@app.command(
    cls=PlainCommand, short_help="Ask this Python's standard library two questions.", epilog=after_help("demo")
)
def demo(
    reindex: Annotated[bool, typer.Option("--reindex", help="Build the demo's index anew.")] = False,
) -> None:
    """Index the standard library of this Python and ask it two questions: a look-up and a count over many files."""
    from langgraph_rlm.cli.demo import run_demo

    terminal = Terminal()
    with terminal.errors_shown():
        raise typer.Exit(run_demo(terminal, HOME / "demo", reindex=reindex))
