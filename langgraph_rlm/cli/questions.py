"""The command ``ask``: checks everything that costs nothing, opens the documents, asks, shows the answer."""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext
from dataclasses import asdict
from typing import Annotated, Any

import typer

from langgraph_rlm import ExtractiveModel
from langgraph_rlm.calls.models import ModelCaller
from langgraph_rlm.cli.asking import Question, as_json, asked_model, choose_model, model_line, taken_line
from langgraph_rlm.cli.asking import ask as ask_question
from langgraph_rlm.cli.exits import exit_of
from langgraph_rlm.cli.opening import check_further, opened
from langgraph_rlm.cli.options import Docs, Index, Json, MaxFileBytes, MoreDocs, Quiet, Verbose, Where
from langgraph_rlm.cli.options import Question as QuestionArgument
from langgraph_rlm.cli.render import advice_line, plain, show_answer
from langgraph_rlm.cli.resuming import Record, recorded
from langgraph_rlm.cli.sources import MOST_FILE_BYTES
from langgraph_rlm.cli.streams import ReaderGone
from langgraph_rlm.cli.terminal import Terminal
from langgraph_rlm.cli.where import where_of
from langgraph_rlm.errors import InvalidInput, ModelError
from langgraph_rlm.graphs.detect import advise as advise_size
from langgraph_rlm.graphs.routes import BUILT_IN
from langgraph_rlm.limits import Limits

RESUMES = "The same command goes on from here: what was answered is not paid again (--fresh starts anew)."


ROUTES = ("auto", *(route.name for route in BUILT_IN))


def _checked_route(route: str) -> str:
    if route not in ROUTES:
        raise typer.BadParameter(f"{route!r} is not one of {', '.join(map(repr, ROUTES))}.")
    return route


def ask(
    question: QuestionArgument,
    more_docs: MoreDocs = None,
    docs: Docs = None,
    index: Index = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="PROVIDER:NAME",
            help="Answers, and writes the cells of the recursive route. Default: LANGGRAPH_RLM_MODEL or openai:gpt-5-mini "
            "when OPENAI_API_KEY is set, else extractive, which only quotes and counts. A name without a provider is taken "
            "as OpenAI's.",
        ),
    ] = None,
    sub_model: Annotated[
        str | None,
        typer.Option(metavar="PROVIDER:NAME", help="Reads pieces for the recursive route. Default: --model."),
    ] = None,
    route: Annotated[
        str,
        typer.Option(
            metavar=f"<{'|'.join(ROUTES)}>",
            callback=_checked_route,
            help="direct reads everything at once, rag a few passages, rlm searches with a program; auto chooses.",
        ),
    ] = "auto",
    k: Annotated[
        int | None, typer.Option("--k", metavar="N", min=1, max=1000, help="Passages to retrieve. Default: 8.")
    ] = None,
    where: Where = None,
    max_calls: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Most model calls. Default: 500.", show_default=False)
    ] = None,
    max_turns: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Most turns of the recursive route. Default: 20.", show_default=False),
    ] = None,
    max_cost_usd: Annotated[float | None, typer.Option(metavar="USD", help="Most USD to spend. Default: 1.")] = None,
    max_seconds: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Most seconds to work. Default: 600.")
    ] = None,
    window: Annotated[
        int | None,
        typer.Option(
            metavar="TOKENS", min=1, help="What the model can read at once. Default: what is known of it, else 128000."
        ),
    ] = None,
    max_file_bytes: MaxFileBytes = MOST_FILE_BYTES,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start anew, also where an interrupted run of this command could go on.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Answer a question about documents, with citations that are checked against the text.

    A run that was interrupted (Ctrl-C, a crash, a server that failed) is gone on with by the same command: what was answered
    is not paid again. The command is the same when question, documents, models and limits are.
    """
    terminal = Terminal(as_json=json, quiet=quiet, verbose=verbose)
    with terminal.errors_shown():
        if not question.strip():
            raise InvalidInput("the question is empty")
        check_further(more_docs, docs)
        wanted = {
            "max_calls": max_calls,
            "max_turns": max_turns,
            "max_cost_usd": max_cost_usd,
            "max_seconds": max_seconds,
        }
        given: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
        limits, only = Limits(**given), where_of(where or [])
        names = asked_model(model), None if sub_model is None else asked_model(sub_model)
        chosen, sub = choose_model(model), None if sub_model is None else choose_model(sub_model)
        taken = taken_line(*names)
        terminal.hint_for = lambda error: taken
        # Resolved before anything is indexed: a missing package or key should not cost minutes.
        root = ModelCaller(chosen, window=window)
        reader = None if sub is None else ModelCaller(sub).runnable
        terminal.hint_for = lambda error: ""
        asked = Question(
            text=question, model=root.runnable, sub_model=reader, route=route, limits=limits, k=k, where=only,
            window=window,
        )  # fmt: skip
        free = all(isinstance(one, ExtractiveModel | None) for one in (chosen, sub))
        with opened(terminal, [*(docs or []), *(more_docs or [])], index, max_file_bytes) as (corpus, left_out):
            advice = advise_size(corpus.total_chars(), root.window if root.knows_window else None)
            terminal.note(advice_line(advice))
            terminal.note(model_line(chosen))
            if taken:
                terminal.note(taken)
            if only is not None and not corpus.list_documents(only):
                terminal.note("No document has the metadata that --where asks for.")
            name = asked.name(corpus, names)
            with nullcontext() if free else recorded(name, fresh=fresh, note=terminal.note) as record:
                _tell_how_it_goes_on(terminal, record, taken)
                with terminal.answering() as on_event:
                    result = ask_question(corpus, asked, record=record, on_event=on_event)
                try:
                    if json:
                        skipped = {"count": left_out[0], "files": [{"path": p, "reason": r} for p, r in left_out[1]]}
                        more = {"question": question, "advice": asdict(advice), "left_out": skipped}
                        terminal.print_json(as_json(result, **more))
                    elif quiet:
                        terminal.out.print(plain(result.get("answer") or ""), soft_wrap=True)
                    else:
                        show_answer(terminal.out, result, left_out=left_out)
                finally:
                    if record is not None and sys.exc_info()[0] in (None, ReaderGone):
                        record.finished = True
        raise typer.Exit(exit_of(result))


def _tell_how_it_goes_on(terminal: Terminal, record: Record | None, taken: str) -> None:
    """Say what an earlier run has left, and what this one will leave when it does not come to its end."""
    terminal.when_interrupted = "" if record is None else RESUMES

    def hint(error: BaseException) -> str:
        parts = [taken] if isinstance(error, ModelError) else []
        if record is not None and record.memo.answered:
            parts.append(RESUMES)
        return " ".join(filter(None, parts))

    terminal.hint_for = hint
    if record is not None and record.since is not None:
        begun = time.strftime("%Y-%m-%d %H:%M", time.localtime(record.since))
        terminal.note(
            f"Going on with the run that was begun at {begun} and did not come to its end (--fresh starts anew)."
        )
