"""Documents out of the rows of CSV and JSON Lines files."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from langchain_core.documents import Document

from langgraph_rlm.corpus.files.encodings import LOOKED_AT, check_encoding, encoding_of
from langgraph_rlm.corpus.filters import is_scalar
from langgraph_rlm.errors import InvalidInput

_FIELD_CHARS = 10_000_000
"""Of one value or line, which is a row: whoever has a larger one has a document, not a row."""


def load_rows(
    path: str | Path,
    *,
    text: str | Sequence[str] | None = None,
    id: str | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
) -> Iterator[Document]:
    """The rows of a CSV (``.csv``, ``.tsv``) or JSON Lines file as Documents, read one after the other.

    Metadata: ``path``, ``line`` (where the row begins, from 1) and the columns that are not part of the text and hold a
    plain value. Ids are ``<file name>#<line>``, or the file's name and the value of a column.

    Args:
        path: the file. A CSV file has its columns' names in its first line.
        text: the columns that make up the text; all, as ``name: value`` on lines of their own, when left out.
        id: the column that names a row.
        delimiter: between the values of a CSV file, one character; None for what stands between the names of its columns: a
            comma, a semicolon, a tab or a bar.
        encoding: found out when None, as by ``load_paths``.

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
    for line, row in _rows(file, delimiter, encoding):
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


def _rows(file: Path, delimiter: str | None, encoding: str | None) -> Iterator[tuple[int, dict[str, Any]]]:
    suffix = file.suffix.lower()
    if suffix not in (".csv", ".tsv", ".jsonl", ".ndjson"):
        raise InvalidInput(f"load_rows: expected a .csv, .tsv, .jsonl or .ndjson file, got {file}")
    try:
        if not file.is_file():  # a pipe would be waited for
            file.stat()
            raise InvalidInput(f"{file} cannot be read: it is not a file")
        with file.open("rb") as beginning:
            head = beginning.read(LOOKED_AT)
        found = encoding_of(head) if encoding is None else check_encoding(encoding)
        if found is None:
            raise InvalidInput(f"{file} cannot be read: it is in no encoding that is known; give encoding=")
        with file.open(encoding="utf-8-sig" if found == "utf-8" else found, newline="") as lines:
            yield from _json_rows(file, lines) if "js" in suffix else _csv_rows(file, lines, suffix, delimiter)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"{file} cannot be read: {error}") from None


def _json_rows(file: Path, lines: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(iter(lambda: lines.readline(_FIELD_CHARS + 1), ""), start=1):
        if len(line) > _FIELD_CHARS:
            raise InvalidInput(f"{file}, line {number}: more than {_FIELD_CHARS:,} characters")
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InvalidInput(f"{file}, line {number}: no JSON ({error})") from None
        except RecursionError:
            raise InvalidInput(f"{file}, line {number}: it is nested too deeply") from None
        if not isinstance(row, dict):
            raise InvalidInput(f"{file}, line {number}: expected an object, got {type(row).__name__}")
        yield number, row


def _csv_rows(file: Path, lines: Any, suffix: str, delimiter: str | None) -> Iterator[tuple[int, dict[str, Any]]]:
    csv.field_size_limit(_FIELD_CHARS)
    if delimiter is None:
        delimiter = "\t" if suffix == ".tsv" else _delimiter_of(lines.readline(_FIELD_CHARS))
        lines.seek(0)
    elif len(delimiter) != 1 or delimiter in '"\r\n':
        raise InvalidInput(f"load_rows: delimiter must be one character, not {delimiter!r}")
    reader = csv.DictReader(lines, delimiter=delimiter, restval="", strict=True)
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


def _delimiter_of(names: str) -> str:
    """What stands most often between the names of columns, outside of quotes; a comma where nothing does.

    Example:
        >>> _delimiter_of('name;"a, b";c')
        ';'
    """
    outside = "".join(names.split('"')[::2])
    return max(",;\t|", key=outside.count)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
