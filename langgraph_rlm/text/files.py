"""The directory of a ContextStore: one file per context, named by its digest and never changed.

A file is the magic word, the format version, the size of the header, the header (msgpack) and the UTF-8 of all parts.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import re
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import msgpack

from langgraph_rlm.errors import ContextMissing, IndexMismatch, InvalidInput
from langgraph_rlm.text.lines import CharIndex, Data
from langgraph_rlm.types import ContextKind

FORMAT_VERSION = 1

_MAGIC = b"LGRLMCTX"
_FIXED = len(_MAGIC) + 4 + 4
_SUFFIX = ".ctx"
_NAME = re.compile(r"[0-9a-f]{64}")
_KEPT_OPEN = 64


class Stored:
    """One context: what its parts are, and their bytes.

    Args:
        kind: what the context is.
        names: keys of the parts; empty strings where the kind has none.
        sizes: bytes of each part.
        chars: characters of all parts.
        data: the parts, joined.
    """

    __slots__ = ("_indexes", "_places", "chars", "data", "kind", "names", "sizes")

    def __init__(self, kind: ContextKind, names: Sequence[str], sizes: Sequence[int], chars: int, data: Data) -> None:
        self.kind = kind
        self.names = names
        self.sizes = sizes
        self.chars = chars
        self.data = data
        self._places: dict[str, tuple[int, int]] | None = None
        self._indexes: dict[str, CharIndex] = {}

    def ids(self) -> Collection[str]:
        """Document ids, in order."""
        return self._by_id().keys()

    def parts(self) -> list[tuple[str, Data]]:
        """Pairs of document id and bytes, in order."""
        if len(self.sizes) == 1:
            return [(next(iter(self._by_id())), self.data)]
        view = memoryview(self.data)
        return [(doc_id, view[start:end]) for doc_id, (start, end) in self._by_id().items()]

    def char_index(self, doc_id: str) -> CharIndex | None:
        """Finds characters of one document; None when there is no such document."""
        found = self._indexes.get(doc_id)
        if found is None and (place := self._by_id().get(doc_id)) is not None:
            data = self.data if len(self.sizes) == 1 else memoryview(self.data)[slice(*place)]
            found = self._indexes[doc_id] = CharIndex(data)
        return found

    def _by_id(self) -> dict[str, tuple[int, int]]:
        if self._places is None:
            places, start = {}, 0
            for number, (name, size) in enumerate(zip(self.names, self.sizes, strict=True)):
                places[_doc_id(self.kind, name, number)] = (start, start + size)
                start += size
            self._places = places
        return self._places


def _doc_id(kind: ContextKind, name: str, number: int) -> str:
    match kind:
        case "text":
            return "context"
        case "list":
            return f"context/{number}"
        case "fields":
            return f"context/{name}"
        case _:
            return name


class ContextFiles:
    """Reads and writes the files of one directory. Several processes may do so at once.

    Args:
        directory: made, for its owner only, when it is missing.
    """

    def __init__(self, directory: Path) -> None:
        if directory.exists() and not directory.is_dir():
            raise InvalidInput(f"contexts: {directory} is not a directory")
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        self._open: OrderedDict[str, Stored] = OrderedDict()
        self._lock = threading.Lock()

    def write(self, digest: str, stored: Stored, parts: Sequence[bytes]) -> None:
        """Make the file of a context, whole or not at all; one that is there already only becomes young again.

        Raises:
            IndexMismatch: the file that is there has another format version.
        """
        path = self._path(digest)
        with contextlib.suppress(FileNotFoundError, ContextMissing):
            _header(path, digest)
            os.utime(path)
            return
        header = {
            "digest": digest,
            "kind": stored.kind,
            "names": list(stored.names) if any(stored.names) else None,
            "sizes": list(stored.sizes),
            "chars": stored.chars,
        }
        packed = msgpack.packb(header)
        handle, name = tempfile.mkstemp(dir=self._directory, prefix=".", suffix=".tmp")  # mode 0600
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_MAGIC + FORMAT_VERSION.to_bytes(4, "little") + len(packed).to_bytes(4, "little") + packed)
                file.writelines(parts)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, path)  # noqa: PTH105
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        _sync_directory(self._directory)
        with self._lock:
            self._open.pop(digest, None)

    def read(self, digest: str) -> Stored:
        """The context of this digest, mapped into memory.

        Raises:
            ContextMissing: there is none, or its file is damaged.
            IndexMismatch: its file has another format version.
        """
        with self._lock:
            if stored := self._open.get(digest):
                self._open.move_to_end(digest)
                return stored
        path = self._path(digest)
        try:
            header, start = _header(path, digest)
            with path.open("rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            os.utime(path)
        except FileNotFoundError:
            raise ContextMissing(
                f"context sha256:{digest[:12]}… is not in this store; it was never put here, or pruned: put it again"
            ) from None
        sizes = tuple(header["sizes"])
        names = tuple(header["names"] or [""] * len(sizes))
        stored = Stored(header["kind"], names, sizes, header["chars"], memoryview(mapped)[start:])
        with self._lock:
            self._open[digest] = stored
            while len(self._open) > _KEPT_OPEN:
                self._open.popitem(last=False)
        return stored

    def prune(self, before: float) -> int:
        """Remove files last used before this time (seconds since 1970), and abandoned temporary ones."""
        removed = 0
        for path in self._directory.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if path.suffix not in (_SUFFIX, ".tmp") or path.stat().st_mtime >= before:
                    continue
                path.unlink()
                if path.suffix == _SUFFIX and _NAME.fullmatch(path.stem):
                    removed += 1
                    with self._lock:
                        self._open.pop(path.stem, None)
        return removed

    def close(self) -> None:
        """Let go of the mapped files; views that are still in use keep theirs."""
        with self._lock:
            self._open.clear()

    def _path(self, digest: str) -> Path:
        return self._directory / f"{digest}{_SUFFIX}"


def _header(path: Path, digest: str) -> tuple[dict[str, Any], int]:
    """The checked header of a file and where its data begins."""
    with path.open("rb") as file:
        fixed = file.read(_FIXED)
        version = int.from_bytes(fixed[len(_MAGIC) : len(_MAGIC) + 4], "little")
        if len(fixed) == _FIXED and fixed.startswith(_MAGIC) and version != FORMAT_VERSION:
            raise IndexMismatch(
                f"context file {path.name} has format version {version}, this release reads version {FORMAT_VERSION}: "
                "use another directory, or the release that wrote it"
            )
        size = int.from_bytes(fixed[len(_MAGIC) + 4 :], "little")
        packed = file.read(size)
        total = os.fstat(file.fileno()).st_size
    start = _FIXED + size
    try:
        header = msgpack.unpackb(packed)
        sound = fixed.startswith(_MAGIC) and header["digest"] == digest and start + sum(header["sizes"]) == total
    except (ValueError, TypeError, KeyError, msgpack.UnpackException):
        sound = False
    if not sound:
        raise ContextMissing(f"context file {path.name} is damaged: put the context again")
    return header, start


def _sync_directory(directory: Path) -> None:
    """A renamed file survives a power cut only when its directory was written too."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
