"""Retrieval from name to name: what it finds, how it explains it, and what it never returns."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from langgraph_rlm.integrations.qdrant import QdrantIndex

from langgraph_rlm import create_rag
from langgraph_rlm.corpus import Corpus
from langgraph_rlm.corpus.finding import query as asking
from langgraph_rlm.corpus.names import hopping
from langgraph_rlm.corpus.names.naming import Words
from langgraph_rlm.errors import DocumentMissing, InvalidFilter, InvalidInput, StoreUnavailable
from langgraph_rlm.types import Hit
from tests.integration.test_corpus_on_stores import Meaning
from tests.support import Ask, make_corpus, scripted

FILLER = {f"filler{n}.txt": f"Filler Number{n}\nThe mother of all films was born in town {n}." for n in range(12)}
FILMS: dict[str, Any] = {
    "rakka.txt": "Rakka (film)\nRakka is a film of 2017 by Neill Blomkamp.",
    "p77": "Neill Blomkamp\nHe learnt it all from Angela Berg, who raised him.",
    "berg.txt": "Angela Berg\nShe lived in a harbour.",
    **FILLER,
}
QUESTION = "Where was the mother of the director of Rakka born?"


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    with make_corpus(tmp_path_factory.mktemp("corpus") / "index", FILMS) as made:
        yield made


@pytest.fixture
def opened() -> Iterator[Callable[..., Corpus]]:
    some: list[Corpus] = []

    def open_corpus(spec: Any, **options: Any) -> Corpus:
        some.append(Corpus.open(spec, **options))
        return some[-1]

    yield open_corpus
    for one in some:
        one.close()


def ids(hits: list[Hit]) -> list[str]:
    return [hit["doc_id"] for hit in hits]


def test_a_hop_finds_what_the_question_does_not_name(films: Corpus) -> None:
    assert "p77" not in ids(films.retrieve(QUESTION, 5, "bm25"))
    assert set(ids(films.retrieve(QUESTION, 2, "hop"))) == {"rakka.txt", "p77"}
    assert "berg.txt" in ids(films.retrieve(QUESTION, 3, "hop", hops=2))


@pytest.mark.parametrize(("suffix", "found"), [("py", True), ("txt", False)])
def test_among_files_of_code_a_hop_looks_deeper(
    suffix: str, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chunks of one file count together, however far down they stand; of prose the best one counts."""
    monkeypatch.setattr(asking, "_HOP_DEPTH", 4)
    shallow = {f"shallow{n}.{suffix}": f"# Shallow{n}\n# retry retry retry" for n in range(6)}
    deep = {f"deep.{suffix}": "\n".join(f"# retry of the kind {n} and of nothing else whatever" for n in range(40))}
    with make_corpus(tmp_path / "index", shallow | deep, chunk_size=100, chunk_overlap=0) as made:
        hits = made.retrieve("retry", 2, "hop")
    assert (f"deep.{suffix}" in ids(hits)) == found


def test_a_path_tells_how_a_hit_was_reached(films: Corpus) -> None:
    hits = {hit["doc_id"]: hit for hit in films.retrieve(QUESTION, 3, "hop", hops=2)}
    assert hits["berg.txt"]["source"] == "hop"
    assert hits["berg.txt"]["metadata"]["rlm_path"] == [
        {"by": "question", "name": "Rakka", "doc_id": "rakka.txt"},
        {"by": "mentions", "name": "Neill Blomkamp", "doc_id": "p77"},
        {"by": "mentions", "name": "Angela Berg", "doc_id": "berg.txt"},
    ]
    assert [hit["rank"] for hit in films.retrieve(QUESTION, 3, "hop")] == [0, 1, 2]


async def test_both_faces_and_several_queries_give_the_same(films: Corpus) -> None:
    assert await films.aretrieve(QUESTION, 5, "hop", hops=2) == films.retrieve(QUESTION, 5, "hop", hops=2)
    two = films.retrieve([QUESTION, "Angela Berg harbour"], 4, "hop")
    assert {"rakka.txt", "berg.txt"} <= set(ids(two))


