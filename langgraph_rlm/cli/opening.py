"""Opens what ``--docs`` and ``--index`` name, and says what became of the files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from langgraph_rlm.cli.cleaning import one_line
from langgraph_rlm.cli.sources import (
    MOST_FILE_BYTES,
    Skipped,
    Sources,
    alone,
    build_index,
    cache_for,
    left_out,
    open_index,
)
from langgraph_rlm.cli.terminal import Terminal
from langgraph_rlm.corpus import Corpus, Words
from langgraph_rlm.corpus.ingest.reports import AddReport
from langgraph_rlm.errors import InvalidInput

CONTINUES = "The index stays usable, and the same command goes on where this one stopped."


def check_further(paths: list[Path] | None, docs: list[Path] | None) -> None:
    """Further arguments are paths only behind ``--docs``; mostly they are the rest of a question without quotes.

    Raises:
        InvalidInput: such a rest.
    """
    for path in paths or []:
        shown = one_line(str(path))
        if not docs:
            raise InvalidInput(
                f"unexpected {shown!r}: put the question or pattern in quotes, and name paths with --docs"
            )
        if not path.exists():
            raise InvalidInput(f"there is no file or folder {shown!r}; a question of several words needs quotes")


def check_one_source(docs: list[Path], index: Path | None) -> None:
    """Either ``--docs`` or ``--index``.

    Raises:
        InvalidInput: both or none.
    """
    if docs and index is not None:
        raise InvalidInput("give --docs or --index, not both: --index takes an index as it is, --docs makes its own")
    if not docs and index is None:
        raise InvalidInput("nothing to ask about: give --docs PATH or --index DIR")


@contextmanager
def opened(
    terminal: Terminal, docs: list[Path], index: Path | None, max_file_bytes: int = MOST_FILE_BYTES
) -> Iterator[tuple[Corpus, tuple[int, Skipped]]]:
    """The corpus of ``--docs`` or ``--index``, and the files that it lacks: how many, and those that are known by name."""
    check_one_source(docs, index)
    if index is not None:
        with open_index(index) as corpus:
            yield corpus, left_out(index)
        return
    sources = Sources(docs, max_file_bytes=max_file_bytes)
    corpus, _ = built(terminal, sources, cache_for(docs), prune=True, wait=True)
    with corpus:
        yield corpus, (len(sources.skipped), sources.skipped)


def built(
    terminal: Terminal,
    sources: Sources,
    where: Path,
    *,
    prune: bool,
    words: Words | None = None,
    most_named: int = 3,
    wait: bool = False,
) -> tuple[Corpus, AddReport]:
    """The index in ``where``, up to date; ``wait``: until another command has done the same, instead of failing."""
    terminal.when_interrupted = CONTINUES
    with alone(where) if wait else nullcontext(), terminal.indexing(sources) as on_progress:
        corpus, report = build_index(where, sources, prune=prune, words=words, on_progress=on_progress)
    terminal.when_interrupted = ""
    terminal.tell_indexed(report, sources, one_line(str(where)), most_named=most_named)
    return corpus, report
