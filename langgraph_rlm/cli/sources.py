"""The files that are asked about: read one after the other, and kept as an index that is brought up to date."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from langchain_core.documents import Document
from typing_extensions import TypedDict

from langgraph_rlm.cli.cleaning import one_line
from langgraph_rlm.corpus import Corpus, Words
from langgraph_rlm.corpus.files.loaders import load_paths
from langgraph_rlm.corpus.ingest.reports import AddProgress, AddReport
from langgraph_rlm.errors import EmptyCorpus, InvalidInput

HOME = Path(".langgraph_rlm")
"""Where indexes are kept that nobody asked to put elsewhere, below the current folder."""
MOST_FILE_BYTES = 100_000_000
"""Default of ``--max-file-bytes``: reading and indexing a text takes several times its size in memory."""
LEFT_OUT = "left_out.json"
"""Which files an index lacks, in the directory of the index."""
_LEFT_OUT_VERSION = 1
_MOST_KEPT = 1_000
"""Files named in that record, for each set of paths."""

Skipped = list[tuple[str, str]]
"""``(path, reason)`` of files that were left out, both fit for a terminal."""


class Sources:
    """The text files at and below some paths, read while they are iterated: no more than one is in memory.

    Args:
        paths: files and folders.
        include, exclude: glob patterns of names to read (all when empty) and to leave out.
        max_file_bytes: larger files are left out.

    Raises:
        InvalidInput: a path does not exist; while it is iterated also when there is no readable text at all.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        max_file_bytes: int = MOST_FILE_BYTES,
    ) -> None:
        paths = [_expanded(path) for path in paths]
        for path in paths:
            if not _exists(path):
                raise InvalidInput(f"there is no file or folder {one_line(str(path))!r}")
        self.paths = paths
        self._loaded = load_paths(paths, include=include, exclude=exclude, max_file_bytes=max_file_bytes)
        self.files, self.bytes = self._loaded.measure()
        self.documents = self.chars = 0
        self.skipped: Skipped = []
        self.on_read: Callable[[Sources], None] = lambda sources: None
        """Told after each document how far it is."""

    def __iter__(self) -> Iterator[Document]:
        self.documents = self.chars = 0
        self.skipped = []
        for document in self._loaded:
            name = document.id or ""
            if one_line(name) != name:
                self.skipped.append((one_line(name), "its name holds control characters"))
                continue
            self.documents += 1
            self.chars += len(document.page_content)
            self.on_read(self)
            yield document
        self.skipped += [(one_line(f.path), _hinted(f.reason)) for f in self._loaded.skipped]
        if not self.documents:
            raise InvalidInput(f"there is no text to read in {', '.join(one_line(str(path)) for path in self.paths)}")

    @property
    def bytes_read(self) -> int:
        """Of :attr:`bytes`, those of the files that were read."""
        return self._loaded.bytes_read

    @property
    def expected_chars(self) -> int:
        """Characters of all files, estimated from those that were read."""
        return int(self.bytes * self.chars / self.bytes_read) if self.bytes_read else self.bytes


def cache_for(paths: Sequence[Path]) -> Path:
    """The index of ``--docs``: one for each set of paths, so that a second question is fast.

    Below :data:`HOME`, or in the user's cache directory where the current folder cannot be written to.
    """
    names = "\n".join(sorted({str(_expanded(path).resolve()) for path in paths}))
    name = f"docs-{hashlib.sha256(names.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}"
    if not os.access(HOME if HOME.exists() else ".", os.W_OK | os.X_OK) and (cache := user_cache()) is not None:
        return cache / name
    return HOME / name


def user_cache() -> Path | None:
    """The user's cache directory of this program (``XDG_CACHE_HOME``), or None when there is no home; not made here."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if given.is_absolute():  # the standard has relative ones ignored
        return given / "langgraph-rlm"
    try:
        return Path.home() / ".cache" / "langgraph-rlm"
    except RuntimeError:
        return None


def build_index(
    directory: Path,
    sources: Sources,
    *,
    prune: bool,
    words: Words | None = None,
    on_progress: Callable[[AddProgress], None] | None = None,
) -> tuple[Corpus, AddReport]:
    """Open or make the index in ``directory`` and bring it up to date with the files; unchanged ones cost a look-up."""
    documents = iter(sources)
    first = next(documents)  # before anything is made: there may be nothing to read
    _keep_out_of_git(directory)
    corpus = Corpus.open(f"chroma:{directory}", words=words)
    try:
        report = corpus.add(chain([first], documents), on_progress=on_progress, prune=prune)
        _record_left_out(directory, sources, only=prune)
        return corpus, report
    except BaseException:
        corpus.close()
        raise


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Wait for other commands that bring the same index of ``--docs`` up to date."""
    directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with directory.with_name(f"{directory.name}.lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def open_index(directory: Path) -> Corpus:
    """An index that is there already.

    Raises:
        CorpusError: it is not there, or holds no document.
    """
    corpus = Corpus.open(f"chroma:{directory}", create=False)
    if not corpus.count():
        corpus.close()
        raise EmptyCorpus(
            f"the index in {directory} holds no document: fill it with `langgraph-rlm index PATH --index {directory}`"
        )
    return corpus


def left_out(directory: Path) -> tuple[int, Skipped]:
    """How many files an index was made without, and those that were recorded by name."""
    kept = _kept(directory)
    files = [(one_line(path), one_line(reason)) for entry in kept.values() for path, reason in entry["files"]]
    return sum(entry["count"] for entry in kept.values()), files


def _record_left_out(directory: Path, sources: Sources, *, only: bool) -> None:
    """Keep beside the index what was not read, one record for each set of paths; ``only``: it has no others."""
    kept = {} if only else _kept(directory)
    key = "\n".join(sorted(str(path.resolve()) for path in sources.paths))
    kept.pop(key, None)
    if sources.skipped:
        kept[key] = _Entry(count=len(sources.skipped), files=sources.skipped[:_MOST_KEPT])
    path = directory / LEFT_OUT
    if kept:
        unfinished = path.with_name(f"{LEFT_OUT}.{os.getpid()}")
        unfinished.write_text(json.dumps({"version": _LEFT_OUT_VERSION, "sources": kept}))
        unfinished.replace(path)
    else:
        path.unlink(missing_ok=True)


class _Entry(TypedDict):
    count: int
    files: Skipped


def _kept(directory: Path) -> dict[str, _Entry]:
    try:
        read = json.loads((directory / LEFT_OUT).read_text())
        if read["version"] != _LEFT_OUT_VERSION:
            return {}
        return {
            str(key): _Entry(count=int(entry["count"]), files=[(str(path), str(why)) for path, why in entry["files"]])
            for key, entry in read["sources"].items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}  # it is a note and nothing else: an index without one, or with a damaged one, is still good


def _hinted(reason: str) -> str:
    return one_line(reason + " (--max-file-bytes)" if "bytes, more than" in reason else reason)


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:  # ~nobody
        return path


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long, or holds a NUL
        return False


def _keep_out_of_git(directory: Path) -> None:
    """A ``.gitignore`` in :data:`HOME`, where an index is made there: it is a copy of the user's files."""
    if HOME.resolve() in directory.resolve().parents:
        HOME.mkdir(parents=True, exist_ok=True)
        ignore = HOME / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")