def test_auto_follows_names_where_the_question_asks_for_more_than_it_names(films: Corpus) -> None:
    hits = films.retrieve(QUESTION, 2, "auto")
    assert hits[0]["source"] == "hop"
    assert set(ids(hits)) == {"rakka.txt", "p77"}
    assert all(hit["metadata"]["rlm_mode"].startswith("hop: it names 'Rakka'") for hit in hits)
    assert all(hit["metadata"]["rlm_path"] for hit in hits)
    assert films.retrieve("Where was the mother of the director of Nowhere born?", 2, "auto")[0]["source"] == "bm25"
    assert films.retrieve("When did Rakka come out?", 2, "auto")[0]["source"] == "bm25"


def test_auto_knows_no_name_beyond_the_filter(tmp_path: Path) -> None:
    documents = [Document(text, id=doc_id, metadata={"open": doc_id != "rakka.txt"}) for doc_id, text in FILMS.items()]
    with Corpus.open(f"chroma:{tmp_path / 'index'}") as corpus:
        corpus.add(documents)
        assert corpus.retrieve(QUESTION, 2, "auto")[0]["source"] == "hop"
        hidden = corpus.retrieve(QUESTION, 2, "auto", {"open": True})
    assert hidden[0]["source"] == "bm25"
    assert "Rakka" not in hidden[0]["metadata"]["rlm_mode"]


def test_each_query_of_a_plan_follows_names_within_its_scope(tmp_path: Path) -> None:
    documents = [
        Document(text, id=f"{studio} {doc_id}", metadata={"studio": studio})
        for studio in ("Oats", "Vertigo")
        for doc_id, text in FILMS.items()
    ]
    question = "Compare where the director of Rakka was raised at Oats and at Vertigo."
    with Corpus.open(f"chroma:{tmp_path / 'index'}") as corpus:
        corpus.add(documents)
        hits = corpus.retrieve(question, 4, "hop", plan=True)
        alone = corpus.retrieve(question, 4, "hop", {"studio": "Oats"}, plan=True)
    assert set(ids(hits)) == {f"{studio} {one}" for studio in ("Oats", "Vertigo") for one in ("rakka.txt", "p77")}
    assert {hit["metadata"]["studio"] for hit in alone} == {"Oats"}
    for hit in hits:
        studio = hit["metadata"]["studio"]
        assert hit["metadata"]["rlm_scope"] == {"studio": studio}
        assert all(step["doc_id"].startswith(studio) for step in hit["metadata"]["rlm_path"])


def test_names_of_a_question_and_links_of_a_document(films: Corpus) -> None:
    assert films.named_in("who directed rakka film?")[0]["documents"][0]["doc_id"] == "rakka.txt"
    named = films.named_in(QUESTION)
    assert [(one["name"], QUESTION[one["start"] : one["end"]]) for one in named] == [("Rakka", "Rakka")]
    assert films.named_in("What is the meaning of life?") == []
    links = films.links("p77")
    assert [one["name"] for one in links["names"]] == ["Neill Blomkamp"]
    assert [(one["name"], one["doc_id"]) for one in links["mentions"]] == [("Angela Berg", "berg.txt")]
    assert [(one["name"], one["doc_id"]) for one in links["mentioned_by"]] == [("Neill Blomkamp", "rakka.txt")]
    with pytest.raises(DocumentMissing):
        films.links("nobody.txt")


def test_names_are_listed_whatever_their_case(films: Corpus) -> None:
    assert [one["name"] for one in films.names("angela")] == ["Angela Berg"]
    assert len(list(films.names())) > 20


@pytest.mark.parametrize("hops", [0, 4, True, "1", None])
def test_a_number_of_hops_that_cannot_be_is_refused(films: Corpus, hops: Any) -> None:
    with pytest.raises(InvalidInput, match="hops"):
        films.retrieve("x", 3, "hop", hops=hops)


def test_what_is_asked_wrongly_is_refused(films: Corpus) -> None:
    with pytest.raises(InvalidInput, match="query"):
        films.named_in("")
    with pytest.raises(InvalidFilter):
        films.named_in("x", where={"$no": 1})
    with pytest.raises(InvalidFilter):
        films.names(where={"$no": 1})


# --- what a hop must not do -----------------------------------------------------------------------------------------


