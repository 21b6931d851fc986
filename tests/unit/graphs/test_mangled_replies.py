"""Replies put together of prose, cells and other blocks, with fences as careless models write them."""

from __future__ import annotations

import random
from typing import NamedTuple

import pytest

from langgraph_rlm.graphs.parsing import parse_reply
from tests.unit.graphs.replies_as_written import DOCSTRING, FSTRING, FUNCTION

CELLS = [
    "print(len(context))",
    "hits = grep('total', max_matches=5)\nfor hit in hits:\n    print(hit['doc_id'], hit['text'][:80])",
    "import re\nnumbers = re.findall(r'\\d+', context)\nprint(numbers[:10])",
    "answers = llm_query_batched([f\"What is in it?\\n{part}\" for part in parts])\nprint(answers[0])",
    "# it's the last one\nx = {'a': \"it's\", \"b\": 'a \"quote\"'}\nprint(x)",
    "def mean(values):\n    \"\"\"The mean.\"\"\"\n    return sum(values) / len(values)\n\nprint(mean([1, 2]))",
    "if total > 3:\n    print('more')\nelse:\n    print('less')",
    "text = context[100:200]\ntext",
    DOCSTRING,
    FUNCTION,
    FSTRING,
]  # fmt: skip
PROSE = [
    "I look at the beginning first.",
    "Now I count the lines; it's a long text.",
    "The value is 800.",
    "1. First I search.\n2. Then I count.",
    "So grep(pattern) helps, and `print(x)` shows it.",
    "The function f(x) = x ** 2 is used (see above).",
    "> a quoted line with print(context)",
]
OTHERS = [
    ("json", '{"print": "print(context)", "n": [1, 2]}'),
    ("bash", "grep -c total context.txt\npython count.py"),
    ("sql", "SELECT count(*) FROM lines WHERE total > 3"),
    ("output", "Total: 500\nprint(context)"),
    ("text", "FINAL(800)"),
    ("", "Total: 500\nMean: 3.5"),
    ("", '{"a": 1}'),
    ("", "| a | b |\n|---|---|\n| 1 | 2 |"),
    ("", "$ grep -c total context"),
    ("pycon", ">>> print(context)\n'x'"),
]
LANGUAGES = ["repl", "python", "py", "python3", "Python", "ipython", "REPL", "tool_code"]


class Written(NamedTuple):
    """A reply, and the cells that are in it."""

    text: str
    cells: list[str]


def fenced(code: str, rng: random.Random, *, last: bool) -> str:
    """A cell in a fence with some carelessness, glued to what stands before it or not."""
    marks = rng.choice(["```"] * 8 + ["~~~", "````"])
    opening = f"{marks}{rng.choice(['', '', '', ' '])}{rng.choice(LANGUAGES)}{rng.choice(['', '', '', '  '])}"
    closings = [f"\n{marks}"] * 6 + [f"\n{marks}  ", f"\n{marks}" + marks[0]]
    if marks != "~~~":
        closings += [f"\n{marks}<end_code>", f'\n{marks}[{{"a": 1}}]']
        if not code.endswith("text"):
            closings.append(marks)  # glued to the code
    if last:
        closings.append("")
    margin = rng.choice([""] * 6 + ["   "])
    body = (
        "\n".join(margin + line if line else line for line in code.split("\n"))
        if "'''" not in code and '"""' not in code
        else code
    )
    if body != code:
        return f"\n{margin}{opening}\n{body}{rng.choice(closings).replace(chr(10), chr(10) + margin)}\n"
    glued = marks == "```" and rng.random() < 0.2
    return f"{'' if glued else chr(10)}{opening}\n{body}{rng.choice(closings)}\n"


def other(rng: random.Random) -> str:
    language, content = rng.choice(OTHERS)
    marks = rng.choice(["```", "```", "~~~"])
    return f"\n{marks}{language}\n{content}\n{marks}\n"


def reply_of(seed: int) -> Written:
    """The same reply for the same seed."""
    rng = random.Random(seed)
    parts, cells = [rng.choice(PROSE)], list[str]()
    wanted = rng.choice([0, 1, 1, 1, 2, 3])
    for number in range(wanted):
        code = rng.choice(CELLS)
        block = fenced(code, rng, last=number == wanted - 1)
        quotes = parts[-1].lstrip().startswith(">")  # what is glued to a quotation is quoted
        parts.append(f"\n{block}" if quotes else block)
        cells.append(code)
        if not parts[-1].endswith(("```\n", "~~~\n", "`\n", "~\n", ">\n", "]\n", " \n")):
            break  # it is open to the end
        if rng.random() < 0.15:
            parts.append("\n```\n")  # a stray end
        if rng.random() < 0.3:
            parts.append(other(rng))
        if rng.random() < 0.7 or number < wanted - 1:
            parts.append("\n" + rng.choice(PROSE))
    else:
        if rng.random() < 0.3:
            parts.append("\n\n" + rng.choice(PROSE) + other(rng))
    text = "".join(parts)
    return Written(text.replace("\n", "\r\n") if rng.random() < 0.1 else text, cells)


def read(count: int, first: int = 0) -> tuple[list[Written], list[Written]]:
    """The replies of which a cell was not read, and those that gave a cell nobody wrote."""
    unread, invented = [], []
    for seed in range(first, first + count):
        written = reply_of(seed)
        found = parse_reply(written.text).cells
        if found != written.cells:
            unread.append(written)
        if any(cell not in CELLS for cell in found):
            invented.append(written)
    return unread, invented


@pytest.mark.parametrize("first", [0, 1_000_000])
def test_mangled_replies_are_read(first: int) -> None:
    unread, invented = read(400, first)
    assert invented == []
    assert len(unread) <= 4, unread


@pytest.mark.slow
def test_of_ten_thousand_mangled_replies_one_in_a_hundred_may_be_unread() -> None:
    unread, invented = read(10_000, 10_000)
    assert invented == []
    assert len(unread) <= 100, unread[:3]


def test_the_replies_are_as_careless_as_they_are_meant_to_be() -> None:
    replies = [reply_of(seed) for seed in range(400)]
    assert sum(len(reply.cells) for reply in replies) > 400
    for mark in ("```<end_code>", '```[{"a"', ".```", "~~~", "````", "\r\n", "\n```\n\n"):
        assert any(mark in reply.text for reply in replies), mark
