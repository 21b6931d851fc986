"""Every expression of the package, the texts that are evil to it, and how its time grows with them.

Run as a program it prints a line of JSON for each expression that is super-linear; ``python tests/expressions.py quick`` looks
at shorter texts. It runs in a process of its own, whose processor time the caller limits: ``re`` cannot be interrupted.
"""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

MANY = 16
"""A repeat of at most so many is a constant."""
POOL = " a0\n_-.,;:\"'`()[]{}<>/*\\#=|$@!Aeé\t"
MISSES = ("", "\x00", "\n")
UNITS = (
    "a b()\n",
    "/*\n",
    "def a(\n",
    "class A {\n",
    '\\"',
    '"\\"',
    "a ",
    "A b ",
    "[",
    "](",
    "<a ",
    "a.",
    "((",
    "a\n",
    "```\n",
    "1,",
)
"""What is evil to many expressions."""
LEAST_SECONDS = 0.05
MOST_GROWTH = 8.0
"""Of the time, for four times the text: a linear expression has four, a quadratic one sixteen."""


class Expression(NamedTuple):
    """A compiled expression and where it stands."""

    where: str
    compiled: Any


# --- finding them -----------------------------------------------------------------------------------------------------


def expressions() -> list[Expression]:
    """All expressions of the package: compiled ones in modules, classes and containers, and those in calls of ``re``."""
    import langgraph_rlm

    found: dict[int, Expression] = {}
    for module in _modules(langgraph_rlm):
        for name, value in vars(module).items():
            for where, compiled in _within(value, name, module.__name__, set()):
                found.setdefault(id(compiled), Expression(f"{module.__name__}.{where}", compiled))
    for where, compiled in _written_in_calls(Path(langgraph_rlm.__file__).parent):
        found.setdefault(id(compiled), Expression(where, compiled))  # re keeps what it has compiled
    return list(found.values())


def _modules(package: Any) -> Iterator[Any]:
    yield package
    for info in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not info.name.endswith("__main__"):
            yield importlib.import_module(info.name)