def test_a_hop_neither_returns_nor_passes_through_what_a_filter_excludes(tmp_path: Path) -> None:
    texts = {name: (text, {"open": name != "p77"}) for name, text in FILMS.items()}
    with make_corpus(tmp_path / "index", texts) as corpus:
        hits = corpus.retrieve(QUESTION, 20, "hop", {"open": True}, hops=3)
        assert "p77" not in ids(hits)
        assert all(step["doc_id"] != "p77" for hit in hits for step in hit["metadata"]["rlm_path"])
        assert next(hit for hit in hits if hit["doc_id"] == "rakka.txt")
        assert corpus.named_in("Neill Blomkamp", where={"open": True}) == []
        assert not list(corpus.names("neill", {"open": True}))
        assert corpus.retrieve(QUESTION, 20, "hop", {"open": 3}) == []


@pytest.mark.parametrize("shared", [True, False])
def test_a_hop_never_leaves_the_tenant(tmp_path: Path, opened: Callable[..., Corpus], shared: bool) -> None:
    spec = QdrantIndex() if shared else f"chroma:{tmp_path / 'all'}"
    options = {"directory": tmp_path / "all"} if shared else {}
    mine, other = (opened(spec, tenant=name, **options) for name in ("mine", "other"))
    mine.add([Document(FILMS["rakka.txt"], id="rakka.txt"), Document("Noise\nThe mother was born.", id="noise.txt")])
    other.add([Document(FILMS["p77"], id="p77")])
    hits = mine.retrieve(QUESTION, 20, "hop", hops=3)
    assert set(ids(hits)) <= {"rakka.txt", "noise.txt"}
    assert mine.named_in("Neill Blomkamp") == [] and other.named_in("Neill Blomkamp")
    assert mine.links("rakka.txt")["mentions"] == []


def test_a_name_that_many_share_or_that_is_a_common_word_leads_nowhere(tmp_path: Path) -> None:
    texts: dict[str, Any] = {f"p{n}": f"Annual Report\nText number {n} of Rakka." for n in range(40)}
    texts |= {
        "the": "the\nA document called the.",
        "it": "It\nThe book.",
        "regex": "(.*)+[a-z]\\\nThe pattern Annual Report.",
    }
    texts |= {
        "long": "Name " * 200_000 + "\nof a megabyte",
        "emoji": "🦊🦊\nNo letters.",
        "rtl": "\u202eevil\u202c Name\nRakka.",
    }
    with make_corpus(tmp_path / "index", texts) as corpus:
        assert corpus.named_in("the annual report of It (.*)+[a-z]\\ 🦊🦊") == []
        hits = corpus.retrieve("Which pattern stands in the Annual Report?", 5, "hop")
        assert hits[0]["doc_id"] == "regex"
        assert all(step["by"] != "mentions" for hit in hits for step in hit["metadata"]["rlm_path"])


def test_a_name_of_several_places_speaks_for_each_a_part(tmp_path: Path) -> None:
    scores = []
    for count in (1, 2, 4):
        texts: dict[str, Any] = {f"r{n}": (f"place {n}.", {"title": "Rakka"}) for n in range(count)} | FILLER
        with make_corpus(tmp_path / str(count), texts) as corpus:
            hits = corpus.retrieve("Where is Rakka?", count, "hop")
        assert set(ids(hits)) == {f"r{n}" for n in range(count)}
        scores.append(hits[0]["score"])
    assert scores[0] > scores[1] > scores[2]


def test_a_link_back_carries_less_the_more_texts_mention_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hopping, "_ALIKE_SOURCES", 0)
    scores = []
    for others in (0, 6):
        texts = {"p1": "Rakka\nIt won.", "diary": "Diary Number1\nSeen on that day: Rakka."} | FILLER
        texts |= {f"more{n}": f"Other Diary{n}\nOn this long day too there was Rakka to see." for n in range(others)}
        with make_corpus(tmp_path / str(others), texts) as corpus:
            hits = {hit["doc_id"]: hit for hit in corpus.retrieve("Which one won?", 8, "hop")}
        assert hits["diary"]["metadata"]["rlm_path"][1:] == [{"by": "mentioned by", "name": "Rakka", "doc_id": "diary"}]
        scores.append(hits["diary"]["score"])
    assert scores == pytest.approx([1 / 2, 1 / 8])


# --- what holds while documents come and go -------------------------------------------------------------------------


