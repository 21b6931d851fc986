"""The command ``serve``: an index behind HTTP."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from langgraph_rlm import ContextStore, create_smart_rag
from langgraph_rlm.cli.asking import choose_model
from langgraph_rlm.cli.cleaning import one_line
from langgraph_rlm.cli.listening import is_loopback, listening_at, serve_app
from langgraph_rlm.cli.options import Quiet
from langgraph_rlm.cli.sources import open_index
from langgraph_rlm.cli.terminal import Terminal
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.limits import Limits
from langgraph_rlm.server.app import create_app
from langgraph_rlm.server.keys import ENVIRONMENT, Keys
from langgraph_rlm.server.tenants import contexts_for

UPLOADS = "uploads"
"""Where uploads are kept, below the index."""
MOST_UPLOADED_BYTES = 10_000_000_000
"""Of all uploads: some twenty of the largest that are taken. Beyond them those used longest ago go."""


def serve(
    index: Annotated[Path, typer.Option("--index", metavar="DIR", help="An index made by `langgraph-rlm index`.")],
    openai: Annotated[bool, typer.Option("--openai", help="Speak OpenAI's protocol at /v1.")] = False,
    langserve: Annotated[
        bool, typer.Option("--langserve", help="Speak LangServe's at /rlm, with a playground.")
    ] = False,
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
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen. Others need keys.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="PORT", min=0, max=65535, help="0 for one that is free.")] = 8000,
    keys: Annotated[
        Path | None,
        typer.Option("--keys", metavar="FILE", help=f"Keys as JSON, with tenants and limits. Default: {ENVIRONMENT}."),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Serve an index over HTTP. Beyond this machine only with keys. Texts are uploaded at /contexts.

    Keys are in LANGGRAPH_RLM_KEYS, with commas between them, or in a file: {"KEY": {"tenant": "anna", "limits":
    {"max_cost_usd": 0.5}}}.
    """
    terminal = Terminal(quiet=quiet)
    with terminal.errors_shown():
        if not openai and not langserve:
            raise InvalidInput("nothing to serve: give --openai or --langserve")
        known = Keys.from_environment() if keys is None else Keys.from_file(keys)
        if not len(known) and not is_loopback(host):
            raise InvalidInput(
                f"--host {one_line(host)}: others could ask at your cost; give keys, in {ENVIRONMENT} or by --keys FILE"
            )
        wanted = {"max_cost_usd": max_cost_usd, "max_seconds": max_seconds}
        limits = Limits.of({name: value for name, value in wanted.items() if value is not None})
        chosen, sub = choose_model(model), None if sub_model is None else choose_model(sub_model)
        with open_index(index) as corpus, listening_at(host, port) as listening:
            contexts = ContextStore(index / UPLOADS, max_bytes=MOST_UPLOADED_BYTES)
            graph = create_smart_rag(
                chosen, corpus=corpus, sub_model=sub, limits=limits, contexts=contexts_for(contexts)
            )
            surfaces = list[Any]()
            if langserve:
                surfaces.append(_integration("langserve").rlm_app(graph))
            if openai:
                surfaces.append(_integration("openai_serve").openai_app(graph, chosen, keys=known, limits=limits))
            if langserve and openai:
                surfaces[0].mount("/", surfaces[1])
            app = create_app(contexts, keys=known, mounts={"/": surfaces[0]})
            place, number = listening.getsockname()[:2]
            at = f"http://{f'[{place}]' if ':' in place else place}:{number}"
            paths = " and ".join(path for path, wanted in (("/rlm", langserve), ("/v1", openai)) if wanted)
            terminal.note(f"Serving {one_line(str(index))} at {at}{paths} (Ctrl-C ends it).")
            serve_app(app, listening)


def _integration(name: str) -> Any:
    return import_module(f"langgraph_rlm.integrations.{name}")
