"""The directory of a ContextStore: one file per context, named by its digest and never changed.

Whoever reads a file holds a shared lock on it, which the kernel keeps for as long as the mapping lives and takes back
when the process ends, however it ends; nothing is removed that cannot be locked exclusively. Writers hold the same lock
on their temporary file, so that one without a lock is known to be abandoned. Files appear and go under a lock on the
directory.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import re
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from langgraph_rlm.errors import ContextMissing, ContextStoreError, InvalidInput
from langgraph_rlm.text.context_format import ContextFormat
from langgraph_rlm.text.lines import Data
from langgraph_rlm.text.stored import Stored

if TYPE_CHECKING:
    from langgraph.checkpoint.serde.base import SerializerProtocol

_SUFFIX = ".ctx"
_INDEX = ".blocks"
_TEMPORARY = ".tmp"
_NAME = re.compile(r"[0-9a-f]{64}")
_KEPT_OPEN = 64
"""Files: a process may have 1,024 open by default, and others need some too."""
_KEPT_UNSEALED_BYTES = 256 << 20
"""Of sealed contexts, which are held in memory; a quarter of what a store in memory holds."""


class ContextFiles:
    """Reads and writes the files of one directory. Several processes may do so at once.

    Args:
        directory: made, for its owner only, when it is missing.
        max_bytes: of all context files; beyond them the least recently used ones go that nobody has open. None: no cap.
        serializer: what contexts go through on their way to the disk and back.

    Raises:
        InvalidInput: there is something else in the place of the directory.
        ContextStoreError: it cannot be made.
    """

    def __init__(
        self, directory: Path, *, max_bytes: int | None = None, serializer: SerializerProtocol | None = None
    ) -> None:
        self._format = ContextFormat(serializer)
        self._directory = directory
        self._max_bytes = max_bytes
        with self._explained("be made"):
            if directory.exists() and not directory.is_dir():
                raise InvalidInput(f"contexts: {directory} is not a directory")
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._open: OrderedDict[str, Stored] = OrderedDict()  # the least recently used first
        self._lock = threading.Lock()

    def write(self, digest: str, stored: Stored, parts: Sequence[Data], content: str) -> None:
        """Make the file of a context, whole or not at all; one that is there already only becomes young again.

        Args:
            digest: what it is kept under.
            stored: says what the parts are; its own data is not looked at.
            parts: the UTF-8 of each part.
            content: the digest of the content; the same for a context that is no tenant's.

        Raises:
            ContextStoreError: it cannot be written; nothing of it stays.
            IndexMismatch: the file that is there has another format version.
        """
        with contextlib.suppress(ContextMissing):
            self.read(digest)
            return
        pieces = self._format.packed(digest, stored, parts, content)
        with self._explained("be written to"), self._temporary() as (handle, name):
            with os.fdopen(os.dup(handle), "wb") as file:
                file.writelines(pieces)
            os.fsync(handle)
            mapped = mmap.mmap(handle, 0, access=mmap.ACCESS_READ)
            with self._alone():
                if not self._appeared(digest):
                    os.replace(name, self._path(digest))  # noqa: PTH105
                    self._keep(digest, self._with_file(self._format.reopened(mapped, stored, parts), digest))
                    self._touch(digest)
            _sync_directory(self._directory)
        if self._max_bytes is not None:
            self._evict(self._max_bytes, newest=digest)

    def read(self, digest: str) -> Stored:
        """The context of this digest: mapped into memory, or read into it where it was sealed.

        Raises:
            ContextMissing: there is none, its file is damaged, or not written by this serializer.
            ContextStoreError: its file cannot be read.
            IndexMismatch: its file has another format version.
        """
        if not self._touch(digest):
            with self._lock:
                self._open.pop(digest, None)
            raise missing_context(digest)
        with self._lock:
            if stored := self._open.get(digest):
                self._open.move_to_end(digest)
                return stored
        stored = self._opened(digest)
        self._keep(digest, stored)
        return stored

    def remove(self, digest: str) -> bool:
        """Remove a context; False when somebody has it open, here or in another process.

        Raises:
            ContextStoreError: the directory cannot be changed.
        """
        with self._explained("be changed"), self._alone():
            return self._removed(self._path(digest))

    def prune(self, before: float) -> int:
        """Remove files last used before this time (seconds since 1970) that nobody has open, and abandoned ones.

        Raises:
            ContextStoreError: the directory cannot be read or changed.
        """
        with self._explained("be pruned"), self._alone():
            self._sweep()
            return sum(used < before and self._removed(path) for used, _, path in self._files())

    def index_path(self, digest: str) -> Path:
        """Where the search index of a context lies; it goes with the context."""
        return self._directory / f"{digest}{_INDEX}"

    def close(self) -> None:
        """Let go of the mapped files; views that are still in use keep theirs."""
        with self._lock:
            self._open.clear()

    # --- opening ---

    def _opened(self, digest: str) -> Stored:
        with self._explained("be read from"):
            try:
                with _locked(self._path(digest)) as handle:
                    # It duplicates the handle, and with it holds the lock as long as it lives.
                    mapped = mmap.mmap(handle, 0, access=mmap.ACCESS_READ)
            except FileNotFoundError:
                raise ContextMissing(f"context sha256:{digest[:12]}… was removed just now: put it again") from None
            except ValueError:  # nothing can be mapped
                raise ContextMissing(
                    f"the file of context sha256:{digest[:12]}… is damaged: put the context again"
                ) from None
        return self._with_file(self._format.opened(mapped, digest), digest)

    def _with_file(self, stored: Stored, digest: str) -> Stored:
        stored.file = None if self._format.sealed else self._path(digest)
        return stored

    def _appeared(self, digest: str) -> bool:
        """Whether somebody else has written this context meanwhile."""
        try:
            self._keep(digest, self._opened(digest))
        except ContextMissing:
            return False
        return True

    def _keep(self, digest: str, stored: Stored) -> None:
        with self._lock:
            self._open[digest] = stored
            self._open.move_to_end(digest)
            while len(self._open) > _KEPT_OPEN or (len(self._open) > 1 and self._unsealed() > _KEPT_UNSEALED_BYTES):
                self._open.popitem(last=False)

    def _unsealed(self) -> int:
        """Bytes held in memory."""
        return sum(len(stored.data) for stored in self._open.values()) if self._format.sealed else 0

    def _touch(self, digest: str) -> bool:
        """Make a context the most recently used one; False when it is not there."""
        path, now = (
            self._path(digest),
            time.time_ns(),
        )  # the kernel's clock for files is coarser than two uses lie apart
        with self._explained("be read from"):
            try:
                os.utime(path, ns=(now, now))
            except FileNotFoundError:
                return False
            except OSError:  # it may be read and not changed
                return path.exists()
        return True

    # --- making and removing ---

    @contextlib.contextmanager
    def _temporary(self) -> Iterator[tuple[int, str]]:
        """A temporary file under a lock, gone afterwards unless it was renamed."""
        with self._alone():
            handle, name = tempfile.mkstemp(dir=self._directory, prefix=".", suffix=_TEMPORARY)  # mode 0600
            _flock(handle, fcntl.LOCK_SH)
        try:
            yield handle, name
        finally:
            os.close(handle)
            Path(name).unlink(missing_ok=True)

    def _evict(self, most: int, newest: str) -> None:
        with self._explained("be kept below max_bytes"), self._alone():
            self._sweep()
            files = sorted(self._files())
            total = sum(size for _, size, _ in files)
            for _, size, path in files:
                if total <= most:
                    return
                if path.stem != newest and self._removed(path):
                    total -= size

    def _files(self) -> list[tuple[float, int, Path]]:
        """When each context was last used (seconds since 1970), its bytes and its file."""
        found = []
        for path in self._directory.iterdir():
            if path.suffix == _SUFFIX and _NAME.fullmatch(path.stem):
                with contextlib.suppress(FileNotFoundError):
                    status = path.stat()
                    index = self.index_path(path.stem)
                    size = status.st_size + (index.stat().st_size if index.exists() else 0)
                    found.append((status.st_mtime, size, path))
        return found

    def _removed(self, path: Path) -> bool:
        """Remove a file unless somebody has it open, here or in another process."""
        with self._lock:
            self._open.pop(path.stem, None)  # what nobody else holds is unmapped, and its lock gone, with this
        if not _unlinked(path):
            return False
        self.index_path(path.stem).unlink(missing_ok=True)
        return True

    def _sweep(self) -> None:
        """Remove temporary files whose writers are gone, and indexes whose contexts are."""
        for path in self._directory.iterdir():
            if path.suffix == _TEMPORARY and path.name.startswith("."):
                _unlinked(path)
            elif path.suffix == _INDEX and not path.with_suffix(_SUFFIX).exists():
                path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock of the directory, where its file system has locks."""
        handle = os.open(self._directory, os.O_RDONLY)
        try:
            _flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            advice = _ADVICE.get(error.errno or 0, "Check the disk and the permissions")
            raise ContextStoreError(
                f"the context store {self._directory} cannot {what}: {error.strerror or error}. {advice}"
            ) from error

    def _path(self, digest: str) -> Path:
        return self._directory / f"{digest}{_SUFFIX}"


