"""What a question tells about the work it takes: signs of many documents, of steps, of calculation, in plain rules.

Each sign is a regular expression with a weight in log-odds of "needs the recursive route" and a reason in plain words.
There are three weights only, for strong, fair and slight signs: on data sets that were left out, weights learnt from the
others did worse than these (``benchmarks/routing.py``).
"""

from __future__ import annotations

import re
from typing import Any, Literal, NamedTuple

import re2

Kind = Literal["wide", "steps", "calculation"]
"""What a sign speaks of: the whole of a collection, one fact that is found through another, or sums and comparisons of
what may well stand in one passage."""

STRONG, FAIR, SLIGHT = 2.5, 1.5, 0.7
MOST_CHARS = 4_000
"""Of a question that are looked at, half from each end."""


class Sign(NamedTuple):
    """One sign of a question."""

    name: str
    kind: Kind
    weight: float
    reason: str
    pattern: Any
    """Of re2: several `.*` in one pattern take cubic time in an engine that backtracks."""


class Signals(NamedTuple):
    """What a question shows."""

    features: dict[str, float]
    """By name: 1.0 for a sign that was found, or an amount."""
    reasons: list[str]
    """The weightiest first."""
    english: bool
    """Signs are known in English only."""


def _sign(name: str, kind: Kind, weight: float, reason: str, pattern: str) -> Sign:
    options = re2.Options()
    options.case_sensitive = False
    return Sign(name, kind, weight, reason, re2.compile(pattern, options))


_NUMBER = r"(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|dozen|[2-9]|[1-9]\d)"
_CAPITAL = r"(?-i:[A-Z])"
_PIECE = (
    r"(?:files?|documents?|modules?|classes|functions?|methods?|filings?|reports?|records?|entries|lines|logs?|chapters?|"
    r"sections?|articles?|tickets?|emails?|messages?|contracts?|customers?|companies|countries|quarters?|years)"
)
_THING = (
    r"(?:actor|actress|airline|album|artist|author|band|battle|book|building|character|child|city|club|college|company|"
    r"composer|continent|country|county|creator|designer|director|duo|event|festival|film|firm|founder|game|group|"
    r"individual|institution|island|language|leader|league|location|man|manager|movie|musician|network|novel|"
    r"organi[sz]ation|owner|painter|party|performer|person|place|play|player|politician|president|producer|"
    r"program(?:me)?|province|region|river|school|series|show|singer|song|state|station|team|town|university|war|woman|"
    r"work|writer)"
)
_RELATIVE = (
    r"(?:(?:grand|step|half-)?(?:father|mother|brother|sister|son|daughter|child|parent)(?:-in-law)?|child-in-law|husband|"
    r"wife|spouse|siblings?|uncle|aunt|nephew|niece|cousin|widow|predecessor|successor|alma mater|birthplace|hometown|"
    r"(?:place|city|country|county) of (?:birth|death|origin)|employer|record label|"
    r"(?:director|composer|performer|author|founder|producer|publisher|owner|screenwriter|singer|creator)s?)"
)
_ASKED = r"(?:what|which|who|when|where|why|how)"

