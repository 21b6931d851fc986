"""Contexts and corpora as files of deepagents: its own eviction, ``read_file`` and ``grep`` then use our store."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import TypeVar

from langchain_core.runnables import RunnableConfig
from langgraph.config import get_config

from langgraph_rlm.calls.files import FileNames
from langgraph_rlm.calls.memo import Memo, RunId, thread_digest
from langgraph_rlm.calls.memo_files import memo_for
from langgraph_rlm.corpus import Corpus
from langgraph_rlm.errors import InvalidInput, MissingDependency, RLMError
from langgraph_rlm.runs.contexts import ContextsLike, check_contexts
from langgraph_rlm.runs.run import OpenRun, new_id
from langgraph_rlm.runs.runtime import Runtime
from langgraph_rlm.text import ContextStore
from langgraph_rlm.types import ContextRef

try:
    from deepagents.backends.protocol import (
        BackendProtocol,
        DeleteResult,
        EditResult,
        FileDownloadResponse,
        FileInfo,
        FileUploadResponse,
        GlobResult,
        GrepMatch,
        GrepResult,
        LsResult,
        ReadResult,
        WriteResult,
    )
    from deepagents.backends.utils import (
        InvalidGlobPatternError,
        compile_grep_include_glob,
        create_file_data,
        normalize_read_bounds,
        perform_string_replacement,
    )
except ImportError as error:
    raise MissingDependency('ContextBackend needs deepagents: pip install "langgraph-rlm[deepagents]"') from error

R = TypeVar("R")
_MOST_MATCHES = 1_000
"""Of one ``grep`` that names no number: an agent's tool shows a few hundred lines at most."""
_SEARCH_SECONDS = 10.0
"""Deepagents gives a ``grep`` 15 seconds."""


