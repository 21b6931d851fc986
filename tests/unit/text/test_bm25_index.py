"""The word index ranks chunks, sees commits of others, and takes queries as plain words."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_rlm.errors import CorpusError, StoreUnavailable
from langgraph_rlm.text.bm25 import BM25Index, Chunk


def chunk(number: int, text: str, doc_id: str = "d") -> Chunk:
    return Chunk(f"c{number}", doc_id, "digest", number * 10, number * 10 + len(text), text)


def filled(directory: Path | None = None) -> BM25Index:
    index = BM25Index(directory)
    index.add(
        [chunk(0, "the red apple", "a"), chunk(1, "an apple and an apple tree", "b"), chunk(2, "parse_args()", "c")]
    )
    index.commit()
    return index


def ids(index: BM25Index, query: str, k: int = 10, **options: object) -> list[str]:
    return [found.chunk_id for found in index.search(query, k, **options)]  # type: ignore[arg-type]


def test_chunks_come_back_ranked_with_their_places() -> None:
    first, second = filled().search("apple", 5)
    assert first.score >= second.score
    assert {first.chunk_id, second.chunk_id} == {"c0", "c1"}
    assert (second.doc_id, second.digest, second.start, second.end) in [("a", "digest", 0, 13), ("b", "digest", 10, 36)]


def test_case_is_ignored_and_names_are_split() -> None:
    assert ids(filled(), "ARGS") == ["c2"]


def test_stop_words_count_only_when_nothing_else_is_asked() -> None:
    index = filled()
    assert ids(index, "the apple and the tree", k=1) == ["c1"]
    assert ids(index, "the") == ["c0"]


def test_documents_narrow_the_search() -> None:
    index = filled()
    assert ids(index, "apple", documents=["b"]) == ["c1"]
    assert ids(index, "apple", documents=[]) == []
    assert ids(index, "apple", documents=["nowhere"]) == []


def test_scripts_without_blanks_are_found_by_character() -> None:
    index = BM25Index()
    index.add([chunk(0, "東京タワーは赤い"), chunk(1, "大阪城")])
    index.commit()
    assert ids(index, "東京") == ["c0"]


@given(st.text(max_size=60))
def test_no_query_is_an_error(query: str) -> None:
    INDEX.search(query, 3)


INDEX = filled()


def test_operators_are_plain_words() -> None:
    index = filled()
    for query in ("text:apple", '"red apple"', "+apple -red", "apple AND NOT red", "(apple", "doc_id:a", "app*", "*"):
        assert set(ids(index, query)) <= {"c0", "c1"}
    assert ids(index, "doc_id:c") == []


def test_changes_show_only_after_commit(tmp_path: Path) -> None:
    index = filled(tmp_path)
    index.delete_document("a")
    assert ids(index, "red") == ["c0"]
    index.commit()
    assert ids(index, "red") == []
    index.add([chunk(7, "red")])
    index.rollback()
    assert ids(index, "red") == [] and index.count() == 2


def test_replacing_a_document_leaves_no_double(tmp_path: Path) -> None:
    index = filled(tmp_path)
    for _ in range(3):
        index.delete_document("a")
        index.add([chunk(0, "a blue apple", "a")])
        index.commit()
    assert ids(index, "blue") == ["c0"] and ids(index, "red") == []
    assert index.count() == 3


def test_an_open_reader_sees_what_another_object_commits(tmp_path: Path) -> None:
    writer, reader = filled(tmp_path), BM25Index(tmp_path)
    assert ids(reader, "plum") == []
    writer.add([chunk(5, "plum")])
    writer.commit()
    assert ids(reader, "plum") == ["c5"]


def test_a_second_writer_is_told_and_may_write_after_the_commit(tmp_path: Path) -> None:
    first, second = filled(tmp_path), BM25Index(tmp_path)
    first.add([chunk(5, "plum")])
    with pytest.raises(StoreUnavailable, match="being written"):
        second.add([chunk(6, "pear")])
    first.commit()
    second.add([chunk(6, "pear")])
    second.commit()
    assert ids(first, "pear plum", k=5) == ["c5", "c6"]


def test_a_killed_writer_leaves_no_lock(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from langgraph_rlm.text.bm25 import *; i = BM25Index(sys.argv[1]);"
        "i.add([Chunk('x', 'd', '', 0, 1, 'kept')]); i.commit(); i.add([Chunk('y', 'd', '', 0, 1, 'lost')]);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)]).returncode == -9
    index = BM25Index(tmp_path)
    index.add([chunk(1, "new")])
    index.commit()
    assert set(ids(index, "kept lost new")) == {"c1", "x"}


def test_a_directory_with_another_schema_is_refused(tmp_path: Path) -> None:
    import tantivy

    tantivy.Index(tantivy.SchemaBuilder().add_text_field("other").build(), path=str(tmp_path))
    with pytest.raises(CorpusError, match="no word index"):
        BM25Index(tmp_path)