def test_replaced_and_deleted_documents_lose_their_links(tmp_path: Path) -> None:
    with make_corpus(tmp_path / "index", FILMS) as corpus:
        corpus.add([Document("Somebody Else\nHe learnt it all.", id="p77")])
        assert list(corpus.names("neill")) == []
        assert "p77" not in ids(corpus.retrieve(QUESTION, 3, "hop"))
        corpus.add([Document(FILMS["p77"], id="new.txt")])  # linked from texts that were there before
        assert "new.txt" in ids(corpus.retrieve(QUESTION, 2, "hop"))
        corpus.delete(["new.txt"])
        assert list(corpus.names("neill")) == []
        assert "Neill Blomkamp" not in [one["name"] for one in corpus.links("rakka.txt")["mentions"]]


PEOPLE = ["Ada King", "Bert Rook", "Cleo Knight", "Dora Queen"]
written = st.lists(st.sampled_from([*PEOPLE, "met", "the", "mother", "of"]), max_size=8).map(" ".join)
versions = st.dictionaries(st.sampled_from("abcdef"), st.tuples(st.sampled_from(PEOPLE), written), max_size=4)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(versions, st.sets(st.sampled_from("abcdef"), max_size=2)), min_size=1, max_size=3))
def test_a_corpus_that_changed_equals_one_made_anew(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[dict[str, tuple[str, str]], set[str]]]
) -> None:
    home = tmp_path_factory.mktemp("changing")
    there: dict[str, str] = {"z": "Zoe Pawn\nZoe Pawn met Ada King, the mother of Bert Rook."}
    with (
        Corpus.open(QdrantIndex(), directory=home / "changed") as changed,
        Corpus.open(QdrantIndex(), directory=home / "anew") as anew,
    ):
        changed.add(as_documents(there))
        for given_, gone in changes:
            texts = {doc_id: f"{title}\n{text}." for doc_id, (title, text) in given_.items()}
            changed.add(as_documents(texts))
            changed.delete(gone)
            there = {doc_id: text for doc_id, text in (there | texts).items() if doc_id not in gone}
        anew.add(as_documents(dict(sorted(there.items()))))
        assert list(changed.names()) == list(anew.names())
        assert [changed.links(doc_id) for doc_id in there] == [anew.links(doc_id) for doc_id in there]
        for question in ("Who is the mother of Bert Rook?", "Zoe Pawn met"):
            found = [set(ids(one.retrieve(question, 20, "hop", hops=2))) for one in (changed, anew)]
            assert found[0] == found[1]
            check_paths(changed, question, there)


def as_documents(texts: dict[str, str]) -> list[Document]:
    return [Document(text, id=doc_id) for doc_id, text in texts.items()]


def check_paths(corpus: Corpus, question: str, texts: dict[str, str]) -> None:
    """Each step of each path must be true."""
    for hit in corpus.retrieve(question, 20, "hop", hops=2):
        path = hit["metadata"]["rlm_path"]
        assert path[-1]["doc_id"] == hit["doc_id"] and path[0]["by"] in ("words", "question")
        for before, step in zip([None, *path], path, strict=False):
            key = " ".join(Words(step["name"]).keys)
            called = [" ".join(Words(one["name"]).keys) for one in corpus.links(step["doc_id"])["names"]]
            if step["by"] == "question":
                assert step["name"] in question and key in called
            elif step["by"] == "mentions":
                assert before is not None and step["name"] in texts[before["doc_id"]] and key in called
            elif step["by"] == "mentioned by":
                assert key in " ".join(Words(texts[step["doc_id"]]).keys)
            elif step["by"] == "shares names":
                assert before is not None and set(key.split()) <= set(Words(texts[step["doc_id"]]).keys)
                assert set(key.split()) <= set(Words(texts[before["doc_id"]]).keys)


@pytest.mark.parametrize("damage", ["missing", "older", "broken"])
def test_names_that_are_missing_or_damaged_are_made_again(tmp_path: Path, damage: str) -> None:
    make_corpus(tmp_path / "index", FILMS).close()
    path = tmp_path / "index" / "names.sqlite"
    if damage == "broken":
        path.write_bytes(b"\x00" * 9000)
    else:
        for file in path.parent.glob("names.sqlite*"):
            file.unlink()
    with Corpus.open(f"chroma:{tmp_path / 'index'}") as corpus:
        assert set(ids(corpus.retrieve(QUESTION, 2, "hop"))) == {"rakka.txt", "p77"}
        assert len(list(corpus.names("neill"))) == 1


