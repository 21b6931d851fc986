"""A corpus reads words as it was made to, and shows where they stand in its documents."""

from __future__ import annotations

from pathlib import Path

import pytest
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore
from langgraph_rlm.integrations.chroma import ChromaIndex

from langgraph_rlm.corpus import Corpus, Words
from langgraph_rlm.corpus.embeddings import HashingEmbeddings
from langgraph_rlm.errors import IndexMismatch

CODE = "\n".join(f"value_{number} = compute({number})" for number in range(100))
DOCUMENTS = [
    Document(f"{CODE}\n\nclass HTTPServer2:\n    def getUserName(self): ...\n\n{CODE}", id="server.py"),
    Document("The server gets the name of the user. " * 5, id="notes.txt"),
]


def ids(corpus: Corpus, query: str) -> list[str]:
    return list(dict.fromkeys(hit["doc_id"] for hit in corpus.retrieve(query, mode="bm25")))


def test_a_corpus_keeps_how_it_reads_words(tmp_path: Path) -> None:
    with Corpus.open(f"chroma:{tmp_path / 'index'}", words=Words(code=True)) as corpus:
        corpus.add(DOCUMENTS)
        assert ids(corpus, "getUserName") == ["server.py", "notes.txt"] and ids(corpus, "http")[0] == "server.py"
    with Corpus.open(f"chroma:{tmp_path / 'index'}") as again:
        assert ids(again, "get_user_name")[0] == "server.py"
        again.add([Document("def setUserName(): ...", id="other.py")])
        assert "other.py" in ids(again, "user")
    with pytest.raises(IndexMismatch, match=r"Words\(code=True\).*Words\(language='english', stem=True\)"):
        Corpus.open(f"chroma:{tmp_path / 'index'}", words=Words(language="english", stem=True))


def test_an_empty_corpus_may_still_change_how_it_reads(tmp_path: Path) -> None:
    Corpus.open(f"chroma:{tmp_path / 'index'}").close()
    with Corpus.open(f"chroma:{tmp_path / 'index'}", words=Words(code=True)) as corpus:
        corpus.add(DOCUMENTS)
        assert ids(corpus, "http") == ["server.py"]


def test_a_snippet_is_counted_in_the_document(tmp_path: Path) -> None:
    with Corpus.open(f"chroma:{tmp_path / 'index'}", words=Words(code=True)) as corpus:
        corpus.add(DOCUMENTS)
        for query in ("getUserName", ["user", "getUserName"]):
            hit = corpus.retrieve(query, k=1, mode="bm25")[0]
            shown = corpus.snippet(hit, query, chars=60)
            text = DOCUMENTS[0].page_content
            assert shown.text == text[shown.start : shown.end] and len(shown.text) <= 60
            assert [text[start:end] for start, end in shown.spans] == ["getUserName"]
            assert hit["start"] <= shown.start and shown.end <= hit["end"]


def test_stores_that_others_have_filled_are_read_so_too() -> None:
    index = ChromaIndex()
    embeddings = HashingEmbeddings()
    texts = [document.page_content for document in DOCUMENTS]
    index.claim("hashing-512", 512)
    index.upsert(
        [f"00000000-0000-0000-0000-00000000000{number}" for number in range(2)],
        embeddings.embed_documents(texts),
        texts,
        [{"number": number} for number in range(2)],
    )
    store = InMemoryVectorStore(embeddings)
    store.add_documents(DOCUMENTS)
    for attached in (index, store):
        with Corpus.open(attached, words=Words(code=True)) as corpus:
            (hit,) = corpus.retrieve("http", mode="bm25")
            shown = corpus.snippet(hit, "http", chars=20)
            assert [hit["text"][start:end] for start, end in shown.spans] == ["HTTP"]
