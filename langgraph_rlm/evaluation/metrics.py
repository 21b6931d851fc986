"""What an answer is worth: compared with the gold answers, with the gold evidence, and routes with their labels."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from langgraph_rlm.evaluation.tasks import Evidence, Label, Task
from langgraph_rlm.graphs.prompts import NOT_FOUND

_MARK = re.compile(r"\[\d{1,4}\]")
_ARTICLES = {"a", "an", "the"}
_ABSENT = ("the passages do not hold the answer", NOT_FOUND.casefold())
_SCALES = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12, "k": 1e3, "m": 1e6, "mn": 1e6, "bn": 1e9}  # fmt: skip
_SCALE_WORD = r"(?:\s?(?P<scale>hundred|thousand|million|billion|trillion|mn|bn|[km])s?\b)?"
_NUMBER = re.compile(
    r"(?<![\w.,])(?P<open>\()?(?P<sign>[-+−–])?\s?(?:[$€£¥]\s?)?(?P<after>[-−–])?"
    r"(?P<whole>\d{1,3}(?:,\d{3})+|\d+)(?P<part>\.\d+)?(?P<percent>\s?%)?(?P<close>\))?" + _SCALE_WORD,
    re.IGNORECASE,
)
_LETTERS = re.compile(r"(?<![\w'’])\(?([A-J])\)?(?![\w'’])")
_ARTICLE = re.compile(r"(?<![\w'’(])A\s+(?!(?:is|was|and|or|because|since|as|fits|seems|would)\b)(?=[a-z])")
"""The word at the start of "A company …", which is no choice."""
_FINAL = re.compile(r"\banswer\W{0,4}:", re.IGNORECASE)
_OFF_BY_ONE, _MOST_OFF = 0.75, 48
_IN_BRACKETS = re.compile(r"\(([A-J])\)")
_SAID = re.compile(r"\b(?:answer|choice|option)\b(?: is)?\W{0,4}\(?([A-J])\)?(?![\w'’])", re.IGNORECASE)


def words_of(text: str) -> list[str]:
    """The words that count: without the marks of passages, case, punctuation and English articles.

    Example:
        >>> words_of("The Harbour, built in 1901. [2]")
        ['harbour', 'built', 'in', '1901']
    """
    plain = unicodedata.normalize("NFKC", _MARK.sub(" ", text)).casefold()
    kept = "".join(c if c.isalnum() or unicodedata.category(c).startswith("M") else " " for c in plain)
    return [word for word in kept.split() if word not in _ARTICLES]


def accuracy(task: Task, answer: str) -> float | None:
    """1 for a right answer, 0 for a wrong one, None where the task has no gold answer or only a judge can tell.

    ``exact``: the same words. ``contains``: the words of a gold answer stand in the answer, in a row (yes and no must be
    its first word). ``number``: one of its numbers is a gold one. ``count``: the number that it names; one that is off by n is worth
    0.75 ** n, as in OOLONG (arXiv:2511.02817). ``all``: every gold item stands in it. ``set``: split at
    semicolons, commas and lines it is exactly the gold items. ``choice``: the letter it names. ``free``: None.

    Example:
        >>> from langgraph_rlm.evaluation.tasks import Task
        >>> task = Task(id="1", question="?", collection="c", answers=("16 weeks",))
        >>> accuracy(task, "Parental leave is 16 weeks [1].")
        1.0
    """
    if not task.answerable:
        return float(answer.casefold().lstrip().startswith(_ABSENT) or any(contains(answer, g) for g in task.answers))
    if not task.answers or task.match == "free":
        return None
    golds = task.answers
    if task.match == "exact":
        return float(any(words_of(answer) == words_of(gold) for gold in golds))
    if task.match == "number":
        return float(any(has_number(answer, gold, task.tolerance, task.scale) for gold in golds))
    if task.match == "count":
        return max(_closeness(count_of(answer), count_of(gold)) for gold in golds)
    if task.match == "all":
        return float(all(contains(answer, gold) for gold in golds))
    if task.match == "set":
        return float(items_of(answer) == {" ".join(words_of(gold)) for gold in golds})
    if task.match == "choice":
        return float(choice_of(answer) in golds)
    return float(any(contains(answer, gold) for gold in golds))


def _closeness(said: int | None, wanted: int | None) -> float:
    """Off by so many that it is worth less than a millionth is worth nothing."""
    if said is None or wanted is None or abs(said - wanted) > _MOST_OFF:
        return 0.0
    return float(_OFF_BY_ONE ** abs(said - wanted))


def count_of(answer: str) -> int | None:
    """The whole number that an answer names: the first behind its last "answer:", else its last; None without one.

    Example:
        >>> count_of("Of 80 entries 3 are wrong [2].\\nAnswer: 77 entries, not 80")
        77
    """
    parts = _FINAL.split(answer)
    numbers = [number.value * (number.scale or 1) for number in numbers_in(parts[-1])]
    whole = [int(number) for number in numbers if number == int(number)]
    return None if not whole else whole[-1] if len(parts) == 1 else whole[0]


def contains(answer: str, gold: str) -> bool:
    """Whether the words of ``gold`` stand in ``answer``, in a row."""
    wanted, said = words_of(gold), words_of(answer)
    if wanted in (["yes"], ["no"]):
        return said[:1] == wanted
    return bool(wanted) and any(
        said[at : at + len(wanted)] == wanted for at in range(len(said) - len(wanted) + 1) if said[at] == wanted[0]
    )


def items_of(answer: str) -> set[str]:
    """The items of an answer that is a list."""
    items = (" ".join(words_of(item)) for item in re.split(r"[;,\n]", _MARK.sub(" ", answer)))
    return {item for item in items if item}


def choice_of(answer: str) -> str | None:
    """The letter that an answer to a multiple-choice question names; None when it names none, or several.

    Example:
        >>> choice_of("The answer is (B), because A is not mentioned.")
        'B'
    """
    text = _ARTICLE.sub(" ", _MARK.sub(" ", answer)).strip()
    if first := _LETTERS.match(text):
        return first[1]
    said = {letter.upper() for letter in _SAID.findall(text)}
    found = said or set(_IN_BRACKETS.findall(text)) or set(_LETTERS.findall(text))
    return found.pop() if len(found) == 1 else None


class Number(NamedTuple):
    """A number of a text: as written, and what the word after it multiplies it by (None without one)."""

    value: float
    scale: float | None


def numbers_in(text: str) -> list[Number]:
    """The numbers of a text. Marks of passages are none; ``(12.5)`` and ``-12.5`` are below 0.

    Example:
        >>> numbers_in("Sales fell by $1,452.4 million (3%) [1].")
        [Number(value=1452.4, scale=1000000.0), Number(value=3.0, scale=None)]
    """
    found = []
    for match in _NUMBER.finditer(_MARK.sub(" ", text)):
        value = float(match["whole"].replace(",", "") + (match["part"] or ""))
        accounted = bool(match["open"] and match["close"]) and not match["percent"]
        if (match["sign"] not in (None, "+")) or match["after"] or accounted:
            value = -value
        found.append(Number(value, _SCALES[match["scale"].lower()] if match["scale"] else None))
    return found


def has_number(answer: str, gold: str, tolerance: float = 0.0, scale: str = "") -> bool:
    """Whether one of the answer's numbers is the gold one, within ``tolerance`` of it (relative).

    A scale that the answer names must be the gold one's, where that is known: 1.5 billion is 1,500 million, and 1,500
    alone may be.

    Example:
        >>> has_number("about $1.5 billion", "1,500", scale="million")
        True
    """
    golds = numbers_in(gold)
    if not golds:
        return contains(answer, gold)
    wanted, known = golds[0], golds[0].scale or _SCALES.get(scale)
    times = known or 1.0
    for said in numbers_in(answer):
        if _near(said.value, wanted.value, tolerance) and (said.scale in (None, times) or known is None):
            return True
        if _near(said.value * (said.scale or 1.0), wanted.value * times, tolerance):
            return True
    return False


def _near(value: float, wanted: float, tolerance: float) -> bool:
    return abs(value - wanted) <= abs(wanted) * max(tolerance, 1e-9)  # what is written in decimals is not exact


def token_f1(answer: str, golds: Iterable[str]) -> float:
    """The best F1 of the words of the answer against those of a gold answer, as SQuAD measures it.

    Example:
        >>> round(token_f1("in the year 1901", ["1901"]), 2)
        0.5
    """
    said = Counter(words_of(answer))
    best = 0.0
    for gold in golds:
        wanted = Counter(words_of(gold))
        common = (said & wanted).total()
        if common:
            best = max(best, 2 * common / (said.total() + wanted.total()))
    return best


def evidence_recall(evidence: Sequence[Evidence], citations: Sequence[Evidence]) -> float | None:
    """The share of the gold evidence that is cited: a span by any citation that overlaps it. None without evidence.

    Example:
        >>> from langgraph_rlm.evaluation.tasks import Evidence
        >>> evidence_recall([Evidence("a"), Evidence("b", 0, 9)], [Evidence("b", 8, 20)])
        0.5
    """
    if not evidence:
        return None
    return sum(any(_covers(cited, gold) for cited in citations) for gold in evidence) / len(evidence)


def _covers(cited: Evidence, gold: Evidence) -> bool:
    if cited.doc_id != gold.doc_id:
        return False
    if None in (cited.start, cited.end, gold.start, gold.end):
        return True
    return cited.start < gold.end and gold.start < cited.end  # type: ignore[operator]


# --- the router ------------------------------------------------------------------------------------------------------


def kind_of(route: str) -> Label:
    """The label that a route is right for."""
    return "complex" if route == "rlm" else "simple"


def macro_f1(gold: Sequence[str], said: Sequence[str]) -> float:
    """The mean F1 of the labels that occur; 0 for no labels.

    Example:
        >>> macro_f1(["simple", "complex"], ["simple", "simple"])  # 2/3 and 0
        0.3333333333333333
    """
    pairs = list(zip(gold, said, strict=True))
    scores = []
    for label in sorted({*gold, *said}):
        right = sum(g == s == label for g, s in pairs)
        scores.append(2 * right / (sum(g == label for g, _ in pairs) + sum(s == label for _, s in pairs)))
    return sum(scores) / len(scores) if scores else 0.0
