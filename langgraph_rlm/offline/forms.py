"""Which of the few question forms that can be computed exactly a question has, for the model that works offline.

A form is recognised only when it explains the whole question: a half-understood count would be a wrong answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

FormKind = Literal["occurrences", "files_with", "count_files_with", "count_files", "list_files"]


@dataclass(frozen=True, slots=True)
class Form:
    """A question that counting answers.

    Args:
        kind: ``occurrences`` how often ``target`` occurs · ``files_with`` which documents hold it and how often ·
            ``count_files_with`` how many documents hold it · ``count_files`` how many documents there are ·
            ``list_files`` which documents there are.
        target: the literal text to look for; empty for the last two kinds.
        word: only as a whole word.
        scope: only documents whose path has this part; empty for all.
    """

    kind: FormKind
    target: str = ""
    word: bool = False
    scope: str = ""

    def scopes(self) -> list[list[str]]:
        """The path parts that ``scope`` may stand for: ``asyncio.tasks`` is also ``asyncio/tasks``."""
        if not self.scope:
            return []
        parts = [part for part in self.scope.split("/") if part not in ("", ".")]
        found = [parts] if parts else []
        if len(parts) == 1 and "." in parts[0].strip("."):
            found.append([part for part in parts[0].split(".") if part])
        return found


# A quoted target is cut out before matching, so that its words, spaces and marks cannot be taken for the question's.
_QUOTED = re.compile(r"`([^`]+)`|\"([^\"]+)\"|(?<!\w)'([^']+)'(?!\w)|“([^“”]+)”|‘([^‘’]+)’|«([^«»]+)»")
_HOLE = "\ue000"

_FILES = r"(?:source |python |text )*(?:files?|documents?|modules?|sources?|pages?|texts?|scripts?)"
_DO = r"(?:does|do|did|is|are|was|were)"
_OCCUR = (
    r"(?:(?:occur|appear|exist|feature)s?|(?:show|turn|come)s? up"
    r"|(?:be )?(?:used|mentioned|called|referenced|found|contained|named))"
)
_HOLD = (
    r"(?:(?:contain|mention|use|call|include|reference|hold|have|name)s?|has|refers? to|"
    r"(?:containing|mentioning|using|calling|including|referencing|holding|naming)|with)"
)
_KIND_OF_TEXT = (
    r"(?:word|name|string|text|identifier|function|method|class|term|phrase|expression|literal|token|variable"
    r"|keyword|symbol|attribute)"
)
_TARGET = rf"(?:the |an? )?(?P<kind>(?:literal )?{_KIND_OF_TEXT} )?(?P<target>\S+(?: \S+){{0,2}}?)"
# With nothing after it to say where it ends, a target of several words needs quotes.
_LAST_TARGET = rf"(?:the |an? )?(?P<kind>(?:literal )?{_KIND_OF_TEXT} )?(?P<target>\S+)"
_SCOPE = (
    r"(?: (?:of|in|under|within|inside|below|from) (?P<{0}>(?:the )?"
    r"(?:package |module |folder |directory |file |path )?\S+"
    r"(?: (?:package|module|folder|directory|file|library|code ?base|documents?|files?))?))?"
)
_TIMES = r"(?:how many times|how often|how frequently)"

_FORMS: list[tuple[FormKind, str]] = [
    ("files_with", rf"in (?:which|what) {_FILES}{_SCOPE.format('s1')} {_DO} {_TARGET} {_OCCUR}{_SCOPE.format('s2')}"),
    ("count_files_with", rf"in how many {_FILES}{_SCOPE.format('s1')} {_DO} {_TARGET} {_OCCUR}{_SCOPE.format('s2')}"),
    ("occurrences", rf"{_TIMES}{_SCOPE.format('s1')} {_DO} {_TARGET} {_OCCUR}{_SCOPE.format('s2')}"),
    (
        "occurrences",
        rf"(?:how many|count(?: all| the)?) (?:occurrences?|mentions?|uses?|appearances?) of {_LAST_TARGET}"
        rf"(?: are(?: there)?)?{_SCOPE.format('s2')}",
    ),
    (
        "count_files_with",
        rf"how many(?: of the)? {_FILES}{_SCOPE.format('s1')}(?: that)? {_HOLD} {_LAST_TARGET}{_SCOPE.format('s2')}",
    ),
    (
        "count_files",
        rf"how many {_FILES}(?: (?:are|exist|do(?:es)? (?:the )?\S+ (?:have|hold|contain)|do (?:you|we) have)(?: there)?)?"
        rf"{_SCOPE.format('s2')}",
    ),
    (
        "files_with",
        rf"(?:which|what)(?: of the)? {_FILES}{_SCOPE.format('s1')}(?: that)? {_HOLD} {_LAST_TARGET}"
        rf"{_SCOPE.format('s2')}",
    ),
    (
        "files_with",
        rf"(?:list|show|name|enumerate|give)(?: me)?(?: all| every| the){{0,2}} {_FILES}{_SCOPE.format('s1')}"
        rf"(?: (?:that|which))? {_HOLD} {_LAST_TARGET}{_SCOPE.format('s2')}",
    ),
    (
        "list_files",
        rf"(?:list|show|name|enumerate|give)(?: me)?(?: all| every| the){{0,2}} {_FILES}{_SCOPE.format('s2')}",
    ),
    ("list_files", rf"(?:which|what) {_FILES} (?:are(?: there)?|exist|do (?:you|we) have){_SCOPE.format('s2')}"),
    ("files_with", rf"where {_DO} {_TARGET} (?:occur|appear|used|mentioned|referenced)s?{_SCOPE.format('s2')}"),
]
_COMPILED = [(kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _FORMS]

# "…, and how many times (in each)?" asks for what the answer states anyway.
_TAIL = re.compile(
    rf"(?:[,;.?]? (?:and|or))? ?(?:{_TIMES}(?: in each(?: \w+)?| each| per \w+)?(?: {_DO} (?:it|they) {_OCCUR})?"
    rf"|in (?:which|what) {_FILES}|in total|overall|altogether|please|exactly|each)$",
    re.IGNORECASE,
)
_EVERYWHERE = re.compile(
    r"(?:all|total|here|it|them|there|this|all of (?:it|them)|the (?:whole |entire )?(?:corpus|context|index|documents?"
    r"|files?|text|texts|code|code ?base|standard library|library|collection|repository|project|sources?)"
    r"|(?:this|these|all(?: the)?) \w+|corpus|context)",
    re.IGNORECASE,
)
_SCOPE_NAME = re.compile(
    r"(?:the )?(?:(?:package|module|folder|directory|file|path) )?(?P<name>\S+?)"
    r"(?: (?:package|module|folder|directory|file|library))?",
    re.IGNORECASE,
)


def parse_form(question: str) -> Form | None:
    """The computable form of a question, or None.

    Example:
        >>> parse_form("In which files of asyncio does `run_in_executor` occur, and how many times?")
        Form(kind='files_with', target='run_in_executor', word=False, scope='asyncio')
    """
    if len(question) > 2_000:  # no question of these forms is that long, and matching is not linear
        return None
    quoted: list[str] = []

    def cut(match: re.Match[str]) -> str:
        quoted.append(next(group for group in match.groups() if group is not None))
        return f"{_HOLE}{len(quoted) - 1}{_HOLE}"

    text = " ".join(_QUOTED.sub(cut, question.replace(_HOLE, " ")).split()).rstrip(" ?.!")
    text = re.sub(r"^(?:please|so|and|now|well|tell me|can you tell me)[, ]+", "", text, flags=re.IGNORECASE)
    text = re.sub(rf"[,;] (?:and )?{_TIMES}[,;] ", " ", text, flags=re.IGNORECASE)
    while (shorter := _TAIL.sub("", text).rstrip(" ,;?.!")) != text and shorter:
        text = shorter
    for kind, pattern in _COMPILED:
        if (match := pattern.fullmatch(text)) and (form := _form(kind, match, quoted)):
            return form
    return None


def _form(kind: FormKind, match: re.Match[str], quoted: list[str]) -> Form | None:
    groups = match.groupdict()
    scope = ""
    for name in ("s1", "s2"):
        given = groups.get(name)
        if given is None or _EVERYWHERE.fullmatch(given):
            continue
        named = _SCOPE_NAME.fullmatch(given)
        if named is None or scope:
            return None
        scope = _filled(named["name"], quoted).strip().rstrip("?,;!")
        if not scope.strip("/."):
            return None
    if "target" not in groups:
        return Form(kind, scope=scope)
    raw = groups["target"]
    target = _filled(raw, quoted) if _HOLE in raw else raw.strip(",;:?!").removesuffix("()")
    if _HOLE in raw and not re.fullmatch(rf"{_HOLE}\d+{_HOLE}", raw):
        return None  # words around a quotation: not understood
    if not target.strip():
        return None
    return Form(kind, target, word="word" in (groups["kind"] or "").casefold(), scope=scope)


def _filled(text: str, quoted: list[str]) -> str:
    return re.sub(rf"{_HOLE}(\d+){_HOLE}", lambda match: quoted[int(match[1])], text)
