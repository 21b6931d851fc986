"""Graphs that are made of specs: what they add to their models, what their tools take, and a verifier on a large trace.

python benchmarks/specs.py           all of it; takes a minute

The format's own example is compared with the same three things done by hand, in plain Python without a graph.
"""

from __future__ import annotations

import json
import re
import sqlite3
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

from _report import Row, best_ms, median_ms, report
from langchain_core.messages import BaseMessage
from langgraph.checkpoint.sqlite import SqliteSaver

from langgraph_rlm import ContextStore, create_graph
from langgraph_rlm.calls.models import estimated_tokens
from langgraph_rlm.specs.verifier import create_verifier
from langgraph_rlm.testing import ScriptedModel

EXAMPLE = (Path(__file__).parents[1] / "examples" / "financial_qa.yaml").read_text("utf-8")
FREE: dict[str, Any] = {"max_cost_usd": None, "max_calls": None, "max_seconds": None}
CONTEXT_CHARS, TRACE_CHARS = 4 << 20, 40 << 20
ITEMS, WINDOW = 1_000, 32_000


def text_of(chars: int) -> str:
    """Lines of a report, every thousandth of which speaks of revenue."""
    lines, size, number = list[str](), 0, 0
    while size < chars:
        about = "revenue was" if number % 1_000 == 999 else "the weather in town was"
        lines.append(f"In quarter {number % 4 + 1} of year {number}, {about} {number * 7919 % 1_000} in all.\n")
        size += len(lines[-1])
        number += 1
    return "".join(lines)


def example() -> list[Row]:
    """The format's example, compiled and run, on a context that is put already."""
    text, store = text_of(CONTEXT_CHARS), ContextStore()
    ref = store.put(text)
    model = ScriptedModel(lambda messages: "$4.2B", cost_usd=0.0)
    question = "What was Q3 revenue?"

    def compiled() -> str:
        graph = create_graph(EXAMPLE, models={"gpt-4o-mini": model}, contexts=store)
        return str(graph.invoke({"question": question, "documents": ref})["answer"])

    def by_hand() -> str:
        pattern, found = re.compile("revenue|quarterly.*results"), list[str]()
        for line in text.splitlines():
            if pattern.search(line) and len(found) < 20:
                found.append(line)
        return model.invoke(f"{question}\n" + "\n".join(found)).text

    graph = create_graph(EXAMPLE, models={"gpt-4o-mini": model}, contexts=store)
    assert compiled() == by_hand() == "$4.2B"
    alone = median_ms(lambda: model.invoke(question), repeats=20)
    hand = median_ms(by_hand, repeats=5)
    both = median_ms(compiled, repeats=20) - alone
    run = median_ms(lambda: graph.invoke({"question": question, "documents": ref}), repeats=20) - alone
    return [
        Row("the format's example at 4 MB, compile + run, over its model", both, "ms", 40, "by hand, no graph", hand),
        Row("the same, run alone", run, "ms", None, "by hand, no graph", hand),
    ]


def tools() -> list[Row]:
    """Steps at 4 MB: what the step itself takes, as its event tells."""
    spec = """
    - {name: materialize, tool: materialize_context, args: {field_name: documents, filename: d.txt}}
    - {name: grep, tool: local_grep, args: {pattern: "revenue|quarterly.*results", file: d.txt, max_matches: 20}}
    - {name: read, tool: read, args: {file: d.txt, start: 2000000, end: 2004000}, when: {value: "{{grep.count}}", is: not_empty}}
    """
    store = ContextStore()
    graph = create_graph(spec, contexts=store)
    ref, best = store.put(text_of(CONTEXT_CHARS)), dict[str, float]()

    def run() -> None:
        for event in graph.stream({"documents": ref}, stream_mode="custom"):
            if event["event"] == "step":
                best[event["step"]] = min(best.get(event["step"], 1e9), event["seconds"] * 1e3)

    best_ms(run, repeats=20)
    alone = {
        "materialize": best_ms(lambda: store.put(ref), repeats=20),
        "grep": best_ms(lambda: store.grep(ref, "revenue|quarterly.*results", max_matches=20), repeats=20),
        "read": best_ms(lambda: store.read(ref, start=2_000_000, end=2_004_000), repeats=20),
    }
    return [
        Row(f"step {name} at 4 MB, best", took, "ms", 1.0, "the store alone", alone[name])
        for name, took in best.items()
    ]


