"""The command ``mcp``: an index as an MCP server. Its imports are light: clients wait for the list of tools."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langgraph_rlm.cli.exits import Exit, exit_of_error, table
from langgraph_rlm.cli.group import Commands, PlainCommand
from langgraph_rlm.cli.listening import listening_at, serve_app
from langgraph_rlm.errors import CorpusError, InvalidInput, RLMError
from langgraph_rlm.server.keys import ENVIRONMENT, Keys

if TYPE_CHECKING:
    from langgraph_rlm.server.service import Service

RUNS = "runs"
"""Where questions are kept, below the index."""

app = typer.Typer(
    cls=Commands,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"max_content_width": 80, "help_option_names": ["-h", "--help"]},
)


@app.callback()
def _commands() -> None:
    """Keeps ``mcp`` a command of its own, as it is in the whole command line."""


EPILOG = f"\b\nExample:\n  langgraph-rlm mcp --index ./index --allow ./logs\n\n\b\n{table()}"


@app.command("mcp", cls=PlainCommand, short_help="Serve an index to editors and desktop clients (MCP).", epilog=EPILOG)
def mcp(
    index: Annotated[Path, typer.Option("--index", metavar="DIR", help="An index made by `langgraph-rlm index`.")],
    model: Annotated[
        str | None, typer.Option(metavar="PROVIDER:NAME", help="Answers questions. Default: as for `ask`.")
    ] = None,
    sub_model: Annotated[
        str | None,
        typer.Option(metavar="PROVIDER:NAME", help="Reads pieces for the recursive route. Default: --model."),
    ] = None,
    max_cost_usd: Annotated[
        float | None, typer.Option(metavar="USD", min=0, help="Most USD that a question may cost. Default: 1.")
    ] = None,
    max_seconds: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Most seconds to work on a question. Default: 600.")
    ] = None,
    allow: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR", help="A folder whose files a client may load; give it again for more. Default: none."
        ),
    ] = None,
    http: Annotated[
        int | None,
        typer.Option(
            "--http",
            metavar="PORT",
            min=0,
            max=65535,
            help="Serve at http://127.0.0.1:PORT/mcp instead, to who has a key of LANGGRAPH_RLM_KEYS. 0 for a free port.",
        ),
    ] = None,
) -> None:
    """Serve an index over standard input and output, for clients that speak MCP: editors, desktop apps.

    A question that takes longer than a client waits goes on in the background, and its answer is fetched later, also after a
    restart. Questions and answers are kept for a day below the index, for this user alone.
    """
    import sys

    try:
        integration: Any = import_module("langgraph_rlm.integrations.mcp")
        if not (index / "manifest.json").exists():
            raise CorpusError(f"there is no index in {index}: make one with `langgraph-rlm index PATH --index {index}`")
        wanted = {"max_cost_usd": max_cost_usd, "max_seconds": max_seconds}
        limits = {name: value for name, value in wanted.items() if value is not None}
        keys = None if http is None else Keys.from_environment()
        if keys is not None and not len(keys):
            raise InvalidInput(f"--http needs keys: set {ENVIRONMENT} (several: with commas between them)")
        server = integration.create_mcp_server(lambda: _served(index, model, sub_model, limits, allow or []))
        if http is None or keys is None:
            server.run("stdio")
            return
        with listening_at("127.0.0.1", http) as listening:
            print(
                f"Serving {index} at http://127.0.0.1:{listening.getsockname()[1]}/mcp (Ctrl-C ends it).",
                file=sys.stderr,
            )
            serve_app(integration.http_app(server, keys), listening)
    except RLMError as error:
        print(f"langgraph-rlm: {error}", file=sys.stderr)
        raise typer.Exit(exit_of_error(error)) from None
    except KeyboardInterrupt:
        raise typer.Exit(Exit.INTERRUPTED) from None


@asynccontextmanager
async def _served(
    index: Path, model: str | None, sub_model: str | None, limits: dict[str, Any], allowed: list[Path]
) -> AsyncIterator[Service]:
    from langgraph_rlm.threads import in_thread

    service, make = await in_thread(_loaded, model, sub_model, limits)
    async with service.opened(lambda: _corpus(index), make, index / RUNS, allowed=allowed) as opened:
        yield opened


def _loaded(model: str | None, sub_model: str | None, limits: dict[str, Any]) -> tuple[type[Service], Any]:
    """What serves, imported in a thread: it takes a second."""
    from langgraph_rlm import create_smart_rag
    from langgraph_rlm.cli.asking import choose_model
    from langgraph_rlm.server.service import Service

    root = choose_model(model)
    sub = None if sub_model is None else choose_model(sub_model)

    def made(corpus: Any, kept: Any) -> Any:
        return create_smart_rag(
            root, corpus=corpus, sub_model=sub, limits=limits, contexts=kept.contexts, memo=kept.memo,
            checkpointer=kept.checkpointer,
        )  # fmt: skip

    return Service, made


def _corpus(index: Path) -> Any:
    from langgraph_rlm.cli.sources import open_index

    return open_index(index)
