"""Tasks over long texts, as RULER has them, at three lengths: exact at each, with prompts that do not grow.

The root model is a script that writes the cells which a model writes for such a task; the sub-model answers from its
prompt alone. So what is tested is everything between the two: contexts, cells, searches, batches, prompts.
"""

from __future__ import annotations

import itertools
import random
import re
from collections import Counter
from typing import Any, NamedTuple

import pytest

from langgraph_rlm import ContextStore, Limits, create_rlm
from tests.support import cell, scripted, text_of

WORDS = [
    "amber",
    "basin",
    "cedar",
    "delta",
    "ember",
    "fjord",
    "grove",
    "haven",
    "inlet",
    "jetty",
    "knoll",
    "lagoon",
    "meadow",
]
LENGTHS = [64_000, 1_000_000, pytest.param(4_000_000, id="4000000")]
WINDOW = 60_000


class Task(NamedTuple):
    question: str
    text: str
    answer: str
    cells: list[str]
    """In plain Python over ``context``."""
    mapped: list[str]
    """With a sub-call for each piece."""


def filler(length: int, seed: int) -> list[str]:
    """Lines of words, of this many characters in all."""
    drawn = random.Random(seed)
    line = lambda: " ".join(drawn.choices(WORDS, k=12)) + ".\n"  # noqa: E731
    lines, size = list[str](), 0
    while size < length:
        lines.append(line())
        size += len(lines[-1])
    return lines


def hidden(length: int, seed: int, facts: list[str]) -> str:
    """The facts, in order, at random places between the lines."""
    lines, drawn = filler(length, seed), random.Random(seed + 1)
    for place, fact in zip(
        sorted(drawn.sample(range(len(lines)), len(facts)), reverse=True), reversed(facts), strict=True
    ):
        lines.insert(place, fact + "\n")
    return "".join(lines)


PIECES = "size = 40_000\npieces = [context[at : at + size + 200] for at in range(0, len(context), size)]\n"
"""They overlap by more than a line: nothing is cut in two in all of them."""


def needle(length: int) -> Task:
    return Task(
        "What is the code of the vault?",
        hidden(length, 1, ["The code of the vault is 83a7."]),
        "83a7",
        [cell("hit = grep(r'code of the vault is (\\w+)')[0]", "FINAL(hit['text'].split()[-1].rstrip('.'))")],
        [
            cell(
                PIECES + "found = llm_query_batched(['code of the vault is\\n' + p for p in pieces])",
                "FINAL(next(f for f in found if f != 'none'))",
            )
        ],
    )


def several_keys(length: int) -> Task:
    drawn = random.Random(2)
    values = {f"key-{n}": str(drawn.randrange(10**6)) for n in range(40)}
    wanted = ["key-7", "key-23", "key-39"]
    return Task(
        f"What are the values of {', '.join(wanted)}?",
        hidden(length, 3, [f"The value of {key} is {value}." for key, value in values.items()]),
        " ".join(values[key] for key in wanted),
        [
            cell(
                "import re",
                "values = dict(re.findall(r'The value of (key-\\d+) is (\\d+)', context))",
                f"FINAL(' '.join(values[k] for k in {wanted}))",
            )
        ],
        [
            cell(
                PIECES + f"asked = [(k, p) for k in {wanted} for p in pieces]",
                "found = llm_query_batched([f'value of {k} is\\n{p}' for k, p in asked])",
                "values = {k: f for (k, _), f in zip(asked, found) if f != 'none'}",
                f"FINAL(' '.join(values[k] for k in {wanted}))",
            )
        ],
    )


def several_values(length: int) -> Task:
    drawn = random.Random(4)
    numbers = [str(drawn.randrange(10**6)) for _ in range(12)]
    return Task(
        "Which numbers does the lighthouse have, in order?",
        hidden(length, 5, [f"A number of the lighthouse is {number}." for number in numbers]),
        " ".join(numbers),
        [
            cell(
                "hits = grep(r'number of the lighthouse is \\d+', max_matches=100)", "print(len(hits), hits.complete)"
            ),
            cell("FINAL(' '.join(hit['text'].rstrip('.').split()[-1] for hit in hits))"),
        ],
        [
            cell(
                PIECES + "found = llm_query_batched(['every number of the lighthouse is\\n' + p for p in pieces])",
                "seen = [n for f in found if f != 'none' for n in f.split()]",
                "FINAL(' '.join(dict.fromkeys(seen)))",
            )
        ],
    )


