"""Asks the tasks of a data set over each route, one after the other, and writes down what came of each."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from langchain_core.documents import Document

from langgraph_rlm.calls.memo import digest_of
from langgraph_rlm.calls.models import Model, ModelCaller
from langgraph_rlm.corpus import Corpus
from langgraph_rlm.errors import AuthenticationFailed, InvalidInput, LimitReached, ModelError
from langgraph_rlm.evaluation.judging import judge_messages, judged, judged_by_rubric
from langgraph_rlm.evaluation.metering import Meter
from langgraph_rlm.evaluation.records import Answered, Records
from langgraph_rlm.evaluation.tasks import DataSet, Task
from langgraph_rlm.graphs.graph import RLMGraph
from langgraph_rlm.graphs.routes import BUILT_IN, Route, check_routes
from langgraph_rlm.graphs.smart_rag import create_smart_rag
from langgraph_rlm.limits import Limits
from langgraph_rlm.prices import Prices, checked_prices, price_usd
from langgraph_rlm.runs.runtime import Sandbox
from langgraph_rlm.specs.rubrics import Rubric
from langgraph_rlm.specs.verifier import create_verifier

ROUTES = (*(route.name for route in BUILT_IN), "auto")
MOST_FAILURES = 5
"""Tasks in a row that may fail before the evaluation ends: then it is the server, not the task."""
_MOST_OPEN = 4
"""Corpora open at a time."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an evaluation is.

    Args:
        done: answers there are, of this run and of earlier ones.
        total: answers there will be.
        resumed: of them, those of earlier runs.
        spent_usd: of all runs on this folder.
        task, route: asked last.
    """

    done: int
    total: int
    resumed: int
    spent_usd: float
    task: str = ""
    route: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an evaluation has measured so far.

    Args:
        settings: what the answers depend on.
        tasks: that were to be asked.
        routes: over which.
        answers: by task id and route; those that are missing were not asked.
        resumed: answers of earlier runs.
        spent_usd: of all runs on this folder.
        stopped: empty, or why it ended early.
    """

    settings: Mapping[str, Any]
    tasks: Sequence[Task]
    routes: Sequence[str]
    answers: Mapping[tuple[str, str], Answered]
    resumed: int
    spent_usd: float
    stopped: str


