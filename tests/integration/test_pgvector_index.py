"""A store written by the recipe of CONTRIBUTING, PostgreSQL with pgvector, passes what every index has to pass."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document

from examples.pgvector_index import PgvectorIndex
from langgraph_rlm import Corpus
from langgraph_rlm.corpus.index import open_index
from langgraph_rlm.errors import CollectionMissing, InvalidInput, StoreUnavailable
from langgraph_rlm.testing import IndexConformance
from tests.postgres import NoPostgres, postgres


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    try:
        with postgres() as url:
            yield url
    except NoPostgres as error:
        pytest.skip(str(error))


class TestPgvector(IndexConformance):
    @pytest.fixture
    def opener(self, server: str) -> Callable[[], PgvectorIndex]:
        table = f"t {uuid.uuid4().hex}"
        return lambda: PgvectorIndex(server, table)

    def drop(self, index: Any) -> None:
        index._run("DROP TABLE {}", index._table)


def test_a_corpus_is_kept_in_it(server: str, tmp_path: Path) -> None:
    corpus = Corpus.open(PgvectorIndex(server, "papers"), directory=tmp_path / "index")
    corpus.add([Document(f"Tree {number} bears fruit.", id=f"{number}", metadata={"n": number}) for number in range(9)])
    assert corpus.retrieve("Tree 7", k=1, mode="vector", where={"n": {"$gt": 6}})[0]["doc_id"] == "7"
    corpus.close()
    attached = Corpus.open(PgvectorIndex(server, "papers"))
    assert attached.grep("Tree 5")[0]["doc_id"] == "5" and attached.count() == 9
    attached.close()


def test_errors_have_the_fields_of_the_place(server: str) -> None:
    index = PgvectorIndex(server, "nothing here")
    with pytest.raises(CollectionMissing) as raised:
        index.query([1.0], 1)
    error = raised.value
    assert (error.store, error.collection) == ("pgvector", "nothing here")
    assert error.address is not None and error.address in str(error)
    with pytest.raises(InvalidInput, match="NUL"):
        index.check({"a": "b\0"})
    index.close()


def test_a_server_that_is_down_is_named() -> None:
    with pytest.raises(StoreUnavailable, match=r"pgvector at /nowhere.*opening"):
        PgvectorIndex("host=/nowhere port=1 dbname=x", "papers")


def test_one_line_of_registration_gives_it_a_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from importlib.metadata import EntryPoint

    line = EntryPoint("pgvector", "examples.pgvector_index:PgvectorIndex", "langgraph_rlm.indexes")
    monkeypatch.setattr("langgraph_rlm.corpus.index.entry_points", lambda group: [line])
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "1")
    with pytest.raises(StoreUnavailable, match=r"pgvector at 127\.0\.0\.1:1, collection 'papers', opening"):
        open_index("pgvector://127.0.0.1:1/papers", tmp_path)
    with pytest.raises(InvalidInput, match="pgvector://host:port/table"):
        open_index("pgvector:./papers", tmp_path)


def test_a_store_needs_no_more_than_190_lines() -> None:
    lines = (Path(__file__).parents[2] / "examples" / "pgvector_index.py").read_text("utf-8").splitlines()
    assert len(lines) <= 190