def test_damage_while_a_corpus_is_open_is_repaired(tmp_path: Path) -> None:
    with make_corpus(tmp_path / "index", FILMS | {f"x{n}": f"Page Number{n}\ntext" for n in range(3000)}) as corpus:
        corpus._names._index._database.connection().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        corpus._names._index._database.reopen()
        path = tmp_path / "index" / "names.sqlite"
        content = bytearray(path.read_bytes())
        content[8192:] = b"\xff" * (len(content) - 8192)
        path.write_bytes(bytes(content))
        assert "p77" in ids(corpus.retrieve(QUESTION, 3, "hop"))
        path.write_bytes(bytes(content))
        corpus._names._index._database.reopen()
        corpus.add([Document("New Name\ntext", id="new")])
        assert len(list(corpus.names("new name"))) == 1 and len(list(corpus.names("neill"))) == 1


def test_names_are_not_made_again_while_another_process_changes_the_corpus(tmp_path: Path) -> None:
    make_corpus(tmp_path / "index", FILMS).close()
    (tmp_path / "index" / "names.sqlite").unlink()
    with Corpus.open(f"chroma:{tmp_path / 'index'}") as corpus, Corpus.open(f"chroma:{tmp_path / 'index'}") as other:
        with other._writer.held(), pytest.raises(StoreUnavailable, match="hybrid"):
            corpus.retrieve(QUESTION, 2, "hop")
        assert "p77" in ids(corpus.retrieve(QUESTION, 2, "hop"))


def test_another_process_sees_new_names(tmp_path: Path) -> None:
    with make_corpus(tmp_path / "index", FILLER) as corpus:
        code = (
            "import sys; from langgraph_rlm import Corpus; from langchain_core.documents import Document\n"
            "Corpus.open(sys.argv[1]).add([Document('Neill Blomkamp\\nText.', id='new')])"
        )
        subprocess.run([sys.executable, "-c", code, f"chroma:{tmp_path / 'index'}"], check=True)
        assert corpus.named_in("Neill Blomkamp")[0]["documents"][0]["doc_id"] == "new"


def test_threads_may_ask_while_documents_come(tmp_path: Path) -> None:
    with make_corpus(tmp_path / "index", FILMS) as corpus:
        failures: list[BaseException] = []

        def asking() -> None:
            try:
                for _ in range(15):
                    assert "rakka.txt" in ids(corpus.retrieve(QUESTION, 4, "hop"))
            except BaseException as error:  # noqa: BLE001 - told to the main thread
                failures.append(error)

        threads = [threading.Thread(target=asking) for _ in range(3)]
        for thread in threads:
            thread.start()
        for number in range(10):
            corpus.add([Document(f"Extra Page{number}\nby Neill Blomkamp", id=f"extra{number % 3}")])
        for thread in threads:
            thread.join()
        assert not failures


# --- corpora of other shapes ----------------------------------------------------------------------------------------


def test_without_any_name_it_finds_what_hybrid_finds_and_says_so(tmp_path: Path) -> None:
    with make_corpus(tmp_path / "index", {f"p{n}": f"the apple number {n}." for n in range(5)}) as corpus:
        hits = corpus.retrieve("apple number 3", 3, "hop")
        assert hits == corpus.retrieve("apple number 3", 3, "hybrid")
        assert {hit["source"] for hit in hits} == {"hybrid"} and list(corpus.names()) == []


def test_empty_documents_and_equal_titles_do_no_harm(tmp_path: Path) -> None:
    texts: dict[str, Any] = {f"p{n}": "" for n in range(3)}
    texts |= {
        "e1": ("", {"title": "Neill Blomkamp"}),
        "e2": ("Neill Blomkamp\nThe one.", {}),
        "e3": ("Neill Blomkamp\nThe other.", {}),
    }
    texts |= {"rakka.txt": FILMS["rakka.txt"]}
    with make_corpus(tmp_path / "index", texts) as corpus:
        assert {"e2", "e3"} <= set(ids(corpus.retrieve(QUESTION, 5, "hop")))
        assert len(corpus.named_in("Neill Blomkamp")[0]["documents"]) == 3


