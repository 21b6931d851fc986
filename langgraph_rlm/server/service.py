"""A corpus and the questions about it, as a server hands them out: every result bounded, every owner apart."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from langgraph_rlm.corpus import Corpus
from langgraph_rlm.corpus.files.loaders import load_paths
from langgraph_rlm.corpus.finding.modes import Mode
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.graphs.graph import RLMGraph
from langgraph_rlm.server.replies import Documents, Loaded, Matches, Routes, Text
from langgraph_rlm.server.run_records import Asked
from langgraph_rlm.server.runs import DurableRuns, Kept
from langgraph_rlm.text import ContextStore
from langgraph_rlm.threads import in_thread
from langgraph_rlm.tools.replies import of_documents, of_hits, of_text
from langgraph_rlm.types import ContextRef

MOST_LOADED_BYTES = 1_000_000_000
"""Of one file: what ``load_paths`` takes where a file is named itself."""
_MATCH = ("doc_id", "line", "start", "end", "text")


class Service:
    """Made by :meth:`opened`.

    Args:
        corpus: what is searched.
        runs: the questions.
        allowed: folders below which files may be loaded; none when empty.
    """

    def __init__(self, corpus: Corpus, runs: DurableRuns, allowed: Sequence[Path] = ()) -> None:
        self.runs = runs
        self._corpus = corpus
        self._allowed = [Path(os.path.realpath(folder)) for folder in allowed]

    @classmethod
    @asynccontextmanager
    async def opened(
        cls,
        open_corpus: Callable[[], Corpus],
        make_graph: Callable[[Corpus, Kept], RLMGraph],
        directory: Path,
        *,
        allowed: Sequence[Path] = (),
    ) -> AsyncIterator[Service]:
        """A corpus, opened here and closed here, with its runs.

        Args:
            open_corpus: opens it.
            make_graph: the graph that answers, from the corpus and what keeps its runs.
            directory: where runs are kept.
            allowed: as above.

        Raises:
            RLMError: the corpus or the directory cannot be used.
        """
        with closing(await in_thread(open_corpus)) as corpus:
            async with DurableRuns.opened(directory, lambda kept: make_graph(corpus, kept)) as runs:
                yield cls(corpus, runs, allowed)

    async def search(self, query: str, k: int, mode: Mode, where: Mapping[str, Any] | None = None) -> Matches:
        """The best passages: ``matches``, ``count``, ``complete``."""
        hits = await self._corpus.aretrieve(query, k, mode, where=where)
        return _matches(hits, seen=len(hits), complete=True)

    async def grep(self, owner: str, pattern: str, source: str | None, max_matches: int, ignore_case: bool) -> Matches:
        """Lines that match: ``matches``, ``count``, ``complete``.

        Args:
            owner: whose loaded texts may be looked at.
            pattern: a regular expression.
            source: id of a document, or reference of a loaded text; None for the corpus.
            max_matches: at most.
            ignore_case: upper and lower case are the same.
        """
        if (ref := await self.loaded(owner, source)) is not None:
            hits = await self._contexts(owner).agrep(ref, pattern, max_matches=max_matches, ignore_case=ignore_case)
        else:
            documents = None if source is None else [source]
            hits = await self._corpus.agrep(
                pattern, documents=documents, max_matches=max_matches, ignore_case=ignore_case
            )
        return _matches(hits, seen=hits.seen, complete=hits.complete)

    async def read(self, owner: str, source: str, start: int, end: int | None) -> Text:
        """A piece of a document or of a loaded text: ``text``, ``start``, ``end``, ``complete``."""
        if (ref := await self.loaded(owner, source)) is not None:
            contexts = self._contexts(owner)
            text = "".join(
                [await contexts.aread(ref, doc_id, start, end) for doc_id in (await contexts.adocuments(ref))[:1]]
            )
        else:
            text = await self._corpus.aread(source, start, end)
        read = of_text(text, start, source).artifact
        return Text(text=read["text"], start=read["start"], end=read["end"], complete=read["complete"])

    async def list_documents(self, where: Mapping[str, Any] | None) -> Documents:
        """The documents of the corpus: ``documents``, ``count``, ``complete``."""
        listed = of_documents(await self._corpus.alist_documents(where)).artifact
        return Documents(documents=listed["documents"], count=listed["count"], complete=listed["complete"])

    async def load(self, owner: str, path: str) -> Loaded:
        """Put a file where questions can refer to it: ``context``, ``chars``, ``documents``.

        Raises:
            InvalidInput: it is not below a folder that was allowed, is no plain file, or holds no text.
        """
        ref = await in_thread(self._put, owner, path)
        return Loaded(context=ref["context_ref"], chars=ref["chars"], documents=ref["docs"])

    async def estimate(self, asked: Asked) -> Routes:
        """What a question may take, see :meth:`RLMGraph.estimate`."""
        return Routes(routes=dict((await in_thread(self.runs.estimate, asked))["routes"]))

    async def asked(
        self, owner: str, question: str, context: str | None, limits: Mapping[str, Any] | None = None
    ) -> Asked:
        """A question, checked.

        Raises:
            InvalidInput: it is empty.
            ContextMissing: the owner has loaded no such text.
        """
        if not question.strip():
            raise InvalidInput("the question is empty")
        ref = await self.loaded(owner, context)
        if context is not None and ref is None:
            raise InvalidInput(f"context: expected what load has returned (sha256:…), got {context!r:.80}")
        return Asked(question, ref, {"limits": dict(limits)} if limits else {})

    async def loaded(self, owner: str, source: str | None) -> ContextRef | None:
        """The text that an owner has loaded under a reference; None for what is no reference.

        Raises:
            ContextMissing: there is none.
        """
        if source is None or not source.startswith("sha256:"):
            return None
        return await self._contexts(owner).aput({"context_ref": source})

    def _contexts(self, owner: str) -> ContextStore:
        return self.runs.contexts_of(owner)

    def _put(self, owner: str, path: str) -> ContextRef:
        skipped: list[str] = []
        with tempfile.TemporaryDirectory() as folder:
            copied = Path(folder) / Path(path).name
            with os.fdopen(self._opened_file(path), "rb") as source, copied.open("wb") as target:
                shutil.copyfileobj(source, target)
            documents = list(
                load_paths([copied], on_skip=lambda file: skipped.append(file.reason), max_file_bytes=MOST_LOADED_BYTES)
            )
        if not documents:
            raise InvalidInput(f"{path!r:.200} holds no text that can be read: {'; '.join(skipped) or 'it is empty'}")
        return self._contexts(owner).put(documents if len(documents) > 1 else documents[0].page_content)

    def _opened_file(self, path: str) -> int:
        """The descriptor of a plain file below an allowed folder, reached without following any link on the way."""
        if not self._allowed:
            raise InvalidInput("no file may be loaded: the server was started without --allow DIR")
        for folder in self._allowed:
            parts = _below(folder, path)
            if parts is None:
                continue
            try:
                return _walked(folder, parts)
            except OSError as error:
                reason = "it is or leads through a link" if error.errno == 40 else error.strerror
                raise InvalidInput(f"{path!r:.200} cannot be loaded: {reason}") from None
        allowed = ", ".join(map(str, self._allowed))
        raise InvalidInput(f"{path!r:.200} is not below a folder that may be read: {allowed}")


def _below(folder: Path, path: str) -> list[str] | None:
    """The parts of a path below a folder; None for one that is elsewhere. A relative path is meant below the folder."""
    if "\0" in path or not path.strip():
        return None
    whole = os.path.normpath(folder / Path(path).expanduser()) if ".." not in Path(path).parts else ""
    if not whole.startswith(f"{str(folder).rstrip('/')}/"):
        return None
    return list(Path(whole).relative_to(folder).parts)


def _walked(folder: Path, parts: Sequence[str]) -> int:
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
            os.close(at)
            at = below
        # Without O_NONBLOCK the opening of a named pipe would wait for a writer.
        file = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
    finally:
        os.close(at)
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode) or status.st_size > MOST_LOADED_BYTES:
        os.close(file)
        what = "it is no plain file" if not stat.S_ISREG(status.st_mode) else f"it has {status.st_size:,} bytes"
        raise InvalidInput(f"{'/'.join(parts)!r:.200} cannot be loaded: {what}")
    return file


def _matches(hits: Sequence[Mapping[str, Any]], *, seen: int, complete: bool) -> Matches:
    found = of_hits(hits, seen=seen, complete=complete).artifact
    matches = [{name: match[name] for name in _MATCH} for match in found["matches"]]
    return Matches(matches=matches, count=found["count"], complete=found["complete"])
