"""What a corpus knows of its own metadata, for planning: looked up in the catalog, surveyed at most once per version."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from langgraph_rlm.corpus.catalog import Catalog
from langgraph_rlm.corpus.facets import MOST_CHARS, MOST_FIELDS, Facet
from langgraph_rlm.corpus.filters import Where
from langgraph_rlm.corpus.periods import period_of
from langgraph_rlm.corpus.planning.plans import MOST_VALUES, Survey

MOST_KEPT = 32
"""Surveys of one version of the corpus."""


class CatalogKnowledge:
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

    def numbers(self, filters: Sequence[Where | None]) -> list[int]:
        """Of documents that pass each of these filters."""
        return [len(ids) for ids in self._ids_of(filters)]


class NoKnowledge:
    """Of a store that somebody else has filled, nothing is known without reading all of it."""

    def named(self, names: Sequence[str]) -> list[Facet]:
        """None."""
        return []

    def share(self, field: str) -> float:
        """None."""
        return 0.0

    def survey(self, where: Where | None) -> Survey:
        """Nothing."""
        return Survey()

    def numbers(self, filters: Sequence[Where | None]) -> list[int]:
        """Never asked: no plan has a scope."""
        return [0 for _ in filters]


def surveyed(metadatas: Iterable[Mapping[str, Any]]) -> Survey:
    """What some documents' metadata holds, in bounded room: long values and further fields are left out."""
    survey, untimely = Survey(), set[str]()
    for metadata in metadatas:
        survey.documents += 1
        for field, value in metadata.items():
            if field in survey.having or len(survey.having) < MOST_FIELDS:
                survey.having[field] += 1
            if isinstance(value, str) and len(value) > MOST_CHARS:
                survey.many.add(field)
                continue
            if field not in survey.values and (len(survey.values) >= MOST_FIELDS or len(field) > MOST_CHARS):
                continue
            values = survey.values.setdefault(field, set())
            if value in values:
                continue
            if len(values) < MOST_VALUES:
                values.add(value)
            else:
                survey.many.add(field)
            _note_time(survey, untimely, field, value)
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