class ContextBackend(BackendProtocol):
    """A backend of deepagents over a :class:`ContextStore`, or over a :class:`Corpus`, which is read-only.

    Files are kept once, by their content, outside of the agent's state and checkpoints. They belong to the thread and to the
    tenant: a run without a ``thread_id`` can write none, but inside of an agent made by ``interning_agent``.

    Args:
        contexts: where files are stored, or a function of the config that gives the store.
        corpus: whose documents are files; then ``contexts`` is left out.
        name: tells several backends over one store apart; the files of each are its own.
        memo: where names of files are kept: beside the contexts when None.

    Raises:
        InvalidInput: neither or both of ``contexts`` and ``corpus``; an argument cannot be used.

    Example:
        >>> from deepagents.backends import CompositeBackend, StateBackend
        >>> from langgraph_rlm import ContextStore
        >>> evicted = ContextBackend(ContextStore())
        >>> backend = CompositeBackend(StateBackend(), {"/large_tool_results/": evicted, "/conversation_history/": evicted})
    """

    def __init__(
        self,
        contexts: ContextsLike | None = None,
        *,
        corpus: Corpus | None = None,
        name: str = "files",
        memo: Memo | None = None,
    ) -> None:
        if (contexts is None) == (corpus is None):
            raise InvalidInput("ContextBackend: give either contexts= or corpus=")
        check_contexts(contexts)
        if corpus is not None and not isinstance(corpus, Corpus):
            raise InvalidInput(f"corpus: expected a Corpus, got {type(corpus).__name__}")
        self._contexts, self._corpus, self._name = contexts, corpus, name
        self._names = FileNames(memo_for(memo, contexts if isinstance(contexts, ContextStore) else None))
        self._lock = threading.Lock()

    def ls(self, path: str) -> LsResult:
        """The files and folders right below a path."""

        def listed() -> LsResult:
            entries: dict[str, FileInfo] = {}
            for file, size in self._sizes(path):
                rest = file.removeprefix(_folder(path))
                below, _, more = rest.partition("/")
                if more:
                    entries[below] = FileInfo(path=f"{_folder(path)}{below}/", is_dir=True)
                else:
                    entries[below] = FileInfo(path=file, is_dir=False, size=size)
            return LsResult(entries=[entries[name] for name in sorted(entries)])

        return _told(listed, lambda words: LsResult(error=words))

    def read(self, file_path: str, offset: int = 0, limit: int = 2000) -> ReadResult:
        """Some lines of a file; no more of it is loaded."""

        def reading() -> ReadResult:
            first, most = normalize_read_bounds(offset, limit)
            if not most:
                return ReadResult(file_data=create_file_data(""), no_lines_requested=True)
            if self._corpus is not None:
                lines = self._corpus.read(self._document(file_path)).splitlines(keepends=True)
                total, text = len(lines), "".join(lines[first : first + most])
            else:
                contexts, ref = self._found(file_path)
                total = contexts.count_lines(ref)
                text = contexts.lines(ref, first + 1, first + most) if first < total else ""
            if first >= total:
                return ReadResult(error=f"Line offset {first} exceeds file length ({total} lines)")
            last = min(first + most, total)
            data = create_file_data(text.replace("\r\n", "\n").replace("\r", "\n"))
            more = last if last < total else None
            return ReadResult(
                file_data=data, total_lines=total, start_line=first + 1, end_line=last, next_offset=more
            )  # fmt: skip

        return _told(reading, lambda words: ReadResult(error=words))

    def grep(
        self, pattern: str, path: str | None = None, glob: str | None = None, *, max_count: int | None = None
    ) -> GrepResult:
        """Lines with a literal text, one match per line."""

        def searched() -> GrepResult:
            most = _MOST_MATCHES if max_count is None else max_count
            wanted = [file for file, _ in self._sizes(path, glob)]
            matches, complete = list[GrepMatch](), True
            for file, line, text in self._hits(pattern, wanted, most + 1):
                if matches and (matches[-1]["path"], matches[-1]["line"]) == (file, line):
                    continue
                if len(matches) == most:
                    complete = False
                    break
                matches.append(GrepMatch(path=file, line=line, text=text))
            return GrepResult(matches=matches, truncated=not complete)

        return _told(searched, lambda words: GrepResult(error=words))

    def glob(self, pattern: str, path: str | None = None) -> GlobResult:
        """The files whose path a pattern matches."""

        def found() -> GlobResult:
            return GlobResult(
                matches=[FileInfo(path=file, is_dir=False, size=size) for file, size in self._sizes(path, pattern)]
            )

        return _told(found, lambda words: GlobResult(error=words))

    def write(self, file_path: str, content: str) -> WriteResult:
        """Store a file, or another text under its path."""

        def written() -> WriteResult:
            self._give(file_path, content)
            return WriteResult(path=file_path)

        return _told(written, lambda words: WriteResult(error=words))

    def edit(self, file_path: str, old_string: str, new_string: str, replace_all: bool = False) -> EditResult:
        """Replace a text in a file."""

        def edited() -> EditResult:
            self._check_writable()
            with self._lock:  # two edits of one file: the second begins with what the first has made
                contexts, ref = self._found(file_path)
                new = perform_string_replacement(contexts.read(ref), old_string, new_string, replace_all)
                if isinstance(new, str):
                    return EditResult(error=new)
                self._give(file_path, new[0])
            return EditResult(path=file_path, occurrences=new[1])

        return _told(edited, lambda words: EditResult(error=words))

    def delete(self, file_path: str) -> DeleteResult:
        """Take the name of a file, or of all files below a path. Texts go by ``contexts.prune``."""

        def deleted() -> DeleteResult:
            self._check_writable()
            contexts, room, _ = self._place()
            files = self._names.of([room], contexts, {})
            gone = [name for name in files if name == file_path or name.startswith(_folder(file_path))]
            if not gone:
                return DeleteResult(error=f"Error: File '{file_path}' not found")
            self._names.take(room, gone)
            return DeleteResult(path=file_path)

        return _told(deleted, lambda words: DeleteResult(error=words))

    def upload_files(self, files: list[tuple[str, bytes]]) -> list[FileUploadResponse]:
        """Store files of UTF-8 text; any other is refused."""
        answers = []
        for path, data in files:
            try:
                answers.append(FileUploadResponse(path=path, error=self.write(path, data.decode()).error))
            except UnicodeDecodeError:
                answers.append(FileUploadResponse(path=path, error="it is no UTF-8 text, and only texts are kept here"))
        return answers

    def download_files(self, paths: list[str]) -> list[FileDownloadResponse]:
        """The whole text of files, as UTF-8."""

        def text_of(path: str) -> FileDownloadResponse:
            if self._corpus is not None:
                return FileDownloadResponse(path=path, content=self._corpus.read(self._document(path)).encode())
            contexts, ref = self._found(path)
            return FileDownloadResponse(path=path, content=contexts.read(ref).encode())

        def missing(path: str) -> Callable[[str], FileDownloadResponse]:
            return lambda words: FileDownloadResponse(path=path, error="file_not_found")

        return [_told(lambda path=path: text_of(path), missing(path)) for path in paths]  # type: ignore[misc]

    # --- whose files, and which ---

    def _place(self) -> tuple[ContextStore, RunId, bool]:
        """The store, where names are kept, and whether anything can be written."""
        config = _config()
        opened = OpenRun.of(config)
        given = self._contexts
        assert given is not None  # a corpus has no names
        runtime = Runtime.default()
        contexts = runtime.run(opened.contexts.of(given, config, runtime.face(is_async=False)), opened.stop)
        thread_id = config.get("configurable", {}).get("thread_id")
        if thread_id is None and OpenRun.of(config) is opened:  # one that lasts longer than this call
            opened.id = opened.id or new_id()
            thread_id = f"run {opened.id}"
        whose = "" if isinstance(given, ContextStore) else contexts.identity
        named = hashlib.sha256(f"{self._name}\n{thread_id}\n{whose}".encode("utf-8", "backslashreplace")).hexdigest()
        return contexts, RunId(thread_digest(thread_id), f"deepagents/{named[:32]}"), thread_id is not None

    def _found(self, file_path: str) -> tuple[ContextStore, ContextRef]:
        contexts, room, known = self._place()
        files = self._names.of([room], contexts, {}) if known else {}
        if file_path not in files:
            raise InvalidInput(f"File '{file_path}' not found")
        return contexts, files[file_path]

    def _give(self, file_path: str, content: str) -> None:
        self._check_writable()
        contexts, room, known = self._place()
        if not known:
            raise InvalidInput('a run without a thread keeps no files: config={"configurable": {"thread_id": …}}')
        if not PurePosixPath(file_path).is_absolute() or ".." in PurePosixPath(file_path).parts:
            raise InvalidInput(f"'{file_path}' is no absolute path")
        self._names.give(room, file_path, contexts.put(content))

    def _check_writable(self) -> None:
        if self._corpus is not None:
            raise InvalidInput("the documents of a corpus are read-only here")

    def _document(self, file_path: str) -> str:
        assert self._corpus is not None
        doc_id = file_path.removeprefix("/")
        return doc_id if self._corpus.holds(doc_id) or not self._corpus.holds(file_path) else file_path

    def _sizes(self, path: str | None, glob: str | None = None) -> Iterator[tuple[str, int]]:
        """Files below a path, or the one of that path, with their sizes."""
        below = _folder(path or "/")
        passes = compile_grep_include_glob(glob) if glob else None
        for file, size in self._all():
            if not file.startswith(below) and file != path:
                continue
            if passes is None or passes(file.removeprefix(below) if file != path else PurePosixPath(file).name):
                yield file, size

    def _all(self) -> Iterator[tuple[str, int]]:
        if self._corpus is not None:
            for entry in self._corpus.list_documents():
                yield _as_path(entry["doc_id"]), entry["chars"]
            return
        contexts, room, known = self._place()
        files: Mapping[str, ContextRef] = self._names.of([room], contexts, {}) if known else {}
        for name, ref in files.items():
            yield name, ref["chars"]

    def _hits(self, pattern: str, files: list[str], most: int) -> Iterator[tuple[str, int, str]]:
        if self._corpus is not None:
            ids = {self._document(file): file for file in files}
            if ids:
                for hit in self._corpus.search(
                    pattern, documents=list(ids), max_matches=most, deadline=_SEARCH_SECONDS
                ):
                    yield ids[hit["doc_id"]], hit["line"], hit["text"]
            return
        contexts, room, _ = self._place()
        named = self._names.of([room], contexts, {})
        for file in files:
            for hit in contexts.search(named[file], pattern, max_matches=most, deadline=_SEARCH_SECONDS):
                yield file, hit["line"], hit["text"]


def _told(work: Callable[[], R], failed: Callable[[str], R]) -> R:
    """What a method of a backend returns: it never raises what an agent can mend."""
    try:
        return work()
    except (RLMError, InvalidGlobPatternError) as error:
        return failed(str(error))


def _config() -> RunnableConfig:
    try:
        return get_config()
    except RuntimeError:  # by hand, outside of any graph
        return {}


def _folder(path: str) -> str:
    return path if path.endswith("/") else f"{path}/"


def _as_path(doc_id: str) -> str:
    return doc_id if doc_id.startswith("/") else f"/{doc_id}"
