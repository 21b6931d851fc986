"""What a question tells about the work it takes: signs of many documents, of steps, of comparison, in plain rules.

Each sign has a weight in log-odds of "needs the recursive route" and a reason in plain words. The weights are set by
hand; the evaluation of the router measures them on labelled questions.
"""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

import re2


class Sign(NamedTuple):
    """One sign: found by ``pattern``, worth ``weight``, said as ``reason``."""

    name: str
    weight: float
    reason: str
    pattern: Any
    """Of re2: several `.*` in one pattern take cubic time in an engine that backtracks."""


def _sign(name: str, weight: float, reason: str, pattern: str) -> Sign:
    options = re2.Options()
    options.case_sensitive = False
    return Sign(name, weight, reason, re2.compile(pattern, options))


_THINGS = (
    r"(?:files?|documents?|modules?|classes|functions?|methods?|filings?|reports?|records?|entries|lines|logs?|chapters?|"
    r"sections?|articles?|tickets?|emails?|messages?|contracts?|customers?|companies|countries|quarters?|years)"
)

SIGNS: tuple[Sign, ...] = (
    _sign("occurrences", 3.5, "it counts occurrences", r"\bhow (?:many times|often)\b|\bnumber of (?:times|occurrences)\b|\bcount (?:the|all|how|every|each)\b"),
    _sign("count_of_things", 3.0, "it counts things over many documents", rf"\bhow many (?:different |distinct |of the )?{_THINGS}\b"),
    _sign("which_documents", 3.0, "it asks for all documents of a kind", rf"\b(?:in )?(?:which|what) (?:of the )?{_THINGS}\b.*\b(?:contain|mention|use|import|call|define|occur|appear|have|has|fall|fell|rise|rose|derive|inherit|refer)"),
    _sign("enumeration", 2.5, "it asks for a list of all", rf"\b(?:list|enumerate|name|find|identify|give)\b (?:me )?(?:all|every|each|the {_THINGS})\b|\blist of all\b"),
    _sign("quantifier", 1.6, "it speaks of all of something", rf"\b(?:all|every|each|any of the) (?:the |of the )?(?:\w+ ){{0,2}}{_THINGS}\b|\bacross (?:all|the|every|several|multiple)\b|\bthroughout the\b|\beach of\b"),
    _sign("comparison", 2.2, "it compares", r"\bcompar(?:e|es|ed|ing|ison)\b|\bdifferences? between\b|\bversus\b|\bvs\.?(?:\s|$)|\bin contrast\b|\b(?:which|who)\b.*\b(?:more|less|fewer|older|younger|larger|smaller|higher|lower|longer|shorter|earlier|later|first|better|taller)\b.*\bor\b|\bboth\b|\bdo .+ and .+ (?:share|have the same)\b|\bthe same .+ as\b"),
    _sign("trend", 2.2, "it follows a change over time", r"\b(?:trend|evol(?:ve|ved|ution)|over time|year[- ]over[- ]year|quarter[- ]over[- ]quarter|fluctuat\w+)\b|\bhow (?:has|have|did|does)\b.+\b(?:chang|grow|grew|grown|develop|shift|vary|varied|impact|affect)\w*|\bfrom (?:Q[1-4] )?(?:19|20)\d\d (?:to|until|through)\b|\bbetween (?:Q[1-4] )?(?:19|20)\d\d and\b|\bwhich quarters\b"),
    _sign("aggregate", 1.8, "it aggregates", r"\b(?:average|mean|median|sum|total|overall|in total|altogether|combined|percentage change|ratio|proportion|distribution)\b"),
    _sign("superlative", 0.8, "it asks for an extreme among many", r"\b(?:most|least|fewest|largest|smallest|highest|lowest|longest|shortest|oldest|youngest|earliest|latest|greatest|biggest|top \d+)\b"),
    _sign("summary", 2.5, "it asks for a summary of everything", r"\bsummari[sz]e\b|\bsummary\b|\boverview of\b|\bmain (?:themes|topics|points|ideas)\b"),
    _sign("contradiction", 2.5, "it looks for contradictions or gaps", r"\bcontradict\w*|\binconsisten\w*|\bconflict(?:s|ing)? (?:between|with)\b|\bnever (?:used|called|mentioned)\b|\bmissing from\b"),
    _sign("code_wide", 2.0, "it is about a whole code base", r"\b(?:call sites?|callers? of|usages? of|where (?:is|are|else)\b.+\bused)\b|\bacross the (?:code|code ?base|repository)\b|\bhow do(?:es)?\b.+\b(?:interact|fit together|work together|flow through)\b"),
    _sign("nested", 1.6, "one thing is named through another", r"\bof the \w+ (?:\w+ ){0,4}(?:of|who|that|which|whose|where)\b|\bthe \w+ (?:\w+ )?of the \w+ (?:\w+ )?of\b|\bwhose\b|\b\w+'s \w+'s\b|\bof [A-Z][\w.]*(?: [A-Z][\w.]*)*'s \w+"),
    _sign("relative_clause", 1.2, "one thing is described by another fact", r"\b(?:the|a|an) (?:\w+ ){1,4}(?:that|who|which|where|in which) (?:\w+ ){1,}(?:is|was|are|were|has|had|did|does|won|died|born|located|founded|directed|published|released|formed)\b"),
    _sign("kinship", 1.4, "it follows a relation of a named person or work", r"\b(?:father|mother|grandfather|grandmother|spouse|wife|husband|child|children|sibling|uncle|aunt|director|composer|performer|author|founder|father-in-law|mother-in-law)\b.* of\b.*\b(?:film|song|album|book|novel|[A-Z]\w+)\b|\b(?:film|song|album|book)\b.*'s (?:director|performer|author|composer)"),
    _sign("several_questions", 1.2, "it asks several things at once", r"\b(?:what|which|who|when|where|why|how)\b.+[,;]? and (?:what|which|who|when|where|why|how)\b|\?.+\?|, and why\b"),
)  # fmt: skip