class Evaluation:
    """A data set asked over several routes by one model.

    Args:
        data: the tasks.
        model: answers, and is the root model of the recursive route.
        out: a folder for answers and indexes; an evaluation with the same settings that lies there goes on.
        sub_model: as in :func:`langgraph_rlm.create_smart_rag`.
        judge: a model that decides which answers are right; rules when None.
        rubric: criteria by which the judge decides, as in :func:`langgraph_rlm.create_verifier`; it compares with the gold
            answers when None.
        routes: of ``direct``, ``rag``, ``rlm``, those of your own, and ``auto``; all when None.
        limits: of one question.
        prices: USD per million tokens, for models that the public lists do not know.
        sandbox: as in ``create_rlm``.
        own: routes of your own, as in ``create_smart_rag(routes=…)``.

    Raises:
        InvalidInput: an unknown route, or none.

    Example:
        >>> from pathlib import Path
        >>> from langgraph_rlm import ExtractiveModel
        >>> from langgraph_rlm.evaluation.generated import needle
        >>> small = needle(tasks=2, chars=4_000).data
        >>> outcome = Evaluation(small, ExtractiveModel(), out=Path("needles"), routes=["rag"]).run()
        >>> [record["answered_by"] for record in outcome.answers.values()]
        ['rag', 'rag']
    """

    def __init__(
        self,
        data: DataSet,
        model: Model,
        *,
        out: Path,
        sub_model: Model | None = None,
        judge: Model | None = None,
        rubric: Any = None,
        routes: Sequence[str] | None = None,
        limits: Limits | None = None,
        prices: Prices | None = None,
        sandbox: Sandbox = "auto",
        own: Sequence[Route] = (),
    ) -> None:
        self._data, self._out, self._sandbox, self._own = data, out, sandbox, tuple(own)
        self._routes = _checked_routes(routes, (*(route.name for route in check_routes(own)), "auto"))
        self._limits, self._prices = limits or Limits(), checked_prices(prices)
        self._model = ModelCaller(model)
        self._sub = None if sub_model is None else ModelCaller(sub_model)
        self._judge = None if judge is None else ModelCaller(judge)
        self._verifier: RLMGraph | None = None
        if rubric is not None:
            if judge is None:
                raise InvalidInput("rubric: it is for a judge, and none is given: judge=")
            self._verifier = create_verifier(judge, rubric=rubric, limits=self._limits, prices=prices)
        self.settings: dict[str, Any] = {
            "data set": data.name,
            "digest of the data": data.digest(),
            "model": self._model.name,
            "sub-model": (self._sub or self._model).name,
            "judge": None if self._judge is None else self._judge.name,
            **({} if rubric is None else {"rubric": digest_of(repr(Rubric.of(rubric)))}),
            **{f"limit {name}": value for name, value in asdict(self._limits).items()},
        }

    def run(
        self,
        *,
        limit: int | None = None,
        max_cost_usd: float | None = None,
        on_progress: Callable[[Progress], None] = lambda progress: None,
    ) -> Outcome:
        """Ask every task that was not answered yet, each over all routes before the next.

        Args:
            limit: tasks to ask, a fixed sample; all when None.
            max_cost_usd: USD that all runs on this folder may spend together; what was done is kept.
            on_progress: called before the first answer and after each.

        Raises:
            InvalidInput: a limit that cannot be used, or the folder holds an evaluation with other settings.
            ModelError: the model rejects the key, or several tasks in a row have failed.
        """
        _check_limits(limit, max_cost_usd)
        tasks = self._data.first(limit)
        with Records.opened(self._out, self.settings) as records, _Graphs(self._data, self._out, self._made) as graphs:
            asked = [(task, route) for task in tasks for route in self._routes]
            resumed = sum(records.get(task.id, route) is not None for task, route in asked)
            done, failures, stopped = resumed, 0, ""
            on_progress(Progress(done, len(asked), resumed, records.spent_usd))
            for task, route in asked:
                if records.get(task.id, route) is not None:
                    continue
                left = None if max_cost_usd is None else max_cost_usd - records.spent_usd
                if left is not None and left <= 0:
                    stopped = "budget"
                    break
                record = self._asked(graphs, task, route, left)
                records.add(record)
                if record["stop_reason"] == "unpaid":
                    stopped = "budget"
                    break
                done += 1
                failures = failures + 1 if record["stop_reason"] == "failed" else 0
                if failures == MOST_FAILURES:
                    raise ModelError(
                        f"{failures} tasks in a row have failed, the last with: {record['error']}. What was answered is in "
                        f"{self._out}; the same command goes on from there"
                    )
                on_progress(Progress(done, len(asked), resumed, records.spent_usd, task.id, route))
            last = {(task.id, route): records.last(task.id, route) for task, route in asked}
            answers = {key: found for key, found in last.items() if found and found["stop_reason"] != "unpaid"}
            return Outcome(self.settings, tasks, self._routes, answers, resumed, records.spent_usd, stopped)

    # --- one task ---

    def _made(self, corpus: Corpus) -> Any:
        return create_smart_rag(
            self._model.runnable,
            corpus=corpus,
            sub_model=None if self._sub is None else self._sub.runnable,
            limits=self._limits,
            prices=self._prices,
            routes=self._own,
            rlm={"sandbox": self._sandbox},
        )

    def _asked(self, graphs: _Graphs, task: Task, route: str, left: float | None) -> Answered:
        """One task on one route, judged."""
        graph, meter = graphs.of(task.collection), Meter()
        options: dict[str, Any] = {} if route == "auto" else {"route": route}
        if left is not None:
            options["limits"] = {"max_cost_usd": left}
        started = time.perf_counter()
        try:
            result = graph.invoke({"question": task.question}, {"configurable": {"rlm": options}, "callbacks": [meter]})
        except AuthenticationFailed:
            raise
        except InvalidInput as error:
            return self._without_answer(task, route, meter, started, "refused", error)
        except ModelError as error:
            too_long = error.category == "too_long"
            return self._without_answer(task, route, meter, started, "refused" if too_long else "failed", error)
        record = _record(task, route, result, meter, time.perf_counter() - started)
        if record["stop_reason"] == "budget" and self._ended_by(left, record):
            record["stop_reason"] = "unpaid"
            return record
        return self._judged(task, record, left)

    def _ended_by(self, left: float | None, record: Answered) -> bool:
        """Whether it was the evaluation's budget that ended a task, and not the question's own limits."""
        own, calls = self._limits.max_cost_usd, self._limits.max_calls
        return left is not None and (own is None or left < own) and (calls is None or record["calls"] < calls)

    def _judged(self, task: Task, record: Answered, left: float | None) -> Answered:
        if self._judge is None or not (task.answers or not task.answerable):
            return record
        room = (
            self._limits
            if left is None
            else self._limits.narrowed({"max_cost_usd": max(0.0, left - (record["cost_usd"] or 0))})
        )
        try:
            if self._verifier is not None:
                verdict = judged_by_rubric(self._verifier, task, record["answer"], room)
            else:
                verdict = judged(self._judge, judge_messages(task, record["answer"]), room, self._prices)
        except AuthenticationFailed:
            raise
        except LimitReached as reached:
            record["stop_reason"], record["error"] = ("unpaid" if left is not None else "failed"), str(reached)
            return record
        except ModelError as error:
            record["stop_reason"], record["error"] = "failed", str(error)
            return record
        record["judged"], record["judge_cost_usd"] = verdict.right, verdict.usage["cost_usd"]
        return record

    def _without_answer(
        self, task: Task, route: str, meter: Meter, started: float, why: str, error: Exception
    ) -> Answered:
        """A run that raised: its usage is lost with it, but the meter has seen the calls."""
        cost = price_usd(self._model.name, meter.input_tokens, meter.output_tokens, prices=self._prices)
        record = _record(task, route, {"stop_reason": why}, meter, time.perf_counter() - started)
        record["error"], record["cost_usd"], record["estimated"] = (
            str(error),
            cost if meter.calls else 0.0,
            bool(meter.calls),
        )
        return record


