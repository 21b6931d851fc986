"""Files of data sets, read row by row; what is wrong with one is said with its file, row and field."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from langgraph_rlm.errors import DataMissing, InvalidInput
from langgraph_rlm.shortening import shortened

csv.field_size_limit(1 << 30)


class Row:
    """One record of a file.

    Args:
        values: its fields.
        place: where it stands, for messages.
    """

    def __init__(self, values: Any, place: str) -> None:
        if not isinstance(values, Mapping):
            raise InvalidInput(f"{place}: expected an object with fields, got {_shown(values)}")
        self._values, self.place = values, place

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def names(self) -> list[str]:
        """The fields that it has."""
        return [str(name) for name in self._values]

    def text(self, name: str, default: str | None = None, *, may_be_empty: bool = False) -> str:
        """A field that holds text.

        Raises:
            InvalidInput: it is missing, empty or something else.
        """
        if name not in self and default is not None:
            return default
        value = self._given(name)
        if not isinstance(value, str):
            raise self.wrong(name, "a text")
        if not value.strip() and not may_be_empty:
            raise InvalidInput(f"{self.place}: field {name!r} is empty")
        if value.encode("utf-8", "ignore").decode() != value:
            raise InvalidInput(f"{self.place}: field {name!r} holds a lone surrogate, which is no text; repair it")
        return value

    def name(self, name: str, default: str | None = None) -> str:
        """A field that holds a text or a whole number, as text: ids come as either."""
        value = self._values.get(name)
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else self.text(name, default)

    def choice(self, name: str, allowed: Sequence[str], default: str | None = None) -> str:
        """A field that holds one of a few texts."""
        found = self.text(name, default)
        if found not in allowed:
            raise self.wrong(name, f"one of {', '.join(allowed)}")
        return found

    def number(self, name: str, default: float | None = None) -> float:
        """A field that holds a finite number from 0 on."""
        if name not in self and default is not None:
            return default
        value = self._given(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise self.wrong(name, "a number from 0 on")
        return value

    def truth(self, name: str, default: bool) -> bool:
        """A field that is true or false."""
        value = self._values.get(name, default)
        if not isinstance(value, bool):
            raise self.wrong(name, "true or false")
        return value

    def items(self, name: str) -> list[Any]:
        """A field that holds a list."""
        value = self._given(name)
        if not isinstance(value, list):
            raise self.wrong(name, "a list")
        return value

    def rows(self, name: str) -> list[Row]:
        """A field that holds a list of records."""
        return [Row(item, f"{self.place}, {name}[{number}]") for number, item in enumerate(self.items(name))]

    def answers(self, name: str) -> tuple[str, ...]:
        """A field that holds an answer or a list of them; numbers become text."""
        value = self._given(name)
        given = value if isinstance(value, list) else [value]
        if not given or not all(_is_answer(item) for item in given):
            raise self.wrong(name, "a text, a number, or a list of them that is not empty")
        return tuple(str(item).strip() for item in given)

    def value(self, name: str) -> Any:
        """A field as it stands."""
        return self._given(name)

    def wrong(self, name: str, wanted: str) -> InvalidInput:
        """The error for a field of another shape."""
        return InvalidInput(f"{self.place}: field {name!r} must be {wanted}, not {_shown(self._values.get(name))}")

    def _given(self, name: str) -> Any:
        if name not in self:
            known = ", ".join(self.names()[:20]) or "none"
            raise InvalidInput(f"{self.place}: field {name!r} is missing; there are: {known}")
        return self._values[name]


def _is_answer(item: Any) -> bool:
    if isinstance(item, str):
        return bool(item.strip()) and item.encode("utf-8", "ignore").decode() == item
    return isinstance(item, int | float) and not isinstance(item, bool) and math.isfinite(item)


def _shown(value: Any) -> str:
    return shortened(json.dumps(value, default=str))


def text_of(path: Path) -> str:
    """A file's text, which must be UTF-8.

    Raises:
        DataMissing: it is not there.
        InvalidInput: it is something else.
    """
    try:
        return path.read_text("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        raise DataMissing(f"{path} is not there") from None
    except IsADirectoryError:
        raise InvalidInput(f"{path} is a folder, not a file") from None
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from None
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from None


def json_of(path: Path) -> Any:
    """What a JSON file holds."""
    try:
        return json.loads(text_of(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise InvalidInput(f"{path} is not JSON: {error}") from None


def json_rows(path: Path) -> list[Row]:
    """The records of a file that holds one JSON list."""
    held = json_of(path)
    if not isinstance(held, list):
        raise InvalidInput(f"{path}: expected a list of records, got {_shown(held)}")
    return [Row(item, f"{path}, record {number}") for number, item in enumerate(held, 1)]


def csv_rows(path: Path, fields: Sequence[str]) -> list[Row]:
    """The records of a CSV file whose first line names the fields."""
    reader = csv.DictReader(io.StringIO(text_of(path), newline=""))
    if missing := [name for name in fields if name not in (reader.fieldnames or [])]:
        raise InvalidInput(f"{path}: column {missing[0]!r} is missing; there are: {', '.join(reader.fieldnames or [])}")
    try:
        return [Row(values, f"{path}, row {number}") for number, values in enumerate(reader, 1)]
    except csv.Error as error:
        raise InvalidInput(f"{path}, line {reader.line_num}: no CSV: {error}") from None


def jsonl_rows(path: Path) -> Iterator[tuple[Row, int]]:
    """The records of a JSON Lines file and where each begins, in bytes; empty lines are passed over.

    Raises:
        DataMissing: it is not there.
        InvalidInput: a line is no JSON object, which is named.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise DataMissing(f"{path} is not there") from None
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from None
    with file:
        at = 0
        for number, line in enumerate(file, 1):
            if line.strip(b"\xef\xbb\xbf \t\r\n"):
                yield _parsed(line, f"{path}, line {number}"), at
            at += len(line)


def row_at(path: Path, start: int) -> Row:
    """The record of a JSON Lines file that begins at this byte."""
    with path.open("rb") as file:
        file.seek(start)
        return _parsed(file.readline(), f"{path}, the line at byte {start}")


def _parsed(line: bytes, place: str) -> Row:
    try:
        return Row(json.loads(line.decode("utf-8-sig")), place)
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{place} is not UTF-8 text: {error.reason} at its byte {error.start}") from None
    except (json.JSONDecodeError, RecursionError) as error:
        raise InvalidInput(f"{place} is not JSON: {error}") from None
