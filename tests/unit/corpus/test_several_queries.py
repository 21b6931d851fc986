"""Several queries at once, what hits say of how they were found, and what ``auto`` stands for."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore

from langgraph_rlm.corpus import Corpus
from langgraph_rlm.corpus.embeddings import HashingEmbeddings
from langgraph_rlm.corpus.finding.fusion import fuse, fusion_depth
from langgraph_rlm.corpus.finding.modes import chosen, is_chained
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.fanout import LOCAL
from langgraph_rlm.types import Hit

WORDS = ("apple", "pear", "plum", "fig", "quince")
Place = tuple[str, int, int]


class Meaning(HashingEmbeddings):
    """Embeddings that pass for semantic ones, so that ``hybrid`` asks them."""

    lexical = False
    name = "meaning"


def place(hit: Hit) -> Place:
    return hit["doc_id"], hit["start"], hit["end"]


def documents() -> list[Document]:
    return [
        Document(" ".join(WORDS[(number + step) % 5] for step in range(1 + number % 4)), id=f"d{number:02}")
        for number in range(30)
    ]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    with Corpus.open(f"chroma:{tmp_path_factory.mktemp('several') / 'index'}", Meaning(64)) as made:
        made.add(documents())
        yield made


queries = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(asked=queries, k=st.integers(1, 10))
def test_a_list_finds_what_fusing_the_single_runs_finds(asked: list[str], k: int, corpus: Corpus) -> None:
    depth = fusion_depth(k) if len(asked) > 1 else k
    for mode in ("bm25", "vector"):
        single = [[place(hit) for hit in corpus.retrieve(one, depth, mode)] for one in asked]  # type: ignore[arg-type]
        expected = [key for key, _ in fuse(single)][:k] if len(asked) > 1 else single[0]
        assert [place(hit) for hit in corpus.retrieve(asked, k, mode)] == expected  # type: ignore[arg-type]


@settings(max_examples=30, deadline=None)
@given(asked=queries, k=st.integers(1, 10))
def test_hybrid_fuses_the_words_and_the_vectors_of_all_queries(asked: list[str], k: int, corpus: Corpus) -> None:
    single = [
        [place(hit) for hit in corpus.retrieve(one, fusion_depth(k), mode)]  # type: ignore[arg-type]
        for mode in ("bm25", "vector")
        for one in asked
    ]
    expected = [key for key, _ in fuse(single)][:k]
    assert [place(hit) for hit in corpus.retrieve(asked, k, "hybrid")] == expected


@settings(max_examples=30, deadline=None)
@given(asked=queries.filter(lambda drawn: len(drawn) > 1), k=st.integers(1, 10))
def test_each_hit_names_the_queries_that_found_it_the_best_first(asked: list[str], k: int, corpus: Corpus) -> None:
    ranks = [{place(hit): hit["rank"] for hit in corpus.retrieve(one, fusion_depth(k), "bm25")} for one in asked]
    for hit in corpus.retrieve(asked, k, "bm25"):
        by = [number for number, found in enumerate(ranks) if place(hit) in found]
        expected = sorted(by, key=lambda number: (ranks[number][place(hit)], number))
        assert hit["metadata"]["rlm_queries"] == expected


async def test_both_faces_and_an_attached_store_say_the_same(corpus: Corpus) -> None:
    asked = ["apple pear", "fig"]
    assert await corpus.aretrieve(asked, k=5) == corpus.retrieve(asked, k=5)
    store = InMemoryVectorStore(Meaning(64))
    store.add_documents(documents())
    attached = Corpus.open(store)
    hits = attached.retrieve(asked, k=5, mode="vector")
    assert await attached.aretrieve(asked, k=5, mode="vector") == hits
    single = [[place(hit) for hit in attached.retrieve(one, fusion_depth(5), "vector")] for one in asked]
    assert [place(hit) for hit in hits] == [key for key, _ in fuse(single)][:5]
    assert all(hit["metadata"]["rlm_queries"] for hit in hits)


def test_one_query_leaves_the_metadata_alone(corpus: Corpus) -> None:
    assert corpus.retrieve("apple", k=1)[0]["metadata"] == {}


class Waiting(Meaning):
    """Answers only when so many are asking at once."""

    def __init__(self, number: int) -> None:
        super().__init__(64)
        self._barrier = threading.Barrier(number)

    def embed_query(self, text: str) -> list[float]:
        self._barrier.wait(20)
        return super().embed_query(text)


def test_queries_are_asked_side_by_side(tmp_path: Path) -> None:
    with Corpus.open(f"chroma:{tmp_path / 'index'}", Waiting(3)) as made:
        made.add(documents())
        assert made.retrieve(["apple", "pear", "fig"], k=3)


def test_the_first_error_of_calls_side_by_side_is_raised() -> None:
    def fail(what: str) -> int:
        raise ValueError(what)

    with pytest.raises(ValueError, match="one"):
        LOCAL.map(lambda call: call(), [lambda: 1, lambda: fail("one"), lambda: fail("two")])


def test_a_text_in_several_scopes_is_embedded_once(tmp_path: Path) -> None:
    class Counting(Meaning):
        asked: list[str] = []  # noqa: RUF012

        def embed_query(self, text: str) -> list[float]:
            self.asked.append(text)
            return super().embed_query(text)

    with Corpus.open(f"chroma:{tmp_path / 'index'}", Counting(64)) as made:
        made.add(Document(f"sales in {year}", id=f"{year}", metadata={"year": year}) for year in range(2015, 2021))
        made.retrieve("How did the sales change over the years?", k=6, plan=True)
    assert sorted(Counting.asked) == ["How did the sales change over the years?", "sales"]


@pytest.mark.parametrize("options", [{"reranker": True}, {"diversity": 0.5}, {"neighbours": 1}])
def test_rerankers_diversity_and_neighbours_compose_with_lists_and_plans(
    options: dict[str, Any], tmp_path: Path
) -> None:
    seen: list[str] = []

    def by_length(query: str, texts: Sequence[str]) -> list[float]:
        seen.append(query)
        return [-len(text) for text in texts]

    given = dict(options)
    reranker: Any = by_length if given.pop("reranker", False) else None
    long = "\n\n".join(f"paragraph {number} on figs " + "of many words " * 30 for number in range(6))
    with Corpus.open(f"chroma:{tmp_path / 'index'}", reranker=reranker) as made:
        made.add([Document(long, id=f"{year}", metadata={"year": year}) for year in (2020, 2021)])
        listed = made.retrieve(["figs", "paragraph 3"], k=3, **given)
        planned = made.retrieve("figs in 2020 and 2021", k=4, plan=True, **given)
    assert len(listed) <= 3 and {hit["doc_id"] for hit in planned} == {"2020", "2021"}
    assert [hit["rank"] for hit in planned] == list(range(len(planned)))
    if reranker:
        assert seen == ["figs\nparagraph 3", "figs in 2020 and 2021"]


# --- auto -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "chained"),
    [
        ("Who is the mother of the director of film Polish-Russian War?", True),
        ("When did Lothair II's mother die?", True),
        ("What is the capital of the country whose king was Ludwig?", True),
        ("Who is Edward's paternal grandfather?", True),
        ("Who wrote Faust?", False),
        ("How long is the notice period?", False),
        ("Wie lange ist die Kündigungsfrist?", False),
        ("the " * 100_000, False),
    ],
)
def test_a_chain_of_facts_is_recognised(question: str, chained: bool) -> None:
    assert is_chained(question) == chained


class Known:
    """What a corpus tells for the choice."""

    def __init__(self, *names: str, lexical: bool = False, keeps_names: bool = True, code: float = 0.0) -> None:
        self.names, self.lexical, self.keeps_names, self.code = names, lexical, keeps_names, code

    def named_in(self, question: str, where: Any = None) -> list[dict[str, Any]]:
        found = [name for name in self.names if name in question]
        return [{"name": name, "documents": [{"doc_id": name, "kind": "title"}]} for name in found]

    def code_share(self, where: Any = None) -> float:
        return self.code


CHAIN, PLAIN = "Who is the mother of the director of Alien?", "Who directed Alien?"


def test_auto_follows_names_only_where_one_is_known_and_something_beyond_it_is_asked() -> None:
    assert chosen(Known("Alien"), [CHAIN]).mode == "hop"
    assert "'Alien'" in chosen(Known("Alien"), [CHAIN]).why
    assert (chosen(Known("Alien"), [PLAIN]).mode, chosen(Known("Alien"), [PLAIN]).names) == ("hybrid", ("Alien",))
    assert chosen(Known(), [CHAIN]).mode == "hybrid"
    assert chosen(Known("Alien", keeps_names=False), [CHAIN]).mode == "hybrid"
    assert chosen(Known("Alien", keeps_names=False, lexical=True), [CHAIN]).mode == "bm25"
    assert "no names" in chosen(Known(keeps_names=False), [CHAIN]).why


TWO = [
    "Which is older, Alien or Brazil?", "Were Alien and Brazil shot in the same country?", "Who came first, Alien or Brazil?",
    "Did both Alien and Brazil win a prize?", "Is Alien longer than Brazil?", "Between Alien and Brazil, which cost more?",
    "Ist Alien älter als Brazil oder jünger?", "Alien et Brazil ont-ils le même producteur ?",
    "¿Es Alien más larga que Brazil?", "Which of Alien and Brazil has fewer scenes?",
]  # fmt: skip
ONE = [
    "Which is the oldest scene of Alien?", "Is Alien the same in both versions?", "How long is Alien?", "Alien or what?",
    "When was Alien shot, and where?", "Ist Alien älter?", "Quel est le budget de Alien ?", "¿Cuánto dura Alien?",
    "Who cut Alien first?", "Does Alien end well or badly?",
]  # fmt: skip


@pytest.mark.parametrize("question", TWO)
def test_auto_follows_names_where_two_things_are_asked_about(question: str) -> None:
    found = chosen(Known("Alien", "Brazil"), [question])
    assert found.mode == "hop" and "'Alien' and 'Brazil'" in found.why
    assert chosen(Known("Alien"), [question]).mode == "hybrid"


@pytest.mark.parametrize("question", ONE)
def test_one_thing_is_no_comparison(question: str) -> None:
    assert chosen(Known("Alien", "Brazil"), [question]).mode == "hybrid"


@pytest.mark.parametrize(("share", "mode"), [(1.0, "hop"), (0.8, "hop"), (0.79, "hybrid"), (0.0, "hybrid")])
def test_auto_follows_definitions_where_most_of_the_scope_is_code(share: float, mode: str) -> None:
    assert chosen(Known(code=share), ["How are cookies signed?"]).mode == mode


PROSE = {f"p{number}.txt": f"Page {number}\nCookies are baked in ovens of kind {number}." for number in range(12)}
CODE = {f"m{number}.py": f"def sign_{number}(cookie):\n    return key_{number}(cookie)\n" for number in range(12)}
TABLES = {f"t{number}.csv": f"cookie,price\nbutter,{number}\n" for number in range(12)}
KINDS = {"code": CODE, "prose": PROSE, "tables": TABLES}


def mixed(tmp_path: Path, *kinds: str) -> Corpus:
    made = Corpus.open(f"chroma:{tmp_path / '-'.join(kinds)}")
    made.add(Document(text, id=name, metadata={"is": kind}) for kind in kinds for name, text in KINDS[kind].items())
    return made


@pytest.mark.parametrize(("kind", "source"), [("code", "hop"), ("prose", "bm25"), ("tables", "bm25")])
def test_documents_of_other_kinds_do_not_change_the_mode_of_a_scope(kind: str, source: str, tmp_path: Path) -> None:
    question = {"code": "how is a cookie signed?", "prose": "ovens of cookies", "tables": "price of a cookie"}[kind]
    with mixed(tmp_path, kind) as alone, mixed(tmp_path, "code", "prose", "tables") as all_kinds:
        for corpus in (alone, all_kinds):
            hits = corpus.retrieve(question, k=3, mode="auto", where={"is": kind})
            assert {hit["source"] for hit in hits} == {source}
            assert {hit["metadata"]["is"] for hit in hits} == {kind}  # a filter never widens
        assert all_kinds.retrieve(question, k=3, mode="auto")[0]["source"] == "bm25"
        all_kinds.delete([*PROSE, *TABLES])
        assert all_kinds.code_share() == 1.0


def test_auto_tells_its_choice_on_every_hit(corpus: Corpus, tmp_path: Path) -> None:
    hits = corpus.retrieve("apple", k=2, mode="auto")
    assert {hit["source"] for hit in hits} == {"hybrid"}
    assert all(hit["metadata"]["rlm_mode"].startswith("hybrid: ") for hit in hits)
    with Corpus.open(f"chroma:{tmp_path / 'index'}") as lexical:
        lexical.add(documents())
        assert lexical.retrieve("apple", k=1, mode="auto")[0]["source"] == "bm25"


def test_an_unknown_mode_is_refused_with_those_that_are_known(corpus: Corpus) -> None:
    with pytest.raises(InvalidInput, match="'vector', 'bm25', 'hybrid', 'hop', 'auto'"):
        corpus.retrieve("apple", mode="best")  # type: ignore[arg-type]
