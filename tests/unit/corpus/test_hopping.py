"""What the chunks of a file earn together, against a naive sum."""

from __future__ import annotations

from copy import copy

from hypothesis import given
from hypothesis import strategies as st

from langgraph_rlm.corpus.names.hopping import _AGAIN, Reached, _by_file

scores = st.floats(0, 10, allow_nan=False)
chunks = st.dictionaries(
    st.tuples(st.sampled_from(["a.py", "b.py", "c.txt", "d.md"]), st.integers(0, 9), st.just(10)),
    scores.map(lambda score: Reached(score, score)),
    max_size=12,
)


@given(chunks)
def test_a_file_of_code_earns_what_its_chunks_do_each_further_one_half(reached: dict) -> None:
    ranked = _by_file({place: copy(one) for place, one in reached.items()})
    assert {place for place, _ in ranked} == reached.keys()
    assert [one.score for _, one in ranked] == sorted((one.score for _, one in ranked), reverse=True)
    for doc_id in ("a.py", "b.py"):
        before = sorted((one.score for place, one in reached.items() if place[0] == doc_id), reverse=True)
        after = [one.score for place, one in ranked if place[0] == doc_id]
        earned = sum(score * _AGAIN**at for at, score in enumerate(before))
        assert after == [earned * _AGAIN**at for at in range(len(before))]


@given(chunks)
def test_chunks_of_prose_stand_for_themselves(reached: dict) -> None:
    ranked = _by_file({place: copy(one) for place, one in reached.items()})
    assert all(one.score == reached[place].score for place, one in ranked if not place[0].endswith(".py"))


@given(chunks)
def test_within_a_file_the_best_chunk_stays_first(reached: dict) -> None:
    ranked = [place for place, _ in _by_file({place: copy(one) for place, one in reached.items()})]
    for doc_id in ("a.py", "b.py"):
        mine = [place for place in ranked if place[0] == doc_id]
        if mine and reached[mine[0]].score:
            assert reached[mine[0]].score == max(reached[place].score for place in mine)
