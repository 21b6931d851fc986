"""Files: the names that a conversation has given to its texts, and what ``file=`` means wherever it is written.

A model never sees a reference, so it cannot invent one: it names a file, and only names of its own conversation are known.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, cast

from langgraph_rlm.calls.memo import Memo, RunId
from langgraph_rlm.corpus import Corpus
from langgraph_rlm.corpus.filters import passes, validate
from langgraph_rlm.errors import ContextMissing, InvalidInput, nearest
from langgraph_rlm.shortening import one_line, shortened
from langgraph_rlm.text import ContextStore
from langgraph_rlm.types import ContextRef

MOST_FILES = 1_000
"""Of one conversation: their names are read and written together."""
_SHOWN = 8
"""Names in an error."""
_NAME_CHARS = 200
_NO_NAME = re.compile(r"[\x00-\x1f\x7f*?\[\]]")
"""Control characters, and what would make a pattern of it."""
_GLOB = re.compile(r"[*?\[]")
_KEY = "files"
FILES_IN_STATE = "rlm_files"
"""The private key of an agent's state in which middleware keeps the files that it has stored: they go with the checkpoint.
In a message's ``additional_kwargs``: those that the message stands for."""


class FileNames:
    """Where the names of files are written down: in the memo, so that they last as long as it does.

    Args:
        memo: of the calls.
    """

    def __init__(self, memo: Memo) -> None:
        self._memo = memo
        self._lock = threading.Lock()
        self.durable = memo.durable
        """Whether looking a name up may have to wait for a disk."""

    def of(
        self, rooms: Sequence[RunId], contexts: ContextStore, stored: Mapping[str, ContextRef]
    ) -> dict[str, ContextRef]:
        """The files of these rooms, and those ``stored`` by middleware, that the store still holds; blocks."""
        named: dict[str, ContextRef] = dict(stored)
        for room in rooms:
            named |= self._written(room)
        return {name: ref for name, ref in named.items() if _is_held(contexts, ref)}

    def give(self, room: RunId, name: str, ref: ContextRef) -> None:
        """Give a text a name, or a name another text; blocks.

        Raises:
            InvalidInput: the room has too many files.
        """
        with self._lock:
            named = {**self._written(room), name: ref}
            if len(named) > MOST_FILES:
                raise InvalidInput(f"there are {MOST_FILES:,} files already; take one of their names again")
            self._memo.record(room, results={_KEY: {"named": cast(dict[str, Any], named)}})

    def take(self, room: RunId, names: Collection[str]) -> None:
        """Forget names; blocks. Their texts stay in the store."""
        with self._lock:
            left = {name: ref for name, ref in self._written(room).items() if name not in names}
            self._memo.record(room, results={_KEY: {"named": cast(dict[str, Any], left)}})

    def _written(self, room: RunId) -> dict[str, ContextRef]:
        found = self._memo.results(room, [_KEY]).get(_KEY)
        return {} if found is None else dict(found["named"])


def checked_name(name: str) -> str:
    """The name, when a file may have it.

    Raises:
        InvalidInput: it may not.
    """
    if not 0 < len(name) <= _NAME_CHARS or _NO_NAME.search(name) or name != name.strip():
        raise InvalidInput(
            f"filename: {shortened(repr(name))} is no name; give 1 to {_NAME_CHARS} characters without *, ?, [ and ]"
        )
    return name


