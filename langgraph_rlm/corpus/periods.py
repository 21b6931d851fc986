"""Periods in texts and metadata: years, quarters, months and days, however they are written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

_YEAR = r"(?P<year>(?:19|20)\d\d)"
_OF = r"(?:\s*(?:,|of|de|du|del|des|fiscal|fy|the|year|im|jahr)){0,3}\s*"  # one way to read it: linear time
_NUMBERED = r"[qt]\s?(?P<number>[1-4])"
_ORDINALS = {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "erste": 1, "zweite": 2, "dritte": 3, "vierte": 4,
    "premier": 1, "deuxième": 2, "troisième": 3, "quatrième": 4, "primer": 1, "segundo": 2, "tercer": 3, "cuarto": 4,
    "1st": 1, "2nd": 2, "3rd": 3, "4th": 4, "1er": 1, "2e": 2, "3e": 3, "4e": 4, "1.": 1, "2.": 2, "3.": 3, "4.": 4,
    "一": 1, "二": 2, "三": 3, "四": 4, "1": 1, "2": 2, "3": 3, "4": 4,
}  # fmt: skip
_WORDED = (
    r"(?P<ordinal>first|second|third|fourth|1st|2nd|3rd|4th|erste|zweite|dritte|vierte|premier|deuxième|troisième|"
    r"quatrième|primer|segundo|tercer|cuarto|1er|[2-4]e|[1-4]\.)[nrsm]?\s+(?:fiscal\s+)?(?:quarter|quartal|trimestre)"
)
_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?<![^\W_]){_NUMBERED}(?!\w)(?:{_OF}{_YEAR}(?!\w))?",
        rf"(?<!\w)(?:fy\s?)?{_YEAR}\s*+(?:[-/]\s*+)?{_NUMBERED}(?!\w)",
        rf"(?<!\w){_WORDED}(?!\w)(?:{_OF}{_YEAR}(?!\w))?",
        rf"{_YEAR}年第?(?P<ordinal>[一二三四1-4])(?:季度|四半期)",
    )
)
_HINT = re.compile(r"\d|quart|trimestre", re.IGNORECASE)  # what every period has
_MOST_CHARS = 40
"""Of a value: a longer one is no period."""
_DATE = re.compile(rf"{_YEAR}-(?P<month>0[1-9]|1[0-2])(?:-(?P<day>[0-3]\d))?(?:[T ].*)?")
_BARE_YEAR = re.compile(rf"(?:fy\s?)?{_YEAR}", re.IGNORECASE)


class Period(NamedTuple):
    """A year or a part of one. Compares by time; a year comes before its parts."""

    year: int
    """0: of any year."""
    month: int = 0
    """The first one of a quarter; 0 for a whole year."""
    day: int = 0
    is_quarter: bool = False

    @property
    def quarter(self) -> int:
        """1 to 4, where it is a quarter; else 0."""
        return (self.month + 2) // 3 if self.is_quarter else 0

    def keys(self) -> list[str]:
        """Its names, and those of the longer periods in which it lies.

        Example:
            >>> Period(2022, 7, is_quarter=True).keys()
            ['2022 q3', '2022']
        """
        year = [str(self.year)] if self.year else []
        if self.is_quarter:
            return [" ".join([*year, f"q{self.quarter}"]), *year]
        month = [f"{self.year} {self.month:02}"] if self.month else []
        day = [f"{self.year} {self.month:02} {self.day:02}"] if self.day else []
        return [*day, *month, *year]


def period_of(value: Any) -> Period | None:
    """The period that a metadata value is as a whole; None for anything else.

    Example:
        >>> period_of("Q3 2022") == period_of("2022-Q3")
        True
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return Period(value) if 1900 <= value <= 2100 else None
    if not isinstance(value, str) or len(value) > _MOST_CHARS or not _HINT.search(value):
        return None
    text = value.strip()
    if match := _BARE_YEAR.fullmatch(text):
        return Period(int(match["year"]))
    if match := _DATE.fullmatch(text):
        return Period(int(match["year"]), int(match["month"]), int(match["day"] or 0))
    for pattern in _PATTERNS:
        if match := pattern.fullmatch(text):
            return _quarter(match)
    return None


def periods_in(text: str) -> Iterator[tuple[int, int, Period]]:
    """Quarters that a text names: start, end and period; years alone are words like others."""
    for pattern in _PATTERNS:
        for match in pattern.finditer(text):
            yield match.start(), match.end(), _quarter(match)


def _quarter(match: re.Match[str]) -> Period:
    found = match.groupdict()
    number = int(found["number"]) if found.get("number") else _ORDINALS[found["ordinal"].lower()]
    return Period(int(found["year"] or 0), 3 * number - 2, is_quarter=True)
