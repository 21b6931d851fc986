"""A word index keeps how it reads words, and refuses to read them otherwise later."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tantivy
from hypothesis import given
from hypothesis import strategies as st

from langgraph_rlm.errors import CorpusError, IndexMismatch, InvalidInput, StoreUnavailable
from langgraph_rlm.text.analyzer import Analyzer
from langgraph_rlm.text.bm25 import BM25Index, Chunk
from langgraph_rlm.text.characters import spaced
from langgraph_rlm.text.words import LANGUAGES, Words, read_words


def chunk(number: int, text: str, doc_id: str = "d") -> Chunk:
    return Chunk(f"c{number}", doc_id, "digest", number * 10, number * 10 + len(text), text)


def filled(texts: list[str], words: Words | None = None, directory: Path | None = None) -> BM25Index:
    index = BM25Index(directory, words)
    index.add(chunk(number, text) for number, text in enumerate(texts))
    index.commit()
    return index


def found(index: BM25Index, query: str) -> list[int]:
    return [int(one.chunk_id[1:]) for one in index.search(query, 50)]


GERMAN = Words(language="german", stem=True)


def test_other_forms_are_found_when_words_are_stemmed() -> None:
    texts = ["die Häuser der Stadt", "ein Haus", "ein Garten"]
    assert set(found(filled(texts, GERMAN), "Haus")) == {0, 1}
    assert found(filled(texts), "Haus") == [1]
    assert set(found(filled(["retries", "retry"], Words(language="english", stem=True)), "RETRYING")) == {0, 1}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_can_be_chosen(language: str) -> None:
    index = filled(["alpha beta"], Words(language=language, stem=True))
    assert found(index, "alpha") == [0]


def test_common_words_of_the_language_count_only_alone() -> None:
    texts = ["der Baum und das Haus", "der der der und und", "what the house"]
    german = filled(texts, Words(language="german"))
    assert found(german, "der Baum und") == [0]
    assert set(found(german, "der und")) == {0, 1}
    assert set(found(german, "what the Baum")) == {0, 2}
    assert found(filled(texts), "what the Baum") == [0]


def test_stop_words_of_your_own_replace_those_of_the_language() -> None:
    texts = ["the margin", "acme acme", "acme margin"]
    own = filled(texts, Words(stop_words=["ACME"]))
    assert set(found(own, "acme margin")) == {0, 2}
    assert set(found(own, "acme")) == {1, 2}
    assert set(found(own, "the margin")) == {0, 2}
    assert set(found(filled(texts, Words(stop_words=())), "the acme")) == {0, 1, 2}


def test_stop_words_are_known_before_words_are_stemmed() -> None:
    index = filled(["was", "thing"], Words(language="english", stem=True))
    assert found(index, "what was the thing") == [1]


def test_an_index_is_read_as_it_was_made(tmp_path: Path) -> None:
    filled(["die Häuser"], GERMAN, tmp_path).close()
    again = BM25Index(tmp_path)
    assert again.words == GERMAN and found(again, "Haus") == [0]
    assert BM25Index(tmp_path, Words(stem=True, language="german")).count() == 1


def test_other_options_are_refused_and_both_are_named(tmp_path: Path) -> None:
    filled(["die Häuser"], GERMAN, tmp_path).close()
    with pytest.raises(IndexMismatch) as raised:
        BM25Index(tmp_path, Words(code=True, stop_words=["b", "a"]))
    message = str(raised.value)
    assert "Words(language='german', stem=True)" in message and "Words(stop_words=('a', 'b'), code=True)" in message
    assert str(tmp_path) in message and "leave words out" in message
    with pytest.raises(IndexMismatch):
        BM25Index(tmp_path, Words())


def test_an_index_without_chunks_takes_other_options(tmp_path: Path) -> None:
    index = filled(["gone"], GERMAN, tmp_path)
    index.delete_document("d")
    index.commit()
    other = filled(["getUserName"], Words(code=True), tmp_path)
    assert found(other, "user") == [0] and found(BM25Index(tmp_path), "user") == [0]


def test_an_index_without_chunks_that_is_being_written_keeps_its_options(tmp_path: Path) -> None:
    index = BM25Index(tmp_path, GERMAN)
    index.add([chunk(0, "Häuser")])
    with pytest.raises(StoreUnavailable):
        BM25Index(tmp_path, Words(code=True))
    index.commit()
    assert found(BM25Index(tmp_path), "Haus") == [0]


def old_index(directory: Path) -> None:
    """As releases without options made them."""
    builder = tantivy.SchemaBuilder()
    for name in ("chunk_id", "doc_id", "digest"):
        builder.add_text_field(name, stored=True, tokenizer_name="raw", index_option="basic")
    for name in ("start", "end"):
        builder.add_integer_field(name, stored=True)
    builder.add_text_field("text", stored=False, tokenizer_name="words", index_option="freq")
    index = tantivy.Index(builder.build(), path=str(directory))
    index.register_tokenizer("words", OLD_ANALYZER)
    writer = index.writer(15_000_000, 1)
    for number, text in enumerate(["Crème brûlée in 東京", "parse_args()"]):
        writer.add_document(
            tantivy.Document(chunk_id=f"c{number}", doc_id="d", digest="", start=0, end=len(text), text=text)
        )
    writer.commit()
    writer.wait_merging_threads()


_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
OLD_ANALYZER: Any = (
    tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.regex(rf"[{_UNSPACED}]|[[\p{{L}}\p{{M}}\p{{N}}]--[{_UNSPACED}]]+"))
    .filter(tantivy.Filter.remove_long(80))
    .filter(tantivy.Filter.lowercase())
    .build()
)


def test_an_index_from_before_there_were_options_opens_with_the_default(tmp_path: Path) -> None:
    old_index(tmp_path)
    index = BM25Index(tmp_path)
    assert index.words == Words()
    assert found(index, "brûlée") == [0] and found(index, "京") == [0] and found(index, "args") == [1]
    index.add([chunk(7, "parse once more")])
    index.commit()
    assert set(found(BM25Index(tmp_path, Words()), "parse")) == {1, 7}
    with pytest.raises(IndexMismatch):
        BM25Index(tmp_path, Words(code=True))


@given(st.text(max_size=80))
def test_words_are_what_they_were_before_there_were_options(text: str) -> None:
    without = "".join(
        " " if "\ufe00" <= one <= "\ufe0f" or "\U000e0100" <= one <= "\U000e01ef" else one for one in text
    )
    assert Analyzer(Words()).tokens(text) == OLD_ANALYZER.analyze(without)


def test_the_choice_of_a_glyph_is_no_word() -> None:
    assert spaced("❤\ufe0f love").split() == ["love"]


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"language": "klingon"}, "unknown language 'klingon'; known are arabic"),
        ({"stem": True}, "needs a language"),
        ({"stop_words": "the"}, "collection of str"),
        ({"stop_words": [1]}, "collection of str"),
        ({"code": "yes"}, "code must be True or False"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], what: str) -> None:
    with pytest.raises(InvalidInput, match=what):
        Words(**options)


def test_another_version_of_the_file_is_refused(tmp_path: Path) -> None:
    filled(["a"], GERMAN, tmp_path).close()
    kept = json.loads((tmp_path / "words.json").read_text())
    (tmp_path / "words.json").write_text(json.dumps(kept | {"format_version": 9}))
    with pytest.raises(IndexMismatch, match="format version 9"):
        BM25Index(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"format_version": 1, "language": "klingon"}', "\xff"])
def test_a_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    filled(["a"], GERMAN, tmp_path).close()
    (tmp_path / "words.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(CorpusError, match=r"words\.json cannot be read"):
        BM25Index(tmp_path)


def test_an_index_whose_file_got_lost_is_not_misread(tmp_path: Path) -> None:
    filled(["die Häuser"], GERMAN, tmp_path).close()
    (tmp_path / "words.json").unlink()
    with pytest.raises(CorpusError, match="no word index of this release"):
        BM25Index(tmp_path)


def test_what_is_kept_is_what_was_chosen(tmp_path: Path) -> None:
    chosen = Words(language="french", stem=True, stop_words={"le", "La"}, code=True)
    filled([], chosen, tmp_path).close()
    assert read_words(tmp_path) == chosen and chosen.stop_words == ("la", "le")
