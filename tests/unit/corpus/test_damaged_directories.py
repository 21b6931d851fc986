"""Directories of corpora that are damaged or hostile: each an error by name, none waited for."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding

from langgraph_rlm.corpus import Corpus
from langgraph_rlm.errors import CorpusError, DocumentMissing, InvalidInput, StoreUnavailable


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


# --- files that are not as they were written --------------------------------------------------------------------------

ARTICLES = [
    Document(f"# Fox {number}\n\nThe fox {number} jumps over dog {number}. " * 9, id=f"d{number}")
    for number in range(9)
]
VECTORS = DeterministicFakeEmbedding(size=8)


def _garbage(path: Path) -> None:
    path.write_bytes(bytes(number * 167 % 251 for number in range(path.stat().st_size or 9)))


def _half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _middle(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for at in range(len(data) // 3, len(data) // 3 * 2):
        data[at] ^= 0x5A
    path.write_bytes(data)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES = {
    "garbage": _garbage, "half": _half, "empty": lambda path: path.write_bytes(b""), "middle": _middle, "folder": _folder,
    "gone": Path.unlink,
}  # fmt: skip


@pytest.fixture(scope="module", params=["chroma", "qdrant"])
def sound(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A store and a corpus on it whose files are all there."""
    path = tmp_path_factory.mktemp(request.param) / "index"
    with Corpus.open(f"{request.param}:{path}", embeddings=VECTORS) as corpus:
        corpus.add(ARTICLES)
        corpus.retrieve("fox", mode="hop")
    return request.param, path


USES: dict[str, Callable[[Corpus], Any]] = {
    "list": lambda corpus: corpus.list_documents(),
    "words": lambda corpus: corpus.retrieve("fox dog", mode="bm25"),
    "vectors": lambda corpus: corpus.retrieve("fox", mode="vector"),
    "hop": lambda corpus: corpus.retrieve("fox", mode="hop"),
    "read": lambda corpus: corpus.read("d1"),
    "names": lambda corpus: corpus.names(),
    "add": lambda corpus: corpus.add([Document("a new fox", id="new")]),
    "delete": lambda corpus: corpus.delete(["d3"]),
}


@pytest.mark.parametrize("how", DAMAGES)
def test_every_file_of_a_corpus_may_be_damaged_and_each_use_works_or_fails_by_name(
    how: str, sound: tuple[str, Path], tmp_path: Path
) -> None:
    store, source = sound
    names = sorted(path.relative_to(source) for path in source.rglob("*") if path.is_file())
    assert len(names) > 12
    for number, name in enumerate(names):
        copy = tmp_path / str(number)
        shutil.copytree(source, copy)
        DAMAGES[how](copy / name)
        for _ in range(2):  # the second time in the same process too
            try:
                corpus = Corpus.open(f"{store}:{copy}", embeddings=VECTORS)
            except CorpusError:
                continue
            with corpus:
                for use in USES.values():
                    with suppress(CorpusError, DocumentMissing):
                        use(corpus)


@pytest.mark.parametrize("how", ["garbage", "half", "middle", "folder"])
def test_a_damaged_database_of_chroma_is_named_each_time_and_a_copy_put_back_is_opened(
    how: str, tmp_path: Path
) -> None:
    place, database = f"chroma:{tmp_path / 'index'}", tmp_path / "index" / "chroma" / "chroma.sqlite3"
    with Corpus.open(place, embeddings=VECTORS) as corpus:
        corpus.add(ARTICLES)
    kept = database.read_bytes()
    DAMAGES[how](database)
    for _ in range(2):
        with (
            Corpus.open(place, embeddings=VECTORS) as corpus,
            pytest.raises(StoreUnavailable, match=r"chroma\.sqlite3"),
        ):
            corpus.retrieve("fox", mode="vector")
    if how == "folder":
        database.rmdir()
    database.write_bytes(kept)
    with Corpus.open(place, embeddings=VECTORS) as corpus:
        assert len(corpus.retrieve("fox", mode="vector")) == 8


def test_a_word_index_that_was_removed_is_made_again_by_the_next_add(directory: Path) -> None:
    shutil.rmtree(directory / "bm25")
    with Corpus.open(f"qdrant:{directory}") as corpus:
        corpus.add([Document("the dog", id="b")])
        assert [hit["doc_id"] for hit in corpus.retrieve("fox", mode="bm25")] == ["a"]


# --- ids that no document has -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("doc_id", ["a\ud800", "\udfff", "\x00", 3, None, ["a"]])
def test_an_id_that_no_document_can_have_is_one_that_is_not_there(doc_id: Any, directory: Path) -> None:
    with Corpus.open(f"qdrant:{directory}") as corpus:
        with pytest.raises(DocumentMissing):
            corpus.read(doc_id)
        with pytest.raises(DocumentMissing):
            corpus.links(doc_id)
        assert not corpus.holds(doc_id)
        assert corpus.delete([doc_id]) == 0
        assert corpus.count() == 1


def test_ids_to_delete_that_are_no_ids_are_refused(directory: Path) -> None:
    with Corpus.open(f"qdrant:{directory}") as corpus, pytest.raises(InvalidInput, match="NoneType"):
        corpus.delete(None)  # type: ignore[arg-type]


def test_half_a_pair_in_words_of_a_question_is_no_word(directory: Path) -> None:
    with Corpus.open(f"qdrant:{directory}") as corpus:
        assert [part.query for part in corpus.plan("the fo\ud800x").parts]
        [hit] = corpus.retrieve("fox", mode="bm25")
        assert corpus.snippet(hit, "\udc00 fox").text == "the fox"