def _within(value: Any, name: str, module: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    if id(value) in seen:
        return
    seen.add(id(value))
    if _is_expression(value):
        yield name, value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from _within(one, f"{name}[{key!r}]", module, seen)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for at, one in enumerate(value):
            yield from _within(one, f"{name}[{at}]", module, seen)
    elif isinstance(value, type):
        if value.__module__ == module:
            for attribute, one in vars(value).items():
                yield from _within(one, f"{name}.{attribute}", module, seen)
    elif type(value).__module__.startswith("langgraph_rlm"):
        for attribute, one in getattr(value, "__dict__", {}).items():
            yield from _within(one, f"{name}.{attribute}", module, seen)
    elif callable(value) and getattr(value, "__module__", None) == module:
        for one in (
            *(getattr(value, "__defaults__", None) or ()),
            *(getattr(value, "__kwdefaults__", None) or {}).values(),
        ):
            yield from _within(one, f"{name}()", module, seen)


def _is_expression(value: Any) -> bool:
    return isinstance(value, re.Pattern) or (
        type(value).__module__.split(".")[0] == "re2" and hasattr(value, "finditer")
    )


def _written_in_calls(folder: Path) -> Iterator[tuple[str, Any]]:
    """``re.sub("…", …)`` within functions, where the expression is a constant."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "re"
                and node.args
                and isinstance(node.args[0], ast.Constant)
                and isinstance(node.args[0].value, (str, bytes))
            ):
                given = [ast.unparse(one) for one in [*node.args[1:], *(word.value for word in node.keywords)]]
                flags = sum(
                    int(getattr(re, name))
                    for name in ("IGNORECASE", "MULTILINE", "DOTALL")
                    if f"re.{name}" in " ".join(given)
                )
                yield f"{path.relative_to(folder)}:{node.lineno}", re.compile(node.args[0].value, flags)


# --- texts that are evil to one ---------------------------------------------------------------------------------------


def evil_texts(pattern: str | bytes, flags: int, size: int) -> Iterator[tuple[str, str]]:
    """What a text is made of, and the text of about ``size`` characters."""
    seen: set[str] = set()
    for head, unit, tail in _evils(pattern, flags):
        if unit and (made := f"{head!r} + {unit!r} * n + {tail!r}") not in seen:
            seen.add(made)
            yield made, head + unit * (size // len(unit)) + tail


def _evils(pattern: str | bytes, flags: int) -> Iterator[tuple[str, str, str]]:
    for unit in UNITS:
        yield "", unit, ""
    written = pattern.decode("latin-1") if isinstance(pattern, bytes) else pattern
    for char in dict.fromkeys(char for char in written if not char.isalnum()):
        yield "", char, "\x00"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parsed = list(re._parser.parse(written, flags & ~re.UNICODE if isinstance(pattern, bytes) else flags))  # type: ignore[attr-defined]
    except re.error:  # re2's own syntax
        return
    whole = _sample(parsed, 0)
    yield "", whole, "\x00"
    yield "", whole + "\n", "\x00"
    for before, body, after in _repeats(parsed, ""):
        units = dict.fromkeys((*(_sample(body, number) for number in range(4)), *_alike(body)))
        for unit in units:
            for miss in MISSES:
                yield before, unit, miss
            yield before, unit, after[:-1] + "\x00"
            yield "", before + unit, "\x00"
            yield "", before + unit + after[:-1] + "\n", ""
            yield "", before + unit + "\n", ""
            yield before, unit + after[:1], "\x00"
        if before:
            yield "", before, "\x00"
            yield "", before + "\n", ""


def _alike(body: Any) -> Iterator[str]:
    """Characters that a repeated part matches one by one."""
    if len(body) == 1:
        yield from [char for char in POOL if _takes(body[0], char)][:6]


def _repeats(sequence: Any, before: str) -> Iterator[tuple[str, Any, str]]:
    """For each long repeat: what may stand before it, its body, what may stand behind it."""
    for at, (kind, value) in enumerate(sequence):
        name = str(kind)
        rest = _sample(sequence[at + 1 :], 0)
        if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            least, most, body = value[0], value[1], list(value[2])
            if int(most) > MANY:
                yield before, body, rest
            for inner_before, inner, inner_after in _repeats(body, before):
                yield inner_before, inner, inner_after + rest
            before += _sample(body, 0) * (min(int(least), MANY) or (int(most) > 1))
        else:
            for body in _bodies(name, value):
                for inner_before, inner, inner_after in _repeats(body, before):
                    yield inner_before, inner, inner_after + rest
            before += _sample([(kind, value)], 0)


def _bodies(name: str, value: Any) -> list[Any]:
    if name == "SUBPATTERN":
        return [list(value[3])]
    if name == "ATOMIC_GROUP":
        return [list(value)]
    if name == "BRANCH":
        return [list(branch) for branch in value[1]]
    if name in ("ASSERT", "ASSERT_NOT"):
        return [list(value[1])]
    if name == "GROUPREF_EXISTS":
        return [list(one) for one in value[1:] if one is not None]
    return []


def _sample(sequence: Any, number: int) -> str:
    """A text that the sequence matches, if nothing around it is asked for; ``number`` picks among several."""
    out = ""
    for kind, value in sequence:
        name = str(kind)
        if name == "LITERAL":
            out += chr(value)
        elif name in ("IN", "ANY", "NOT_LITERAL"):
            fitting = [char for char in POOL if _takes((kind, value), char)]
            out += fitting[number % len(fitting)] if fitting else _first_of(value)
        elif name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            out += _sample(list(value[2]), number) * max(1, min(int(value[0]), MANY))
        elif (bodies := _bodies(name, value)) and name not in ("ASSERT", "ASSERT_NOT"):
            out += _sample(bodies[number % len(bodies)], number)
    return out


def _takes(node: Any, char: str) -> bool:
    kind, value = str(node[0]), node[1]
    if kind == "ANY":
        return char != "\n"
    if kind == "NOT_LITERAL":
        return ord(char) != value
    if kind == "LITERAL":
        return ord(char) == value
    if kind != "IN":
        return False
    items = [(str(name), one) for name, one in value]
    negated = bool(items) and items[0][0] == "NEGATE"
    return negated != any(_in_class(name, one, char) for name, one in items[negated:])


def _in_class(name: str, value: Any, char: str) -> bool:
    if name == "LITERAL":
        return ord(char) == value
    if name == "RANGE":
        return bool(value[0] <= ord(char) <= value[1])
    category = str(value)
    inside = {
        "WORD": char.isalnum() or char == "_",
        "DIGIT": char.isdigit(),
        "SPACE": char.isspace(),
    }[category.removeprefix("CATEGORY_").removeprefix("NOT_").removeprefix("UNI_").removeprefix("UNI_NOT_")]
    return inside != ("NOT_" in category)


def _first_of(value: Any) -> str:
    for name, one in value:
        if str(name) == "LITERAL":
            return chr(one)
        if str(name) == "RANGE":
            return chr(one[0])
    return "x"


# --- how it grows -----------------------------------------------------------------------------------------------------


def seconds(compiled: Any, text: str) -> float:
    """Of the processor, for all matches in a text."""
    given: Any = text.encode() if isinstance(compiled.pattern, bytes) else text
    begun = time.process_time()
    for _ in compiled.finditer(given):
        pass
    return time.process_time() - begun


def super_linear(expression: Expression, size: int) -> dict[str, Any] | None:
    """The first text whose time grows faster than its length; None where there is none."""
    compiled = expression.compiled
    large, small = (evil_texts(compiled.pattern, getattr(compiled, "flags", 0), length) for length in (size, size // 4))
    for (made, text), (_, quarter) in zip(large, small, strict=True):
        if (found := _grows(partial(seconds, compiled), text, quarter)) is not None:
            return {"where": expression.where, "text": made, "seconds": found}
    return None


def super_linear_definitions(size: int) -> Iterator[dict[str, Any]]:
    """The same for what several expressions do together: the names that a file defines."""
    from langgraph_rlm.corpus.names.definitions import definitions

    def work(name: str, text: str) -> float:
        begun = time.process_time()
        definitions(name, text, {})
        return time.process_time() - begun

    more = ("</h1><h1>", "# a\n", "a\n===\n", "int f(\n", "f(g(\n", '"""\n\\', "'''a\n", "public ", "  int a(b) {\n")
    for name in ("a.java", "a.py", "a.js", "a.go", "a.rs", "a.md", "a.html", "a.txt"):
        for unit in (*UNITS, *more):
            text, quarter = (unit * (length // len(unit)) for length in (size, size // 4))
            if (found := _grows(partial(work, name), text, quarter)) is not None:
                yield {"where": f"definitions({name!r})", "text": f"{unit!r} * n", "seconds": found}


def _grows(work: Callable[[str], float], text: str, quarter: str) -> list[float] | None:
    """Seconds for a quarter and for the whole where these are more than what is linear."""
    if work(quarter) < LEAST_SECONDS and work(text) < LEAST_SECONDS:
        return None
    before, took = (min(work(one) for _ in range(2)) for one in (quarter, text))
    return [round(before, 4), round(took, 4)] if took > LEAST_SECONDS and took > MOST_GROWTH * before else None


def main(size: int) -> None:
    """Print what is super-linear, and at the end how many were looked at."""
    found = expressions()
    for expression in found:
        bad = super_linear(expression, size)
        if bad is not None:
            print(json.dumps(bad), flush=True)
    for bad in super_linear_definitions(4 * size):
        print(json.dumps(bad), flush=True)
    print(json.dumps({"expressions": len(found)}), flush=True)


if __name__ == "__main__":
    main(8_000 if "quick" in sys.argv else 32_000)
