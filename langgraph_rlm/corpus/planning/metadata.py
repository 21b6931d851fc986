"""The metadata of a corpus' documents, for planning: looked up in the catalog, surveyed at most once per version."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from langgraph_rlm.corpus.catalog import Catalog
from langgraph_rlm.corpus.facets import MOST_CHARS, MOST_FIELDS, Facet
from langgraph_rlm.corpus.filters import Where, is_scalar
from langgraph_rlm.corpus.periods import Period, period_of

MOST_VALUES = 200
"""Of a field, of which a survey knows all: more are no choice that a question enumerates, and a survey stays small."""

MOST_KEPT = 32
"""Surveys at a time, one for each filter in use; one holds at most 64 fields of 200 short values."""


@dataclass(slots=True)
class Survey:
    """What the metadata of some documents holds.

    Args:
        values: of each field, all of them, or those met first when there are more than ``MOST_VALUES``.
        many: fields of which not all values are known.
        documents: how many there are.
        having: how many of them have each field.
        latest: of each field whose values are all periods, the last one.
    """

    values: dict[str, set[Any]] = field(default_factory=dict)
    many: set[str] = field(default_factory=set)
    documents: int = 0
    having: Counter[str] = field(default_factory=Counter)
    latest: dict[str, tuple[Period, Any]] = field(default_factory=dict)

    def periods(self) -> dict[str, list[Any]]:
        """Fields whose values are all periods, and these in their order; the finest field first."""
        found = {
            name: sorted(self.values[name], key=lambda value: (period_of(value) or Period(0), str(value)))
            for name in self.latest
            if name not in self.many
        }
        return dict(sorted(found.items(), key=lambda one: -len(one[1])))


class MetadataLookup(Protocol):
    """Which values the metadata of a corpus' documents has, and how many documents have them."""

    def named(self, names: Sequence[str]) -> list[Facet]:
        """The values that go by one of these names."""
        ...

    def share(self, field: str) -> float:
        """Of the documents, 0 to 1, that have a field."""
        ...

    def survey(self, where: Where | None) -> Survey:
        """Of the documents that pass a filter."""
        ...

    def document_counts(self, filters: Sequence[Where | None]) -> list[int]:
        """Of documents that pass each of these filters."""
        ...


class CatalogMetadata:
    """The metadata in a catalog.

    Args:
        catalog: the documents.
        passing: gives the metadata of the documents that pass a filter.
        ids_of: gives the documents that pass each of several filters.
    """

    def __init__(
        self,
        catalog: Catalog,
        passing: Callable[[Where | None], Iterable[Mapping[str, Any]]],
        ids_of: Callable[[Sequence[Where | None]], list[list[str]]],
    ) -> None:
        self._catalog, self._passing, self._ids_of = catalog, passing, ids_of
        self._surveys: OrderedDict[tuple[int, str], Survey] = OrderedDict()
        self._lock = threading.Lock()

    def named(self, names: Sequence[str]) -> list[Facet]:
        """The values that go by one of these names."""
        return self._catalog.named(names)

    def share(self, field: str) -> float:
        """Of the documents, 0 to 1, that have a field."""
        return self._catalog.documents_with(field) / max(1, self._catalog.totals()[0])

    def survey(self, where: Where | None) -> Survey:
        """Of the documents that pass a filter."""
        key = (self._catalog.changes(), repr(where))
        with self._lock:
            if (known := self._surveys.get(key)) is not None:
                return known
        made = surveyed(self._passing(where))
        with self._lock:
            self._surveys[key] = made
            while len(self._surveys) > MOST_KEPT:
                self._surveys.popitem(last=False)
        return made

    def document_counts(self, filters: Sequence[Where | None]) -> list[int]:
        """Of documents that pass each of these filters."""
        return [len(ids) for ids in self._ids_of(filters)]


class NoMetadata:
    """Of a store that somebody else has filled: nothing is known without reading all of it."""

    def named(self, names: Sequence[str]) -> list[Facet]:
        """None."""
        return []

    def share(self, field: str) -> float:
        """None."""
        return 0.0

    def survey(self, where: Where | None) -> Survey:
        """Nothing."""
        return Survey()

    def document_counts(self, filters: Sequence[Where | None]) -> list[int]:
        """Never asked: no plan has a scope."""
        return [0 for _ in filters]


def surveyed(metadatas: Iterable[Mapping[str, Any]]) -> Survey:
    """What some documents' metadata holds, in bounded room: long values and further fields are left out."""
    survey, untimely = Survey(), set[str]()
    for metadata in metadatas:
        survey.documents += 1
        for name, value in metadata.items():
            if name in survey.having or len(survey.having) < MOST_FIELDS:
                survey.having[name] += 1
            if not is_scalar(value) or (isinstance(value, str) and len(value) > MOST_CHARS):
                survey.many.add(name)
                continue
            if name not in survey.values and (len(survey.values) >= MOST_FIELDS or len(name) > MOST_CHARS):
                continue
            values = survey.values.setdefault(name, set())
            if value in values:
                continue
            if len(values) < MOST_VALUES:
                values.add(value)
            else:
                survey.many.add(name)
            _note_time(survey, untimely, name, value)
    return survey


def _note_time(survey: Survey, untimely: set[str], field: str, value: Any) -> None:
    """Fields of which every value is a period have a last one."""
    if field in untimely:
        return
    period = period_of(value)
    if period is None or not period.year:
        untimely.add(field)
        survey.latest.pop(field, None)
    elif field not in survey.latest or survey.latest[field][0] < period:
        survey.latest[field] = (period, value)