SIGNS: tuple[Sign, ...] = (
    _sign("occurrences", "wide", STRONG, "it counts occurrences", r"\bhow (?:many times|often)\b|\bnumber of (?:times|occurrences)\b|\bcount (?:the|all|how|every|each)\b"),
    _sign("count_of_things", "wide", STRONG, "it counts things over many documents", rf"\bhow many (?:of )?(?:the )?(?:\w+ ){{0,2}}{_PIECE}\b|\bhow many of\b"),
    _sign("which_documents", "wide", STRONG, "it asks for all documents of a kind", rf"\b(?:in )?(?:which|what) (?:of the )?{_PIECE}\b.*\b(?:contain|mention|use|import|call|define|occur|appear|have|has|lack|include|discuss|describe|deal|cover|treat|fall|fell|rise|rose|derive|inherit|refer)"),
    _sign("enumeration", "wide", STRONG, "it asks for a list of all", rf"\b(?:list|enumerate|name|find|identify|give)\b (?:me )?(?:all|every|each|the (?:\w+ )?\w+s\b|{_NUMBER} )|\blist of all\b|\bwhat are all\b|\bwhich ones\b"),
    _sign("quantifier", "wide", STRONG, "it speaks of all of something", rf"\b(?:all|any of the) (?:the |of the )?(?:\w+ ){{0,2}}{_PIECE}\b|\bacross (?:all|the|every|several|multiple|\w+s)\b|\bthroughout the\b|\ball (?:of )?(?:the|its|their)\b|\brespective(?:ly)?\b|\bvarious\b|\beach\b|\bevery\b"),
    _sign("summary", "wide", STRONG, "it asks for a summary of everything", r"\bsummari[sz]e\b|\bsummary of\b|\boverview of\b|\bmain (?:themes|topics|points|ideas)\b"),
    _sign("contradiction", "wide", STRONG, "it looks for contradictions or gaps", r"\bcontradict\w*|\binconsisten\w*|\bconflict(?:s|ing)? (?:between|with)\b|\bnever (?:used|called|mentioned)\b|\bmissing from\b"),
    _sign("code_wide", "wide", STRONG, "it is about a whole code base", r"\b(?:call sites?|callers? of|usages? of|where (?:is|are|else)\b.+\bused)\b|\bacross the (?:code|code ?base|repository)\b|\bhow do(?:es)?\b.+\b(?:interact|fit together|work together|flow through)\b"),
    _sign("over_time", "wide", STRONG, "it follows a change over time", r"\b(?:trend|evol(?:ve|ved|ution)|over time|over the (?:years|months)|year[- ]over[- ]year|quarter[- ]over[- ]quarter|fluctuat\w+)\b|\bhow (?:has|have|did|does)\b.+\b(?:chang|grow|grew|grown|develop|shift|vary|varied|impact|affect)\w*|\bwhich quarters\b"),
    _sign("ranked_set", "steps", STRONG, "it asks about each of a ranked set", rf"\b(?:top|first|last|next|past|latest|current|main|original|most recent|leading) {_NUMBER}\b|\b{_NUMBER} (?:\w+ly )?(?:most|least|best|worst|\w+est|\w+est-\w+)\b|\b{_NUMBER} (?:\w+ ){{0,3}}\w+s with the (?:most|least|\w+est)\b|\bthe (?:\w+est|most \w+) {_NUMBER}\b"),
    _sign("alternatives", "steps", STRONG, "it chooses between things", rf"\b(?:is|was|were|are|did|do|does|has|which|who|between)\b.*{_CAPITAL}[^,]*,? or (?:the |a )?{_CAPITAL}|\bborn first\b|\bcame (?:out )?first\b|\bfirst,? .* or\b|\bin common\b|\b(?:from|in|of|at|on|by|for|have) the same\b|\bout of .* and {_CAPITAL}|\bare .* both\b"),
    _sign("two_things", "steps", STRONG, "it asks the same of two things", rf"^(?:is|was|were|are|did|do|does|has|have|had|between)\b.*{_CAPITAL}.* and (?:the )?{_CAPITAL}"),
    _sign("relation", "steps", STRONG, "it follows a relation of a named person or work", rf"\b(?:when|where|why|how|which|what)\b.*'s? (?:\w+ )?{_RELATIVE}\b|\b(?:mother|father|child|brother|sister|son|daughter)-in-law\b|\b(?:step|grand)(?:mother|father|child|son|daughter)\b|\b{_RELATIVE}\b.* of (?:the )?(?:film|song|album|book|novel)\b|\b(?:film|song|album|book)\b.*'s {_RELATIVE}|\b(?:when|where|why|how)\b.*\bthe {_RELATIVE} of\b|'s {_RELATIVE}'s\b|\b{_RELATIVE} of the {_RELATIVE}\b"),
    _sign("described", "steps", FAIR, "one thing is described by another fact", rf"\b(?:the|a|an) (?:[\w'-]+ ){{0,4}}{_THING}s?,? (?:who|that|which|where|whose|in which|of which|for which|to which|when)\b"),
    _sign("described_by_name", "steps", FAIR, "one thing is described through a name", rf"\b(?:the|a|an|that) (?:\w+ ){{0,2}}{_THING} (?:the |of the |with the |that the )?{_CAPITAL}\w+.* \w+"),
    _sign("described_by_deed", "steps", FAIR, "one thing is described by what was done", rf"\b(?:the|a|an) (?:[\w'-]+ ){{0,4}}{_THING}s? (?:\w+ly )?(?:born|directed|written|produced|founded|created|played|based|released|known|named|located|owned|published|starring|formed|designed|from|by|about|with|featuring|containing|adjacent)\b"),
    _sign("nested", "steps", FAIR, "one thing is named through another", rf"\bof the \w+ (?:\w+ ){{0,3}}(?:of|who|that|which|whose|where)\b|\bthe \w+ (?:\w+ )?of the \w+ (?:\w+ )?of\b|\bwhose\b|\b\w+'s \w+'s\b|\bof {_CAPITAL}[\w.]*(?: {_CAPITAL}[\w.]*)*'s \w+"),
    _sign("plural_asked", "steps", SLIGHT, "it asks for several things", r"\b(?:who|what) (?:are|were)\b|\b(?:which|what|whose) (?:of the |of these )?(?:\w+ ){0,3}[a-z]+(?:[^s\W]s|ies) (?:are|were|have|had|do|did|was|also|won|with|that|from|in|has|joined|made|make|share)\b"),
    _sign("late_question", "steps", SLIGHT, "what is asked stands behind a description", r"^(?:\S+ ){5,}(?:what|which|whom?|whose|where|when)\b"),
    _sign("comparison", "calculation", STRONG, "it compares", r"\bcompar(?:e|es|ed|ing|ison)\b|\bdifferences?\b|\bversus\b|\bvs\.?(?:\s|$)|\bin contrast\b|\b(?:which|who)\b.*\b(?:more|less|fewer|older|younger|larger|smaller|higher|lower|longer|shorter|earlier|later|first|better|taller)\b.*\bor\b|\bboth\b|\b(?:do|did|does|are|were) .+ and .+ (?:share|have the same)\b|\bthe same .+ (?:as|and)\b|\b(?:more|greater|larger|less|fewer|older|smaller|higher|lower) than\b|\brelative to\b"),
    _sign("change", "calculation", STRONG, "it asks for a change", r"\b(?:change|increase|decrease|decline|growth|gain|drop)\b (?:in|of|between|from)\b|\bchanged (?:between|from|since)\b|\bpercentage (?:change|increase|decrease|growth)\b|\b(?:from|between) (?:Q[1-4] )?(?:19|20)\d\d (?:to|until|through|and)\b"),
    _sign("aggregate", "calculation", STRONG, "it aggregates", r"\b(?:average|(?:the|arithmetic) mean|median|sum|overall|in total|altogether|combined|ratio|proportion|distribution|cumulative|total (?:of|amount|number))\b"),
    _sign("several_questions", "calculation", FAIR, "it asks several things at once", rf"\b{_ASKED}\b.+[,;]? and (?:{_ASKED}|in which|in what)\b|\?.+\?|, and why\b"),
    _sign("superlative", "calculation", SLIGHT, "it asks for an extreme among many", r"\b(?:most|least|fewest|largest|smallest|highest|lowest|longest|shortest|oldest|youngest|earliest|latest|greatest|biggest|top)\b"),
)  # fmt: skip


