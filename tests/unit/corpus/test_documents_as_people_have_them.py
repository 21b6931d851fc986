"""Documents as LangChain's loaders give them: metadata of any kind, loaders and iterators, sources that change."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document

from langgraph_rlm.corpus import Corpus
from langgraph_rlm.errors import InvalidInput


@pytest.fixture(params=["chroma", "qdrant"])
def corpus(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Corpus]:
    with Corpus.open(f"{request.param}:{tmp_path / 'index'}") as opened:
        yield opened


def page(source: str, number: int, text: str = "") -> Document:
    return Document(text or f"Page {number} of {source}.", metadata={"source": source, "page": number})


class Pages(BaseLoader):
    """Counts how far it was read."""

    def __init__(self, count: int, fails_at: int | None = None) -> None:
        self.count, self.fails_at, self.read = count, fails_at, 0

    def lazy_load(self) -> Iterator[Document]:
        for number in range(self.count):
            if number == self.fails_at:
                raise ConnectionError("page server gone")
            self.read += 1
            yield page("report.pdf", number)


def test_metadata_is_kept_converted_or_refused_for_its_document_alone(corpus: Corpus) -> None:
    odd = {
        "when": date(2026, 1, 31), "at": datetime(2026, 1, 31, 12), "score": np.float32(0.5), "count": np.int64(7),
        "yes": np.bool_(True), "tags": ["a", "b"], "pair": (1, 2), "author": {"name": "Ada", "born": {"year": 1815}},
        "nothing": None, "path": Path("x/y.md"),
    }  # fmt: skip
    report = corpus.add(
        [
            Document("All kinds.", id="odd", metadata=odd),
            Document("An object.", id="bad", metadata={"x": object()}),
            Document("No number.", id="nan", metadata={"x": float("nan")}),
            Document("Too long.", id="long", metadata={"x": 1 << 70}),
            Document("Two names.", id="twice", metadata={"a.b": 1, "a": {"b": 2}}),
            Document("Plain.", id="plain", metadata={"tags": "a"}),
        ]
    )
    assert (report.new, report.left_out) == (2, 4)
    reasons = {one.doc_id: one.reason for one in report.skipped}
    assert set(reasons) == {"bad", "nan", "long", "twice"}
    assert "metadata['x']" in reasons["bad"] and "object" in reasons["bad"] and "two values" in reasons["twice"]
    (held,) = corpus.list_documents({"count": 7})
    assert held["metadata"] == {
        "when": "2026-01-31", "at": "2026-01-31T12:00:00", "score": 0.5, "count": 7, "yes": True, "tags": ["a", "b"],
        "pair": [1, 2], "author.name": "Ada", "author.born.year": 1815, "nothing": None, "path": "x/y.md",
    }  # fmt: skip
    for where in (
        {"tags": {"$contains": "a"}}, {"when": {"$gte": "2026"}}, {"author.name": "Ada"}, {"author.born.year": {"$lt": 1900}},
        {"$and": [{"tags": {"$contains": "b"}}, {"yes": True}]}, {"nothing": {"$ne": 1}, "score": {"$lte": 0.5}},
    ):  # fmt: skip
        for mode in ("bm25", "vector"):
            assert [hit["doc_id"] for hit in corpus.retrieve("all kinds", 5, mode, where)] == ["odd"], (where, mode)
        assert [one["doc_id"] for one in corpus.list_documents(where)] == ["odd"]
    assert corpus.retrieve("all kinds", 5, "vector", {"nothing": {"$gt": 0}}) == []
    assert corpus.plan("What has Ada?").parts
    assert corpus.add([Document("All kinds.", id="odd", metadata=odd)]).unchanged == 1


def test_what_is_refused_leaves_the_former_document_in_its_place(corpus: Corpus) -> None:
    corpus.add([Document("former", id="a"), Document("other", id="b")])
    report = corpus.add([Document("latter", id="a", metadata={"x": object()})], prune=True)
    assert (report.left_out, report.pruned) == (1, 1)
    assert corpus.read("a") == "former"


async def test_one_document_paths_loaders_and_iterators_are_taken(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "one.md").write_text("# One\n\nText.")
    (tmp_path / "two.md").write_text("# Two\n\nText.")
    assert corpus.add(page("x.pdf", 1)).new == 1
    assert corpus.add(str(tmp_path / "one.md")).new == 1
    assert corpus.add([tmp_path / "one.md", tmp_path / "two.md"]).new == 1
    assert corpus.add(Pages(3)).new == 3

    async def arriving() -> AsyncIterator[Document | Path]:
        yield page("y.pdf", 1)
        yield tmp_path / "two.md"

    report = await corpus.aadd(arriving())
    assert (report.new, report.unchanged) == (1, 1)
    with pytest.raises(InvalidInput, match="aadd"):
        corpus.add(arriving())
    for wrong in (7, [7], None):
        with pytest.raises(InvalidInput, match="expected"):
            corpus.add(wrong)  # type: ignore[arg-type]


async def test_a_loader_that_fails_leaves_what_came_before_and_says_where(corpus: Corpus) -> None:
    kept = page("kept.pdf", 1)
    corpus.add([kept])
    for add in (corpus.add, None):
        with pytest.raises(
            InvalidInput, match=r"behind 4 documents, the last of them 'report.pdf#page=3',.*gone"
        ) as told:
            await corpus.aadd(Pages(9, fails_at=4), prune=True) if add is None else add(
                Pages(9, fails_at=4), prune=True
            )
        assert isinstance(told.value.__cause__, ConnectionError)
        assert corpus.count() == 5  # nothing was pruned
    assert corpus.add(Pages(9)).unchanged == 4


def test_a_loader_is_read_as_it_is_written(corpus: Corpus) -> None:
    pages, ahead = Pages(3_000), list[int]()
    corpus.add(pages, on_progress=lambda progress: ahead.append(pages.read - progress.documents))
    assert len(ahead) > 2 and max(ahead) <= 200  # what is looked up together, not all of it


def test_a_source_is_listed_replaced_and_deleted_as_one(corpus: Corpus) -> None:
    corpus.add([*(page("a.pdf", n) for n in range(3)), *(page("b.pdf", n) for n in range(2)), Document("x", id="x")])
    assert [(one["source"], one["documents"]) for one in corpus.list_documents(group="source")] == [
        ("a.pdf", 3),
        ("b.pdf", 2),
    ]
    assert corpus.list_documents(group="source", limit=1)[0]["doc_ids"] == [f"a.pdf#page={n}" for n in range(3)]
    report = corpus.add([page("a.pdf", 0), page("a.pdf", 1, "another text")], prune="source")
    assert (report.unchanged, report.changed, report.pruned) == (1, 1, 1)
    assert corpus.count() == 5
    assert corpus.delete(where={"source": "b.pdf"}) == 2
    assert {one["doc_id"] for one in corpus.list_documents()} == {"a.pdf#page=0", "a.pdf#page=1", "x"}
    for wrong in ({"where": {}}, {"doc_ids": ["x"], "where": {"source": "a.pdf"}}):
        with pytest.raises(InvalidInput, match="filter that is not empty"):
            corpus.delete(**wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="prune"):
        corpus.add([], prune="page")  # type: ignore[arg-type]


def test_a_loader_that_changes_how_it_names_pages_doubles_nothing_when_its_source_is_replaced(corpus: Corpus) -> None:
    corpus.add([Document(f"Page {n}", metadata={"source": "r.pdf", "page": n}) for n in range(3)])
    by_start = [Document("Page 0 Page 1 Page 2", metadata={"source": "r.pdf", "start_index": 0})]
    report = corpus.add(by_start, prune="source")
    assert (report.new, report.pruned) == (1, 3)
    assert [one["doc_id"] for one in corpus.list_documents()] == ["r.pdf#start=0"]


def test_one_file_in_two_folders_is_two_documents(corpus: Corpus, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.md").write_text("The same text.")
    assert corpus.add([tmp_path / "a", tmp_path / "b"]).new == 2
    assert [one["doc_id"] for one in corpus.list_documents()] == ["a/same.md", "b/same.md"]


@pytest.mark.parametrize("where", [{"tags": {"$contains": ["a"]}}, {"tags": {"$contain": "a"}}])
def test_contains_takes_one_value(where: Any, corpus: Corpus) -> None:
    corpus.add([Document("x", id="x")])
    with pytest.raises(Exception, match="contain"):
        corpus.retrieve("x", where=where)
