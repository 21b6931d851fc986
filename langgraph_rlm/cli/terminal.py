"""What the commands show while they work, and how they end: progress, status, notes, errors, exit codes."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from langgraph_rlm.budget import UnknownPriceWarning
from langgraph_rlm.cli.asking import Sources
from langgraph_rlm.cli.render import clean, plain, status_of
from langgraph_rlm.corpus.ingest.reports import AddProgress, AddReport
from langgraph_rlm.errors import InvalidFilter, InvalidInput, MissingDependency, PatternError, RLMError
from langgraph_rlm.evaluation.running import Progress as EvaluationProgress

FAILED, USAGE, INTERRUPTED = 1, 2, 130


class Terminal:
    """Where a command writes: results to stdout; notes, progress and errors to stderr.

    Args:
        as_json: one JSON object is all that goes to stdout.
        quiet: no notes and no progress; errors still are shown.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        for stream in (sys.stdout, sys.stderr):
            if (reconfigure := getattr(stream, "reconfigure", None)) is not None:
                reconfigure(errors="replace")  # a terminal that is not UTF-8 still shows the rest
        self.as_json, self.quiet = as_json, quiet
        self.out = Console(stderr=as_json, highlight=False, markup=False, emoji=False, soft_wrap=False)
        self.err = Console(stderr=True, highlight=False, markup=False, emoji=False)

    def note(self, text: str) -> None:
        """One line on what is going on."""
        if not self.quiet:
            self.err.print(plain(text, "dim"), soft_wrap=not self.err.is_terminal)

    def print_json(self, value: Mapping[str, Any]) -> None:
        """The machine-readable result, ASCII only so that every pipe carries it."""
        sys.stdout.write(json.dumps(value) + "\n")
        sys.stdout.flush()

    # --- waiting ---

    @contextlib.contextmanager
    def indexing(self, sources: Sources) -> Iterator[Callable[[AddProgress], None]]:
        """A progress bar over the characters of the files, since chunks take time and files differ in size."""
        done = [0, *accumulate(len(document.page_content) for document in sources.documents)]
        with Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[files]} · {task.fields[speed]} ·"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=self.err,
            transient=True,
            disable=self.quiet or not self.err.is_terminal,
        ) as progress:
            task = progress.add_task("indexing", total=done[-1], files=f"0/{len(done) - 1:,} files", speed="0 chunks/s")

            def show(state: AddProgress) -> None:
                speed = state.chunks / state.seconds if state.seconds > 0 else 0.0
                progress.update(
                    task,
                    completed=done[min(state.documents, len(done) - 1)],
                    files=f"{state.documents:,}/{len(done) - 1:,} files",
                    speed=f"{speed:,.0f} chunks/s",
                )

            yield show

    @contextlib.contextmanager
    def evaluating(self) -> Iterator[Callable[[EvaluationProgress], None]]:
        """A progress bar over answers, with the time left and what is spent; its speed is that of this run alone."""
        with Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=self.err,
            transient=True,
            disable=self.quiet or not self.err.is_terminal,
        ) as progress:
            task = progress.add_task("asking", total=None, state="")

            def show(at: EvaluationProgress) -> None:
                progress.update(
                    task,
                    completed=at.done - at.resumed,
                    total=at.total - at.resumed,
                    state=f"{at.done:,}/{at.total:,} answers · ${at.spent_usd:.4f} ·",
                )

            yield show

    @contextlib.contextmanager
    def answering(self) -> Iterator[Callable[[Mapping[str, Any]], None]]:
        """A status line that follows the events of a run."""
        if self.quiet or not self.err.is_terminal:
            yield lambda event: None
            return
        with self.err.status(plain("routing the question")) as status:

            def show(event: Mapping[str, Any]) -> None:
                if (text := status_of(event)) is not None:
                    status.update(plain(text))

            yield show

    def tell_indexed(self, report: AddReport, sources: Sources, where: object, *, most_named: int = 3) -> None:
        """One line on what became of the files, and the skipped ones by name."""
        parts = [
            (report.new, "new"),
            (report.changed, "changed"),
            (report.unchanged, "unchanged"),
            (report.pruned, "removed"),
        ]
        counts = ", ".join(f"{count:,} {name}" for count, name in parts if count) or "no files"
        speed = f", {report.chunks:,} chunks" if report.chunks else ""
        self.note(f"Index {where}: {counts} ({sources.chars:,} characters{speed}, {report.seconds:.1f} s).")
        if report.resumed:
            self.note(f"{report.resumed:,} documents of an interrupted run were finished first.")
        self.tell_skipped(sources, most_named=most_named)

    def tell_skipped(self, sources: Sources, *, most_named: int = 3) -> None:
        """The files that were left out, by name."""
        if sources.skipped:
            shown = "; ".join(f"{path}: {reason}" for path, reason in sources.skipped[:most_named])
            more = f"; and {len(sources.skipped) - most_named:,} more" if len(sources.skipped) > most_named else ""
            self.note(
                f"{len(sources.skipped):,} file{'' if len(sources.skipped) == 1 else 's'} left out ({shown}{more})."
            )

    # --- ending ---

    @contextlib.contextmanager
    def errors_shown(self) -> Iterator[None]:
        """Turns what can go wrong into one plain message and an exit code."""
        try:
            with self._warnings_as_notes():
                yield
        except RLMError as error:
            bad_input = isinstance(error, InvalidInput | InvalidFilter | PatternError | MissingDependency)
            self._fail(type(error).__name__, str(error), USAGE if bad_input else FAILED)
        except KeyboardInterrupt:
            self._fail(
                "Interrupted",
                "interrupted. The index stays usable, and the next run continues where this one stopped.",
                INTERRUPTED,
            )
        except BrokenPipeError:  # `| head`: nobody reads on, which is no error
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        except OSError as error:
            self._fail(
                "OSError", f"{error.strerror or error}: {error.filename}" if error.filename else str(error), FAILED
            )

    def _fail(self, kind: str, message: str, code: int) -> None:
        if self.as_json:
            self.print_json({"error": {"type": kind, "message": message, "exit_code": code}})
        else:
            line = clean(message)
            if line[1:2].islower():  # our messages begin in lower case, those of libraries do not
                line = line[0].lower() + line[1:]
            self.err.print(plain(f"langgraph-rlm: {line}", "red"), soft_wrap=not self.err.is_terminal)
        raise typer.Exit(code) from None

    @contextlib.contextmanager
    def _warnings_as_notes(self) -> Iterator[None]:
        told = set[str]()

        def show(message: Warning | str, category: type[Warning], *where: Any, **options: Any) -> None:
            text = str(message)
            if category.__module__.startswith("langgraph_rlm.") and text not in told:
                told.add(text)
                self.note(f"Note: {text}")

        with warnings.catch_warnings():
            warnings.simplefilter("once", UnknownPriceWarning)
            warnings.showwarning = show
            yield
