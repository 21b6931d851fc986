"""One budget over several runs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from langgraph_rlm import Limits, Runtime, create_rlm
from langgraph_rlm.errors import InvalidInput
from tests.support import Ask, cell, scripted

ASKED = {"question": "How long is it?", "context": "The sky is green."}
PRICES: Any = {"scripted": {"input": 1_000.0, "output": 1_000.0}}


def endless(**options: Any) -> Any:
    return create_rlm(scripted(lambda messages: cell("print(len(context))"), **options), sandbox="unsafe")


async def test_the_runs_of_a_batch_share_it_and_each_says_why_it_stopped() -> None:
    graph = endless()
    with Runtime.default().budget({"max_calls": 7}) as shared:
        done = await asyncio.to_thread(graph.batch, [ASKED] * 3, shared.config({"max_concurrency": 3}))
    assert shared.usage()["calls"] == 7
    assert sum(one["usage"]["calls"] for one in done) == 7
    assert {one["stop_reason"] for one in done} == {"budget"}


async def test_async_runs_side_by_side_share_it() -> None:
    graph = endless()
    with Runtime.default().budget(Limits(max_calls=9)) as shared:
        done = await asyncio.gather(*(graph.ainvoke(ASKED, shared.config()) for _ in range(4)))
    assert sum(one["usage"]["calls"] for one in done) == shared.usage()["calls"] == 9


async def test_the_limits_of_a_run_still_hold(ask: Ask) -> None:
    graph = create_rlm(scripted(lambda messages: cell("print(1)")), sandbox="unsafe", limits=Limits(max_calls=2))
    with Runtime.default().budget({"max_calls": 100}) as shared:
        assert (await ask(graph, ASKED, shared.config()))["usage"]["calls"] == 2
        assert (await ask(graph, ASKED, shared.config()))["usage"]["calls"] == 2
        assert shared.usage()["calls"] == 4


async def test_usd_are_shared_and_prices_of_a_graph_are_known_to_it(ask: Ask) -> None:
    graph = create_rlm(
        scripted(lambda messages: cell("print(1)"), usage="auto", cost_usd=None), sandbox="unsafe", prices=PRICES,
        limits=Limits(max_cost_usd=None),
    )  # fmt: skip
    with Runtime.default().budget({"max_cost_usd": 12.0, "max_calls": None}) as shared:
        first, second = await ask(graph, ASKED, shared.config()), await ask(graph, ASKED, shared.config())
    assert first["stop_reason"] == "budget"
    assert second["usage"]["calls"] <= first["usage"]["calls"]
    assert 0 < shared.usage()["cost_usd"] <= 12.0


async def test_searches_are_shared(ask: Ask, tmp_path: Any) -> None:
    from tests.support import make_corpus

    with make_corpus(tmp_path / "index", {"a.txt": "Leave is 16 weeks."}) as corpus:
        searching = scripted([cell("x = bm25_search('leave')", "FINAL(len(x))")] * 2 + [cell("FINAL('no more')")])
        graph = create_rlm(searching, corpus=corpus, strategy="director", sandbox="unsafe")
        with Runtime.default().budget({"max_searches": 1}) as shared:
            assert (await ask(graph, {"question": "?"}, shared.config()))["answer"] == "1"
            second = await ask(graph, {"question": "?"}, shared.config())
    assert "the budget that several runs share: 1 of 1 searches" in second["turns"][0]["error"]
    assert second["answer"] == "no more"
    assert shared.usage()["searches"] == 1


def test_a_closed_one_is_refused_and_still_tells_what_was_spent() -> None:
    with Runtime.default().budget({"max_calls": 1}) as shared:
        pass
    assert shared.usage()["calls"] == 0
    with pytest.raises(InvalidInput, match="closed"):
        shared.config()


@pytest.mark.parametrize("limits", [{"max_call": 1}, {"max_calls": -1}, 5])
def test_limits_that_cannot_be_are_refused(limits: Any) -> None:
    with pytest.raises(InvalidInput), Runtime.default().budget(limits):
        raise AssertionError("nobody gets here")
