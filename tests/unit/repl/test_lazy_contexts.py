"""Contexts that are too large to be loaded: in a cell they are lazy sequences, and answer as the real ones would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langgraph_rlm import create_rlm
from langgraph_rlm.repl import ProcessFactory, ReplContext, ReplLimits, replay
from langgraph_rlm.repl import lazy as lazy_module
from langgraph_rlm.repl.jail import JailFactory, available
from langgraph_rlm.repl.lazy import LazyContext, Sizes, memory_of
from langgraph_rlm.repl.worker.context.views import decoded
from langgraph_rlm.repl.worker.lazy import lazy_context
from langgraph_rlm.types import Turn
from tests.support import cell, scripted, text_of

SMALL = 64 << 10


def context_of(content: Any, digest: str = "") -> ReplContext:
    if isinstance(content, str):
        return ReplContext("text", [], [len(content.encode())], content.encode(), digest)
    names = list(content) if isinstance(content, dict) else []
    parts = [part.encode() for part in (content.values() if names else content)]
    return ReplContext("fields" if names else "list", names, [len(part) for part in parts], b"".join(parts), digest)


def lazy(content: Any) -> Any:
    """The content as a cell has it, with a host in the same process."""
    host = LazyContext(context_of(content))

    def ask(*request: Any) -> Any:
        answer = host("__context__", list(request), {})
        return answer.result(20) if isinstance(answer, Future) else answer

    return lazy_context(host.description, ask)


def outcome(call: Any) -> Any:
    try:
        return call()
    except (IndexError, KeyError, TypeError, ValueError) as error:
        return type(error)


# --- as the real ones ---------------------------------------------------------------------------------------------

texts = st.text(st.sampled_from("ab\néß漢😀\u0301\r\0"), max_size=60)
bounds = st.none() | st.integers(-70, 70)


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """So small that every border of a block is crossed."""
    monkeypatch.setattr(lazy_module, "_SCAN", 7)
    monkeypatch.setattr(lazy_module, "_PAGE", 3)
    for module in ("lazy", "worker.lazy"):
        monkeypatch.setattr(f"langgraph_rlm.repl.{module}.MOST_CHARS", 16)


@settings(max_examples=300, deadline=None)
@given(text=texts, sub=st.text(st.sampled_from("ab\né漢😀"), max_size=4), start=bounds, end=bounds, step=bounds)
def test_a_lazy_text_answers_as_a_str(text: str, sub: str, start: Any, end: Any, step: Any) -> None:
    one = lazy(text)
    assert len(one) == len(text)
    assert outcome(lambda: one[start:end:step]) == outcome(lambda: text[start:end:step])
    if start is not None:
        assert outcome(lambda: one[start]) == outcome(lambda: text[start])
    assert one.find(sub, start, end) == text.find(sub, start, end)
    assert one.rfind(sub, start, end) == text.rfind(sub, start, end)
    assert one.count(sub, start, end) == text.count(sub, start, end)
    assert outcome(lambda: one.index(sub)) == outcome(lambda: text.index(sub))
    assert (sub in one) == (sub in text)
    assert "".join(one) == text
    lines = text.split("\n")
    assert list(one.lines()) == (lines if lines[-1] else lines[:-1])


@settings(max_examples=150, deadline=None)
@given(parts=st.lists(texts, min_size=1, max_size=12), start=bounds, end=bounds, step=st.none() | st.integers(1, 3))
def test_a_lazy_list_answers_as_a_list(parts: list[str], start: Any, end: Any, step: Any) -> None:
    one = lazy(parts)
    assert len(one) == len(parts)
    assert [whole(part) for part in one] == parts
    assert [whole(part) for part in one[start:end:step]] == parts[start:end:step]
    for at in range(-13, 13):
        assert outcome(lambda at=at: whole(one[at])) == outcome(lambda at=at: parts[at])
    assert [whole(part) for part in reversed(one)] == parts[::-1]


@settings(max_examples=100, deadline=None)
@given(parts=st.dictionaries(st.text(min_size=1, max_size=5), texts, min_size=1, max_size=12))
def test_a_lazy_dict_answers_as_a_dict(parts: dict[str, str]) -> None:
    one = lazy(parts)
    assert (len(one), list(one), list(one.keys())) == (len(parts), list(parts), list(parts))
    assert {name: whole(part) for name, part in one.items()} == parts
    assert [whole(part) for part in one.values()] == list(parts.values())
    for name in parts:
        assert whole(one[name]) == parts[name]
        assert name in one
    assert one.get("no such name") is None
    assert 5 not in one
    assert outcome(lambda: one["no such name"]) is KeyError


def whole(part: Any) -> str:
    return part if isinstance(part, str) else part[:]


# --- in cells -----------------------------------------------------------------------------------------------------


@pytest.fixture(params=["jail", "unsafe"])
def factory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.undo()  # cells have the usual pages
    if request.param == "jail" and (why_not := available()) is not None:
        pytest.skip(why_not)
    kinds: dict[str, Any] = {"jail": JailFactory, "unsafe": ProcessFactory}
    made = kinds[request.param](max_context_bytes=SMALL)
    yield made
    made.close()


TEXT = "".join(f"line {n} é😀\n" for n in range(9_000))


def run(factory: Any, content: Any, *codes: str) -> list[Any]:
    repl = factory.start(context_of(content, f"digest of {len(content)}"), [], ReplLimits())
    try:
        return [repl.execute(code, _no_calls) for code in codes]
    finally:
        repl.close()


def _no_calls(name: str, *_: Any) -> None:
    raise AssertionError(f"the run has no function {name}")


def test_a_cell_searches_and_cuts_a_text_that_is_not_loaded(factory: Any) -> None:
    code = (
        "at = context.find('line 8999')\n"
        "print(len(context), at, context[at:at + 9], context.count('😀'), 'line 7 ' in context, context[-2])\n"
        "print(sum(1 for line in context.lines()), next(context.lines()))\n"
        "print(repr(context))"
    )
    [shown] = run(factory, TEXT, code)
    assert shown["error"] is None
    first, second, third = shown["stdout"].splitlines()
    assert first == f"{len(TEXT)} {TEXT.find('line 8999')} line 8999 9000 True 😀"
    assert second == "9000 line 0 é😀"
    assert "not loaded" in third


def test_what_a_lazy_text_cannot_do_is_said_with_what_to_do_instead(factory: Any) -> None:
    split, huge, joined = run(factory, TEXT, "context.split()", "import re\nre.findall('x', context)", "context + 'x'")
    assert "AttributeError" in split["error"]
    assert "is not loaded, so it has no split()" in split["error"]
    assert "TypeError" in huge["error"]
    assert "TypeError" in joined["error"]


def test_lists_and_dicts_of_texts_are_lazy_too(factory: Any) -> None:
    lines = TEXT.splitlines()
    [shown] = run(factory, lines, "print(len(context), context[8999], sum(map(len, context)), context[5:7])")
    assert shown["stdout"] == f"9000 {lines[8999]} {sum(map(len, lines))} {lines[5:7]}\n"
    named = {f"n{n}": line for n, line in enumerate(lines)}
    [shown] = run(factory, named, "print(len(context), context['n77'], sum(len(t) for n, t in context.items()))")
    assert shown["stdout"] == f"9000 {named['n77']} {sum(map(len, lines))}\n"


def test_a_context_within_the_bound_is_an_ordinary_str(factory: Any) -> None:
    [shown] = run(factory, "x" * (SMALL - 100), "print(type(context).__name__)")
    assert shown["stdout"] == "str\n"
    [shown] = run(factory, "x" * (SMALL + 100), "print(type(context).__name__)")
    assert shown["stdout"] == "LazyText\n"


@pytest.mark.parametrize(
    "request_",
    [
        "()", "('chars',)", "('chars', 1)", "('chars', -1)", "('chars', True)", "('chars', 0.5)", "('chars', '0')",
        "('read', 0, 0, 10 ** 9)", "('read', 0, -1, 5)", "('open', '/etc/passwd')", "('__class__',)",
        "('find', 0, 'x' * (5 << 20), 0, 9)", "('parts', 10 ** 12, 10 ** 13)", "('names', 0)", "('place',)", "([],)",
    ],
)  # fmt: skip
def test_requests_that_the_worker_never_makes_get_an_error_and_nothing_else(factory: Any, request_: str) -> None:
    ask = "ask = context._ask\n"
    [shown, after] = run(factory, TEXT, f"{ask}ask(*{request_})", f"{ask}print(ask('read', 0, 0, 4))")
    assert any(kind in shown["error"] for kind in ("TypeError", "ValueError", "IndexError", "RuntimeError"))
    assert "/" not in shown["error"].splitlines()[-1].replace("/etc/passwd", "")
    assert after["stdout"] == "line\n"


def test_a_session_with_a_loaded_context_cannot_ask_for_one_that_is_not(factory: Any) -> None:
    repl = factory.start(context_of("short"), ["known"], ReplLimits())
    code = "import sys\nf = known.__closure__\nwire = next(c.cell_contents for c in f if hasattr(c.cell_contents, 'call'))\n"
    shown = repl.execute(code + "wire.call('__context__', ('chars', 0), {})", _no_calls)
    repl.close()
    assert shown["killed"]
    assert "disturbed the connection" in shown["error"]


def test_a_session_on_it_is_rebuilt_by_replay(factory: Any) -> None:
    codes = ["at = context.find('line 500 ')", "print(context[at:at + 8])"]
    results = run(factory, TEXT, *codes)
    turns = [
        Turn(
            number=n, thought="", code=code, output="", error=None, digest=result["digest"], seconds=0, killed=False, calls={}
        )
        for n, (code, result) in enumerate(zip(codes, results, strict=True))
    ]  # fmt: skip
    repl, differing = replay(
        lambda: factory.start(context_of(TEXT, "d"), [], ReplLimits()), turns, lambda index: _no_calls
    )
    shown = repl.execute("at", _no_calls)
    repl.close()
    assert (differing, shown["stdout"]) == ([], f"{TEXT.find('line 500 ')}\n")


def test_the_system_prompt_says_so_and_the_answer_is_found(factory: Any) -> None:
    root = scripted([cell("FINAL(context.count('é'))")])
    done = create_rlm(root, sandbox=factory).invoke({"question": "How many?", "context": TEXT})
    assert done["answer"] == "9000"
    assert "too large to be loaded: `context` is a lazy text, not a str" in text_of(root.requests[0])
    root = scripted([cell("FINAL(context)")])
    assert create_rlm(root, sandbox=factory).invoke({"question": "What?", "context": "short"})["answer"] == "short"
    assert "too large to be loaded" not in text_of(root.requests[0])


# --- how large is too large ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("letter", ["a", "é", "漢", "😀"])
def test_sizes_are_those_of_getsizeof(letter: str) -> None:
    import sys

    for content in (letter * 5_000, ["ab" * 20_000, letter * 40_000, ""], {"k": letter * 70_000, "l": "x"}):
        context = context_of(content)
        parts = (
            [content] if isinstance(content, str) else list(content.values() if isinstance(content, dict) else content)
        )
        assert memory_of(context) == sum(map(sys.getsizeof, parts))


def test_of_many_small_parts_the_texts_they_are_joined_in_count() -> None:
    from array import array

    parts = ["x" * 50] * 60_000
    context = context_of(parts)
    made = decoded("list", [], array("Q", context.sizes).tobytes(), memoryview(context.data))
    texts = made.__sizeof__() - array("I", [0] * (len(parts) + 1)).__sizeof__()
    assert memory_of(context) == pytest.approx(texts, rel=0.01)


def test_a_context_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(lazy_module, "memory_of", lambda context: asked.append(1) or 99)
    sizes, context = Sizes(100), context_of("x" * 60, "digest")
    assert [sizes.loads(context) for _ in range(3)] == [True] * 3
    assert len(asked) == 1


@pytest.mark.slow
def test_six_hundred_megabytes_are_not_loaded_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    data = (b"x" * 99 + b"\n") * 6_000_000
    factory = JailFactory()
    repl = factory.start(ReplContext("text", [], [len(data)], data, "d"), [], ReplLimits())
    shown = repl.execute(
        "import json\nprint(json.dumps([len(context), context.find('y'), context[-3:], context.count('\\n')]))",
        _no_calls,
    )
    pid = repl._worker.pid  # type: ignore[attr-defined]
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    used = sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    repl.close()
    factory.close()
    assert json.loads(shown["stdout"]) == [600_000_000, -1, "xx\n", 6_000_000]
    assert used < 100_000, "KB"