class Amount(NamedTuple):
    """A sign that is counted, not found by a pattern."""

    name: str
    kind: Kind
    weight: float


AMOUNTS = (
    Amount("several_periods", "calculation", FAIR),
    Amount("two_names", "steps", SLIGHT),
    Amount("three_names", "steps", SLIGHT),
    Amount("two_ofs", "steps", SLIGHT),
    Amount("three_clauses", "steps", SLIGHT),
    Amount("four_clauses", "steps", SLIGHT),
    Amount("length", "calculation", 1.0),
)
_ALL: list[Sign | Amount] = [*SIGNS, *AMOUNTS]
QUESTION_WEIGHTS = {one.name: one.weight for one in _ALL}
KINDS: dict[str, Kind] = {one.name: one.kind for one in _ALL}

_YEAR = re.compile(r"\b(?:19|20)\d\d\b")
_QUARTER = re.compile(r"\bQ[1-4]\b")
_NAME = re.compile(r"(?<![.?!]\s)(?<!^)\b[A-Z][\w&.'-]*(?:\s+(?:of|the|and|de)?\s*[A-Z][\w&.-]*)*")
_CLAUSE = re.compile(r"\b(?:is|was|are|were|did|does|do|has|had|have|who|that|which|where|whose)\b", re.IGNORECASE)
_DATE = re.compile(
    r"\b(?:January|February|March|April|May|June|July|August|September|October|November|December|Q[1-4]|quarter|ended|"
    r"ending|months|\d[\d,.]*)\b"
)
_SHORT_WORDS = 9  # a question of so many words is not long; eight more count once, sixteen more twice

