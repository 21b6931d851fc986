"""Running the cells of one reply: in the live REPL of the session, or in one that is rebuilt for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langgraph_rlm.budget import Budget
from langgraph_rlm.calls.dispatch import Dispatcher, Door
from langgraph_rlm.graphs.premature import HELD_BACK, is_premature
from langgraph_rlm.limits import Limits
from langgraph_rlm.repl import Repl, ReplContext, ReplFactory, ReplLimits, chain, replay
from langgraph_rlm.runs.run import Run
from langgraph_rlm.runs.traces import as_cell
from langgraph_rlm.text import ContextStore
from langgraph_rlm.types import CellResult, Citation, ContextRef, Turn

ERROR_CHARS = 4_000
MOST_ANSWER_CHARS = 1_000_000
"""Of a submitted answer as JSON: it goes into every checkpoint, into ``messages`` and into the caller's hands."""
DRAFT_SECONDS = 2.0
MOST_NOTES = 5
"""On the calls of one cell."""
_DRAFT = "if isinstance(answer, dict) and answer.get('content'): FINAL(answer['content'])"


@dataclass(slots=True)
class Outcome:
    """What came of the cells of one reply."""

    turns: list[Turn] = field(default_factory=list)
    citations: list[Citation] = field(default_factory=list)
    final: Any = None
    stop_reason: str = ""


class Cells:
    """The REPL side of one run at one depth.

    A live REPL is checked out under the session and the digest of the cells it has run. Whoever resumes, forks or goes
    back in time has another digest and gets another REPL, rebuilt from the turns: no special case for any of them.

    Args:
        state: of the run; its turns say what the REPL must have run.
        dispatcher: serves the calls of the cells.
        contexts: resolves the context.
        factory: starts REPLs.
        run: the request, at the place of the turn.
        limits: of the run.
    """

    def __init__(
        self, state: Mapping[str, Any], dispatcher: Dispatcher, contexts: ContextStore, factory: ReplFactory, run: Run,
        limits: Limits,
    ) -> None:  # fmt: skip
        self._state, self._dispatcher, self._contexts, self._factory = state, dispatcher, contexts, factory
        self._run, self._limits = run, limits
        self._session: str = state["rlm_session"]
        self._before: list[Turn] = [turn for turn in state["turns"] if turn["code"]]

    async def run(self, reply: Mapping[str, Any], budget: Budget) -> Outcome:
        """Run the reply's cells in order, until one fails, submits, or the time is over."""
        outcome = Outcome()
        pool, digest = self._run.runtime.repls, self._digest()
        repl = await self._run.face.block(pool.checkout, self._session, digest)
        note = ""
        if repl is None:
            try:
                repl, note = await self._rebuilt(budget)
            except TimeoutError:
                return Outcome(stop_reason="deadline")
        try:
            for position, code in enumerate(reply["cells"]):
                turn, result, door = await self._one(repl, code, len(self._before) + position, reply["number"], budget)
                if position == 0:
                    turn["thought"] = reply["thought"]
                    turn["output"] = note + turn["output"]
                outcome.turns.append(turn)
                outcome.citations.extend(door.record.citations)
                if result is None:
                    outcome.stop_reason = "deadline"
                    break
                if not turn["killed"]:
                    digest = chain(digest, code)
                if result["final"] is not None and self._held_back(reply, position, result["final"], outcome, budget):
                    turn["output"] += HELD_BACK
                    break
                if result["final"] is not None:
                    outcome.final, outcome.stop_reason = result["final"], "answered"
                if result["final"] is not None or turn["error"]:
                    break
        except BaseException:
            repl.close()
            raise
        if repl.alive:
            await self._run.face.block(pool.checkin, self._session, digest, repl)
        else:
            repl.close()
        return outcome

    def _held_back(self, reply: Mapping[str, Any], position: int, final: Any, outcome: Outcome, budget: Budget) -> bool:
        """Whether an answer is not taken yet: once in a run, and only where it can be submitted again."""
        if not any(turn["output"] for turn in outcome.turns):
            return False
        shown = [turn["output"] for turn in self._before]
        if any(output.endswith(HELD_BACK) for output in shown):
            return False
        if reply["number"] >= self._limits.max_turns or not _has_another_call(budget):
            return False
        return is_premature(reply["cells"][: position + 1], final, shown)

    async def draft(self) -> str:
        """What the model has put into ``answer["content"]`` so far, if its REPL is still alive."""
        repl = await self._run.face.block(self._run.runtime.repls.checkout, self._session, self._digest())
        if repl is None:
            return ""
        try:
            async with asyncio.timeout(DRAFT_SECONDS):
                result = await self._run.face.wait(repl.execute, _DRAFT, self._dispatcher.door(len(self._before)))
        except TimeoutError:
            return ""
        finally:
            repl.close()
        final = result["final"]
        return "" if final is None else str(final)[:MOST_ANSWER_CHARS]

    async def _one(
        self, repl: Repl, code: str, cell: int, number: int, budget: Budget
    ) -> tuple[Turn, CellResult | None, Door]:
        """Run one cell; no result when the run's time was over first."""
        door = self._dispatcher.door(cell)
        self._run.emit("cell_start", code=code)
        result: CellResult | None = None
        async with as_cell(self._run, code) as traced:
            try:
                async with asyncio.timeout(budget.seconds_left()):
                    result = await self._run.face.wait(lambda: _bounded(repl.execute(code, door)))
            except TimeoutError:
                repl.close()
            except asyncio.CancelledError:
                repl.close()
                raise
            finally:
                door.close()
            if door.failed is not None:
                raise door.failed
            if result is not None:
                traced.is_(result["stdout"], result["error"])
        turn = Turn(
            number=number,
            thought="",
            code=code,
            output=("" if result is None else result["stdout"]) + _notes(door.record.notes),
            error="the run's time (max_seconds) was over" if result is None else _clipped(result["error"]),
            digest="" if result is None else result["digest"],
            seconds=0.0 if result is None else round(result["seconds"], 6),
            killed=result is None or result["killed"],
            calls=dict(door.record.calls),
        )
        if result is not None and (times := result.get("times")):
            turn["times"] = times
        if turn["output"]:
            self._run.emit("cell_output", output=turn["output"])
        submits = result is not None and result["final"] is not None
        self._run.emit("cell_end", error=turn["error"], seconds=turn["seconds"], final=submits, calls=turn["calls"])
        return turn, result, door

    async def _rebuilt(self, budget: Budget) -> tuple[Repl, str]:
        """A REPL that has run the cells of the turns before, and a word to the model when one behaved otherwise.

        Raises:
            TimeoutError: the run's time was over first.
        """
        limits = ReplLimits(cell_timeout=self._limits.cell_timeout, output_chars=self._limits.output_chars)
        hits = self._state["rlm_hits"]
        variables = {"context_chunks": hits} if hits else None
        context = await self._run.face.block(repl_context, self._contexts, self._state["rlm_context"])

        started: list[Repl] = []

        def start() -> Repl:
            repl = self._factory.start(context, self._dispatcher.names, limits, variables)
            started.append(repl)
            if given_up:  # while it started: nobody else will end it
                repl.close()
            return repl

        given_up = False
        doors = [self._dispatcher.door(cell, replayed=True) for cell in range(len(self._before))]
        try:
            async with asyncio.timeout(budget.seconds_left()):
                repl, differing = await self._run.face.wait(replay, start, self._before, doors.__getitem__)
        except BaseException:
            given_up = True
            for repl in started:
                repl.close()
            raise
        finally:
            for door in doors:
                door.close()
        if failed := next((door.failed for door in doors if door.failed is not None), None):
            repl.close()
            raise failed
        if not differing:
            return repl, ""
        cells = ", ".join(str(index + 1) for index in differing)
        return (
            repl,
            f"(The REPL was rebuilt by running your cells again; cell {cells} gave another output than before.)\n",
        )

    def _digest(self) -> str:
        digest = ""
        for turn in self._before:
            if not turn["killed"]:
                digest = chain(digest, turn["code"])
        return digest


