"""One step at work: what a step may call. Compiled specs and exported Python use the same methods."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langgraph.errors import GraphBubbleUp

from langgraph_rlm.calls.account import Account
from langgraph_rlm.calls.memo import Occurrences, digest_of
from langgraph_rlm.calls.models import ModelCaller
from langgraph_rlm.calls.subcalls import SubCalls
from langgraph_rlm.corpus import Corpus
from langgraph_rlm.errors import AuthenticationFailed, InvalidInput, LimitReached, ModelError, RLMError
from langgraph_rlm.graphs.prompts import boundary_of, fenced, step_messages, step_prompt
from langgraph_rlm.graphs.recursion import Recursion
from langgraph_rlm.repl import FailedCall, Shell
from langgraph_rlm.runs.contexts import ContextsLike
from langgraph_rlm.runs.corpora import CorpusLike
from langgraph_rlm.runs.run import Run
from langgraph_rlm.specs.accounts import StepAccounts
from langgraph_rlm.specs.reducing import FAILED, as_number
from langgraph_rlm.specs.shapes import schema_of_output
from langgraph_rlm.specs.templates import look_up, shown
from langgraph_rlm.specs.toolbox import MOST_ITEMS, TOOLS
from langgraph_rlm.specs.tools import ToolRun
from langgraph_rlm.specs.words import FileWords
from langgraph_rlm.text import ContextStore
from langgraph_rlm.types import ContextRef

MOST_RESULT_CHARS = 4_000_000
"""Of the results of a mapped step, as JSON: they stand in checkpoints."""
_AT_ONCE = 16
"""Tool calls of a mapped step in flight: they run in threads."""

Given = Mapping[str, Any] | Callable[[Any], Mapping[str, Any]]
"""Arguments, or a function that gives those of one item."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """What the steps of a graph stand on, made once.

    Args:
        models: by name; the first answers where a step names none.
        corpus: what is searched; None without one.
        contexts: where texts are stored.
        accounts: what calls are paid from.
        shell: runs commands; None without one.
        recursions: the loops of ``rlm`` steps, by model and sub-model.
        words: indexes of stored texts.
    """

    models: Mapping[str, ModelCaller]
    corpus: CorpusLike | None
    contexts: ContextsLike
    accounts: StepAccounts
    shell: Shell | None = None
    recursions: Mapping[tuple[str, str], Recursion] = field(default_factory=dict)
    words: FileWords = field(default_factory=FileWords)

    def model(self, name: str | None) -> ModelCaller:
        """The model of this name.

        Raises:
            InvalidInput: there is none.
        """
        if name is None and self.models:
            return next(iter(self.models.values()))
        if name is None or name not in self.models:
            raise InvalidInput(f"there is no model {name!r}; models={{…}} has {', '.join(self.models) or 'none'}")
        return self.models[name]


class StepRun:
    """One step of one run.

    Args:
        name: of the step.
        run_id: of the run of this graph, which may be one of several in a larger one.
        engines: of the graph.
        run: the node's.
        account: of the run.
        contexts: the run's.
        corpus: the run's.
        values: ``input``, and the results of the steps that have run, by name.
        files: stored texts, by name.
    """

    def __init__(
        self, name: str, run_id: str, engines: Engines, run: Run, account: Account, contexts: ContextStore,
        corpus: Corpus | None, values: Mapping[str, Any], files: dict[str, ContextRef],
    ) -> None:  # fmt: skip
        self.name, self.run, self.account = name, run, account
        self._run_id = run_id
        self.values, self.files = values, files
        self.coverage: dict[str, Any] | None = None
        """Of a mapped step: how many items there were, and how many failed why."""
        self.failures: list[dict[str, Any]] = []
        self._engines, self.contexts = engines, contexts
        self._tools = ToolRun(name, engines.shell, engines.words, run, account, contexts, corpus, values, files)
        self._occurrences = Occurrences()

    def __getitem__(self, path: str) -> Any:
        """The value of a path, as a template has it: ``step["find.matches"]``; None where a step was skipped.

        Raises:
            InvalidInput: there is no such field.
        """
        return look_up(path, self.values)

    # --- what a step may be ---

    async def tool(self, name: str, given: Given | None = None, each: Any = None, **args: Any) -> Any:
        """The result of a tool; with ``each``, of all items.

        Args:
            name: of :data:`langgraph_rlm.specs.toolbox.TOOLS`, but for ``query_lm``, which is :meth:`query`.
            given: its arguments, or a function of the item that gives them; ``args`` are others.
            each: a list; None to call it once.

        Raises:
            InvalidInput: an argument that cannot be used, a file that is not there.
        """
        if name not in TOOLS:
            raise InvalidInput(f"step {self.name!r}: there is no tool {name!r}")

        async def one(arguments: Mapping[str, Any]) -> Any:
            return await self._tools.call(name, arguments)

        return await self._all(one, given or args, each)

    async def model(
        self, name: str, given: Given | None = None, each: Any = None, *, output: Mapping[str, Any] | None = None, **args: Any
    ) -> Any:  # fmt: skip
        """The reply of a model: its ``text``, or the fields of ``output``.

        Args:
            name: of the graph's models.
            given: ``prompt`` and ``input`` (sections by name), or a function of the item that gives them.
            each: a list; None to ask once.
            output: types or JSON schemas of the fields.

        Raises:
            ModelError, LimitReached: it failed, or all items did.
        """

        def prompt_of(arguments: Mapping[str, Any]) -> str:
            sections = [(key, shown(value)) for key, value in (arguments.get("input") or {}).items()]
            return step_prompt(arguments.get("prompt") or "", sections)

        schema = None if output is None else schema_of_output(output)
        return await self._asked(
            name, prompt_of, given or args, each, schema, lambda answer: answer if schema else {"text": answer}
        )

    async def query(
        self, given: Given | None = None, each: Any = None, *, model: str | None = None,
        answer_schema: Mapping[str, Any] | None = None, **args: Any,
    ) -> Any:  # fmt: skip
        """The answer to one prompt, the tool ``query_lm``: ``text``, and ``value``, which is JSON with ``answer_schema``.

        Args:
            given: ``prompt``, or a function of the item that gives it.
            each: a list; None to ask once.
            model: of the graph's models; the first when None.
            answer_schema: a JSON schema.
        """

        def answer(said: Any) -> dict[str, Any]:
            return {"text": said if isinstance(said, str) else json.dumps(said, ensure_ascii=False), "value": said}

        schema = None if answer_schema is None else dict(answer_schema)
        return await self._asked(model, lambda one: shown(one["prompt"]), given or args, each, schema, answer)

    async def rlm(self, given: Given | None = None, each: Any = None, **args: Any) -> Any:
        """The answer of a recursive language model: ``answer``, ``found`` and ``citations``.

        Args:
            given: ``question``, ``context`` (a file, a reference or a text), ``model``, ``sub_model`` and ``max_turns``, or a
                function of the item that gives them.
            each: a list; None to ask once.
        """
        room = self.run.room(1, self.account.budget.limits.max_concurrency)

        async def one(arguments: Mapping[str, Any]) -> Any:
            root = arguments.get("model") or next(iter(self._engines.models), "")
            recursion = self._engines.recursions[root, arguments.get("sub_model") or root]
            context, file = await self._tools.context_of(arguments.get("context"))
            question = shown(arguments["question"])
            place = self._occurrences.key(f"{self._run_id}/{self.name}", digest_of(question, context)[:16])
            async with room:
                solved = await recursion.solve(
                    question, context, self.run, self.account, place=place, most_turns=arguments.get("max_turns")
                )
            if isinstance(solved, FailedCall) or not file:
                return solved
            return {
                **solved,
                "citations": [{**one, "doc_id": _shown(file, one["doc_id"])} for one in solved["citations"]],
            }

        return await self._all(one, given or args, each)

    def inline(self, path: str, value: Any) -> str:
        """A value inside of a prompt's own text: what the user gave as it is, anything else fenced as data.

        Args:
            path: of the value; ``input.…`` is the user's.
            value: to be shown.
        """
        text = shown(value)
        if path.startswith("input."):
            return text
        return f"\n{fenced(0, path, text, boundary_of(path, text))}\n"

    # --- many ---

    async def items(self, each: Any) -> list[Any]:
        """The items of a list, with the texts of chunks.

        Raises:
            InvalidInput: it is no list, or has too many.
        """
        if each is None:  # the step that gives it was skipped
            return []
        if not isinstance(each, list):
            raise InvalidInput(f"step {self.name!r}: 'each' is over a list, not {type(each).__name__}")
        if len(each) > MOST_ITEMS:
            raise InvalidInput(f"step {self.name!r}: {len(each):,} items are too many (at most {MOST_ITEMS:,})")
        return await self.run.face.block(lambda: [self._tools.with_text(one) for one in each])

    async def _asked(
        self, model: str | None, prompt_of: Callable[[Mapping[str, Any]], str], given: Given, each: Any,
        schema: dict[str, Any] | None, answer: Callable[[Any], Any],
    ) -> Any:  # fmt: skip
        """All prompts in one batch: keys of the memo are looked up together, and 1,000 items are one step."""
        subcalls = SubCalls(
            self._engines.model(model), render=step_messages, account=self.account, config=self.run.config,
            room=self.run.room(0, self.account.budget.limits.max_concurrency), emit=self.run.emit,
        )  # fmt: skip
        items = await self.items(each) if callable(given) else [None]
        usable = [number for number, item in enumerate(items) if not _is_failed(item)]
        prompts = await self.run.face.block(lambda: [prompt_of(_arguments(given, items[number])) for number in usable])
        for number, prompt in zip(usable, prompts, strict=True):
            if not prompt.strip():
                raise InvalidInput(
                    f"step {self.name!r}: the prompt is empty" + (f" (item {number})" if callable(given) else "")
                )
        answers = await subcalls.ask_all(prompts, schema=schema, place=self.name, occurrences=self._occurrences)
        said = dict(zip(usable, answers, strict=True))
        outcomes = [_failed_before(item) if number not in said else said[number] for number, item in enumerate(items)]
        made = [one if isinstance(one, FailedCall) else answer(one) for one in outcomes]
        return self._mapped(made) if callable(given) else self._one(made[0])

    async def _all(self, one: Callable[[Mapping[str, Any]], Awaitable[Any]], given: Given, each: Any) -> Any:
        if not callable(given):
            return self._one(await one(given))
        gate = asyncio.Semaphore(_AT_ONCE)

        async def guarded(item: Any) -> Any:
            if _is_failed(item):
                return _failed_before(item)
            async with gate:
                try:
                    return await one(_arguments(given, item))
                except (GraphBubbleUp, LimitReached):
                    raise
                except ModelError as error:
                    return FailedCall(error.category, str(error), error.retryable)
                except RLMError as error:
                    return FailedCall("invalid_input", str(error), False)

        return self._mapped(list(await asyncio.gather(*map(guarded, await self.items(each)))))

    def _one(self, outcome: Any) -> Any:
        """The result of a step that ran once; a failed call is an error: nothing could stand in its place."""
        if not isinstance(outcome, FailedCall):
            return outcome
        raise _error_of(outcome, f"step {self.name!r}: {outcome.message}")

    def _mapped(self, outcomes: Sequence[Any]) -> dict[str, Any]:
        """The results of a mapped step, in order; items that failed are typed, and counted."""
        results, failed, room = list[Any](), Counter[str](), MOST_RESULT_CHARS
        for number, outcome in enumerate(outcomes):
            if (
                not isinstance(outcome, FailedCall)
                and (room := room - len(json.dumps(outcome, ensure_ascii=False))) < 0
            ):
                outcome = FailedCall(
                    "too_long", f"the results of a step have {MOST_RESULT_CHARS:,} characters at most", False
                )
            if isinstance(outcome, FailedCall):
                failed[outcome.category] += 1
                results.append({FAILED: outcome.category, "message": outcome.message})
                self.failures.append(
                    {"step": self.name, "item": number, "category": outcome.category, "message": outcome.message}
                )
            else:
                results.append(outcome)
        before = self.coverage or {"items": 0, "answered": 0, "failed": {}}  # a step of one's own may map several times
        self.coverage = {
            "items": before["items"] + len(results),
            "answered": before["answered"] + len(results) - failed.total(),
            "failed": dict(Counter(before["failed"]) + failed),
        }
        first = next((one for one in outcomes if isinstance(one, FailedCall)), None)
        if results and failed.total() == len(results) and first is not None:
            raise _error_of(first, f"step {self.name!r}: all {len(results):,} items failed; the first: {first.message}")
        return {
            "results": results,
            "count": len(results),
            "answered": len(results) - failed.total(),
            "failed": failed.total(),
        }


def holds(value: Any, test: str, than: Any = None) -> bool:
    """Whether a condition holds. What was skipped is empty, and neither equal to nor above or below anything.

    Args:
        value: what is looked at.
        test: ``empty``, ``not_empty``, ``equals``, ``above`` or ``below``.
        than: what it is compared with.

    Example:
        >>> holds([], "empty"), holds("3", "above", 2), holds(None, "below", 2)
        (True, True, False)
    """
    if test in ("empty", "not_empty"):
        is_empty = value is None or value in ("", [], {}, 0) or (isinstance(value, str) and not value.strip())
        return is_empty == (test == "empty")
    if test == "equals":
        return bool(value == than or (value is not None and shown(value).strip() == shown(than).strip()))
    one, other = as_number(value), as_number(than)
    if one is None or other is None:
        return False
    return one > other if test == "above" else one < other


def _arguments(given: Given, item: Any) -> Mapping[str, Any]:
    return given(item) if callable(given) else given


def _is_failed(item: Any) -> bool:
    return isinstance(item, Mapping) and FAILED in item and "message" in item


def _failed_before(item: Any) -> FailedCall:
    return FailedCall(str(item[FAILED]), f"it had failed before: {item['message']}", False)


def _error_of(failed: FailedCall, message: str) -> RLMError:
    if failed.category == "budget":
        return LimitReached(message, limit="", stop_reason="budget")
    if failed.category == "auth":
        return AuthenticationFailed(message)
    return ModelError(message, category=failed.category, retryable=failed.retryable)


def _shown(file: str, doc_id: str) -> str:
    part = "" if doc_id == "context" else doc_id.removeprefix("context/")
    return f"{file}/{part}" if part else file
