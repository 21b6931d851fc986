"""Calls of the user's own tools by cells: each with a time limit, recorded, and bounded in size.

begun ─► written down ─► run ─► result written down ─► given to the cell

So a replay gives the cell what it got before, and a tool whose call was cut off by the end of the process is run once more, and
the model is told so; cut off a second time, it is not run again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from contextvars import copy_context
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.tools import InjectedToolCallId, ToolException
from langgraph.errors import GraphBubbleUp
from langgraph.prebuilt import InjectedState, InjectedStore, ToolRuntime
from langgraph.types import Command
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, to_jsonable_python

from langgraph_rlm.calls.account import Account
from langgraph_rlm.calls.deadlines import Deadlines
from langgraph_rlm.calls.function_table import Function
from langgraph_rlm.calls.memo import digest_of
from langgraph_rlm.calls.own_tools import OwnTool
from langgraph_rlm.calls.schemas import problem_of, read_json
from langgraph_rlm.calls.scope import CellRecord
from langgraph_rlm.errors import InvalidInput, LimitReached
from langgraph_rlm.redaction import redacted
from langgraph_rlm.repl import FailedCall
from langgraph_rlm.runs.listeners import as_current
from langgraph_rlm.runs.run import Run
from langgraph_rlm.runs.traces import Outcome, as_tool, shortened
from langgraph_rlm.shortening import shortened as first_of
from langgraph_rlm.threads import call_threads
from langgraph_rlm.types import ModelUsage

_log = logging.getLogger(__name__)

MOST_RESULT_BYTES = 8_000_000
"""Of a result as JSON: it is recorded, and sent to the cell in one message, of which an eighth of the room is taken."""
_MOST_RUNS = 2
"""Of one call, where the process ends in the middle of it."""
_ERROR_CHARS = 500
"""Of what a tool says about its failure."""
_ON_PURPOSE = (ToolException, ValueError, TypeError, LookupError)
"""Errors whose words are about what the tool was given; others may tell of the host."""


@dataclass(frozen=True, slots=True)
class OwnCalls:
    """Calls the tools for one run at one depth.

    Args:
        tools: of the graph.
        account: of the run; keeps what was begun and what came of it.
        run: the request, at the place of the cell.
        place: session and path of the child, for memo keys.
        state: of the graph, for tools that ask for it; without what is private.
        deadlines: of the calls, on the loop of the run.
    """

    tools: Sequence[OwnTool]
    account: Account
    run: Run
    place: str
    state: Mapping[str, Any]
    deadlines: Deadlines = field(default_factory=Deadlines)

    def functions(self) -> dict[str, Function]:
        """They as entries of the table."""
        return {one.name: Function(one.name, None, "own", self._caller(one), one.told) for one in self.tools}

    def _caller(self, tool: OwnTool) -> Callable[..., Any]:
        work = self._begun if self._is_plain(tool) else self._call

        def call(functions: Any, *args: Any, **kwargs: Any) -> Any:
            return work(tool, tool.bound(args, kwargs), functions.cell)

        return call

    def _is_plain(self, tool: OwnTool) -> bool:
        """Whether a call of it needs nothing of the loop: each way there and back costs as much as the rest."""
        return (
            tool.called is not None
            and not (self.run.face.is_async and tool.awaited is not None)
            and not tool.counts
            and not self.account.durable
            and not getattr(self.run.config.get("callbacks"), "handlers", None)
        )

    def _begun(self, tool: OwnTool, values: dict[str, Any], cell: CellRecord) -> Any:
        """As ``_call``, from the cell's thread, in one other thread."""
        key = cell.occurrences.key(f"{self.place}/{cell.number}/tool/{tool.name}", digest_of(tool.name, values))
        done = self.account.recall_now([key]).get(key)
        if done is not None and ("json" in done or cell.replayed):
            return _of_record(done)
        future: Future[Any] = Future()
        started, began, first, limit = self._tell_start(tool, values), time.monotonic(), count(), self._limit(tool)

        def settle(answer: _Answer | None, error: Exception | None = None) -> None:
            if next(first):  # the other one of thread and deadline was first
                return
            if answer is not None:
                self.account.record_now({key: _record_of(answer)})
            self._tell_end(tool, started, began, answer)
            with contextlib.suppress(InvalidStateError):  # given up by the cell
                future.set_exception(error) if answer is None else future.set_result(answer.value)

        def work() -> None:
            try:
                with as_current(self.run.config):
                    answer = self._in_thread(tool, values, self.run)
            except _BadArguments as wrong:
                answer, error = None, ValueError(str(wrong))
            except BaseException as failed:  # noqa: BLE001 - whatever a tool raises is a value for the cell
                answer, error = _failed(tool, failed), None
            else:
                error = None
            self.deadlines.take_back(number)
            settle(answer, error)

        number = self.deadlines.after(limit, lambda: settle(_late(tool, limit)))
        call_threads().submit(copy_context().run, work)
        return future

    def _limit(self, tool: OwnTool) -> float:
        left = self.account.budget.seconds_left()
        return tool.timeout if left is None else min(tool.timeout, left)

    def _tell_start(self, tool: OwnTool, values: Mapping[str, Any]) -> int:
        if not self.run.heard:
            return 0
        shown = shortened({name: shortened(value) for name, value in values.items()})
        return self.run.emit("call_start", name=tool.name, role="tool", input=shown)

    def _tell_end(self, tool: OwnTool, started: int, began: float, answer: _Answer | None) -> None:
        if not self.run.heard:
            return
        value = None if answer is None else answer.value
        error = "invalid_output" if answer is None else value.category if isinstance(value, FailedCall) else None
        seconds = round(time.monotonic() - began, 6)
        self.run.emit("call_end", started=started, name=tool.name, role="tool", seconds=seconds, error=error)

    async def _call(self, tool: OwnTool, values: dict[str, Any], cell: CellRecord) -> Any:
        asked = await self._digest(tool, values)
        key = cell.occurrences.key(f"{self.place}/{cell.number}/tool/{tool.name}", asked)
        known = await self.account.recall([key, f"{key}/begun"])
        if (done := known.get(key)) is not None and ("json" in done or cell.replayed):
            return _of_record(done)
        runs = known.get(f"{key}/begun", {}).get("runs", 0) if done is None else 0
        if runs >= _MOST_RUNS:
            return FailedCall(
                "tool", f"{tool.name} was cut off {runs} times when the process ended; not run again", False
            )
        if runs:
            cell.notes.append(
                f"{tool.name}: the process ended in the middle of this call, which may have had its effect; it was run again"
            )
        if self.account.durable:
            await self.account.record({f"{key}/begun": {"runs": runs + 1}})
        answer = await self._told(tool, values)
        await self.account.record({key: _record_of(answer)})
        return answer.value

    async def _digest(self, tool: OwnTool, values: dict[str, Any]) -> str:
        if sum(len(value) for value in values.values() if isinstance(value, str | list | dict)) < _SMALL:
            return digest_of(tool.name, values)
        return await self.run.face.block(digest_of, tool.name, values)

    async def _told(self, tool: OwnTool, values: dict[str, Any]) -> _Answer:
        """The call, with its events and its run in traces."""
        run, outcome, answer = self.run, Outcome(), None
        traced = bool(getattr(run.config.get("callbacks"), "handlers", None))
        shown = {name: shortened(value) for name, value in values.items()} if traced else {}
        started, began = self._tell_start(tool, values), time.monotonic()
        try:
            async with as_tool(run, tool.name, shown, outcome) as inner:
                answer = await self._run(tool, values, inner)
                if isinstance(answer.value, FailedCall):
                    outcome.is_("", f"{answer.value.category}: {answer.value.message}")
                elif traced:
                    outcome.is_(shortened(answer.value))
            return answer
        finally:
            self._tell_end(tool, started, began, answer)

    async def _run(self, tool: OwnTool, values: dict[str, Any], run: Run) -> _Answer:
        limit, reservation = self._limit(tool), None
        try:
            if tool.counts:
                reservation = await self.account.reserve(f"tool {tool.name}", 0, 0)
            async with asyncio.timeout(limit) as clock:
                return await self._result(tool, values, run)
        except LimitReached as reached:
            return _Answer(FailedCall("budget", str(reached), False))
        except TimeoutError as error:
            if not clock.expired():
                return _failed(tool, error)
            return _late(tool, limit)
        except _BadArguments as error:
            raise InvalidInput(str(error)) from None
        except Exception as error:  # noqa: BLE001 - whatever a tool raises is a value for the cell
            return _failed(tool, error)
        finally:
            if reservation is not None:
                used = ModelUsage(calls=1, input_tokens=0, cached_tokens=0, output_tokens=0, cost_usd=0.0)
                await self.account.settle(
                    reservation, used, model=reservation.model, estimated=False, results={}, requests=0
                )

    async def _result(self, tool: OwnTool, values: dict[str, Any], run: Run) -> _Answer:
        with as_current(run.config):
            if tool.called is None or (run.face.is_async and tool.awaited is not None):
                assert tool.awaited is not None  # checked when the graph was made
                result = await tool.awaited(**self._arguments(tool, values, run))
                return await run.face.block(_plain, tool, result) if _may_be_large(result) else _plain(tool, result)
            return await run.face.block(self._in_thread, tool, values, run)

    def _in_thread(self, tool: OwnTool, values: dict[str, Any], run: Run) -> _Answer:
        assert tool.called is not None
        return _plain(tool, tool.called(**self._arguments(tool, values, run)))

    def _arguments(self, tool: OwnTool, values: dict[str, Any], run: Run) -> dict[str, Any]:
        """Checked, and with what LangGraph would fill in.

        Raises:
            _BadArguments: in words for the cell.
        """
        more = {name: self._injected(kind, run) for name, kind in tool.injected.items()}
        configured: dict[str, Any] = {} if tool.config is None else {tool.config: run.config}
        if isinstance(tool.schema, dict):
            if (problem := problem_of(values, tool.schema)) is not None:
                raise _BadArguments(f"{tool.name}(): {problem}")
            return values | more | configured
        try:
            checked = tool.schema.model_validate(values | more | configured)
        except ValidationError as error:
            found = [
                f"{'.'.join(map(str, one['loc']))}: {one['msg']} (got {first_of(repr(one['input']))})"
                for one in error.errors(include_url=False, include_context=False)[:3]
            ]
            raise _BadArguments(f"{tool.name}(): {'; '.join(found)}") from None
        given = {
            name: getattr(checked, name)
            for name, field in type(checked).model_fields.items()
            if name in checked.model_fields_set or not field.is_required()
        }
        return given | configured

    def _injected(self, kind: Any, run: Run) -> Any:
        runtime = run.config.get("configurable", {}).get("__pregel_runtime")
        if isinstance(kind, InjectedStore):
            return getattr(runtime, "store", None)
        if isinstance(kind, InjectedState):
            return dict(self.state) if kind.field is None else self.state.get(kind.field)
        if isinstance(kind, InjectedToolCallId):
            return run.open.id
        if kind is ToolRuntime:
            return ToolRuntime(
                state=dict(self.state),
                context=getattr(runtime, "context", None),
                config=run.config,
                stream_writer=run.writer or (lambda event: None),
                tool_call_id=run.open.id,
                store=getattr(runtime, "store", None),
            )
        return None


