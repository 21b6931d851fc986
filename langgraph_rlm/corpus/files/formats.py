"""Texts out of files that are more than text: PDF by page, CSV and JSON Lines by row, HTML as it reads."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from langchain_core.documents import Document

from langgraph_rlm.corpus.filters import is_scalar
from langgraph_rlm.errors import InvalidInput, MissingDependency

_SILENT = frozenset({"script", "style", "template", "noscript", "head"})
_VOID = frozenset({"br", "hr", "img", "input", "link", "meta", "wbr"})
_LINES = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "br",
        "dd",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "li",
        "main",
        "nav",
        "ol",
        "p",
        "pre",
        "section",
        "table",
        "td",
        "th",
        "tr",
        "ul",
    ]
)
_FIELD_CHARS = 10_000_000


def pdf_pages(path: Path) -> Iterator[tuple[int, str]]:
    """Number, from 1, and text of each page of a PDF that has text.

    Raises:
        MissingDependency: pypdf is not installed.
        ValueError: the file cannot be read; the message says why.
    """
    try:
        from pypdf import PdfReader
        from pypdf.errors import PyPdfError
    except ImportError:
        raise MissingDependency('PDF files need pypdf: pip install "langgraph-rlm[pdf]"') from None
    try:
        with PdfReader(path) as reader:
            if reader.is_encrypted and not reader.decrypt(""):
                raise ValueError("locked by a password")
            for number, page in enumerate(reader.pages, start=1):
                if (text := page.extract_text()).strip():
                    yield number, text.encode("utf-8", "replace").decode()
    except (PyPdfError, KeyError, TypeError, AttributeError, RecursionError, NotImplementedError) as error:
        raise ValueError(f"no PDF that can be read ({error or type(error).__name__})") from error


def html_text(html: str) -> tuple[str, str]:
    """The text of a page as it reads, block by block on lines of its own, and its title.

    Example:
        >>> html_text("<title>T</title><h1>Tea</h1><p>is&nbsp;<b>hot</b></p>")
        ('Tea\\nis hot\\n', 'T')
    """
    parser = _Reader()
    parser.feed(html)
    parser.close()
    lines = (" ".join(line.split()) for line in "".join(parser.pieces).splitlines())
    text = "\n".join(line for line in lines if line)
    return (text + "\n" if text else ""), " ".join("".join(parser.title).split())


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self.title: list[str] = []
        self._silent = 0
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self._in_title = tag == "title" and not self.title
        if tag in _SILENT:
            self._silent += 1
        elif tag == "body":
            self._silent = 0  # a head that nobody closed
        if tag in _LINES:
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False
        if tag in _SILENT:
            self._silent = max(0, self._silent - 1)
        if tag in _LINES and tag not in _VOID:
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title.append(data)
        elif not self._silent:
            self.pieces.append(data)


def load_rows(
    path: str | Path, *, text: str | Sequence[str] | None = None, id: str | None = None
) -> Iterator[Document]:
    """The rows of a CSV (``.csv``, ``.tsv``) or JSON Lines file as Documents, read one after the other.

    Metadata: ``path``, ``line`` (where the row begins, from 1) and the columns that are not part of the text and hold a
    plain value. Ids are ``<file name>#<line>``, or the file's name and the value of a column.

    Args:
        path: the file, in UTF-8. A CSV file has its columns' names in its first line.
        text: the columns that make up the text; all, as ``name: value`` on lines of their own, when left out.
        id: the column that names a row.

    Raises:
        InvalidInput: the file cannot be read, lacks a column, or has a row that is none; the line is named.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("faq.csv").write_text("topic,answer\\nleave,16 weeks\\n")
        >>> [(row.page_content, row.metadata["topic"]) for row in load_rows("faq.csv", text="answer")]
        [('16 weeks', 'leave')]
    """
    file = Path(path).expanduser()
    chosen = [text] if isinstance(text, str) else None if text is None else list(text)
    for line, row in _rows(file):
        if missing := [name for name in [*(chosen or ()), *([id] if id else ())] if name not in row]:
            raise InvalidInput(f"{file}, line {line}: there is no column {missing[0]!r}; there are {', '.join(row)}")
        shown = chosen or list(row)
        if chosen is not None and len(chosen) == 1:
            content = _shown(row[chosen[0]])
        else:
            content = "".join(f"{name}: {_shown(row[name])}\n" for name in shown if row[name] not in (None, ""))
        rest = {
            name: value
            for name, value in row.items()
            if (chosen is not None and name not in chosen) and is_scalar(value) and not name.startswith(("rlm_", "$"))
        }
        name = f"{file.name}#{row[id] if id else line}"
        yield Document(content, id=name, metadata={**rest, "path": file.name, "line": line})


def _rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    suffix = file.suffix.lower()
    if suffix not in (".csv", ".tsv", ".jsonl", ".ndjson"):
        raise InvalidInput(f"load_rows: expected a .csv, .tsv, .jsonl or .ndjson file, got {file}")
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            yield from _json_rows(file, lines) if "js" in suffix else _csv_rows(file, lines, suffix)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"{file} cannot be read: {error}") from None


def _json_rows(file: Path, lines: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InvalidInput(f"{file}, line {number}: no JSON ({error})") from None
        if not isinstance(row, dict):
            raise InvalidInput(f"{file}, line {number}: expected an object, got {type(row).__name__}")
        yield number, row


def _csv_rows(file: Path, lines: Any, suffix: str) -> Iterator[tuple[int, dict[str, Any]]]:
    csv.field_size_limit(_FIELD_CHARS)
    reader = csv.DictReader(lines, delimiter="\t" if suffix == ".tsv" else ",", restval="", strict=True)
    if reader.fieldnames is None:
        return
    while True:
        begins = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise InvalidInput(f"{file}, line {begins}: {error}") from None
        if row is None:
            return
        if None in row:
            raise InvalidInput(f"{file}, line {begins}: more values than columns")
        yield begins, row


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