@dataclass(frozen=True, slots=True)
class Place:
    """Where to look: some documents of one file, or of the corpus.

    Args:
        name: of the file; empty for the corpus.
        context: the file's text; None for the corpus.
        documents: ids to look at; None for all.
    """

    name: str
    context: ContextRef | None
    documents: Collection[str] | None

    def shown(self, doc_id: str) -> str:
        """The id by which a model knows a document of this place."""
        if self.context is None:
            return doc_id
        part = "" if doc_id == "context" else doc_id.removeprefix("context/")
        return f"{self.name}/{part}" if part else self.name

    def passes(self, where: Mapping[str, Any] | None, shown: str) -> bool:
        """Whether a filter lets a text of this file through: by its id as shown, or by the file's name; it has no metadata."""
        return not where or passes(where, shown, {}) or (shown != self.name and passes(where, self.name, {}))

    def narrowed(self, where: Mapping[str, Any] | None, contexts: ContextStore) -> Place | None:
        """What a filter leaves of this file; None for nothing."""
        if not where or self.context is None:
            return self
        ids = contexts.documents(self.context) if self.documents is None else list(self.documents)
        left = [doc_id for doc_id in ids if self.passes(where, self.shown(doc_id))]
        return None if not left else self if len(left) == len(ids) else replace(self, documents=left)


def places(
    file: str | None, files: Mapping[str, ContextRef], contexts: ContextStore | None, corpus: Corpus | None,
    allowed: Mapping[str, Any] | None, where: Mapping[str, Any] | None = None,
) -> list[Place]:  # fmt: skip
    """What ``file=`` means: all files and the corpus when it is None, else the files and documents of this name.

    Args:
        file: a name given to a text, one part of it (``name/part``, as hits show it), a document's id, or a glob.
        files: of the conversation.
        contexts: that hold them.
        corpus: that is searched.
        allowed: a filter that documents of the corpus must pass.
        where: one that files must pass.

    Raises:
        InvalidInput: there is no such file; some that there are, are named.
        InvalidFilter: ``where`` is not usable.
    """
    if where is not None:
        validate(where)
    found = _places(file, files, contexts, corpus, allowed)
    if contexts is None:
        return found
    return [left for place in found if (left := place.narrowed(where, contexts)) is not None]


def _places(
    file: str | None, files: Mapping[str, ContextRef], contexts: ContextStore | None, corpus: Corpus | None,
    where: Mapping[str, Any] | None,
) -> list[Place]:  # fmt: skip
    if file is None:
        found = [Place(name, ref, None) for name, ref in files.items()]
        found += [] if corpus is None else [Place("", None, None)]
        if not found:
            raise InvalidInput("there is no text yet: store one with materialize_context first")
        return found
    found = list(_named(file, files, contexts))
    if not found and corpus is not None and corpus.holds(file, where):
        found.append(Place("", None, [file]))
    if not found and _GLOB.search(file):
        found += [Place(name, ref, None) for name, ref in files.items() if fnmatchcase(name, file)]
        listed = [] if corpus is None or not corpus.lists_texts else corpus.list_documents(where)
        ids = [entry["doc_id"] for entry in listed if fnmatchcase(entry["doc_id"], file)]
        found += [Place("", None, ids)] if ids else []
    if not found:
        raise InvalidInput(_missing(file, files, corpus, where))
    return found


def _named(file: str, files: Mapping[str, ContextRef], contexts: ContextStore | None) -> Iterator[Place]:
    if file in files:
        yield Place(file, files[file], None)
        return
    for name, ref in files.items():
        if contexts is not None and file.startswith(f"{name}/"):
            part = file.removeprefix(f"{name}/")
            doc_id = next((one for one in (part, f"context/{part}") if contexts.holds(ref, one)), None)
            if doc_id is not None:
                yield Place(name, ref, [doc_id])
                return


def _missing(file: str, files: Mapping[str, ContextRef], corpus: Corpus | None, where: Mapping[str, Any] | None) -> str:
    known = list(files)
    if corpus is not None and corpus.lists_texts:
        known += [entry["doc_id"] for entry in corpus.list_documents(where, limit=_SHOWN)]
    if not known:
        return f"there is no file {shortened(repr(file))}, and no text yet: store one with materialize_context first"
    some = ", ".join(map(one_line, known[:_SHOWN])) + (", …" if len(known) > _SHOWN else "")
    return (
        f"file: there is no {shortened(repr(file))}{nearest(file, known)}. There are {some}; list_documents names all"
    )


def _is_held(contexts: ContextStore, ref: ContextRef) -> bool:
    try:
        contexts.stat(ref)
    except ContextMissing:
        return False
    return True
