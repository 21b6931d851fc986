"""What a file of code defines: classes, functions, types and constants, by patterns of five languages.

Patterns find what stands at the beginning of a line, in texts whose strings and comments were blanked out; a grammar
would find the same names, ten times slower.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from langgraph_rlm.corpus.names.naming import MOST_NAME_CHARS, Name, key_of
from langgraph_rlm.text.identifiers import taken_apart

_PYTHON_TEXTS = re.compile(
    r'"""(?:[^"\\]++|\\.|"(?!""))*+(?:""")?|\'\'\'(?:[^\'\\]++|\\.|\'(?!\'\'))*+(?:\'\'\')?|#[^\n]*+'
    r'|"(?:[^"\\\n]++|\\.)*+"?|\'(?:[^\'\\\n]++|\\.)*+\'?',
    re.DOTALL,
)
_BRACE_TEXTS = re.compile(r'/\*|//[^\n]*+|"(?:[^"\\\n]++|\\.)*+"?|`[^`]*+`|\'(?:[^\'\\\n]|\\.)\'', re.DOTALL)
"""Strings and comments; what nobody closed goes on to the end of its line, or of the text. Whoever looks for an end that may
not be there looks through the whole text at every beginning."""
_NEWLINE_OR_ANY = re.compile(r"[^\n]+")

_PYTHON = re.compile(
    r"^(?P<indent>[ \t]*+)(?:(?:async[ \t]++)?def[ \t]++(?P<function>\w++)|class[ \t]++(?P<type>\w++)"
    r"|(?P<constant>[A-Z][A-Z0-9_]{2,}+)[ \t]*+(?:=(?!=)|:[^=\n]++=))",
    re.MULTILINE,
)
_JAVASCRIPT = re.compile(
    r"^(?P<indent>[ \t]*+)(?:export[ \t]++)?(?:default[ \t]++)?(?:declare[ \t]++)?(?:abstract[ \t]++)?"
    r"(?:(?:async[ \t]++)?function(?:[ \t]*+\*)?[ \t]*+(?P<function>[\w$]++)|(?:class|interface|enum|namespace)[ \t]++(?P<type>[\w$]++)"
    r"|type[ \t]++(?P<alias>[\w$]++)[^\n=]*+=|(?:const|let|var)[ \t]++(?P<constant>[\w$]++)[^\n=]*+=(?!=)"
    r"|(?:(?:public|private|protected|static|async|get|set|readonly)[ \t]++(?=[\w$]))*+(?!(?:if|for|while|switch|catch|return|function)\b)"
    r"(?P<method>[\w$]++)[ \t]*+\()",
    re.MULTILINE,
)
_GO = re.compile(
    r"^(?P<indent>[ \t]*+)(?:func[ \t]++(?:\([^()\n]*+\)[ \t]*+)?(?P<function>\w++)|type[ \t]++(?P<type>\w++)"
    r"|(?:const|var)[ \t]++(?P<constant>\w++))",
    re.MULTILINE,
)
_RUST = re.compile(
    r"^(?P<indent>[ \t]*+)(?:pub(?:\([^()\n]*+\))?[ \t]++)?(?:default[ \t]++|const[ \t]++|async[ \t]++|unsafe[ \t]++|extern[ \t]++)*+"
    r"(?:fn[ \t]++(?P<function>\w++)|(?:struct|enum|trait|union|type|mod)[ \t]++(?P<type>\w++)"
    r"|macro_rules![ \t]*+(?P<macro>\w++)|(?:static[ \t]++(?:mut[ \t]++)?)?(?P<constant>[A-Z][A-Z0-9_]{2,}+)[ \t]*+:)",
    re.MULTILINE,
)
_JAVA = re.compile(
    r"^(?P<indent>[ \t]*+)(?:(?:public|private|protected|static|final|abstract|sealed|synchronized|native|default|strictfp)[ \t]++)*+"
    r"(?:(?:class|interface|enum|record|@interface)[ \t]++(?P<type>\w++)"
    r"|(?!(?:return|new|else|throw|case|assert)\b)(?:<[^<>\n]*+>[ \t]*+)?[\w.]++(?:<[^\n()]*>)?(?:\[\])*+[ \t]++"
    r"(?P<method>\w++)[ \t]*+\()",
    re.MULTILINE,
)
_JAVASCRIPT_BODY = re.compile(r"\)[^;{}()=]*+\{")
_JAVA_BODY = re.compile(r"\)[^;{})=]*+\{")
"""From the end of the parameters to the beginning of the body, which tell a method from a call."""
_PART_ENDS = re.compile(r"[;{}]")


class _Language(NamedTuple):
    """How definitions are found."""

    definition: re.Pattern[str]
    """A definition, or for a ``method`` what it begins with."""
    texts: re.Pattern[str]
    body: re.Pattern[str] | None = None
    """What must follow the parameters of a method."""


_LANGUAGES = {
    "python": _Language(_PYTHON, _PYTHON_TEXTS),
    "js": _Language(_JAVASCRIPT, _BRACE_TEXTS, _JAVASCRIPT_BODY),
    "ts": _Language(_JAVASCRIPT, _BRACE_TEXTS, _JAVASCRIPT_BODY),
    "go": _Language(_GO, _BRACE_TEXTS),
    "rust": _Language(_RUST, _BRACE_TEXTS),
    "java": _Language(_JAVA, _BRACE_TEXTS, _JAVA_BODY),
}

CODE = frozenset(
    {*_LANGUAGES, "c", "cpp", "csharp", "elixir", "haskell", "kotlin", "lua", "perl", "php", "powershell", "ruby", "scala",
     "swift", "sol", "proto"}
)  # fmt: skip
"""Languages whose texts are no prose."""

_KEYWORDS = """
abstract alias and any args array assert async await base bool boolean break byte case catch char class const
constructor continue crate data dataclass def default defer del delete dict double elif else enum err error except
export extends extern false final finally float fmt for from func function get global goto id impl implements import
in index init instanceof int int64 integer interface is item iter key kwargs lambda len let list long loop main map
match mod module mut name namespace native new nil none nonlocal not null number object option or override package
pass path print println private property protected ptr pub public raise range readonly ref result return self set
short sizeof slice some static str string struct super switch synchronized test this throw throws trait transient true
try tuple type typeof uint undefined union unsafe use usize val value var vec void volatile where while with yield
"""
KEYWORDS = frozenset(_KEYWORDS.split())
"""Words that code is full of, in one language or another."""


def code_definitions(text: str, language: str | None) -> Iterator[Name]:
    """The names that a file of code defines, each with what belongs to it: the lines that are indented deeper.

    An identifier of several parts is named by them as well: ``SessionInterface`` is the *session interface*.

    Args:
        text: the code.
        language: a name of :func:`langgraph_rlm.corpus.languages.language_of`; others define nothing.

    Example:
        >>> [name.key for name in code_definitions("class Box:\\n    def put_in(self): ...\\n", "python")]
        ['box', 'put_in', 'put in', 'box put_in']
    """
    if language not in _LANGUAGES:
        return
    open_: list[tuple[int, str, bool]] = []
    found = [
        (match.start("indent"), len(match["indent"].expandtabs(4)), identifier, bool(match.groupdict().get("type")))
        for match in _found(text, _LANGUAGES[language])
        if (identifier := next(filter(None, list(match.groups())[1:]), "")) and len(identifier) <= MOST_NAME_CHARS
    ]
    ends = _ends([(start, indent) for start, indent, _, _ in found], len(text))
    for (start, indent, identifier, is_type), end in zip(found, ends, strict=True):
        while open_ and open_[-1][0] >= indent:
            open_.pop()
        owner = open_[-1][1] if open_ and open_[-1][2] else None
        open_.append((indent, identifier, is_type))
        if identifier.startswith("__") and identifier.endswith("__"):
            continue
        for name in _forms(identifier, owner):
            if (key := key_of(name)) is not None and key not in KEYWORDS:
                yield Name(key, identifier if owner is None else f"{owner}.{identifier}", "definition", start, end)


def _forms(identifier: str, owner: str | None) -> Iterator[str]:
    yield identifier
    apart = taken_apart(identifier.strip("_"))
    if apart is not None:
        yield " ".join(part.text for part in apart.parts())
    if owner is not None:
        yield f"{owner}.{identifier}"


def _ends(places: list[tuple[int, int]], end: int) -> list[int]:
    """What a definition holds ends where the next one begins that is not indented deeper."""
    open_: list[int] = []
    ends = [end] * len(places)
    for number, (start, indent) in enumerate(places):
        while open_ and places[open_[-1]][1] >= indent:
            ends[open_.pop()] = start
        open_.append(number)
    return ends


def _found(text: str, language: _Language) -> Iterator[re.Match[str]]:
    """What looks like a definition; of methods those that have a body."""
    plain = _blanked(text, language.texts)
    candidates = language.definition.finditer(plain)
    if language.body is None:
        yield from candidates
        return
    bodies = {match.end() - 1: match.start() for match in language.body.finditer(plain)}
    part_ends = _PART_ENDS.finditer(plain)
    part_end = next(part_ends, None)
    begun = 0
    for match in candidates:
        if match.start() < begun:  # among the parameters of the last method
            continue
        if match["method"] is not None:
            while part_end is not None and part_end.start() < match.end():
                part_end = next(part_ends, None)
            if part_end is None or bodies.get(part_end.start(), -1) < match.end():
                continue
            begun = part_end.start()
        yield match


def _blanked(text: str, texts: re.Pattern[str]) -> str:
    """A text with blanks in the place of strings and comments, so that all places stay."""
    pieces: list[str] = []
    done = at = 0
    last = text.rfind("*/")
    while (match := texts.search(text, at)) is not None:
        start, at = match.span()
        if match[0] == "/*":
            if last < at:  # nobody closed it: two characters like others
                continue
            at = text.find("*/", at) + 2
        pieces += text[done:start], _blanks(text[start:at])
        done = at
    return "".join([*pieces, text[done:]])


def _blanks(text: str) -> str:
    return " " * len(text) if "\n" not in text else _NEWLINE_OR_ANY.sub(lambda part: " " * len(part[0]), text)