_ENGLISH = frozenset(
    [
        "a",
        "about",
        "all",
        "an",
        "and",
        "any",
        "are",
        "as",
        "at",
        "be",
        "been",
        "by",
        "can",
        "compare",
        "could",
        "did",
        "do",
        "does",
        "each",
        "every",
        "find",
        "for",
        "from",
        "had",
        "has",
        "have",
        "how",
        "i",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "list",
        "me",
        "my",
        "of",
        "on",
        "or",
        "our",
        "should",
        "show",
        "some",
        "tell",
        "than",
        "that",
        "the",
        "their",
        "them",
        "there",
        "these",
        "they",
        "this",
        "those",
        "to",
        "under",
        "was",
        "we",
        "were",
        "what",
        "when",
        "where",
        "which",
        "who",
        "whom",
        "whose",
        "why",
        "will",
        "with",
        "would",
        "you",
        "your",
    ]
)
_LEAST_ENGLISH = 0.12  # share of such words
_FEW_WORDS = 4  # fewer tell no language


def signals_of(question: str) -> Signals:
    """What a question shows. Linear in its length, of which the first and last thousands of characters are looked at.

    Example:
        >>> signals_of("List all functions that call open().").reasons
        ['it asks for a list of all', 'it speaks of all of something']
    """
    text = shortened(question)
    english = _is_english(text)
    features = {name: amount for name, amount in _amounts(text).items() if amount}
    if not english:
        # Words of other languages look like signs by chance; periods are the same in all.
        kept = {name: features[name] for name in ("several_periods",) if name in features}
        return Signals(kept, _reasons(kept), english)
    encoded = text.encode()
    features = {sign.name: 1.0 for sign in SIGNS if sign.pattern.search(encoded)} | features
    return Signals(features, _reasons(features), english)


def shortened(question: str) -> str:
    """A question on one line, with its middle left out when it is very long, and without what is no text."""
    half = MOST_CHARS // 2
    kept = question if len(question) <= MOST_CHARS else f"{question[:half]} {question[-half:]}"
    return " ".join(kept.encode("utf-8", "replace").decode().split())


def _amounts(text: str) -> dict[str, float]:
    names = len({name for name in _NAME.findall(text) if not (_YEAR.fullmatch(name) or _QUARTER.fullmatch(name))})
    clauses = len(_CLAUSE.findall(text))
    words = len(text.split()) - len(_DATE.findall(text))  # a date makes a question longer, not harder
    # "Q3 2023" is one period.
    periods = max(len(set(found.findall(text))) for found in (_YEAR, _QUARTER))
    return {
        "several_periods": float(periods >= 2),
        "two_names": float(names >= 2),
        "three_names": float(names >= 3),
        "two_ofs": float(len(re.findall(r"\bof\b", text)) >= 2),
        "three_clauses": float(clauses >= 3),
        "four_clauses": float(clauses >= 4),
        "length": min(2.0, max(0, words - _SHORT_WORDS) / 8),
    }


def _reasons(features: dict[str, float]) -> list[str]:
    told = [(-sign.weight, sign.reason) for sign in SIGNS if sign.name in features]
    if "several_periods" in features:
        told.append((-FAIR, "it names several periods"))
    if "three_names" in features:
        told.append((-SLIGHT, "it names three things or more"))
    if features.get("length", 0.0) >= 1.0:
        told.append((-SLIGHT, "it is long"))
    return [reason for _, reason in sorted(told, key=lambda one: one[0])]


def _is_english(text: str) -> bool:
    letters = [character for character in text if character.isalpha()]
    if sum(not character.isascii() for character in letters) > 0.3 * len(letters):
        return False
    words = re.findall(r"[^\W\d_]+", text.lower())
    return len(words) < _FEW_WORDS or sum(word in _ENGLISH for word in words) >= _LEAST_ENGLISH * len(words)