_NOT_ALLOWED = "This user must be allowed to read and write there; use another directory, or change its permissions"
_FULL = (
    "Free some room (prune(older_than=…) removes old contexts), or give the store a max_bytes that the disk can hold"
)
_ADVICE = {
    errno.EACCES: _NOT_ALLOWED,
    errno.EPERM: _NOT_ALLOWED,
    errno.EROFS: "It lies on a read-only file system; use another directory",
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: "The file would be larger than this process or this file system may write; raise the limit (ulimit -f)",
    errno.ENOENT: "Somebody has removed the directory, or it cannot be there; make a new ContextStore",
    errno.EMFILE: "This process has too many files open; raise the limit (ulimit -n)",
}
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF}
"""What file systems say that have no locks, or none for directories."""


def short_digest(digest: str) -> str:
    """As messages name a context."""
    return f"sha256:{digest[:12]}…"


def missing_context(digest: str) -> ContextMissing:
    """For a context that a directory does not hold."""
    return ContextMissing(
        f"context {short_digest(digest)} is not in this store; it was never put here, or removed since: put it again"
    )


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[int]:
    """A file with a shared lock on it, and not one that was removed before it was locked."""
    while True:
        handle = os.open(path, os.O_RDONLY)
        try:
            _flock(handle, fcntl.LOCK_SH)
            if _is_at(handle, path):
                yield handle
                return
        finally:
            os.close(handle)


def _unlinked(path: Path) -> bool:
    """Remove a file that nobody holds a lock on; False when somebody does, or when it is gone already."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is_at(handle, path):
            return False
        path.unlink()
    except (BlockingIOError, FileNotFoundError):
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        raise ContextStoreError(
            f"the file system of {path.parent} has no locks (flock), so that nobody knows which contexts are in use and "
            "none is removed: use another directory, or delete files yourself while nothing runs"
        ) from error
    finally:
        os.close(handle)
    return True


def _flock(handle: int, how: int) -> None:
    """Wait for a lock, where the file system has them."""
    try:
        fcntl.flock(handle, how)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise


def _is_at(handle: int, path: Path) -> bool:
    return os.path.samestat(os.fstat(handle), path.stat())


def _sync_directory(directory: Path) -> None:
    """A renamed file survives a power cut only when its directory was written too."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