_SMALL = 100_000
"""Characters below which a digest takes less than a thread would."""
_ANYTHING: Mapping[str, Any] = {}
"""The schema of any value."""


class _BadArguments(Exception):
    """What a cell has to write otherwise."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came of a call.

    Args:
        value: for the cell.
        packed: it as JSON; empty for a failure.
    """

    value: Any
    packed: str = ""


def _plain(tool: OwnTool, result: Any) -> _Answer:
    """A result as JSON-like values of bounded size, or why it cannot be given."""
    if tool.has_artifact and isinstance(result, tuple) and len(result) == 2:
        result = result[0]
    if isinstance(result, BaseMessage):
        result = result.text
    if isinstance(result, Command):
        return _Answer(FailedCall("refused", f"{tool.name} gave a Command, which steers a graph: no value", False))
    if isinstance(result, str) and len(result) > MOST_RESULT_BYTES:
        return _too_large(tool, len(result))
    try:
        packed = json.dumps(to_jsonable_python(_text_of_blocks(result)), ensure_ascii=False)
    except (PydanticSerializationError, TypeError, ValueError, RecursionError) as error:
        return _no_json(tool, result, str(error))
    if len(packed) > MOST_RESULT_BYTES:
        return _too_large(tool, len(packed))
    value, problem = read_json(packed, _ANYTHING)
    return _Answer(value, packed) if problem is None else _no_json(tool, result, problem)


