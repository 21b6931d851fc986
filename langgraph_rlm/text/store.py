"""ContextStore: a big text is put once and travels from then on as a ``ContextRef``."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document

from langgraph_rlm.errors import ContextMissing, DocumentMissing, InvalidInput
from langgraph_rlm.text.digest import digest_of
from langgraph_rlm.text.document_ids import document_id
from langgraph_rlm.text.encoding import utf8
from langgraph_rlm.text.files import ContextFiles
from langgraph_rlm.text.indexing import IndexBuilder
from langgraph_rlm.text.lines import Data, count_chars
from langgraph_rlm.text.plan import plan_of
from langgraph_rlm.text.recent import RecentTexts
from langgraph_rlm.text.ripgrep import Ripgrep
from langgraph_rlm.text.search import (
    Count,
    Hits,
    Searched,
    count_documents,
    grep_documents,
    plan_of_text,
    search_documents,
)
from langgraph_rlm.text.stored import Stored, StoredDocument
from langgraph_rlm.threads import in_thread
from langgraph_rlm.types import ContextKind, ContextRef

if TYPE_CHECKING:
    from langgraph.checkpoint.serde.base import SerializerProtocol

ContextLike = ContextRef | str | Sequence[str] | Mapping[str, str] | Sequence[Document]
"""A context, or the reference of one: a text, a list of texts, texts by name, or LangChain documents."""

_REF = re.compile(r"sha256:([0-9a-f]{64})")
_REF_KEYS = frozenset(ContextRef.__annotations__)
_MEMORY_BYTES = 1 << 30
_SHOWN_ID = 200
_COMPARED_IDS = 5_000
"""With more of them, looking for similar ones takes seconds."""


@dataclass(frozen=True, slots=True)
class Payload:
    """The parts of a context, joined, as a REPL wants them.

    Args:
        kind: what the context is: ``text``, ``list``, ``fields`` or ``documents``.
        names: keys of the parts for ``fields`` and ``documents``; empty for the other kinds.
        sizes: bytes of each part.
        data: the UTF-8 of all parts, one after the other.
    """

    kind: ContextKind
    names: Sequence[str]
    sizes: Sequence[int]
    data: Data


class ContextStore:
    """Keeps contexts by the digest of their content, in memory or in a directory.

    Safe to share between threads; a directory also between processes. In memory, a single ASCII text is kept as it is,
    without a copy; any other context takes about as much memory as its UTF-8. From a directory a context is mapped, not
    read.

    Args:
        path: directory, made when it is missing; None keeps contexts in memory, for as long as this object lives.
        max_bytes: UTF-8 bytes in memory (None: 1 GiB), or bytes of the files of a directory (None: no bound). Beyond
            them the contexts that were not used for longest go: never the newest, and from a directory none that a
            process has open. So contexts in use may exceed the bound.
        serializer: what contexts go through on their way to a directory and back, such as
            ``EncryptedSerializer.from_pycryptodome_aes(key=…)``. They are then read into memory when they are opened,
            not mapped. A file's name stays the digest of the text: who can guess a whole text can see that it is there.

    Raises:
        InvalidInput: an argument is not usable.
        ContextStoreError: the directory cannot be made.

    Example:
        >>> store = ContextStore()
        >>> ref = store.put("one\\ntwo")
        >>> store.read(ref, start=4)
        'two'
        >>> store.lines(ref, 1, 1)
        'one\\n'
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        max_bytes: int | None = None,
        serializer: SerializerProtocol | None = None,
    ) -> None:
        if max_bytes is not None:
            _check_number("max_bytes", max_bytes, 1)
        if serializer is not None and path is None:
            raise InvalidInput(
                "serializer: it is for contexts in a directory, those in memory are not written: give path="
            )
        self._max_bytes = _MEMORY_BYTES if max_bytes is None else max_bytes
        self.path = None if path is None else Path(path)
        self.serializer = serializer
        self._files = None if self.path is None else ContextFiles(self.path, max_bytes=max_bytes, serializer=serializer)
        self._held: OrderedDict[str, Stored] = OrderedDict()  # the least recently used first
        self._bytes = 0
        self._used: dict[str, float] = {}
        self._recent = RecentTexts()
        keeps_files = self._files is not None and serializer is None
        self._builder = IndexBuilder(self._files.index_path if self._files is not None and keeps_files else None)
        self._ripgrep = Ripgrep()
        self._lock = threading.Lock()

    @property
    def durable(self) -> bool:
        """Whether contexts outlive this process."""
        return self._files is not None

    def put(self, context: ContextLike) -> ContextRef:
        """Store a context, or check that the store holds the one referred to.

        Document ids are ``context`` for a text, ``context/0`` … for a list, ``context/<key>`` for a mapping; a
        LangChain document keeps its ``id`` or ``metadata["source"]``, with its page, row or start where it has one, and is
        ``context/<number>`` without either.

        The same text put again costs a comparison.

        Raises:
            InvalidInput: an empty context, one of another type, a lone surrogate, or two documents with one id.
            ContextMissing: a reference to a context that is not here.
            ContextStoreError: the directory cannot be written; nothing of the context stays there.
        """
        if isinstance(context, Mapping) and "context_ref" in context and context.keys() <= _REF_KEYS:
            return self._ref(context)
        plain = context if type(context) is str else None
        if plain is not None and (digest := self._recent.find(plain)) is not None:
            with contextlib.suppress(ContextMissing):  # removed since
                return _as_ref(digest, self._opened(digest))
        kind, names, texts = _taken_apart(context)
        parts = [_encoded(name, text) for name, text in zip(names, texts, strict=True)]
        chars = sum(map(len, texts))
        if not chars:
            raise InvalidInput("context: it is empty; give a text with at least one character")
        digest = digest_of(kind, names, parts)
        stored = Stored(kind, tuple(names), tuple(map(len, parts)), chars, b"")
        if self._files is not None:
            self._files.write(digest, stored, parts)
        else:
            self._hold(digest, stored, parts)
        if plain is not None:
            self._recent.keep(plain, digest)
        return _as_ref(digest, stored)

    def _hold(self, digest: str, stored: Stored, parts: Sequence[Data]) -> None:
        with self._lock:
            if digest not in self._held:
                stored.data = parts[0] if len(parts) == 1 else b"".join(parts)
                self._held[digest] = stored
                self._bytes += len(stored.data)
            self._touch(digest)
            while self._bytes > self._max_bytes and len(self._held) > 1:
                self._drop(next(iter(self._held)))

    def _touch(self, digest: str) -> None:
        self._held.move_to_end(digest)
        self._used[digest] = time.time()

    def _drop(self, digest: str) -> None:
        self._bytes -= len(self._held.pop(digest).data)
        del self._used[digest]
        self._recent.forget(digest)

    async def aput(self, context: ContextLike) -> ContextRef:
        """:meth:`put` without blocking the event loop."""
        return await in_thread(self.put, context)

    def parts(self, ref: ContextRef) -> list[tuple[str, Data]]:
        """Pairs of document id and UTF-8 bytes, in order. The bytes are views and cost no copy.

        Raises:
            ContextMissing: the store does not hold it.
            InvalidInput: ``ref`` is no reference.
        """
        return self._stored(ref).parts()

    def payload(self, ref: ContextRef) -> Payload:
        """The whole context as one run of bytes, without a copy; errors as in :meth:`parts`."""
        stored = self._stored(ref)
        names = stored.names if stored.kind in ("fields", "documents") else ()
        return Payload(stored.kind, names, stored.sizes, stored.data)

    def documents(self, ref: ContextRef) -> list[str]:
        """Ids of its documents, in order; errors as in :meth:`parts`."""
        return list(self._stored(ref).ids())

    def holds(self, ref: ContextRef, doc_id: str) -> bool:
        """Whether the context has a document of this id; errors as in :meth:`parts`."""
        return doc_id in self._stored(ref).ids()

    def chars(self, ref: ContextRef) -> dict[str, int]:
        """Characters of each document by its id, in order; errors as in :meth:`parts`."""
        stored = self._stored(ref)
        counted = len if stored.ascii else count_chars
        return {doc_id: counted(data) for doc_id, data in stored.parts()}

    def stat(self, ref: ContextRef) -> dict[str, Any]:
        """``{"kind", "chars", "docs", "bytes"}`` of a context; errors as in :meth:`parts`."""
        stored = self._stored(ref)
        return {"kind": stored.kind, "chars": stored.chars, "docs": len(stored.sizes), "bytes": len(stored.data)}

    def read(self, ref: ContextRef, doc_id: str = "context", start: int = 0, end: int | None = None) -> str:
        """The text of a document between two character offsets; what lies beyond its end is left out.

        Raises:
            DocumentMissing: the context has no document of this id.
            InvalidInput: an offset that is no whole number from 0 on.
            ContextMissing: the store does not hold the context.
        """
        check_span(start, end)
        return self._document(ref, doc_id).span(start, end)

    def count_lines(self, ref: ContextRef, doc_id: str | None = None) -> int:
        """Lines of a document, or of all documents together when ``doc_id`` is None.

        A line ends with ``\\n``; what follows the last one is a line too, unless it is empty.

        Raises:
            DocumentMissing: the context has no document of this id.
            ContextMissing: the store does not hold the context.
        """
        ids = self._stored(ref).ids() if doc_id is None else [doc_id]
        return sum(self._document(ref, one).count_lines() for one in ids)

    def lines(self, ref: ContextRef, first: int, last: int, doc_id: str = "context") -> str:
        """The text of some lines with their ends; what lies beyond the last line is left out.

        Args:
            ref: the context.
            first: number of the first line wanted, from 1.
            last: number of the last line wanted.
            doc_id: the document.

        Raises:
            InvalidInput: a number that is none, or ``last`` before ``first``.
            DocumentMissing, ContextMissing: as in :meth:`count_lines`.
        """
        _check_number("lines: first", first, 1)
        _check_number("lines: last", last, 1)
        if last < first:
            raise InvalidInput(f"lines: last ({last}) lies before first ({first})")
        return self._document(ref, doc_id).lines(first, last)

    def head(self, ref: ContextRef, lines: int = 10, doc_id: str = "context") -> str:
        """The first lines of a document with their ends; nothing beyond them is looked at. Errors as in :meth:`lines`."""
        _check_number("head: lines", lines, 0)
        return self._document(ref, doc_id).head(lines)

    def tail(self, ref: ContextRef, lines: int = 10, doc_id: str = "context") -> str:
        """The last lines of a document with their ends; nothing before them is looked at. Errors as in :meth:`lines`."""
        _check_number("tail: lines", lines, 0)
        return self._document(ref, doc_id).tail(lines)

    def grep(self, ref: ContextRef, pattern: str, *, documents: Collection[str] | None = None, **options: Any) -> Hits:
        """Matches of a regular expression; options and hits as in :func:`~langgraph_rlm.text.search.grep_documents`.

        Args:
            ref: the context.
            pattern: the regular expression.
            documents: ids to search; None for all.
            options: ``max_matches``, ``before``, ``after``, ``ignore_case``, ``deadline``.

        Raises:
            PatternError: the pattern is refused.
            DocumentMissing: an id that the context does not have.
            ContextMissing: the store does not hold the context.
        """
        stored, selected = self._selected(ref, documents)
        found = grep_documents(selected, pattern, **options)
        if self._builder.wants(stored):
            self._builder.note(_checked_digest(ref), stored, plan_of(pattern, options.get("ignore_case", False)))
        return found

    def search(self, ref: ContextRef, text: str, *, documents: Collection[str] | None = None, **options: Any) -> Hits:
        """Places of a plain string; otherwise as :meth:`grep`."""
        stored, selected = self._selected(ref, documents)
        found = search_documents(selected, text, **options)
        if self._builder.wants(stored):
            self._builder.note(_checked_digest(ref), stored, plan_of_text(text, options.get("ignore_case", False)))
        return found

    def count(
        self, ref: ContextRef, pattern: str, *, documents: Collection[str] | None = None, **options: Any
    ) -> Count:
        """How many matches there are; options as in :func:`~langgraph_rlm.text.search.count_documents`, errors as :meth:`grep`.

        In a directory without a serializer, large contexts are counted by ripgrep where that is faster and ``rg`` is on the
        PATH. It makes no other difference; the pattern is then among the arguments of a process.
        """
        stored, selected = self._selected(ref, documents)
        found = self._ripgrep.count(stored, selected, pattern, **options) if documents is None else None
        if found is None:
            found = count_documents(selected, pattern, **options)
        if self._builder.wants(stored):
            self._builder.note(_checked_digest(ref), stored, plan_of(pattern, options.get("ignore_case", False)))
        return found

    def build_index(self, ref: ContextRef, *, on_progress: Callable[[int, int], object] | None = None) -> None:
        """Prepare a large context for searches of rare strings; harmless when it is prepared.

        It takes an eighth of the text, in memory or beside its file (in memory only when the store has a serializer, since
        it tells which letters stand together), and a second for some hundred megabytes. Contexts of 100 MB and more are
        prepared in the background after some searches anyway. What is found does not change.

        Args:
            ref: the context.
            on_progress: called with the bytes that are done, and all of them.

        Raises:
            ContextStoreError: the index cannot be written.
            ContextMissing: the store does not hold the context.
        """
        stored = self._stored(ref)
        self._builder.build(_checked_digest(ref), stored, on_progress)

    def prune(self, older_than: float) -> int:
        """Remove contexts that were neither put nor opened for so many seconds; returns how many.

        From a directory none is removed that a process has open; what was left by writers that were killed goes too.

        Raises:
            ContextStoreError: the directory cannot be changed.
        """
        before = time.time() - older_than
        if self._files is not None:
            self._recent.forget()
            return self._files.prune(before)
        with self._lock:
            old = [digest for digest in self._held if self._used[digest] < before]
            for digest in old:
                self._drop(digest)
        return len(old)

    def close(self) -> None:
        """Let go of everything held in memory; what lies in a directory stays there."""
        self._builder.close()
        with self._lock:
            self._held.clear()
            self._used.clear()
            self._bytes = 0
        self._recent.forget()
        if self._files is not None:
            self._files.close()

    def _ref(self, ref: Mapping[str, Any]) -> ContextRef:
        return _as_ref(_checked_digest(ref), self._stored(ref))

    def _stored(self, ref: Mapping[str, Any]) -> Stored:
        return self._opened(_checked_digest(ref))

    def _document(self, ref: ContextRef, doc_id: str) -> StoredDocument:
        stored = self._stored(ref)
        document = stored.document(doc_id)
        if document is None:
            raise DocumentMissing(missing_document(doc_id, stored.ids()))
        return document

    def _opened(self, digest: str) -> Stored:
        if self._files is not None:
            return self._files.read(digest)
        with self._lock:
            stored = self._held.get(digest)
            if stored is not None:
                self._touch(digest)
        if stored is None:
            raise ContextMissing(
                f"context sha256:{digest[:12]}… is not in this store, which keeps the last {self._max_bytes:,} bytes in "
                "memory only: put it again, or use ContextStore(path) when it must stay or another process must find it"
            )
        return stored

    def _selected(self, ref: ContextRef, documents: Collection[str] | None) -> tuple[Stored, list[Searched]]:
        digest = _checked_digest(ref)
        stored = self._opened(digest)
        self._builder.load(digest, stored)
        if documents is None:
            return stored, stored.searched()
        ids = stored.ids()
        for doc_id in documents:
            if doc_id not in ids:
                raise DocumentMissing(missing_document(doc_id, ids))
        return stored, stored.searched(set(documents))