def _has_another_call(budget: Budget) -> bool:
    """Whether the budget has room for one more call like those before."""
    usage = budget.usage()
    calls = max(1, usage["calls"])
    model = next(iter(usage["by_model"]), "")
    left, _ = budget.calls_left(model, usage["input_tokens"] // calls + 1, usage["output_tokens"] // calls + 1)
    return left is None or left > 0


def repl_context(contexts: ContextStore, ref: ContextRef | None) -> ReplContext | None:
    """A run's context as REPLs take it."""
    if ref is None:
        return None
    payload = contexts.payload(ref)
    return ReplContext(payload.kind, payload.names, payload.sizes, payload.data, ref["context_ref"])


def _notes(notes: Sequence[str]) -> str:
    shown = [*notes[:MOST_NOTES], f"… and {len(notes) - MOST_NOTES:,} more"] if len(notes) > MOST_NOTES else notes
    return "".join(f"({note})\n" for note in shown)


def _bounded(result: CellResult) -> CellResult:
    """The result, without an answer that is too large for the state; the model is told."""
    size = 0 if result["final"] is None else len(json.dumps(result["final"]))
    if size <= MOST_ANSWER_CHARS:
        return result
    error = f"ValueError: the submitted answer has {size:,} characters, at most {MOST_ANSWER_CHARS:,} are taken; submit less"
    return CellResult(**{**result, "final": None, "error": error})


def _clipped(error: str | None) -> str | None:
    return (
        error
        if error is None or len(error) <= ERROR_CHARS
        else f"{error[: ERROR_CHARS // 2]}\n…\n{error[-ERROR_CHARS // 2 :]}"
    )