def test_the_sections_of_one_large_document_are_its_nodes(tmp_path: Path) -> None:
    sections = [f"## Person Number{n}\n\n" + f"filler of section {n} without end. " * 60 for n in range(40)]
    sections[7] = "## Rakka Film\n\nIt was made by Neill Blomkamp.\n" + "more filler words. " * 60
    sections[31] = "## Neill Blomkamp\n\nHe was raised elsewhere.\n" + "even more filler. " * 60
    text = "# The Book\n\n" + "\n".join(sections)
    with make_corpus(tmp_path / "index", {"book.md": text}) as corpus:
        hits = corpus.retrieve("Where was the director of Rakka Film raised?", 4, "hop")
        found = " ".join(hit["text"] for hit in hits)
        assert "## Rakka Film" in found and "## Neill Blomkamp" in found
        assert any(step["name"] == "Neill Blomkamp" for hit in hits for step in hit["metadata"]["rlm_path"])


def test_code_leads_from_a_call_to_its_definition(tmp_path: Path) -> None:
    texts = {
        "app/views.py": "from app.signing import sign_cookie\n\ndef show_page():\n    return sign_cookie('x')\n",
        "app/signing.py": "import hmac\n\ndef sign_cookie(value):\n    return hmac.new(value)\n",
        "app/other.py": "def other_thing():\n    return 'show page views'\n",
    }
    with make_corpus(tmp_path / "index", texts) as corpus:
        hits = corpus.retrieve("Which digest does show_page use?", 3, "hop")
        assert set(ids(hits)[:2]) == {"app/views.py", "app/signing.py"}
        assert {one["doc_id"] for one in corpus.links("app/views.py")["mentions"]} == {"app/signing.py"}


def test_a_file_of_code_is_found_by_what_all_its_chunks_say(tmp_path: Path) -> None:
    def padded(*lines: str) -> str:
        return "\n\n\n".join(f"def part_{n}():\n    {line}\n" + "    pass\n" * 90 for n, line in enumerate(lines))

    once = padded("return parcel, stamp, parcel, stamp", "return None", "return None")
    often = padded("return parcel, stamp", "return parcel, stamp", "return stamp, parcel")
    with make_corpus(tmp_path / "index", {"app/once.py": once, "app/often.py": often}) as corpus:
        assert corpus.retrieve("parcel stamp", 1, "bm25")[0]["doc_id"] == "app/once.py"
        hits = corpus.retrieve("parcel stamp", 3, "hop")
    assert ids(hits)[0] == "app/often.py" and "app/once.py" in ids(hits)


def test_vectors_take_part_where_they_mean_something(tmp_path: Path) -> None:
    with make_corpus(tmp_path / "index", FILMS, embeddings=Meaning()) as corpus:
        hits = corpus.retrieve(QUESTION, 4, "hop", hops=2)
        assert {"rakka.txt", "p77"} <= set(ids(hits))


def test_a_path_does_not_hide_metadata_of_the_document(tmp_path: Path) -> None:
    with make_corpus(tmp_path / "index", {"a": ("Rakka (film)\ntext", {"path": "films/a.txt"})}) as corpus:
        metadata = corpus.retrieve("Rakka", 1, "hop")[0]["metadata"]
        assert metadata["path"] == "films/a.txt" and metadata["rlm_path"][0]["name"] == "Rakka"


def test_neighbours_and_diversity_work_with_hops(films: Corpus) -> None:
    wide = films.retrieve(QUESTION, 3, "hop", neighbours=1, diversity=0.2)
    assert "rakka.txt" in ids(wide) and all(hit["metadata"]["rlm_path"] for hit in wide)


def test_a_store_that_somebody_else_filled_knows_no_names(tmp_path: Path) -> None:
    index = QdrantIndex()
    with Corpus.open(index, directory=tmp_path / "index") as full, Corpus.open(index) as attached:
        full.add([Document(text, id=name) for name, text in FILMS.items()])
        with pytest.raises(InvalidInput, match="hybrid"):
            attached.retrieve(QUESTION, 3, "hop")
        assert attached.named_in(QUESTION) == [] and list(attached.names()) == []
        assert attached.links("rakka.txt")["mentions"] == []


async def test_classic_rag_can_hop(films: Corpus, ask: Ask) -> None:
    graph = create_rag(scripted(["He was raised by Angela Berg [1]."]), corpus=films, mode="hop", k=2)
    done = await ask(graph, {"question": QUESTION})
    assert "Angela Berg" in done["answer"]
    with pytest.raises(InvalidInput, match="hop"):
        create_rag(scripted(["x"]), corpus=films, mode="hops")  # type: ignore[arg-type]
