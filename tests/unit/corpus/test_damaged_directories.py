"""Directories of corpora that are damaged or hostile: each an error by name, none waited for."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document

from langgraph_rlm.corpus import Corpus
from langgraph_rlm.errors import CorpusError


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    with Corpus.open(f"qdrant:{tmp_path / 'index'}") as corpus:
        corpus.add([Document("the fox", id="a")])
    return tmp_path / "index"


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "\x00", "", "[]", "null", "3"])
def test_a_damaged_manifest_is_named(text: str, directory: Path) -> None:
    (directory / "manifest.json").write_text(text)
    with pytest.raises(CorpusError, match=str(directory)):
        Corpus.open(f"qdrant:{directory}")


@pytest.mark.parametrize(
    ("field", "value"), [("chunk_size", "800"), ("dimension", [1]), ("lexical", None), ("more", 1)]
)
def test_a_field_of_a_manifest_that_is_not_what_it_was_is_refused(field: str, value: Any, directory: Path) -> None:
    path = directory / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(CorpusError, match=r"manifest\.json is damaged"):
        Corpus.open(f"qdrant:{directory}")


@pytest.mark.parametrize("name", ["manifest.json", "lock", "documents.sqlite", "names.sqlite", "bm25/meta.json"])
def test_a_pipe_in_the_place_of_a_file_is_refused_and_not_waited_for(name: str, directory: Path) -> None:
    (directory / name).unlink(missing_ok=True)
    os.mkfifo(directory / name)
    with pytest.raises(CorpusError, match=Path(name).name):
        Corpus.open(f"qdrant:{directory}")


def test_a_link_in_a_folder_of_a_corpus_is_refused(directory: Path, tmp_path: Path) -> None:
    (directory / "bm25" / "other").symlink_to(tmp_path)
    with pytest.raises(CorpusError, match="other"):
        Corpus.open(f"qdrant:{directory}")
