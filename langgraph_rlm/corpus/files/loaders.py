"""Reads files and folders as LangChain Documents, one after the other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from langchain_core.documents import Document

from langgraph_rlm.corpus.files.formats import html_text, pdf_pages
from langgraph_rlm.errors import InvalidInput, MissingDependency

MAX_FILE_BYTES = 10_000_000

_SKIPPED_FOLDERS = frozenset({"__pycache__", "node_modules"})  # hidden ones are skipped by their dot
_MARKS = (frozenset({"pyvenv.cfg"}), frozenset({"manifest.json", "documents.sqlite"}))
"""Files by which a virtual environment, and the directory of a corpus itself, are known: neither holds documents."""
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A file that was left out, and why."""

    path: str
    reason: str


class LoadedFiles:
    """The documents of some paths. Files are read while it is iterated, each time anew.

    After an iteration ``loaded`` is the number of documents and ``skipped`` names the files left out.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        include: Sequence[str],
        exclude: Sequence[str],
        on_skip: Callable[[SkippedFile], None] | None,
        max_bytes: int,
    ) -> None:
        self._paths = paths
        self._include = include
        self._exclude = exclude
        self._on_skip = on_skip
        self._max_bytes = max_bytes
        self.loaded = 0
        self.skipped: list[SkippedFile] = []

    def __iter__(self) -> Iterator[Document]:
        """Read the files.

        Raises:
            InvalidInput: two files have one id, or no file could be read.
        """
        self.loaded, self.skipped = 0, []
        origins: dict[str, Path] = {}
        for doc_id, path, root in self._files():
            documents = self._documents(doc_id, path, root)
            if documents and doc_id in origins:
                raise InvalidInput(f"{path} and {origins[doc_id]} would both have the id {doc_id!r}: load them apart")
            origins |= {doc_id: path} if documents else {}
            self.loaded += len(documents)
            yield from documents
        if not self.loaded:
            reasons = "".join(f"\n  {skipped.path}: {skipped.reason}" for skipped in self.skipped[:5])
            names = ", ".join(map(str, self._paths))
            raise InvalidInput(f"no text file to read in {names}{reasons or ': nothing there, or all excluded'}")

    def _files(self) -> Iterator[tuple[str, Path, Path]]:
        """Id, path and the folder that the path must not leave, for every file that is not excluded."""
        for given in self._paths:
            if given.is_file():
                yield _unreserved(given.name), given, given.resolve().parent
                continue
            prefix = f"{given.resolve().name}/" if len(self._paths) > 1 else ""
            root = given.resolve()
            for folder, folders, files in os.walk(given):
                if any(mark <= set(files) for mark in _MARKS):
                    folders.clear()
                    continue
                inside = Path(folder).relative_to(given)
                folders[:] = sorted(name for name in folders if self._enters(inside / name))
                for name in sorted(files):
                    relative = (inside / name).as_posix()
                    if self._wanted(relative):
                        yield _unreserved(prefix + relative), Path(folder) / name, root

    def _enters(self, folder: Path) -> bool:
        name = folder.name
        return not (name.startswith(".") or name in _SKIPPED_FOLDERS or self._excluded(folder.as_posix()))

    def _wanted(self, relative: str) -> bool:
        hidden = relative.rpartition("/")[2].startswith(".")  # .env and the like are nobody's documents
        return not hidden and (not self._include or _any(self._include, relative)) and not self._excluded(relative)

    def _excluded(self, relative: str) -> bool:
        return _any(self._exclude, relative)

    def _documents(self, doc_id: str, path: Path, root: Path) -> list[Document]:
        """A file's text with its line ends as they are, a PDF's pages, what an HTML page reads; none when skipped."""
        suffix = path.suffix.lower()
        metadata = {"path": doc_id, "suffix": suffix}
        try:
            if suffix == ".pdf":
                return [
                    Document(id=f"{doc_id}#page={page}", page_content=text, metadata={**metadata, "page": page})
                    for page, text in self._pages(path, root)
                ]
            text = self._read(path, root)
            if suffix in (".html", ".htm"):
                text, title = html_text(text)
                metadata |= {"title": title} if title else {}
            return [Document(id=doc_id, page_content=text, metadata=metadata)]
        except _Skipped as reason:
            skipped = SkippedFile(str(path).encode("utf-8", "backslashreplace").decode(), str(reason))
        self.skipped.append(skipped)
        if self._on_skip is not None:
            self._on_skip(skipped)
        return []

    def _pages(self, path: Path, root: Path) -> list[tuple[int, str]]:
        self._bytes(path, root)
        try:
            pages = list(pdf_pages(path))
        except (ValueError, MissingDependency) as error:
            raise _Skipped(str(error)) from None
        if not pages:
            raise _Skipped("a PDF without text, perhaps of scanned pages")
        return pages

    def _read(self, path: Path, root: Path) -> str:
        data = self._bytes(path, root)
        if b"\x00" in data:
            raise _Skipped("binary (holds a NUL byte)")
        try:
            return data.removeprefix(_BOM).decode("utf-8")
        except UnicodeDecodeError as error:
            raise _Skipped(f"not UTF-8 (byte {error.start})") from None

    def _bytes(self, path: Path, root: Path) -> bytes:
        try:
            str(path).encode()
        except UnicodeEncodeError:
            raise _Skipped("its name is not UTF-8") from None
        try:
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                raise _Skipped("a link that leads out of the folder")
            if not path.is_file():
                raise _Skipped("not a file")
            if (size := path.stat().st_size) > self._max_bytes:
                raise _Skipped(f"{size:,} bytes, more than {self._max_bytes:,}")
            return path.read_bytes()
        except OSError as error:
            raise _Skipped(error.strerror or type(error).__name__) from None


class _Skipped(Exception):
    """Why a file is left out."""


def load_paths(
    paths: Sequence[str | Path],
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    on_skip: Callable[[SkippedFile], None] | None = None,
    max_bytes: int = MAX_FILE_BYTES,
) -> LoadedFiles:
    """The text files of some files and folders, as Documents.

    A document's id is its path relative to the folder it was found in, and begins with the folder's name when several
    paths are given. Metadata: ``path`` (the id) and ``suffix``. HTML files become what they read, with their ``title``;
    each page of a PDF (extra ``pdf``) is a document with its ``page`` and an id that ends with ``#page=<number>``. Folders are read in sorted order without hidden files
    and folders, ``__pycache__``, ``node_modules``, virtual environments and the directories of corpora. What is not UTF-8
    text is skipped and named.

    Args:
        paths: files and folders.
        include: glob patterns of the files to read in folders; all when empty.
        exclude: glob patterns of names (``"*.min.js"``, ``"tests"``) or of paths below a folder (``"docs/old/*"``).
        on_skip: told of each file that is left out.
        max_bytes: larger files are skipped.

    Raises:
        InvalidInput: a path that does not exist, or no path at all.

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
        if not path.exists():
            raise InvalidInput(f"load_paths: {path} does not exist")
    return LoadedFiles(found, tuple(include), tuple(exclude), on_skip, max_bytes)


def _any(patterns: Sequence[str], relative: str) -> bool:
    name = relative.rpartition("/")[2]
    return any(fnmatchcase(relative, pattern) or fnmatchcase(name, pattern) for pattern in patterns)


def _unreserved(doc_id: str) -> str:
    """Ids that begin with ``context`` stand for the context of a run."""
    return f"./{doc_id}" if doc_id == "context" or doc_id.startswith("context/") else doc_id