def _no_json(tool: OwnTool, result: Any, why: str) -> _Answer:
    said = (
        f"{tool.name} gave a {type(result).__name__}, which is no JSON value ({first_of(redacted(why), _ERROR_CHARS)})"
    )
    return _Answer(FailedCall("invalid_output", said, False))


def _too_large(tool: OwnTool, size: int) -> _Answer:
    message = f"{tool.name} gave {size:,} characters, at most {MOST_RESULT_BYTES:,} are taken: ask it for less"
    return _Answer(FailedCall("too_long", message, False))


def _text_of_blocks(result: Any) -> Any:
    """Content blocks of text, as MCP tools give them, as the text."""
    if not isinstance(result, list) or not result:
        return result
    if all(
        isinstance(one, Mapping) and one.get("type") == "text" and isinstance(one.get("text"), str) for one in result
    ):
        return "\n".join(one["text"] for one in result)
    return result


def _may_be_large(result: Any) -> bool:
    return not isinstance(result, str | int | float | bool | None) or (isinstance(result, str) and len(result) > _SMALL)


def _late(tool: OwnTool, limit: float) -> _Answer:
    return _Answer(FailedCall("timeout", f"{tool.name} had no answer after {limit:g} s", True))


def _failed(tool: OwnTool, error: BaseException) -> _Answer:
    """A failure in words for the cell. What a tool raises on purpose is told; of others it may be about the host."""
    if isinstance(error, GraphBubbleUp):
        return _Answer(FailedCall("refused", f"{tool.name} asks a person, for whom a cell cannot wait", False))
    if isinstance(error, _ON_PURPOSE):
        words = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
        return _Answer(FailedCall("tool", f"{tool.name}: {first_of(redacted(words), _ERROR_CHARS)}", False))
    _log.error("%s() failed\n%s", tool.name, redacted("".join(traceback.format_exception(error))))
    return _Answer(FailedCall("tool", f"{tool.name} failed ({type(error).__name__})", True))


def _record_of(answer: _Answer) -> dict[str, Any]:
    if isinstance(answer.value, FailedCall):
        one = answer.value
        return {"failed": {"category": one.category, "message": one.message, "retryable": one.retryable}}
    return {"json": answer.packed}


def _of_record(record: Mapping[str, Any]) -> Any:
    return FailedCall(**record["failed"]) if "failed" in record else json.loads(record["json"])
