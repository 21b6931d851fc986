"""Every store filters as the catalog does, and no prefilter of a pattern leaves out a text that matches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from langgraph_rlm.integrations.pinecone import PineconeIndex
from langgraph_rlm.integrations.qdrant import QdrantIndex

from langgraph_rlm.conformance import id_of
from langgraph_rlm.corpus.filters import matches
from langgraph_rlm.corpus.finding.prefilter import required_literals
from langgraph_rlm.corpus.index import VectorIndex
from langgraph_rlm.corpus.tenants import TenantIndex
from langgraph_rlm.errors import PatternError
from langgraph_rlm.text.search import grep_documents
from tests.integration.test_chroma_corpus import FILTERS, METADATAS
from tests.pinecone_server import PineconeServer


def fill(index: VectorIndex) -> None:
    ids = [id_of(number) for number in range(len(METADATAS))]
    metadatas = [{**metadata, "rlm_doc_id": f"d{number}"} for number, metadata in enumerate(METADATAS)]
    index.upsert(ids, [[1.0, float(number)] for number in range(len(ids))], ["text"] * len(ids), metadatas)


@pytest.fixture(scope="module", params=["qdrant", "pinecone", "tenant"])
def records(request: pytest.FixtureRequest) -> Iterator[VectorIndex]:
    with PineconeServer() as server:
        server.create("papers", 2)
        index: VectorIndex
        if request.param == "pinecone":
            index = PineconeIndex("papers", "all", api_key="key", host=server.url)
        else:
            index = QdrantIndex()
        if request.param == "tenant":
            fill(TenantIndex(index, "other"))
            index = TenantIndex(index, "mine")
        fill(index)
        yield index
        index.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)
@given(where=FILTERS)
def test_a_store_filters_as_the_catalog_does(records: VectorIndex, where: dict[str, Any]) -> None:
    found = [one.metadata["rlm_doc_id"] for one in records.query([1.0, 1.0], 100, where)]
    assert sorted(found) == sorted(
        f"d{number}" for number, metadata in enumerate(METADATAS) if matches(where, metadata)
    )


ATOMS = st.sampled_from(
    ["abc", "ab", "a", ".", "[ab]", r"\w", r"\d", r"\b", "^", "$", "bcab", "ü", r"\.", r"\x61", "[^a]"]
)
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
        st.tuples(inner, st.sampled_from(["?", "*", "+", "{2}", "{0,2}", "??"])).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
        inner.map(lambda part: f"(?i:{part})"),
    ),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(pattern=PATTERNS, text=st.text(alphabet="abcABCü1. \n", max_size=40))
@example(pattern="[[:alpha:]]abc", text="xabc")
@example(pattern="(?i)abc", text="ABC")
@example(pattern=r"abc$", text="abc\r\n")
@example(pattern=r"\Qabc.\E", text="abc.")
def test_a_text_that_matches_holds_a_required_string(pattern: str, text: str) -> None:
    literals = required_literals(pattern)
    try:
        hits = grep_documents([("d", text.encode())], pattern)
    except PatternError:
        return
    assert literals is None or not hits or any(literal in text for literal in literals)