def variables(length: int) -> Task:
    drawn = random.Random(6)
    names = drawn.sample([f"var_{a}{b}" for a in "abcdef" for b in "uvwxyz"], 24)
    chain, others = names[:8], names[8:]
    facts = [f"let {chain[0]} = 4711;", *(f"let {b} = {a};" for a, b in itertools.pairwise(chain))]
    facts += [f"let {name} = {drawn.randrange(100)};" for name in others]
    return Task(
        "Which variables have the value 4711?",
        hidden(length, 7, facts),
        " ".join(sorted(chain)),
        [
            cell("pairs = [h['text'] for h in grep(r'^let \\w+ = \\w+;$', max_matches=1000)]", "print(len(pairs))"),
            cell(
                "values, known = dict(p[4:-1].split(' = ') for p in pairs), {'4711'}",
                "while more := {a for a, b in values.items() if b in known} - known: known |= more",
                "FINAL(' '.join(sorted(known - {'4711'})))",
            ),
        ],
        [
            cell(
                "known, new = [], '4711'",
                "while new:",
                "    place = context.find(f' = {new};')",
                "    piece = context[max(0, place - 300) : place + 300] if place >= 0 else ''",
                "    found = llm_query(f'variable set to {new}\\n{piece}') if piece else 'none'",
                "    new = None if found == 'none' else found",
                "    known += [new] if new else []",
                "FINAL(' '.join(sorted(known)))",
            )
        ],
    )


def word_counts(length: int) -> Task:
    text = "".join(filler(length, 8))
    counts = Counter(re.findall(r"\w+", text))
    answer = " ".join(f"{word}:{count}" for word, count in sorted(counts.items()))
    return Task(
        "How often does each word occur?",
        text,
        answer,
        [
            cell(
                "import re",
                "from collections import Counter",
                "counts = Counter(w for line in context.splitlines() for w in re.findall(r'\\w+', line))",
                "FINAL(' '.join(f'{w}:{n}' for w, n in sorted(counts.items())))",
            )
        ],
        [
            cell(
                "from collections import Counter",
                "lines, pieces, size = context.splitlines(True), [[]], 0",
                "for line in lines:",
                "    if size + len(line) > 40_000: pieces.append([]); size = 0",
                "    pieces[-1].append(line); size += len(line)",
                "found = llm_query_batched(['count the words\\n' + ''.join(p) for p in pieces], schema=dict[str, int])",
                "counts = sum(map(Counter, found), Counter())",
                "FINAL(' '.join(f'{w}:{n}' for w, n in sorted(counts.items())))",
            )
        ],
    )


def sub_model(messages: Any) -> str:
    """Reads its prompt and nothing else."""
    order, _, text = messages[-1].text.partition("\n")
    if order.startswith("count the words"):
        text = text.partition("\n\nReply with JSON")[0]
        return "{" + ", ".join(f'"{w}": {n}' for w, n in Counter(re.findall(r"\w+", text)).items()) + "}"
    if order.startswith("every "):
        found = re.findall(re.escape(order[6:]) + r" (\w+)\.", text)
        return " ".join(found) or "none"
    if order.startswith("variable set to "):
        match = re.search(rf"let (\w+) = {order.split()[-1]};", text)
        return match[1] if match else "none"
    match = re.search(re.escape(order) + r" (\w+)\.", text)
    return match[1] if match else "none"


TASKS = [needle, several_keys, several_values, variables, word_counts]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("way", ["cells", "mapped"])
@pytest.mark.parametrize("made", TASKS, ids=lambda made: made.__name__)
def test_the_answer_is_exact_at_every_length(made: Any, way: str, length: int) -> None:
    task = made(length)
    root, sub = scripted(getattr(task, way), window=WINDOW), scripted(sub_model, window=WINDOW)
    limits = Limits(max_calls=None, max_cost_usd=None)
    done = create_rlm(root, sub_model=sub, limits=limits).invoke({"question": task.question, "context": task.text})
    assert done["answer"] == task.answer
    assert done["stop_reason"] == "answered"
    for request in (*root.requests, *sub.requests):
        assert len(text_of(request)) < 4 * WINDOW
    if way == "cells":
        assert sub.requests == []
    elif made is not variables:
        assert len(sub.requests) >= length // 40_200


def test_the_prompts_of_the_root_do_not_grow_with_the_context() -> None:
    sizes = []
    for length in (64_000, 4_000_000):
        task, contexts = needle(length), ContextStore()
        root = scripted([cell("print(grep('vault', max_matches=1)[0]['text'])"), cell("FINAL(1)")])
        create_rlm(root, contexts=contexts).invoke({"question": task.question, "context": contexts.put(task.text)})
        sizes.append([len(text_of(request)) for request in root.requests])
    assert all(abs(short - long) < 20 for short, long in zip(*sizes, strict=True))
