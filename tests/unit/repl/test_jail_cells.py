"""Cells as models write them give the same output in the jail as in the plain worker."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from langgraph_rlm.repl import ReplContext
from tests.unit.repl.realistic_cells import CELLS, CONTEXT, Cell


def text(value: str) -> ReplContext:
    data = value.encode()
    return ReplContext("text", [], [len(data)], data)


@pytest.mark.parametrize("cell", CELLS, ids=[cell.name for cell in CELLS])
def test_a_realistic_cell_shows_what_plain_python_shows(session, cell: Cell):
    with ThreadPoolExecutor(8) as pool:

        def llm_query(prompt: str) -> Any:
            return pool.submit(lambda: f"<{prompt.strip().upper()}>")

        def llm_query_batched(prompts: list[str]) -> Any:
            return pool.submit(lambda: [f"<{prompt.upper()}>" for prompt in prompts])

        s = session(text(CONTEXT), llm_query=llm_query, llm_query_batched=llm_query_batched)
        for code in cell.before:
            assert s.run(code)["error"] is None
        result = s.run(cell.code)
    assert result["error"] is None, result["error"]
    assert (result["stdout"].rstrip("\n"), result["final"]) == (cell.shows, cell.final)


def test_a_cell_that_raises_shows_its_own_lines_and_keeps_what_it_had(session):
    s = session(text(CONTEXT))
    result = s.run("found = context.count('e')\nrows = []\nfor n in (1, 0):\n    rows.append(1 / n)")
    assert [line for line in result["error"].splitlines() if "^" not in line] == [
        "Traceback (most recent call last):",
        '  File "<cell 1>", line 4, in <module>',
        "    rows.append(1 / n)",
        "ZeroDivisionError: division by zero",
    ]
    assert s.shows("rows, found > 0") == "([1.0], True)"


def test_functions_see_globals_that_later_cells_change(session):
    s = session()
    s.run("rate = 2\ndef scaled(x): return x * rate\nclass Box:\n    def get(self): return scaled(self.x)")
    s.run("rate = 10\nbox = Box()\nbox.x = 4")
    assert s.shows("scaled(3), box.get(), [scaled(i) for i in range(3)]") == "(30, 40, [0, 10, 20])"


def test_a_list_of_texts_is_a_list_to_a_cell(session):
    parts = [f"Page {n}: naïve 🦜 {'x' * (n % 7)}" for n in range(2_000)]
    data = [part.encode() for part in parts]
    s = session(ReplContext("list", [], [len(part) for part in data], b"".join(data)))
    code = (
        "import random\n"
        "print(len(context), context[0], context[-1], context[3:5], 'Page 7: naïve 🦜 ' in context)\n"
        "print(sum(map(len, context)), max(context, key=len)[:7], [i for i, p in enumerate(context) if p.endswith('0: naïve 🦜 xxxxxx')][:2])\n"
        "print([p[:6] for p in context[::900]], context.index('Page 14: naïve 🦜 '), isinstance(context[5], str))\n"
        "a, b, *rest = context\n"
        "print(len(rest), ''.join(context).count('🦜'), sorted(context)[0], list(reversed(context))[0][:9])\n"
        "print(next(iter(context)), len(list(context)), bool(context), len(random.sample(list(context), 3)))"
    )
    total = sum(map(len, parts))
    sixes = [i for i, p in enumerate(parts) if p.endswith("0: naïve 🦜 xxxxxx")][:2]
    assert s.shows(code).splitlines() == [
        f"2000 {parts[0]} {parts[-1]} {parts[3:5]} True",
        f"{total} {max(parts, key=len)[:7]} {sixes}",
        f"{[p[:6] for p in parts[::900]]} 14 True",
        f"1998 2000 {min(parts)} {parts[-1][:9]}",
        f"{parts[0]} 2000 True 3",
    ]


def test_texts_by_name_are_a_dict_to_a_cell(session):
    parts = {f"dir/file_{n}.md": f"# Title {n}\nBody ü {n * n}" for n in range(300)}
    data = [part.encode() for part in parts.values()]
    s = session(ReplContext("documents", list(parts), [len(part) for part in data], b"".join(data)))
    code = (
        "print(len(context), list(context)[:2], context['dir/file_7.md'])\n"
        "print('dir/file_9.md' in context, 'nope' in context, context.get('nope'), context.get('nope', '?'))\n"
        "print([k for k, v in context.items() if 'Body ü 10000' in v], sum(len(v) for v in context.values()))\n"
        "print(max(context, key=lambda k: len(context[k])), {**context}['dir/file_0.md'][:7], bool(context))\n"
        "try: context['nope']\n"
        "except KeyError as e: print('KeyError', e)"
    )
    assert s.shows(code).splitlines() == [
        "300 ['dir/file_0.md', 'dir/file_1.md'] # Title 7",
        "Body ü 49",
        "True False None ?",
        f"['dir/file_100.md'] {sum(map(len, parts.values()))}",
        "dir/file_100.md # Title True",
        "KeyError 'nope'",
    ]


def test_matching_over_forty_megabytes_finds_what_is_there(session):
    line = "2024-01-07 INFO worker=7 nothing to see here, move along please\n"
    needles = ["2024-02-29 ERROR code=4711 user=zoë\n", "2024-03-01 ERROR code=0042 user=bob\n"]
    block = line * (20_000_000 // len(line))
    whole = block + needles[0] + block + needles[1]
    s = session(text(whole))
    code = (
        "import re\nfrom collections import Counter\n"
        "print(len(context), [m.group(1, 2) for m in re.finditer(r'ERROR code=(\\d+) user=(\\w+)', context)])\n"
        "print(context.find('zoë'), context.rfind('ERROR'), context.count('\\n'))\n"
        "print(Counter(l.split()[1] for l in context.splitlines()).most_common())"
    )
    lines = whole.count("\n")
    assert s.shows(code).splitlines() == [
        f"{len(whole)} [('4711', 'zoë'), ('0042', 'bob')]",
        f"{whole.find('zoë')} {whole.rfind('ERROR')} {lines}",
        f"[('INFO', {lines - 2}), ('ERROR', 2)]",
    ]
