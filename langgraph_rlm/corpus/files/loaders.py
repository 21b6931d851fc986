"""Reads files and folders as LangChain Documents, one after the other."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from langchain_core.documents import Document

from langgraph_rlm.corpus.files.encodings import check_encoding, encoding_of
from langgraph_rlm.corpus.files.reading import KINDS, FileReader, NotRead
from langgraph_rlm.errors import InvalidInput

MAX_FILE_BYTES = 10_000_000
"""Of a file in a folder: what is larger there is mostly data, and an index of it would cost its owner hours and money."""
MAX_NAMED_FILE_BYTES = 1_000_000_000
"""Of a file that was named itself. It takes two to five times as much memory while it is decoded."""

_SKIPPED_FOLDERS = frozenset({"__pycache__", "node_modules"})  # hidden ones are skipped by their dot
_MARKS = (frozenset({"pyvenv.cfg"}), frozenset({"manifest.json", "documents.sqlite"}))
"""Files by which a virtual environment, and the directory of a corpus itself, are known: neither holds documents."""
_HEAD = 1 << 16
"""Bytes that are looked at first, so that a large picture or archive is not read."""


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A file that was left out, and why."""

    path: str
    reason: str


class LoadedFiles:
    """The documents of some paths. Files are read while it is iterated, each time anew.

    After an iteration ``loaded`` is the number of documents and ``skipped`` names the files left out; ``bytes_read`` says
    how much of :meth:`measure` an iteration has behind it.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        include: Sequence[str],
        exclude: Sequence[str],
        on_skip: Callable[[SkippedFile], None] | None,
        max_file_bytes: int | None,
        encoding: str | None = None,
    ) -> None:
        self._paths = paths
        self._include = include
        self._exclude = exclude
        self._on_skip = on_skip
        self._max_file_bytes = max_file_bytes
        self._encoding = encoding
        self.loaded = self.bytes_read = 0
        self.skipped: list[SkippedFile] = []

    def measure(self) -> tuple[int, int]:
        """How many files there are, and their bytes; none is opened, and none is told as left out."""
        told, skipped = self._on_skip, self.skipped
        self._on_skip, self.skipped = None, []
        try:
            sizes = [_size(path) for _, path, _ in self._files()]
        finally:
            self._on_skip, self.skipped = told, skipped
        return len(sizes), sum(sizes)

    def __iter__(self) -> Iterator[Document]:
        """Read the files.

        Raises:
            InvalidInput: two files have one id, or no file could be read.
        """
        self.loaded, self.bytes_read, self.skipped = 0, 0, []
        origins: dict[str, Path] = {}
        with FileReader() as reader:
            for doc_id, path, root in self._files():
                documents = self._documents(doc_id, path, root, reader)
                if documents and doc_id in origins:
                    raise InvalidInput(
                        f"{path} and {origins[doc_id]} would both have the id {doc_id!r}: load them apart"
                    )
                origins |= {doc_id: path} if documents else {}
                self.loaded += len(documents)
                self.bytes_read += _size(path)
                yield from documents
        if not self.loaded:
            reasons = "".join(f"\n  {skipped.path}: {skipped.reason}" for skipped in self.skipped[:5])
            names = ", ".join(map(str, self._paths))
            raise InvalidInput(f"no text file to read in {names}{reasons or ': nothing there, or all excluded'}")

    def _files(self) -> Iterator[tuple[str, Path, Path | None]]:
        """Id, path and the folder that the path must not leave, for every file that is not excluded.

        The folder is None for a file that was named itself.
        """
        for given in self._paths:
            if not given.is_dir():
                yield _unreserved(given.name), given, None
                continue
            root = given.resolve()
            prefix = f"{root.name}/" if len(self._paths) > 1 else ""
            for folder, folders, files in os.walk(given, onerror=self._not_listed):
                if any(mark <= set(files) for mark in _MARKS):
                    folders.clear()
                    continue
                inside = Path(folder).relative_to(given)
                folders[:] = sorted(name for name in folders if self._enters(inside / name))
                for name in sorted(files):
                    relative = (inside / name).as_posix()
                    if self._wanted(relative):
                        yield _unreserved(prefix + relative), Path(folder) / name, root

    def _not_listed(self, error: OSError) -> None:
        self._skip(str(error.filename), f"the folder cannot be listed: {error.strerror or error}")

    def _enters(self, folder: Path) -> bool:
        name = folder.name
        return not (name.startswith(".") or name in _SKIPPED_FOLDERS or self._excluded(folder.as_posix()))

    def _wanted(self, relative: str) -> bool:
        hidden = relative.rpartition("/")[2].startswith(".")  # .env and the like are nobody's documents
        return not hidden and (not self._include or _any(self._include, relative)) and not self._excluded(relative)

    def _excluded(self, relative: str) -> bool:
        return _any(self._exclude, relative)

    def _documents(self, doc_id: str, path: Path, root: Path | None, reader: FileReader) -> list[Document]:
        """A file's text with its line ends as they are, a PDF's pages, what an HTML page reads; none when skipped."""
        suffix = path.suffix.lower()
        metadata = {"path": doc_id, "suffix": suffix}
        try:
            if suffix not in KINDS:
                text, encoding = self._text(path, root)
                metadata |= {} if encoding in ("utf-8", "utf-8-sig") else {"encoding": encoding}
                return [Document(id=doc_id, page_content=text, metadata=metadata)]
            data = self._bytes(path, root)
            if suffix in (".html", ".htm"):
                data = self._decoded(data)[0].encode()
            parsed = reader.read(suffix, data)
            if suffix == ".pdf":
                if not parsed.parts:
                    raise NotRead("a PDF without text, perhaps of scanned pages")
                return [
                    Document(id=f"{doc_id}#page={page}", page_content=text, metadata={**metadata, "page": page})
                    for page, text in parsed.parts
                ]
            metadata |= {"title": parsed.title} if parsed.title else {}
            return [Document(id=doc_id, page_content="".join(text for _, text in parsed.parts), metadata=metadata)]
        except NotRead as reason:
            self._skip(str(path), str(reason))
        except MemoryError:
            self._skip(str(path), "this process has too little memory for it")
        return []

    def _skip(self, path: str, reason: str) -> None:
        skipped = SkippedFile(path.encode("utf-8", "backslashreplace").decode(), reason)
        self.skipped.append(skipped)
        if self._on_skip is not None:
            self._on_skip(skipped)

    def _text(self, path: Path, root: Path | None) -> tuple[str, str]:
        return self._decoded(self._bytes(path, root, binary=False))

    def _decoded(self, data: bytes) -> tuple[str, str]:
        """Its text, and the encoding."""
        encoding = self._encoding or encoding_of(data)
        if encoding is None:
            raise NotRead(_BINARY if b"\x00" in data else "not UTF-8, and in no encoding that is known: give encoding=")
        try:
            return data.decode(encoding), encoding
        except UnicodeDecodeError as error:
            raise NotRead(f"not {encoding} (byte {error.start})") from None

    def _bytes(self, path: Path, root: Path | None, *, binary: bool = True) -> bytes:
        """What is in a file; of one that must be text and is not, no more than its beginning is read."""
        try:
            str(path).encode()
        except UnicodeEncodeError:
            raise NotRead("its name is not UTF-8") from None
        most = self._max_file_bytes or (MAX_NAMED_FILE_BYTES if root is None else MAX_FILE_BYTES)
        try:
            if root is not None and path.is_symlink() and not path.resolve().is_relative_to(root):
                raise NotRead("a link that leads out of the folder")
            handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe without a writer does not block
            with os.fdopen(handle, "rb") as file:
                status = os.fstat(handle)
                if not stat.S_ISREG(status.st_mode):
                    raise NotRead("not a file")
                if status.st_size > most:
                    raise NotRead(f"{status.st_size:,} bytes, more than {most:,}")
                head = file.read(_HEAD)
                if not binary and b"\x00" in head and not self._encoding and encoding_of(head) is None:
                    raise NotRead(_BINARY)
                data = head + file.read(most + 1 - len(head))  # files of the kernel have no size, and some no end
        except RuntimeError:  # of resolve(), until Python 3.13
            raise NotRead("a link to itself") from None
        except OSError as error:
            raise NotRead(_REASONS.get(error.errno or 0) or error.strerror or type(error).__name__) from None
        if len(data) > most:
            raise NotRead(f"more than {most:,} bytes")
        return data


_BINARY = "binary (holds a NUL byte)"
_REASONS = {
    errno.ELOOP: "a link to itself",
    errno.ENXIO: "not a file",
    errno.EISDIR: "not a file",
    errno.ENOENT: "a link that leads nowhere, or removed meanwhile",
}


def load_paths(
    paths: Sequence[str | Path],
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    on_skip: Callable[[SkippedFile], None] | None = None,
    max_file_bytes: int | None = None,
    encoding: str | None = None,
) -> LoadedFiles:
    """The text files of some files and folders, as Documents.

    A document's id is its path relative to the folder it was found in, and begins with the folder's name when several
    paths are given. Metadata: ``path`` (the id) and ``suffix``. HTML files become what they read, with their ``title``;
    each page of a PDF (extra ``pdf``) is a document with its ``page`` and an id that ends with ``#page=<number>``. Folders are read in sorted order without hidden files
    and folders, ``__pycache__``, ``node_modules``, virtual environments and the directories of corpora. A
    notebook (``.ipynb``) gives its cells and the outputs that are text, a mail (``.eml``) its headers and decoded parts. Text may
    be in UTF-8, UTF-16, Shift-JIS or Windows-1252 (and Latin-1); another one than UTF-8 stands in the metadata as ``encoding``.
    What cannot be read is skipped and named. HTML, PDF, notebooks and mail are read in a process of their own, with bounds of time
    and memory that grow with the size of the file.

    Args:
        paths: files and folders.
        include: glob patterns of the files to read in folders; all when empty.
        exclude: glob patterns of names (``"*.min.js"``, ``"tests"``) or of paths below a folder (``"docs/old/*"``).
        on_skip: told of each file that is left out.
        max_file_bytes: larger files are skipped. None: 10 million in folders, 1,000 million where a file is named itself.
        encoding: of all text files; found out for each when None.

    Raises:
        InvalidInput: a path that does not exist, no path at all, or a number of bytes that is none.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("leave.md").write_text("Parental leave is 16 weeks.")
        >>> [document.page_content for document in load_paths(["leave.md"])]
        ['Parental leave is 16 weeks.']
    """
    if isinstance(paths, str | Path) or not paths:
        raise InvalidInput(f"load_paths: expected a list of paths that is not empty, got {paths!r}")
    found = [Path(path).expanduser() for path in paths]
    for path in found:
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError):
            raise InvalidInput(f"load_paths: {path} does not exist") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InvalidInput(f"load_paths: {path} cannot be read: {reason}") from None
    if encoding is not None:
        check_encoding(encoding)
    if max_file_bytes is not None and (
        isinstance(max_file_bytes, bool) or not isinstance(max_file_bytes, int) or max_file_bytes < 1
    ):
        raise InvalidInput(f"load_paths: max_file_bytes must be a whole number from 1 on, not {max_file_bytes!r}")
    return LoadedFiles(found, tuple(include), tuple(exclude), on_skip, max_file_bytes, encoding)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return 0


def _any(patterns: Sequence[str], relative: str) -> bool:
    name = relative.rpartition("/")[2]
    return any(fnmatchcase(relative, pattern) or fnmatchcase(name, pattern) for pattern in patterns)


def _unreserved(doc_id: str) -> str:
    """Ids that begin with ``context`` stand for the context of a run."""
    return f"./{doc_id}" if doc_id == "context" or doc_id.startswith("context/") else doc_id