_PERIOD = re.compile(r"\b(?:(?:19|20)\d\d|Q[1-4])\b")
_NAME = re.compile(r"(?<![.?!]\s)(?<!^)\b[A-Z][\w&.-]*(?:\s+(?:of|the|and|de)?\s*[A-Z][\w&.-]*)*")
_BIAS = -1.0


def weigh(question: str) -> tuple[float, dict[str, float], list[str]]:
    """Log-odds that a question needs the recursive route, the features, and the reasons, the weightiest first.

    Linear in the length of the question, of which the first and last thousands of characters are looked at.
    """
    text = " ".join(question.split())
    if len(text) > 4_000:
        text = f"{text[:2_000]} {text[-2_000:]}"
    encoded = text.encode("utf-8", "replace")
    features = {sign.name: 1.0 for sign in SIGNS if sign.pattern.search(encoded)}
    reasons = sorted((-sign.weight, sign.reason) for sign in SIGNS if sign.name in features)
    log_odds = _BIAS + sum(sign.weight for sign in SIGNS if sign.name in features)
    words, periods = len(text.split()), len(set(_PERIOD.findall(text)))
    names = len({name for name in _NAME.findall(text) if not _PERIOD.fullmatch(name)})
    features |= {"words": float(words), "periods": float(periods), "names": float(names)}
    if periods >= 2:
        log_odds += 1.2
        reasons.append((-1.2, f"it names {periods} periods"))
    if names >= 3:
        log_odds += 0.6
        reasons.append((-0.6, f"it names {names} things"))
    log_odds += min(1.5, 0.06 * max(0, words - 14))
    if words > 24:
        reasons.append((-0.5, f"it is long ({words} words)"))
    return log_odds, features, [reason for _, reason in sorted(reasons)]


def probability(log_odds: float) -> float:
    """Of the log-odds."""
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, log_odds))))
