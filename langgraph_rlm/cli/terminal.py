"""What the commands show while they work, and how they end: progress, status, notes, errors, exit codes."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from langgraph_rlm.budget import UnknownPriceWarning
from langgraph_rlm.cli.cleaning import clean
from langgraph_rlm.cli.exits import Exit, exit_of_error
from langgraph_rlm.cli.progress import Lines
from langgraph_rlm.cli.render import left_out_line, plain
from langgraph_rlm.cli.sources import Sources
from langgraph_rlm.cli.wording import worded
from langgraph_rlm.corpus.ingest.reports import AddProgress, AddReport
from langgraph_rlm.errors import RLMError
from langgraph_rlm.evaluation.running import Progress as EvaluationProgress
from langgraph_rlm.server.progress import progress_line

Show = Callable[[str, float], None]
"""Told what goes on and which share of it is done; 0 when that is not known."""


class Terminal:
    """Where a command writes: results to stdout; notes, progress and errors to stderr.

    Args:
        as_json: one JSON object is all that goes to stdout.
        quiet: no notes and no progress; errors still are shown.
        verbose: every step is told, and an unexpected error with all that Python says of it.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False, verbose: bool = False) -> None:
        for stream in (sys.stdout, sys.stderr):
            if (reconfigure := getattr(stream, "reconfigure", None)) is not None:
                reconfigure(errors="replace")  # a terminal that is not UTF-8 still shows the rest
        self.as_json, self.quiet, self.verbose = as_json, quiet, verbose
        self.out = Console(stderr=as_json, highlight=False, markup=False, emoji=False, soft_wrap=False)
        self.err = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self.when_interrupted = ""
        """What Ctrl-C leaves behind, in one sentence; the commands say it for what they are doing."""
        self.hint_for: Callable[[BaseException], str] = lambda error: ""
        """What to add to the message of an error."""

    def note(self, text: str) -> None:
        """One line on what is going on."""
        if not self.quiet:
            self.err.print(plain(text, "dim"), soft_wrap=not self.err.is_terminal)

    def print_json(self, value: Mapping[str, Any]) -> None:
        """The machine-readable result, ASCII only so that every pipe carries it; JSON has no NaN, so it is null."""
        sys.stdout.write(json.dumps(_finite(value), allow_nan=False) + "\n")
        sys.stdout.flush()

    # --- waiting ---

    @contextlib.contextmanager
    def indexing(self, sources: Sources) -> Iterator[Callable[[AddProgress], None]]:
        """Progress over the characters of the files, since chunks take time and files differ in size."""
        with self._shown("indexing") as show:
            written, chunks = 0, 0.0

            def tell(sources: Sources) -> None:
                speed = f" · {chunks:,.0f} chunks/s" if chunks else ""
                show(
                    f"{min(sources.documents, sources.files):,} of {sources.files:,} files{speed}",
                    written / max(1, sources.expected_chars, written),
                )

            def on_progress(state: AddProgress) -> None:
                nonlocal written, chunks
                written, chunks = state.chars, state.chunks / state.seconds if state.seconds > 0 else 0.0
                tell(sources)

            sources.on_read = tell
            yield on_progress

    @contextlib.contextmanager
    def reading(self, sources: Sources) -> Iterator[None]:
        """Progress over the bytes of files that are only read."""
        with self._shown("reading") as show:
            sources.on_read = lambda at: show(
                f"{at.documents:,} of {at.files:,} files", at.bytes_read / max(1, at.bytes)
            )
            yield

    @contextlib.contextmanager
    def evaluating(self) -> Iterator[Callable[[EvaluationProgress], None]]:
        """Progress over answers, with the time left and what is spent; its speed is that of this run alone."""
        with self._shown("asking") as show:

            def on_progress(at: EvaluationProgress) -> None:
                done, total = at.done - at.resumed, at.total - at.resumed
                show(f"{at.done:,}/{at.total:,} answers · ${at.spent_usd:.4f}", done / max(1, total))

            yield on_progress

    @contextlib.contextmanager
    def _shown(self, what: str) -> Iterator[Show]:
        """A bar in a terminal, a line every few seconds elsewhere, nothing when it is to be quiet."""
        if self.quiet:
            yield lambda text, share: None
        elif self.err.is_terminal:
            columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=None))
            left = (TextColumn("{task.fields[text]} ·"), TimeRemainingColumn(elapsed_when_finished=True))
            with Progress(*columns, *left, console=self.err, transient=True) as progress:
                task = progress.add_task(what, total=1.0, text="")
                yield lambda text, share: progress.update(task, completed=share, text=text)
        else:
            with Lines(self.note) as lines:
                lines.show(what)
                yield lambda text, share: lines.show(f"{what}: {text}{f' · {share:.0%}' if share else ''}", share)

    @contextlib.contextmanager
    def answering(self) -> Iterator[Callable[[Mapping[str, Any]], None]]:
        """The state of a run while one waits: a status line in a terminal, a line every few seconds elsewhere."""
        first = "routing the question"
        if self.quiet:
            yield lambda event: None
            return
        with contextlib.ExitStack() as stack:
            if self.err.is_terminal:
                status = stack.enter_context(self.err.status(plain(first)))

                def show(text: str) -> None:
                    status.update(plain(text))
            else:
                lines = stack.enter_context(Lines(self.note))
                show = lines.show
                show(first)

            def on_event(event: Mapping[str, Any]) -> None:
                if (text := progress_line(event)) is not None:
                    show(text)
                    if self.verbose:
                        self.note(text)

            yield on_event

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
            self.note(left_out_line(len(sources.skipped), sources.skipped, most_named=most_named))

    # --- ending ---

    @contextlib.contextmanager
    def errors_shown(self) -> Iterator[None]:
        """Turns what can go wrong into one plain message and an exit code."""
        try:
            with self._logs_cleaned(), self._warnings_as_notes():
                yield
        except RLMError as error:
            self._fail(error, worded(str(error)))
        except KeyboardInterrupt as error:
            self._fail(error, " ".join(filter(None, ("interrupted.", self.when_interrupted))), kind="Interrupted")
        except OSError as error:
            said = f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
            self._fail(error, said, kind="OSError")
        except (typer.Exit, typer.Abort, typer.BadParameter):
            raise
        except Exception as error:  # noqa: BLE001 - a user gets one message and an exit code, and may ask for the rest
            if self.verbose:
                self.err.print(plain("".join(traceback.format_exception(error))), soft_wrap=True)
            said = " ".join(str(error).split())[:500]
            more = "" if self.verbose else " --verbose shows where."
            self._fail(error, f"unexpected {type(error).__name__}{f': {said}' if said else ''}.{more}")

    def _fail(self, error: BaseException, message: str, *, kind: str = "") -> None:
        code = exit_of_error(error)
        if code != Exit.INTERRUPTED and (hint := self.hint_for(error)):
            message = f"{message.rstrip('.')}. {hint}"
        if self.as_json:
            told = {"type": kind or type(error).__name__, "category": _category(error, code), "message": message}
            self.print_json({"error": {**told, "exit_code": int(code)}})
        else:
            line = clean(message)
            if line[1:2].islower():  # our messages begin in lower case, those of libraries do not
                line = line[0].lower() + line[1:]
            self.err.print(plain(f"langgraph-rlm: {line}", "red"), soft_wrap=not self.err.is_terminal)
        raise typer.Exit(code) from None

    @contextlib.contextmanager
    def _logs_cleaned(self) -> Iterator[None]:
        """What libraries log may quote files: it is shown on demand, and never as it stands."""

        class Cleaned(logging.Handler):
            def emit(handler, record: logging.LogRecord) -> None:
                if self.verbose:
                    self.note(f"{record.name}: {record.getMessage()}")

        handler = Cleaned(logging.WARNING)
        logging.getLogger().addHandler(handler)
        try:
            yield
        finally:
            logging.getLogger().removeHandler(handler)

    @contextlib.contextmanager
    def _warnings_as_notes(self) -> Iterator[None]:
        told = set[str]()

        def show(message: Warning | str, category: type[Warning], *where: Any, **options: Any) -> None:
            text = worded(str(message))
            if category.__module__.startswith("langgraph_rlm.") and text not in told:
                told.add(text)
                self.note(f"Note: {text}")

        with warnings.catch_warnings():
            warnings.simplefilter("once", UnknownPriceWarning)
            warnings.showwarning = show
            yield


def _category(error: BaseException, code: Exit) -> str:
    """``auth``, ``rate_limited``, … of a model's error, else ``usage``, ``limit``, ``interrupted`` or ``failed``."""
    category = getattr(error, "category", None)
    return category if isinstance(category, str) else code.name.lower()


def _finite(value: Any) -> Any:
    """``value`` as JSON has it: no NaN, no infinity, keys that are texts; what JSON does not know as its text."""
    if isinstance(value, Mapping):
        return {str(key): _finite(held) for key, held in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_finite(held) for held in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int | bool) else str(value)
