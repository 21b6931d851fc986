"""The names that a document defines: its title, file and module, headings, anchors, code and metadata."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from langgraph_rlm.corpus.languages import language_of
from langgraph_rlm.corpus.names.code_definitions import CODE, code_definitions
from langgraph_rlm.corpus.names.naming import MOST_NAME_CHARS, Name, NameKind, forms_of, key_of

_TITLE_KEYS = ("title", "name")
_PLAIN_FILE = re.compile(
    r"(?:[a-z]{1,2}|doc|docs|document|page|chunk|part|file|text|section|item|row|record|id|no|nr)?[\W\d_]*",
    re.IGNORECASE,
)
_DIGEST = re.compile(r"[0-9a-f]{8,}(?:-[0-9a-f]+)*", re.IGNORECASE)
_SUFFIX = re.compile(r"\.[A-Za-z]\w{0,4}$")
_SENTENCE_END = re.compile(r"[.:;,]\s*$")

# Fences come first, so that a comment in an example is no heading.
_MARKDOWN = re.compile(
    r"^(?P<fence>```|~~~).*?^(?P=fence)|^(?P<marks>\#{1,6})[ \t]+(?P<heading>[^\n]++)$"
    r"|^(?P<over>[^\s#>|*+=~-][^\n]{0,159})\n(?P<line>={3,}|-{3,}|~{3,}|\^{3,}|\"{3,})[ \t]*$"
    r"|^\.\.[ ]_(?P<target>[^:\n]+):[ \t]*$",
    re.MULTILINE | re.DOTALL,
)
_MARKDOWN_ANCHOR = re.compile(r"(?:(?<!\s)\s++)?+\{#([\w.:-]++)\}\s*+$")
_UNDERLINES = {"=": 1, "-": 2, "~": 3, "^": 4, '"': 5}
_HTML = re.compile(
    r"<h(?P<level>[1-6])\b(?P<inside>[^<>]{0,400})>(?P<heading>.{1,400}?)</h(?P=level)\s*>|<title[^<>]{0,400}>(?P<title>[^<]{1,400})</title"
    r"|<[a-z][a-z0-9]*\b[^<>]{0,400}?\s(?:id|name)=[\"'](?P<anchor>[\w.:-]{3,80})[\"']",
    re.IGNORECASE | re.DOTALL,
)
_HTML_ANCHOR = re.compile(r"\b(?:id|name)=[\"']([\w.:-]{3,80})[\"']", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")
_INLINE = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)|[`*]|(?<!\w)_|_(?!\w)")


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
    if language == "html" or "</h" in text or "</H" in text:
        yield from _html_headings(text)
    if language != "html" and _may_hold_headings(text):
        yield from _headings(text)


def first_line(text: str) -> str | None:
    """The first line of a text when it looks like a title: short, no sentence, and more text follows."""
    line, _, rest = text[: MOST_NAME_CHARS + 200].lstrip("\ufeff\n").partition("\n")
    line = line.strip()
    rest = rest.lstrip()
    if not line or not rest or len(line) > MOST_NAME_CHARS or _SENTENCE_END.search(line) or line[0] in "#<{[|>*-=/":
        return None
    # a sentence that was broken into lines goes on in small letters
    return None if rest[0].islower() and line[0].isupper() and " " in line and len(line) > 60 else line


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


def _may_hold_headings(text: str) -> bool:
    marks = ("\n#", "\n===", "\n---", "\n~~~", "\n^^^", '\n"""', "\n.. _")
    return text.startswith("#") or any(mark in text for mark in marks)


def _headings(text: str) -> Iterator[Name]:
    found: list[tuple[int, int, str]] = []
    for match in _MARKDOWN.finditer(text):
        if (target := match["target"]) is not None:
            yield from _named([target], "anchor", match.start(), match.end())
            continue
        heading = match["heading"].rstrip(" \t#") if match["heading"] else match["over"]
        if heading is None or len(heading) > 2 * MOST_NAME_CHARS:
            continue
        anchor = _MARKDOWN_ANCHOR.search(heading)
        if anchor is not None:
            heading = heading[: anchor.start()]
            yield from _named([anchor[1]], "anchor", match.start(), match.end())
        level = len(match["marks"]) if match["marks"] else _UNDERLINES[match["line"][0]]
        found.append((match.start(), level, _INLINE.sub(lambda one: one[1] or "", heading)))
    yield from _sections(found, len(text))


def _html_headings(text: str) -> Iterator[Name]:
    found: list[tuple[int, int, str]] = []
    for match in _HTML.finditer(text):
        if match["heading"] is not None:
            if (inside := _HTML_ANCHOR.search(match["inside"])) is not None:
                yield from _named([inside[1]], "anchor", match.start(), match.end())
            found.append((match.start(), int(match["level"]), html.unescape(_TAG.sub(" ", match["heading"]))))
        elif match["title"] is not None:
            yield from _named(forms_of(" ".join(html.unescape(match["title"]).split())), "title", 0, len(text))
        else:
            yield from _named([match["anchor"]], "anchor", match.start(), match.end())
    yield from _sections(found, len(text))


def _sections(headings: list[tuple[int, int, str]], end: int) -> Iterator[Name]:
    """A heading names everything up to the next one of its level or above."""
    open_: list[int] = []
    ends = [end] * len(headings)
    for number, (start, level, _) in enumerate(headings):
        while open_ and headings[open_[-1]][1] >= level:
            ends[open_.pop()] = start
        open_.append(number)
    for (start, _, heading), finish in zip(headings, ends, strict=True):
        yield from _named(forms_of(" ".join(heading.split())), "heading", start, finish)