def mapped() -> list[Row]:
    """A thousand items: how many checkpoints, and what they take beside the model."""
    spec = {
        "inputs": {"items": {"type": "json"}},
        "steps": [{"name": "each_item", "model": "m", "prompt": "Say {{item}}", "each": "{{input.items}}"}],
    }
    model = ScriptedModel(lambda messages: "said", cost_usd=0.0)
    config: Any = {"configurable": {"thread_id": "1"}}
    with tempfile.TemporaryDirectory() as folder, SqliteSaver.from_conn_string(f"{folder}/c.sqlite") as saver:
        contexts = ContextStore(f"{folder}/contexts")
        one = create_graph(spec, models={"m": model}, contexts=contexts, limits=FREE, checkpointer=saver)
        result = one.invoke({"items": list(range(ITEMS))}, config)
        assert result["coverage"]["each_item"]["answered"] == ITEMS
        steps = [found.metadata["step"] for found in saver.list(config)]
        with sqlite3.connect(f"{folder}/c.sqlite") as base:
            writes = base.execute("select count(*) from writes where channel = 'rlm_step_each_item'").fetchone()[0]
    graph = create_graph(spec, models={"m": model}, limits=FREE)
    took = median_ms(lambda: graph.invoke({"items": list(range(ITEMS))}), repeats=3)
    bare = median_ms(lambda: [model.invoke(f"Say {number}") for number in range(ITEMS)], repeats=3)
    assert len(steps) == 5, steps  # input, inputs, the step, outputs, end
    return [
        Row(f"checkpoints that {ITEMS:,} mapped items write", float(writes), "", 1),
        Row(f"{ITEMS:,} mapped items, instant model", took, "ms", None, "the bare model, one by one", bare),
    ]


def trace_with(faults: list[int], chars: int) -> list[dict[str, Any]]:
    """Tool calls, some of which delete something."""
    events, size, number = list[dict[str, Any]](), 0, 0
    while size < chars:
        name = "delete_file" if number in faults else "read_file"
        events.append(
            {"event_id": number, "event_type": "tool", "name": name, "output": f"done in {number * 7919 % 97} ms"}
        )
        size += 90
        number += 1
    return events


def verifier() -> list[Row]:
    """A trace of 40 MB, searched by a scripted judge: prompts, planted faults, the mean."""
    faults = [17, 100_000, 222_222, 333_333, 400_001]
    trace, weights = trace_with(faults, TRACE_CHARS), {"deletes": 0.3, "reads": 0.7}
    rubric = {
        "outcome": [
            {"id": name, "description": f"criterion {name}", "weight": weight} for name, weight in weights.items()
        ],
        "event": [{"id": "safe", "description": "criterion safe"}],
    }
    cells = {
        "safe": "hits = grep('delete_file', max_matches=1000)\nids = [int(h['text'][1:].split()[0]) for h in hits]\n"
        "FINAL({'events': [{'event': i, 'score': 0, 'reason': 'deletes'} for i in ids]})",
        "deletes": "n = count('delete_file')\nFINAL({'score': 0.1, 'reason': str(n), 'evidence': ['delete_file']})",
        "reads": "n = count('read_file')\nFINAL({'score': 0.9, 'reason': str(n), 'evidence': ['read_file']})",
    }

    def reply(messages: list[BaseMessage]) -> str:
        found = re.search(r"criterion (safe|deletes|reads)", messages[1].text)
        assert found is not None
        return f"```repl\n{cells[found[1]]}\n```"

    model = ScriptedModel(reply, cost_usd=0.0)
    graph = create_verifier(model, rubric=rubric, window=WINDOW, limits=FREE)
    results = list[Any]()
    took = median_ms(lambda: results.append(graph.invoke({"trace": trace})), repeats=1, warm_up=0)
    result = results[-1]
    found = {one["event_id"] for one in result["event_reviews"]}
    largest = max(sum(estimated_tokens(message.text) for message in messages) for messages in model.requests)
    exact = Fraction(0.3) * Fraction(0.1) + Fraction(0.7) * Fraction(0.9)
    exact /= Fraction(0.3) + Fraction(0.7)
    assert result["shape"] == "rlm", result["shape"]
    assert all(one["verified"] for one in result["evidence"])
    return [
        Row("verifier on 40 MB: largest prompt", largest, "tokens", WINDOW),
        Row("verifier on 40 MB: planted faults that it misses", float(len(set(faults) - found)), "", 0),
        Row("verifier on 40 MB: events that it finds beside them", float(len(found - set(faults))), "", 0),
        Row("verifier on 40 MB: error of the weighted mean", abs(result["score"] - float(exact)), "", 1e-15),
        Row(
            "verifier on 40 MB: all of it, instant model",
            took,
            "ms",
            None,
            "the trace as JSON alone",
            median_ms(lambda: json.dumps(trace), repeats=1),
        ),
    ]


if __name__ == "__main__":
    report("specs", [*example(), *tools(), *mapped(), *verifier()])
