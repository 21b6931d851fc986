"""ContextStore: a big text is put once and travels from then on as a ``ContextRef``."""

from __future__ import annotations

import contextlib
import copy
import re
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langgraph_rlm.errors import ContextMissing, DocumentMissing, InvalidInput
from langgraph_rlm.shortening import shortened
from langgraph_rlm.text.checks import check_number, missing_document
from langgraph_rlm.text.digest import digest_of, tenants_digest
from langgraph_rlm.text.files import ContextFiles, missing_context, short_digest
from langgraph_rlm.text.given import ContextLike, checked_chars, encoded, taken_apart
from langgraph_rlm.text.held import HeldContexts
from langgraph_rlm.text.indexing import IndexBuilder
from langgraph_rlm.text.lines import Data
from langgraph_rlm.text.plan import Plan, plan_of
from langgraph_rlm.text.readable import ReadableContexts
from langgraph_rlm.text.recent import RecentTexts
from langgraph_rlm.text.ripgrep import Ripgrep
from langgraph_rlm.text.search import (
    Count,
    Hits,
    Searched,
    count_documents,
    grep_documents,
    is_encodable,
    plan_of_text,
    search_documents,
)
from langgraph_rlm.text.stored import Stored
from langgraph_rlm.twins import async_twin
from langgraph_rlm.types import ContextRef

if TYPE_CHECKING:
    from langgraph.checkpoint.serde.base import SerializerProtocol

_REF = re.compile(r"sha256:([0-9a-f]{64})")
_REF_KEYS = frozenset(ContextRef.__annotations__)
_MEMORY_BYTES = 1 << 30
"""A few of the largest contexts that are usual, and an eighth of a small server's memory."""


