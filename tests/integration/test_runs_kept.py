"""Questions that outlive the call which asked them: found by their id, gone on with, never paid twice, nobody else's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import PrivateAttr

from langgraph_rlm import create_rlm
from langgraph_rlm.errors import DocumentMissing, LimitReached, ModelError, StoreError
from langgraph_rlm.server.run_records import Asked
from langgraph_rlm.server.runs import DurableRuns, Kept
from langgraph_rlm.sqlite import connect
from langgraph_rlm.testing import ScriptedModel
from tests.support import cell

QUESTION = Asked("How long is it?")
SUBMIT = cell("answer['content'] = 'long'; answer['ready'] = True")


class Gated(ScriptedModel):
    """A model that answers its first call at once, and each later one when the gate is open."""

    _gate: asyncio.Event = PrivateAttr(default_factory=asyncio.Event)
    _answered: list[str] = PrivateAttr(default_factory=list)

    async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
        if self._answered:
            await self._gate.wait()
        result = await super()._agenerate(*args, **kwargs)
        self._answered.append(result.generations[0].message.text)
        return result

    async def _astream(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError
        yield


def gated(*replies: Any) -> Gated:
    return Gated(list(replies or [cell("print(len(context))"), SUBMIT, SUBMIT]), cost_usd=0.0, disable_streaming=True)


@asynccontextmanager
async def opened(directory: Path, model: Any, **options: Any) -> AsyncIterator[DurableRuns]:
    def made(kept: Kept) -> Any:
        return create_rlm(
            model, contexts=kept.contexts, memo=kept.memo, checkpointer=kept.checkpointer, sandbox="unsafe"
        )

    async with DurableRuns.opened(directory, made, **options) as runs:
        yield runs


async def asked_of(runs: DurableRuns, owner: str = "anna", text: str = "a long text") -> Asked:
    return Asked("How long is it?", await runs.contexts_of(owner).aput(text))


async def until(true: Any) -> None:
    for _ in range(2_000):
        if true():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not come to pass")


async def test_an_answer_comes_to_who_waits_for_it_and_stays(tmp_path: Path) -> None:
    model = gated()
    model._gate.set()
    heard: list[str] = []

    async def hear(steps: int, line: str) -> None:
        heard.append(line)

    async with opened(tmp_path, model) as runs:
        run_id = await runs.start("anna", await asked_of(runs))
        look = await runs.wait("anna", run_id, 30, hear)
        assert look.status == "answered"
        assert look.result is not None
        assert (look.result["answer"], look.result["usage"]["calls"]) == ("long", 2)
        assert any("turn 1" in line for line in heard)
    async with opened(tmp_path, gated()) as runs:
        assert (await runs.wait("anna", run_id, 0)).result == look.result
        assert (await runs.wait("anna", None, 0)).run_id == run_id


async def test_who_looks_too_early_is_told_how_far_it_is(tmp_path: Path) -> None:
    model = gated()
    async with opened(tmp_path, model) as runs:
        run_id = await runs.start("anna", await asked_of(runs))
        await until(lambda: model._answered)
        look = await runs.wait("anna", run_id, 0.05)
        assert (look.status, look.result) == ("running", None)
        assert "s at work" in look.so_far
        model._gate.set()
        assert (await runs.wait("anna", run_id, 30)).status == "answered"


async def test_an_equal_question_joins_the_run_that_is_on_its_way(tmp_path: Path) -> None:
    model = gated()
    async with opened(tmp_path, model) as runs:
        asked = await asked_of(runs)
        run_id = await runs.start("anna", asked)
        assert await runs.start("anna", asked) == run_id
        assert await runs.start("anna", Asked("Another?", asked.context)) != run_id
        model._gate.set()
        both = await asyncio.gather(runs.wait("anna", run_id, 30), runs.wait("anna", run_id, 30))
        assert both[0].result == both[1].result
        assert await runs.start("anna", asked) != run_id  # that one was answered: a new question


async def test_nobody_else_finds_a_run_or_a_text(tmp_path: Path) -> None:
    model = gated()
    model._gate.set()
    async with opened(tmp_path, model) as runs:
        asked = await asked_of(runs)
        run_id = await runs.start("anna", asked)
        assert (await runs.wait("anna", run_id, 30)).status == "answered"
        for forbidden in (lambda: runs.wait("bert", run_id, 0), lambda: runs.cancel("bert", run_id)):
            with pytest.raises(DocumentMissing, match="there is no run"):
                await forbidden()
        with pytest.raises(DocumentMissing, match="no run yet"):
            await runs.wait("bert", None, 0)
        stolen = await runs.start("bert", asked)
        look = await runs.wait("bert", stolen, 30)
        assert look.status == "failed"
        assert "context" in look.so_far
        assert len(model._answered) == 2  # nothing was paid for it


async def test_so_many_run_at_once_and_no_more(tmp_path: Path) -> None:
    model = gated()
    async with opened(tmp_path, model, at_once=1) as runs:
        asked = await asked_of(runs)
        first = await runs.start("anna", asked)
        with pytest.raises(LimitReached, match="most at once"):
            await runs.start("anna", Asked("Another?", asked.context))
        await runs.cancel("anna", first)
        assert await runs.start("anna", Asked("Another?", asked.context)) != first


async def test_a_cancelled_run_stays_so(tmp_path: Path) -> None:
    model = gated()
    async with opened(tmp_path, model) as runs:
        run_id = await runs.start("anna", await asked_of(runs))
        await until(lambda: model._answered)
        assert (await runs.cancel("anna", run_id)).status == "cancelled"
        model._gate.set()
        assert (await runs.wait("anna", run_id, 30)).status == "cancelled"
        assert len(model._answered) == 1


async def test_a_run_pauses_when_its_client_is_gone_and_goes_on_when_one_looks_again(tmp_path: Path) -> None:
    model = gated()
    async with opened(tmp_path, model, linger=0.0) as runs:
        run_id = await runs.start("anna", await asked_of(runs))
        waiting = asyncio.create_task(runs.wait("anna", run_id, 30))
        await until(lambda: model._answered)
        waiting.cancel()
        await until(lambda: not runs._working)
        model._gate.set()
        look = await runs.wait("anna", run_id, 30)
        assert look.status == "answered"
        assert model._answered == [cell("print(len(context))"), SUBMIT], look  # the first turn was not asked again


async def test_a_client_that_comes_back_at_once_finds_the_run_at_work(tmp_path: Path) -> None:
    model = gated()
    async with opened(tmp_path, model, linger=60.0) as runs:
        run_id = await runs.start("anna", await asked_of(runs))
        waiting = asyncio.create_task(runs.wait("anna", run_id, 30))
        await until(lambda: model._answered)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert run_id in runs._working
        model._gate.set()
        assert (await runs.wait("anna", run_id, 30)).status == "answered"
        assert runs._working == {}


async def test_a_client_that_never_reads_holds_up_nobody_else(tmp_path: Path) -> None:
    model = gated()
    model._gate.set()

    async def never(steps: int, line: str) -> None:
        await asyncio.Event().wait()

    async with opened(tmp_path, model) as runs:
        run_id = await runs.start("anna", await asked_of(runs))
        stuck = asyncio.create_task(runs.wait("anna", run_id, 30, never))
        assert (await runs.wait("anna", run_id, 30)).status == "answered"
        stuck.cancel()


async def test_another_server_goes_on_where_one_ended_and_pays_nothing_twice(tmp_path: Path) -> None:
    before = gated()
    async with opened(tmp_path, before) as runs:
        run_id = await runs.start("anna", await asked_of(runs))
        await until(lambda: before._answered)
    after = gated(SUBMIT)
    after._gate.set()
    async with opened(tmp_path, after) as runs:
        look = await runs.wait("anna", run_id, 30)
    assert look.result is not None
    assert (look.result["answer"], after._answered) == ("long", [SUBMIT])


async def test_two_servers_never_work_on_one_run(tmp_path: Path) -> None:
    model, idle = gated(), gated()
    async with opened(tmp_path, model) as runs, opened(tmp_path, idle) as others:
        run_id = await runs.start("anna", await asked_of(runs))
        look = await others.wait("anna", run_id, 0.05)
        assert (look.status, look.so_far) == ("running", "another server works on it")
        model._gate.set()
        assert (await others.wait("anna", run_id, 30)).status == "answered"
        assert idle._answered == []


async def test_a_run_that_is_cancelled_through_another_server_ends_at_its_next_step(tmp_path: Path) -> None:
    model = gated()
    async with opened(tmp_path, model) as runs, opened(tmp_path, gated()) as others:
        run_id = await runs.start("anna", await asked_of(runs))
        await until(lambda: model._answered)
        assert (await others.cancel("anna", run_id)).status == "cancelled"
        model._gate.set()
        await until(lambda: not runs._working)
        assert (await runs.wait("anna", run_id, 0)).status == "cancelled"


async def test_a_failed_question_asked_again_goes_on_from_where_it_failed(tmp_path: Path) -> None:
    model = gated(cell("print(len(context))"), ModelError("the server is down", category="bad_request"), SUBMIT)
    model._gate.set()
    async with opened(tmp_path, model) as runs:
        asked = await asked_of(runs)
        run_id = await runs.start("anna", asked)
        look = await runs.wait("anna", run_id, 30)
        assert look.status == "failed"
        assert "down" in look.so_far
        assert await runs.start("anna", asked) == run_id
        assert (await runs.wait("anna", run_id, 30)).status == "answered"
        assert model._answered == [cell("print(len(context))"), SUBMIT]


async def test_runs_are_forgotten_after_a_while_with_all_that_belongs_to_them(tmp_path: Path) -> None:
    model = gated()
    model._gate.set()
    async with opened(tmp_path, model) as runs:
        asked = await asked_of(runs)
        run_id = await runs.start("anna", asked)
        await runs.wait("anna", run_id, 30)
    async with opened(tmp_path, gated(), kept_seconds=-1) as runs:
        with pytest.raises(DocumentMissing):
            await runs.wait("anna", run_id, 0)
    assert list((tmp_path / "locks").iterdir()) == []


def test_only_the_user_may_read_what_is_kept(tmp_path: Path) -> None:
    async def once() -> None:
        async with opened(tmp_path / "runs", gated()):
            pass

    asyncio.run(once())
    assert (tmp_path / "runs").stat().st_mode & 0o077 == 0


async def test_records_of_another_release_are_not_misread(tmp_path: Path) -> None:
    async with opened(tmp_path, gated()):
        pass
    connection = connect(tmp_path / "runs.sqlite3", synchronous="FULL", isolation_level=None)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match="another release"):
        async with opened(tmp_path, gated()):
            pass
