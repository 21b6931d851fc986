"""The names that a document defines: its title, file and module, headings, anchors, code and metadata."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from langgraph_rlm.corpus.languages import language_of
from langgraph_rlm.corpus.names.code_definitions import CODE, code_definitions
from langgraph_rlm.corpus.names.headings import TITLE, Anchor, Heading, first_line, marks_of, sections
from langgraph_rlm.corpus.names.naming import MOST_NAME_CHARS, Name, NameKind, forms_of, key_of

_TITLE_KEYS = ("title", "name")
_PLAIN_FILE = re.compile(
    r"(?:[a-z]{1,2}|doc|docs|document|page|chunk|part|file|text|section|item|row|record|id|no|nr)?[\W\d_]*",
    re.IGNORECASE,
)
_DIGEST = re.compile(r"[0-9a-f]{8,}(?:-[0-9a-f]+)*", re.IGNORECASE)
_SUFFIX = re.compile(r"\.[A-Za-z]\w{0,4}$")


def definitions(doc_id: str, text: str, metadata: Mapping[str, Any]) -> list[Name]:
    """The names that a document defines, each once for each place.

    Args:
        doc_id: its id; a path or an address names a file.
        text: its text.
        metadata: its metadata; ``title`` and ``name`` are titles, other texts are names where they hold a capital.

    Example:
        >>> [(name.kind, name.key) for name in definitions("p1", "Lothair II (king)\\nHe was king of Lotharingia.", {})]
        [('title', 'lothair ii king'), ('title', 'lothair ii')]
    """
    found: dict[tuple[str, int], Name] = {}
    for name in _all(doc_id, text, metadata):
        found.setdefault((name.key, name.start), name)
    return list(found.values())


def _all(doc_id: str, text: str, metadata: Mapping[str, Any]) -> Iterator[Name]:
    language = language_of(doc_id)
    for key, value in metadata.items():
        if not isinstance(value, str) or len(value) > MOST_NAME_CHARS:
            continue
        if key in _TITLE_KEYS:
            yield from _named(forms_of(value), "title", 0, len(text))
        elif value != value.lower() and "/" not in value:
            yield from _named([value], "metadata", 0, len(text))
    if language not in CODE and (title := first_line(text)) is not None:
        yield from _named(forms_of(title), "title", 0, len(text))
    yield from _named(_file_names(doc_id), "file", 0, len(text))
    if language in CODE:
        yield from _named(_modules(doc_id), "module", 0, len(text))
        yield from code_definitions(text, language)
        return
    yield from _marked(text, language)


def _named(texts: Iterable[str], kind: NameKind, start: int, end: int) -> Iterator[Name]:
    for text in texts:
        if (key := key_of(text)) is not None:
            yield Name(key, text, kind, start, end)


def _file_names(doc_id: str) -> Iterator[str]:
    """The last part of a path or an address, as one writes it; nothing for numbers and digests."""
    path = doc_id.partition("?")[0].partition("#")[0].rstrip("/")
    last = _SUFFIX.sub("", path.rpartition("/")[2])
    if _PLAIN_FILE.fullmatch(last) or _DIGEST.fullmatch(last):
        return
    last = unquote(last) if "%" in last else last
    yield last.strip("_").replace("_", " ")
    if "_" in last.strip("_"):
        yield last


def _modules(doc_id: str) -> Iterator[str]:
    """A path as imports write it, from its beginning and from its last two parts on."""
    parts = [part for part in _SUFFIX.sub("", doc_id).replace("\\", "/").split("/") if part not in ("", ".", "..")]
    if parts and parts[-1] in ("__init__", "index", "mod", "main", "lib"):
        parts.pop()
    if parts and parts[0] in ("src", "lib", "source"):
        parts.pop(0)
    for start in dict.fromkeys((0, max(0, len(parts) - 2), len(parts) - 1)):
        if 0 <= start < len(parts):
            yield ".".join(parts[start:])


def _marked(text: str, language: str | None) -> Iterator[Name]:
    """Headings, each a name for everything up to the next one of its level or above, and anchors."""
    marks = list(marks_of(text, language))
    for one in marks:
        if isinstance(one, Anchor):
            yield from _named([one.text], "anchor", one.start, one.end)
    headings = sorted(one for one in marks if isinstance(one, Heading) and one.level != TITLE)
    for one, end in zip(headings, sections(headings, len(text)), strict=True):
        yield from _named(forms_of(one.text), "heading", one.start, end)
    for one in marks:
        if isinstance(one, Heading) and one.level == TITLE:
            yield from _named(forms_of(one.text), "title", 0, len(text))
