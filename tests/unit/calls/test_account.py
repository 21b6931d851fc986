"""Accounts: what is reserved is written down before it is sent, what is answered together with its answer."""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableLambda

from langgraph_rlm.budget import no_usage
from langgraph_rlm.calls import chain, models
from langgraph_rlm.calls.account import Account
from langgraph_rlm.calls.memo import MemoryMemo, RunId
from langgraph_rlm.calls.models import ModelCaller
from langgraph_rlm.errors import BudgetExceeded, InvalidInput, MemoError, ModelError
from langgraph_rlm.limits import Limits
from langgraph_rlm.runs.runtime import Runtime
from langgraph_rlm.types import ModelUsage, Usage
from tests.support import scripted

RUN = RunId("-", "run")
FREE = Limits(max_cost_usd=None)

pytestmark = pytest.mark.usefixtures("pauses")


class SlowMemo(MemoryMemo):
    """Durable as a file is, with a log of its commits."""

    durable = True

    def __init__(self) -> None:
        super().__init__()
        self.commits: list[tuple[set[str], list[bool]]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.fails = False

    def record(self, run: RunId, *, results: Any = None, calls: Any = ()) -> None:
        self.gate.wait(20)
        if self.fails:
            raise MemoError("no space")
        self.commits.append((set(results or {}), [record["open"] for record in calls]))
        super().record(run, results=results, calls=calls)


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def face(request: pytest.FixtureRequest) -> Any:
    return Runtime.default().face(is_async=request.param)


@pytest.fixture
def memo() -> SlowMemo:
    return SlowMemo()


@pytest.fixture
def opened(face: Any, memo: SlowMemo) -> Callable[..., Any]:
    async def open(limits: Limits = FREE, usage: Usage | None = None) -> Account:
        return await Account.opened(limits, memo, RUN, face, usage=usage)

    return open


async def ask(account: Account, model: Any, prompt: str = "Who?", **options: Any) -> str:
    caller = model if isinstance(model, ModelCaller) else ModelCaller(model)
    return (await caller.ask([HumanMessage(prompt)], account=account, config=None, role="sub", **options)).text


async def test_a_call_is_written_down_before_it_is_sent_and_with_its_answer_afterwards(
    opened: Any, memo: SlowMemo
) -> None:
    seen = []

    def reply(messages: Any) -> str:
        seen.append([record["open"] for record in memo.calls(RUN)])
        return "Anna"

    await ask(await opened(), scripted(reply), key="k")
    assert seen == [[True]]
    assert memo.commits == [(set(), [True]), ({"k"}, [False])]


async def test_an_answer_is_never_paid_twice_by_who_goes_on(opened: Any) -> None:
    model = scripted(["Anna"])
    assert await ask(await opened(), model) == "Anna"
    assert await ask(await opened(), model) == "Anna"
    assert len(model.requests) == 1


async def test_calls_of_a_step_that_died_count_when_it_is_done_again(opened: Any, face: Any, memo: SlowMemo) -> None:
    answered = await opened()
    await ask(answered, scripted(["Anna"], usage={"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}))
    flying = await opened()
    await flying.reserve("scripted", 500, 100)
    usage = (await opened(usage=no_usage())).budget.usage()
    assert (usage["calls"], usage["input_tokens"], usage["output_tokens"]) == (2, 507, 103)
    assert usage["estimated"] is True
    assert (await opened(Limits(max_calls=2))).budget.usage()["calls"] == 2
    with pytest.raises(BudgetExceeded):
        await ask(await opened(Limits(max_calls=2)), scripted([]), "Another?")


async def test_what_a_checkpoint_knows_counts_where_the_memo_has_forgotten(opened: Any) -> None:
    used = ModelUsage(calls=5, input_tokens=50, cached_tokens=0, output_tokens=5, cost_usd=0.5)
    usage = no_usage() | {"calls": 5, "seconds": 9.0, "by_model": {"other": used}}
    account = await opened(usage=usage)
    assert account.budget.usage()["calls"] == 5
    await ask(account, scripted(["Anna"], cost_usd=0.25))
    again = (await opened(usage=usage)).budget.usage()
    assert (again["calls"], again["by_model"]["other"]["calls"], again["by_model"]["scripted"]["calls"]) == (6, 5, 1)
    assert again["cost_usd"] == pytest.approx(0.75)
    assert again["seconds"] >= 9.0


async def test_a_refused_call_costs_nothing_and_one_without_an_answer_everything(opened: Any) -> None:
    class Refused(Exception):
        status_code = 400

    account = await opened()
    with pytest.raises(ModelError):
        await ask(account, scripted([Refused()]), "a")
    assert account.budget.usage()["calls"] == 0
    with pytest.raises(ModelError):
        await ask(account, scripted([TimeoutError()] * 4), "b")
    assert account.budget.usage()["calls"] == 4, "each try reserves"
    assert (await opened()).budget.usage()["calls"] == 4


async def test_calls_side_by_side_are_written_down_together(opened: Any, memo: SlowMemo) -> None:
    account, caller = await opened(), ModelCaller(scripted(lambda messages: "ok"))
    memo.gate.clear()
    asked = [asyncio.ensure_future(ask(account, caller, str(n), known={})) for n in range(50)]
    for _ in range(5):
        await asyncio.sleep(0)
    memo.gate.set()
    assert await asyncio.gather(*asked) == ["ok"] * 50
    assert len(memo.commits) < 60
    assert len(memo.calls(RUN)) == 50


async def test_a_call_that_cannot_be_written_down_is_not_sent(opened: Any, memo: SlowMemo) -> None:
    memo.fails = True
    model, account = scripted([]), await opened()
    with pytest.raises(MemoError, match="no space"):
        await ask(account, model)
    assert model.requests == []
    assert account.budget._flying_calls == 0


async def test_what_was_answered_is_written_down_also_when_the_node_is_cancelled_meanwhile(
    opened: Any, memo: SlowMemo
) -> None:
    account = await opened()
    answered = asyncio.Event()
    loop = asyncio.get_running_loop()

    def reply(messages: Any) -> str:
        memo.gate.clear()
        loop.call_soon_threadsafe(answered.set)
        return "Anna"

    task = asyncio.ensure_future(ask(account, scripted(reply), key="k"))
    await answered.wait()
    while not account._pending and account._committing is None:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    memo.gate.set()
    while account._committing is not None:
        await asyncio.sleep(0.001)
    assert (await opened()).budget.usage()["calls"] == 1


async def test_the_output_cap_goes_with_the_call(opened: Any) -> None:
    model = scripted(lambda messages: "ok")
    await ask(await opened(), model, "a")
    await ask(await opened(Limits(max_tokens=5_000)), model, "b" * 3_000)
    capped = scripted(["ok"], max_tokens=77)
    await ask(await opened(), capped, "c")
    first, second = (options["max_tokens"] for options in model.options)
    assert first == chain.OUTPUT_TOKENS
    assert chain.OUTPUT_TOKENS > second >= 1_024, "what is left pays for so much"
    assert capped.options[0]["max_tokens"] == 77


async def test_a_runnable_that_takes_no_options_gets_none(opened: Any) -> None:
    from langchain_core.messages import AIMessage

    assert await ask(await opened(), RunnableLambda(lambda messages: AIMessage("Anna"))) == "Anna"


async def test_a_fallback_answers_and_is_billed_under_its_own_name(opened: Any) -> None:
    first = scripted([ValueError("down")], name="gpt-4o")
    model = first.with_fallbacks([scripted(["Anna"], name="gpt-4o-mini", usage="auto", cost_usd=None)])
    account = await opened(Limits(max_cost_usd=1.0))
    assert await ask(account, model) == "Anna"
    usage = account.budget.usage()
    assert list(usage["by_model"]) == ["gpt-4o-mini"]
    assert usage["cost_usd"]


async def test_an_answer_that_was_cut_says_so(opened: Any) -> None:
    from langchain_core.messages import AIMessage

    cut = AIMessage("one, two", response_metadata={"finish_reason": "length"})
    answer = await ModelCaller(scripted([cut])).ask(
        [HumanMessage("?")], account=await opened(), config=None, role="sub"
    )
    assert answer.cut
    assert answer.marked().startswith("one, two\n[the answer was cut off")


def test_a_window_that_a_model_does_not_say_is_assumed_and_said_when_it_matters() -> None:
    silent = ModelCaller(scripted([]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert silent.fits("short")
        assert ModelCaller(scripted([]), window=8_000).fits("x" * 30_000)
        assert not ModelCaller(scripted([], window=8_000)).fits("x" * 40_000)
    with pytest.warns(models.UnknownWindowWarning, match="128,000 tokens are assumed. Give window="):
        assert silent.fits("x" * 20_000)


def test_the_smallest_window_of_a_model_and_its_fallbacks_counts() -> None:
    model = scripted([], window=9_000).with_fallbacks([scripted([], window=5_000)])
    assert ModelCaller(model).window == 5_000
    assert ModelCaller(scripted([], window=9_000).with_fallbacks([scripted([])])).window == models.DEFAULT_WINDOW


@pytest.mark.parametrize("window", [0, -1, 1.5, True, "8k"])
def test_an_unusable_window_is_refused(window: Any) -> None:
    with pytest.raises(InvalidInput, match="window must be a whole number"):
        ModelCaller(scripted([]), window=window)


async def test_a_prompt_near_the_window_gets_the_room_that_is_left_for_its_answer(opened: Any) -> None:
    model = scripted(["ok"], window=2_000)
    await ask(await opened(), model, "x" * 4_000)
    assert 900 < model.options[0]["max_tokens"] < 1_000