class ContextStore(ReadableContexts):
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
            check_number("max_bytes", max_bytes, 1)
        if serializer is not None and path is None:
            raise InvalidInput(
                "serializer: it is for contexts in a directory, those in memory are not written: give path="
            )
        self.path = None if path is None else Path(path)
        self.serializer = serializer
        self._files = None if self.path is None else ContextFiles(self.path, max_bytes=max_bytes, serializer=serializer)
        self._held = HeldContexts(_MEMORY_BYTES if max_bytes is None else max_bytes)
        self._tenant = ""
        self._recent = RecentTexts()
        keeps_files = self._files is not None and serializer is None
        self._builder = IndexBuilder(self._files.index_path if self._files is not None and keeps_files else None)
        self._ripgrep = Ripgrep()

    @property
    def durable(self) -> bool:
        """Whether contexts outlive this process."""
        return self._files is not None

    @property
    def identity(self) -> str:
        """Equal for the contexts of one tenant of one directory, or of one object in memory, and for no others."""
        place = self._held.name if self.path is None else str(self.path.resolve())
        return f"{place}\n{self._tenant}"

    def tenant(self, name: str) -> ContextStore:
        """The contexts of one tenant, in the same memory or directory and under the same bounds.

        A reference is good for its tenant alone: of any other, and of the store itself, it is an unknown one. Equal texts of
        two tenants have different references and are kept twice. ``prune`` goes over the contexts of all.

        Args:
            name: of the tenant.

        Raises:
            InvalidInput: an empty name, no text, or the contexts are those of a tenant already.

        Example:
            >>> store = ContextStore()
            >>> ref = store.tenant("anna").put("secret")
            >>> store.tenant("anna").read(ref)
            'secret'
            >>> store.tenant("bert").read(ref)  # doctest: +IGNORE_EXCEPTION_DETAIL
            Traceback (most recent call last):
            ContextMissing: there is no such context
        """
        if not isinstance(name, str) or not name or not is_encodable(name):
            raise InvalidInput(f"tenant: expected a name that is not empty, got {shortened(repr(name))}")
        if self._tenant:
            raise InvalidInput("tenant: these are the contexts of a tenant already; ask the store that they come from")
        theirs = copy.copy(self)  # files, memory and indexes are the same
        theirs._tenant = name
        theirs._recent = RecentTexts()
        return theirs

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
            digest = _checked_digest(context)
            return _as_ref(digest, self._opened(digest))
        plain = context if type(context) is str else None
        if plain is not None and (known := self._recent.find(plain)) is not None:
            with contextlib.suppress(ContextMissing):  # removed since
                return _as_ref(known, self._opened(known))
        kind, names, texts = taken_apart(context)
        parts = [encoded(name, text) for name, text in zip(names, texts, strict=True)]
        chars = sum(map(len, texts))
        if not chars:
            raise InvalidInput("context: it is empty; give a text with at least one character")
        content = digest_of(kind, names, parts)
        digest = tenants_digest(self._tenant, "reference", content) if self._tenant else content
        stored = Stored(kind, tuple(names), tuple(map(len, parts)), chars, b"")
        if self._files is not None:
            self._files.write(self._key(digest), stored, parts, content)
        else:
            self._held.hold(self._key(digest), stored, parts, self._recent.forget)
        if plain is not None:
            self._recent.keep(plain, digest)
        return _as_ref(digest, stored)

    aput = async_twin(put)

    def put_utf8(self, text: Data) -> ContextRef:
        """As :meth:`put`, for one text that is there as UTF-8, such as a mapped file: it is never decoded as a whole.

        Raises:
            InvalidInput: it is empty or no UTF-8.
            ContextStoreError: as for :meth:`put`.

        Example:
            >>> ContextStore().put_utf8("né".encode())["chars"]
            2
        """
        chars = checked_chars(text)
        content = digest_of("text", [""], [text])
        digest = tenants_digest(self._tenant, "reference", content) if self._tenant else content
        stored = Stored("text", ("",), (len(text),), chars, b"")
        if self._files is not None:
            self._files.write(self._key(digest), stored, [text], content)
        else:
            self._held.hold(self._key(digest), stored, [bytes(text)], self._recent.forget)
        return _as_ref(digest, stored)

    aput_utf8 = async_twin(put_utf8)

    def remove(self, ref: ContextRef) -> bool:
        """Remove a context; False when it is in use, of a directory also by another process: try again later.

        Raises:
            InvalidInput: ``ref`` is no reference.
            ContextMissing: the store does not hold it.
            ContextStoreError: the directory cannot be changed.

        Example:
            >>> store = ContextStore()
            >>> store.remove(store.put("a text"))
            True
        """
        digest = _checked_digest(ref)
        if self._files is None:
            if not self._held.remove(self._key(digest), self._recent.forget):
                raise self._missing(digest)
            return True
        self._opened(digest)
        self._recent.forget()
        return self._files.remove(self._key(digest))

    aremove = async_twin(remove)

    def grep(
        self,
        ref: ContextRef,
        pattern: str,
        *,
        documents: Collection[str] | None = None,
        max_matches: int = 20,
        before: int = 0,
        after: int = 0,
        ignore_case: bool = False,
        deadline: float | None = 1.0,
    ) -> Hits:
        """Matches of a regular expression; hits as in :func:`~langgraph_rlm.text.search.grep_documents`.

        Args:
            ref: the context.
            pattern: the regular expression.
            documents: ids to search; None for all.
            max_matches: the search stops here; whether there are more is still found out.
            before: further lines before each match.
            after: further lines after it.
            ignore_case: upper and lower case are the same.
            deadline: seconds after which the search stops; None for no end.

        Raises:
            PatternError: the pattern is refused.
            InvalidInput: another argument is not usable.
            DocumentMissing: an id that the context does not have.
            ContextMissing: the store does not hold the context.
        """
        stored, selected = self._selected(ref, documents)
        found = grep_documents(
            selected,
            pattern,
            max_matches=max_matches,
            before=before,
            after=after,
            ignore_case=ignore_case,
            deadline=deadline,
        )
        self._note(ref, stored, partial(plan_of, pattern, ignore_case))
        return found

    agrep = async_twin(grep)

    def search(
        self,
        ref: ContextRef,
        text: str,
        *,
        documents: Collection[str] | None = None,
        max_matches: int = 20,
        before: int = 0,
        after: int = 0,
        ignore_case: bool = False,
        deadline: float | None = 1.0,
    ) -> Hits:
        """Places of a plain string; otherwise as :meth:`grep`."""
        stored, selected = self._selected(ref, documents)
        found = search_documents(
            selected,
            text,
            max_matches=max_matches,
            before=before,
            after=after,
            ignore_case=ignore_case,
            deadline=deadline,
        )
        self._note(ref, stored, partial(plan_of_text, text, ignore_case))
        return found

    asearch = async_twin(search)

    def count_matches(
        self,
        ref: ContextRef,
        pattern: str,
        *,
        documents: Collection[str] | None = None,
        ignore_case: bool = False,
        deadline: float | None = None,
    ) -> Count:
        """How many matches of a regular expression there are, and whether all was looked at; errors as :meth:`grep`.

        In a directory without a serializer, large contexts are counted by ripgrep where that is faster and ``rg`` is on the
        PATH. It makes no other difference; the pattern is then among the arguments of a process.
        """
        stored, selected = self._selected(ref, documents)
        found = None
        if documents is None:
            found = self._ripgrep.count(stored, selected, pattern, ignore_case=ignore_case, deadline=deadline)
        if found is None:
            found = count_documents(selected, pattern, ignore_case=ignore_case, deadline=deadline)
        self._note(ref, stored, partial(plan_of, pattern, ignore_case))
        return found

    acount_matches = async_twin(count_matches)

    def _note(self, ref: ContextRef, stored: Stored, plan: Callable[[], Plan]) -> None:
        if self._builder.wants(stored):
            self._builder.note(self._key(_checked_digest(ref)), stored, plan())

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
        self._builder.build(self._key(_checked_digest(ref)), stored, on_progress)

    abuild_index = async_twin(build_index)

    def prune(self, older_than: float) -> int:
        """Remove contexts that were neither put nor opened for so many seconds; returns how many.

        From a directory none is removed that a process has open; what was left by writers that were killed goes too.

        Raises:
            ContextStoreError: the directory cannot be changed.
        """
        before = time.time() - older_than
        self._recent.forget()
        if self._files is not None:
            return self._files.prune(before)
        return self._held.prune(before, self._recent.forget)

    aprune = async_twin(prune)

    def close(self) -> None:
        """Let go of everything held in memory; what lies in a directory stays there. A tenant's contexts go with the store's."""
        self._recent.forget()
        if self._tenant:
            return
        self._builder.close()
        self._held.clear()
        if self._files is not None:
            self._files.close()

    aclose = async_twin(close)

    def _key(self, digest: str) -> str:
        """What a context is kept under."""
        return tenants_digest(self._tenant, "place", digest) if self._tenant else digest

    def _stored(self, ref: Mapping[str, Any]) -> Stored:
        return self._opened(_checked_digest(ref))

    def _opened(self, digest: str) -> Stored:
        key = self._key(digest)
        if self._files is None:
            stored = self._held.get(key)
            if stored is None:
                raise self._missing(digest)
            return stored
        try:
            return self._files.read(key)
        except ContextMissing as error:
            raise ContextMissing(str(error).replace(short_digest(key), short_digest(digest))) from None

    def _missing(self, digest: str) -> ContextMissing:
        if self._files is not None:
            return missing_context(digest)
        return ContextMissing(
            f"context {short_digest(digest)} is not in this store, which keeps the last {self._held.max_bytes:,} bytes in "
            "memory only: put it again, or use ContextStore(path) when it must stay or another process must find it"
        )

    def _selected(self, ref: ContextRef, documents: Collection[str] | None) -> tuple[Stored, list[Searched]]:
        digest = _checked_digest(ref)
        stored = self._opened(digest)
        self._builder.load(self._key(digest), stored)
        if documents is None:
            return stored, stored.searched()
        ids = stored.ids()
        for doc_id in documents:
            if doc_id not in ids:
                raise DocumentMissing(missing_document(doc_id, ids))
        return stored, stored.searched(set(documents))


def _checked_digest(ref: Any) -> str:
    value = ref.get("context_ref") if isinstance(ref, Mapping) else None
    found = _REF.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        shown = repr(value if isinstance(ref, Mapping) else ref)
        raise InvalidInput(f"context: expected a ContextRef like {{'context_ref': 'sha256:…'}}, got {shortened(shown)}")
    return found[1]


def _as_ref(digest: str, stored: Stored) -> ContextRef:
    return ContextRef(context_ref=f"sha256:{digest}", kind=stored.kind, chars=stored.chars, docs=len(stored.sizes))
