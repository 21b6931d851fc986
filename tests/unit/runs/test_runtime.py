"""The runtime of a process."""

from __future__ import annotations

import asyncio

import pytest

from langgraph_rlm import Runtime


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_cells_that_wait_for_the_cells_of_their_children_never_wait_for_a_thread(is_async: bool) -> None:
    """Each is a process too, and ``max_concurrency`` bounds these."""
    runtime, loop = Runtime(), asyncio.get_running_loop()
    face = runtime.face(is_async=is_async)

    async def cell(children: int) -> int:
        def run() -> int:
            return 1 + asyncio.run_coroutine_threadsafe(cell(children - 1), loop).result(60) if children else 0

        return await face.wait(run)

    assert await cell(1_200) == 1_200
    runtime.close()