def check_span(start: Any, end: Any) -> None:
    """Refuse offsets that are no whole numbers from 0 on, or an end before the start.

    Raises:
        InvalidInput: the message names the offset.
    """
    for name, value in (("start", start), ("end", end)):
        if name == "end" and value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise InvalidInput(f"read: {name} must be a whole number of characters from 0 on, not {value!r}")
    if end is not None and end < start:
        raise InvalidInput(f"read: end ({end}) lies before start ({start})")


def _check_number(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidInput(f"{name} must be a whole number of at least {least}, not {value!r}")


def missing_document(doc_id: Any, known: Collection[str]) -> str:
    """A message for an unknown document id, with the ids that look like it."""
    doc_id = str(doc_id)[:_SHOWN_ID]
    near = get_close_matches(doc_id, known, n=3, cutoff=0.5) if len(known) <= _COMPARED_IDS else []
    if near:
        return f"no document {doc_id!r}; similar ids are {', '.join(map(repr, near))}"
    few = list(islice(known, 3))
    return f"no document {doc_id!r}" + (f"; there are {len(known)}, e.g. {', '.join(map(repr, few))}" if few else "")


def _checked_digest(ref: Any) -> str:
    value = ref.get("context_ref") if isinstance(ref, Mapping) else None
    found = _REF.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        shown = repr(value if isinstance(ref, Mapping) else ref)
        raise InvalidInput(f"context: expected a ContextRef like {{'context_ref': 'sha256:…'}}, got {shown[:80]}")
    return found[1]


def _as_ref(digest: str, stored: Stored) -> ContextRef:
    return ContextRef(context_ref=f"sha256:{digest}", kind=stored.kind, chars=stored.chars, docs=len(stored.sizes))


def _taken_apart(context: Any) -> tuple[ContextKind, list[str], list[str]]:
    """Kind, names and texts; the names of a text and of a list are only for messages."""
    if isinstance(context, str):
        return "text", [""], [context]
    if isinstance(context, Mapping):
        for key, value in context.items():
            if not isinstance(key, str) or not key:
                raise InvalidInput(f"context: keys must be str and not empty, not {key!r}")
            if not isinstance(value, str):
                raise InvalidInput(f"context[{key!r}]: expected a str, got {type(value).__name__}")
        return "fields", list(context), list(context.values())
    if isinstance(context, Sequence) and not isinstance(context, bytes | bytearray | memoryview):
        first = Document if context and isinstance(context[0], Document) else str
        for number, item in enumerate(context):
            if not isinstance(item, first):
                raise InvalidInput(f"context[{number}]: expected a {first.__name__}, got {type(item).__name__}")
        if first is str:
            return "list", [""] * len(context), list(context)
        names = [document_id(item) or f"context/{n}" for n, item in enumerate(context)]
        seen: set[str] = set()
        for number, name in enumerate(names):
            if name in seen:
                raise InvalidInput(
                    f"context[{number}]: a second document with the id {name!r}; ids must differ: give Document(id=…), or split with add_start_index=True"
                )
            seen.add(name)
        return "documents", names, [item.page_content for item in context]
    raise InvalidInput(
        "context: expected a str, a list of str, a dict of str, a list of Documents or a ContextRef, "
        f"got {type(context).__name__}"
    )


def _encoded(name: str, text: str) -> Data:
    try:
        name.encode()
        return utf8(text)
    except UnicodeEncodeError as error:
        where = f" of {name!r}" if name else ""
        raise InvalidInput(
            f"context: character {error.start}{where} is the lone surrogate {error.object[error.start]!a}, "
            'which is no text; repair it, e.g. by text.encode("utf-8", "replace").decode()'
        ) from None