def _record(task: Task, route: str, result: Mapping[str, Any], meter: Meter, seconds: float) -> Answered:
    usage, decision = result.get("usage") or {}, result.get("decision") or {}
    citations = [[c["doc_id"], c["start"], c["end"]] for c in result.get("citations") or [] if c["verified"]]
    return Answered(
        task=task.id,
        route=route,
        chosen=decision.get("escalated_from") or decision.get("route") or "",
        answered_by=result.get("route") or "",
        answer=_answer_of(result),
        citations=citations,
        stop_reason=result["stop_reason"],
        error="",
        calls=usage.get("calls", meter.calls),
        input_tokens=usage.get("input_tokens", meter.input_tokens),
        cached_tokens=usage.get("cached_tokens", 0),
        output_tokens=usage.get("output_tokens", meter.output_tokens),
        cost_usd=usage.get("cost_usd"),
        estimated=usage.get("estimated", False),
        seconds=round(seconds, 3),
        largest_prompt=meter.largest_prompt,
        judged=None,
        judge_cost_usd=None,
    )


def _answer_of(result: Mapping[str, Any]) -> str:
    """The answer; of a run that found none the first line, which says so: the evidence below it is no answer."""
    answer: str = result.get("answer") or ""
    return answer if result.get("found", True) else answer.partition("\n")[0]


class _Graphs:
    """A graph for each collection, its documents indexed below the folder; the last few stay open."""

    def __init__(self, data: DataSet, out: Path, make: Callable[[Corpus], Any]) -> None:
        self._data, self._out, self._make = data, out, make
        self._open: OrderedDict[str, tuple[Corpus, Any]] = OrderedDict()

    def of(self, collection: str) -> Any:
        """The graph that searches this collection."""
        if collection not in self._open:
            while len(self._open) >= _MOST_OPEN:
                self._open.popitem(last=False)[1][0].close()
            corpus = self._corpus(collection)
            self._open[collection] = corpus, self._make(corpus)
        self._open.move_to_end(collection)
        return self._open[collection][1]

    def _corpus(self, collection: str) -> Corpus:
        held = self._data.collections[collection]
        corpus = Corpus.open(
            f"chroma:{self._out / 'indexes' / held.digest[:16]}",
            chunk_size=self._data.chunk_size,
            chunk_overlap=self._data.chunk_overlap,
        )
        try:
            corpus.add([Document(text, id=doc_id) for doc_id, text in held.documents()], prune=True)
        except BaseException:
            corpus.close()
            raise
        return corpus

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        for corpus, _ in self._open.values():
            corpus.close()


def _checked_routes(routes: Sequence[str] | None, known: Sequence[str]) -> tuple[str, ...]:
    if routes is None:
        return tuple(known)
    if unknown := [route for route in routes if route not in known]:
        raise InvalidInput(f"routes: unknown {unknown[0]!r}; known are {', '.join(known)}")
    if not routes:
        raise InvalidInput(f"routes: none is named; known are {', '.join(known)}")
    return tuple(route for route in known if route in routes)


def _check_limits(limit: int | None, max_cost_usd: float | None) -> None:
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise InvalidInput(f"limit must be a whole number of tasks from 1 on, not {limit!r}")
    if max_cost_usd is not None:
        replace(Limits(), max_cost_usd=max_cost_usd)
