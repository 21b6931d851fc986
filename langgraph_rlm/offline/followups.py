"""Making a follow-up question stand alone by rules, for the model that works offline."""

from __future__ import annotations

import re

from langgraph_rlm.offline.forms import parse_form
from langgraph_rlm.offline.quoting import Query

_PRONOUN = re.compile(
    r"\b(?:it|they|them|this|that(?= (?:one|function|class|method|file|word)\b))\b|\b(?:its|their)\b", re.IGNORECASE
)
_SHORT = re.compile(
    r"^(?:and|or|but|so|what about|how about|and what about|and how about|same for)\b[,:]? *+(.+)$",
    re.IGNORECASE | re.DOTALL,
)


def condensed(human: str) -> str:
    """The question with the subject of the user's previous one in the place of its pronoun or around its rest."""
    talk, _, question = human.removeprefix("CONVERSATION\n").rpartition("\n\nQUESTION\n")
    asked = [
        match.strip() for match in re.findall(r"(?:^|\n)user: (.*?)(?=\n(?:user|assistant): |\Z)", talk, re.DOTALL)
    ]
    before = next((text for text in reversed(asked) if text and text != question.strip()), "")
    subject = _subject(before)
    if not subject or Query.of(question).names:
        rest = _rest(question)
        return _in_place_of(before, subject, rest) if subject and rest else question
    if _PRONOUN.search(question):
        return _PRONOUN.sub(
            lambda match: f"{subject}'s" if match[0].lower() in ("its", "their") else subject, question, count=1
        )
    if rest := _rest(question):
        return _in_place_of(before, subject, rest)
    return question


def _rest(question: str) -> str:
    """What a short follow-up asks about: "and bar?" asks about bar; empty when it is none."""
    match = _SHORT.match(question.strip())
    return match[1].rstrip(" ?.!") if match else ""


def _subject(question: str) -> str:
    """What a question is about: its target, its first name, its capitalised words, or its last content word."""
    if (form := parse_form(question)) and form.target:
        return f"`{form.target}`" if "`" not in form.target else form.target
    query = Query.of(question)
    if query.names:
        return query.names[0]
    if capitalised := re.findall(r"(?<!^)(?<![.?!] )\b[A-ZÀ-Þ][\w-]+(?: [A-ZÀ-Þ][\w-]+)*", question):
        return str(capitalised[0])
    words = [word for word in re.findall(r"\w+", question) if Query.of(word).terms]
    return words[-1] if words else ""


def _in_place_of(before: str, subject: str, rest: str) -> str:
    """The previous question about ``rest``: "in 2023" replaces "in 2022", anything else replaces the subject."""
    if (there := re.match(r"(in|for|at|on|under|of) \S+", rest, re.IGNORECASE)) is not None:
        same = re.compile(rf"\b{there[1]} {chr(92)}S+?(?=[ ?.!,]|$)", re.IGNORECASE)
        if same.search(before):
            return same.sub(lambda _: rest, before, count=1)
        return f"{before.rstrip(' ?.!')} {rest}?"
    bare = subject.strip("`")
    if bare in before:
        return before.replace(f"{bare}()" if f"{bare}()" in before else bare, rest.strip("`"), 1)
    return f"{before.rstrip(' ?.!')}, {rest}?"
