"""The table of metadata values: always what the documents hold, whatever happened to them, and small."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langgraph_rlm.corpus.catalog import Catalog, NewRow
from langgraph_rlm.corpus.facets import MOST_ALIKE, MOST_CHARS, MOST_FIELDS, names_of
from langgraph_rlm.corpus.periods import Period, period_of, periods_in
from langgraph_rlm.corpus.planning.metadata import MOST_KEPT, MOST_VALUES, CatalogMetadata, surveyed

VALUES = st.one_of(
    st.sampled_from(["Apple Inc.", "apple", "2022 Q3", "docs/a.md", "", "(.*)+", 2022, 7, True, 1, 1.0, 0.5]),
    st.text(max_size=5),
    st.just("x" * (MOST_CHARS + 1)),
)
METADATA = st.dictionaries(st.sampled_from(["company", "year", "path", 'q"uote', "ünï"]), VALUES, max_size=4)
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from("abcd"), METADATA),
        st.tuples(st.sampled_from(["delete", "remove", "expire"]), st.sampled_from("abcd"), st.none()),
    ),
    max_size=15,
)


def row(doc_id: str, metadata: dict[str, Any]) -> NewRow:
    return NewRow(doc_id, "digest", "text", metadata, [(0, 4)])


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    made = Catalog(tmp_path / "documents.sqlite")
    yield made
    made.close()


def table(path: Path) -> dict[tuple[str, str, str], int]:
    with sqlite3.connect(path) as connection:
        return {tuple(found[:3]): found[3] for found in connection.execute("SELECT * FROM facets")}  # type: ignore[misc]


def naive(metadatas: Any) -> dict[tuple[str, str, str], int]:
    counts: Counter[tuple[str, str, str]] = Counter()
    for metadata in metadatas:
        for field, value in metadata.items():
            counts[("", field, "null")] += 1
            for name in names_of(value):
                counts[(name, field, json.dumps(value, ensure_ascii=False))] += 1
    return dict(counts)


@settings(max_examples=80, deadline=None)
@given(actions=ACTIONS, forgets=st.integers(0, 15))
def test_the_table_holds_what_the_documents_hold(
    actions: list[tuple[str, str, Any]], forgets: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("facets") / "documents.sqlite"
    catalog, there, dead = Catalog(path), dict[str, dict[str, Any]](), set[str]()
    for step, (action, doc_id, metadata) in enumerate(actions):
        if step == forgets:  # as made by a release from before there was the table
            with sqlite3.connect(path) as connection:
                connection.execute("DELETE FROM facets")
                connection.execute("PRAGMA user_version = 0")
        if action == "write":
            catalog.write_pending([row(doc_id, metadata)])
            there[doc_id] = metadata
            dead.discard(doc_id)
        elif action == "delete":
            catalog.write_deleted([doc_id])
            dead.add(doc_id)
            there.pop(doc_id, None)
        elif action == "remove":
            catalog.remove([doc_id])
            there.pop(doc_id, None)
        else:
            catalog.write_expiry([doc_id], 0.0)
    catalog.named(["anything"])
    assert table(path) == naive(there.values())
    catalog.close()


def test_values_are_found_by_any_of_their_names(catalog: Catalog) -> None:
    catalog.write_pending(
        [
            row("a", {"company": "Amazon.com, Inc.", "quarter": "Q3 2022", "path": "docs/guide/setup.md"}),
            row("b", {"company": "Amazon.com, Inc.", "quarter": "2022-09-30", "chapter": 7}),
        ]
    )

    def named(name: str) -> set[tuple[str, Any, int]]:
        return {(one.field, one.value, one.documents) for one in catalog.named([name])}

    assert named("amazon") == named("amazon com inc") == {("company", "Amazon.com, Inc.", 2)}
    assert named("2022 q3") == {("quarter", "Q3 2022", 1)}
    assert named("2022") == {("quarter", "Q3 2022", 1), ("quarter", "2022-09-30", 1)}
    assert named("setup md") == {("path", "docs/guide/setup.md", 1)}
    assert named("7") == {("chapter", 7, 1)}
    assert named("") == named("nothing") == set()
    assert catalog.documents_with("company") == 2
    assert catalog.documents_with("path") == 1
    assert catalog.documents_with("none") == 0


def test_a_name_of_too_many_values_finds_none_of_them(catalog: Catalog) -> None:
    catalog.write_pending(
        row(f"d{n}", {"day": f"2022-01-{1 + n % 28:02}", "n": f"2022-{1 + n % 12:02}"}) for n in range(80)
    )
    assert {one.field for one in catalog.named(["2022"])} == {"day", "n"}
    catalog.write_pending(row(f"e{n}", {"day": f"2022-02-{1 + n % 28:02}"}) for n in range(MOST_ALIKE))
    assert {one.field for one in catalog.named(["2022"])} == {"n"}


def test_huge_values_and_long_tails_of_fields_are_left_out(tmp_path: Path, catalog: Catalog) -> None:
    catalog.write_pending([row("a", {"blob": "x" * 10_000_000} | {f"f{n}": "v" for n in range(1_000)})])
    found = table(tmp_path / "documents.sqlite")
    assert {field for _, field, _ in found} == {"blob"} | {f"f{n}" for n in range(MOST_FIELDS - 1)}
    assert all(len(name) <= MOST_CHARS for name, _, _ in found)


def test_a_survey_is_bounded_and_made_once_for_each_version(catalog: Catalog) -> None:
    looked: list[Any] = []

    def passing(where: Any) -> Iterator[Any]:
        looked.append(where)
        return (one.metadata for one in catalog.rows())

    known = CatalogMetadata(catalog, passing, lambda filters: [[] for _ in filters])
    catalog.write_pending(row(f"d{n}", {"title": f"title {n}", "year": 2000 + n % 5}) for n in range(MOST_VALUES + 50))
    for _ in range(3):
        survey = known.survey(None)
    assert looked == [None]
    assert len(survey.values["title"]) == MOST_VALUES
    assert survey.many == {"title"}
    assert survey.periods() == {"year": [2000, 2001, 2002, 2003, 2004]}
    catalog.write_pending([row("new", {"year": 2030})])
    assert known.survey(None).latest["year"] == (Period(2030), 2030)
    for number in range(2 * MOST_KEPT):
        known.survey({"n": number})
    assert len(known._surveys) == MOST_KEPT


def test_a_survey_takes_no_field_with_other_values_for_a_time() -> None:
    assert surveyed([{"when": 2020}, {"when": "unknown"}, {"when": 2021}]).latest == {}
    assert surveyed([{"when": "Q1"}]).latest == {}
    assert surveyed({"f": "x" * 10_000_000, f"g{n}": n} for n in range(500)).values.keys() <= {
        f"g{n}" for n in range(MOST_FIELDS)
    }


@pytest.mark.parametrize(
    ("value", "period"),
    [
        ("2022 Q3", (2022, 7)), ("Q3 2022", (2022, 7)), ("2022Q3", (2022, 7)), ("2022-Q3", (2022, 7)), ("Q3 FY2022", (2022, 7)),
        ("third quarter of 2022", (2022, 7)), ("3. Quartal 2022", (2022, 7)), ("T3 2022", (2022, 7)), ("Q3", (0, 7)),
        ("2022", (2022, 0)), (2022, (2022, 0)), ("FY2022", (2022, 0)), ("2022-06-25", (2022, 6)), ("2022-06", (2022, 6)),
        ("2022-06-25T12:00:00Z", (2022, 6)), (22, None), (True, None), (2022.0, None), ("x2022", None), ("", None), ("Q5", None),
        ("2022-13", None), ("20222", None), ("a" * 50, None),
    ],
)  # fmt: skip
def test_periods_are_read_however_they_are_written(value: Any, period: tuple[int, int] | None) -> None:
    found = period_of(value)
    assert (None if found is None else (found.year, found.month)) == period


def test_quarters_are_found_in_sentences() -> None:
    asked = "In the third quarter of fiscal 2022, in Q1 2023, au troisième trimestre 2021 und im vierten Quartal 2020"
    assert {period.keys()[0] for _, _, period in periods_in(asked)} == {"2022 q3", "2023 q1", "2021 q3", "2020 q4"}
    assert [period.keys()[0] for _, _, period in periods_in("2022年第三季度")] == ["2022 q3"]
    assert next(asked[start:end] for start, end, _ in periods_in(asked)) == "Q1 2023"


def test_periods_compare_by_time() -> None:
    values = ["2023 Q1", "2022-06-25", 2022, "2022 Q4", "2022-06-24"]
    ordered = sorted(values, key=lambda value: period_of(value) or Period(0))
    assert ordered == [2022, "2022-06-24", "2022-06-25", "2022 Q4", "2023 Q1"]
