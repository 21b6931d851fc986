"""ripgrep counts what our own scan counts, and whatever becomes of it, the count is right."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_rlm.errors import PatternError
from langgraph_rlm.text import ripgrep
from langgraph_rlm.text.plan import plan_of
from langgraph_rlm.text.ripgrep import Ripgrep, translated
from langgraph_rlm.text.search import Count, count_documents
from langgraph_rlm.text.store import ContextStore
from langgraph_rlm.text.stored import Stored


@pytest.fixture(autouse=True, scope="module")
def _small_contexts_count_as_large_ones() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ripgrep, "LEAST_BYTES", 1)
        patch.setattr(ripgrep, "_MOST_ASIDE_SHARE", 2.0)
        patch.setattr(ripgrep, "_FEW", 0)
        yield


@pytest.fixture(scope="module")
def rg() -> Iterator[Ripgrep]:
    """The program, from the environment of the tests or the PATH."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
        found = Ripgrep()
        if found._program is None:
            pytest.skip("ripgrep is not installed")
        yield found


def opened(directory: str | Path, context: Any) -> Stored:
    store = ContextStore(directory)
    return store._stored(store.put(context))


def scanned(stored: Stored, pattern: str, **options: Any) -> Count:
    return count_documents(stored.searched(), pattern, **options)


# --- the same count ---------------------------------------------------------------------------------------------------

PATTERNS = [
    "ab", "a|b", "ab|a|b1", "(?:ab)+", "[ab]+-?", "a.*b", "a.*?b", "^a", "b$", "^a.*b$", r"\d+", r"\w+", r"\S+", r"\bab\b", r"\B1",
    r"\b\w{2,}\b", "[^a\n]+", r"[^\W\d]+", r"[^\S\n]+", r"[\t ]", "a{2}", "a{,2}b", "(a|b)(1|2)", "(?P<x>a)b", r"\.", r"\x41", r"\u0041",
    "[[:alpha:]]+", r"\p{Lu}+", r"[a&&b]", r"[+--b]", "[a~~b]", "[][ab]", r"[a\]b]", "[-a]", "[a-]", "{", "}", "a{b", "]", "&&", "~~", "--",
    "-e", "--files", "é", "é+a", "[éa]b", "[^é\n]b", "K", "k", "ſ", "s", "ß", "[k-s]+", "(?i)k", "(?i)s+", "(?i)ab", "(?i)[^a\n]b",
    "(?i)É", "(?im)^a", "(?i)ß", r"(?i)\bA", r"a\r", r"\r$", r"a\r?$", r"[\r]+a", r"\x00", r"[\x00-\x1f&&[^\n]]", "東", ".", "..", ".+",
    "[^\n]", "#a", "a #", "/", "\\Qa.b\\E", "x*y", "(?:a|b)*?1", "(?:a?b)+", r"\v", r"\f", r"[\x0b\x0c]", "\ufeff", "(?:)a", "a(?:)", "(|a)b",
]  # fmt: skip
TEXTS = st.text("abABkKsS\u212aſßé1-_. \t\r\n\x00東\ufeff\x0b\x85", max_size=60) | st.text("abAB1-_. \r\n", max_size=80)
PIECES = [
    "a", "b", "[ab]", "[^a\n]", r"\w", r"\d", r"\S", ".", r"\b", r"\B", "^", "$", "k", "s", "é", "1", "-", r"\r", "(?:ab|a)", "(a|b1)", "(",
    ")", "|", "*", "+", "?", "{2}", "{1,}", "*?", "+?", "??", "(?i)", "(?i:a)", "(?-i)", r"\Aa", r"\z",
]  # fmt: skip


@settings(deadline=None, max_examples=200)
@given(TEXTS.filter(bool), st.sampled_from(PATTERNS), st.booleans())
@example("AB ab aB\n", "(?im)ab|1", False)
@example("AB ab aB\n", "ab|1", True)
@example("\ufeffab\n", "ab", False)
@example("ab\r\nab\r\n\r\nab", "b$", False)
@example("a\x00b\nab\n" * 5, "ab", False)
@example("ab", "^a.*b$", False)
@example("\n\n\nab\n\n", r"\S+", False)
@example("ab" * 50_000 + "\nab", "a.*?b", False)
@example("K\u212akſsS\n" + "ks\n" * 9, "k", True)
def test_the_count_is_that_of_our_scan(rg: Ripgrep, text: str, pattern: str, ignore_case: bool) -> None:
    with TemporaryDirectory() as directory:
        stored = opened(directory, text)
        found = rg.count(stored, stored.searched(), pattern, ignore_case=ignore_case)
        assert found in (None, scanned(stored, pattern, ignore_case=ignore_case))


@settings(deadline=None, max_examples=300)
@given(
    st.lists(TEXTS, min_size=1, max_size=4).filter(any),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join),
    st.booleans(),
)
@example(["ab", "ab\nab", "ab\n", "", "ab"], "^ab$", False)
@example(["a", "b"], "ab", False)
@example(["", "", "ab"], "ab", False)
@example(["ab", "", ""], "b$", False)
def test_the_count_is_that_of_our_scan_for_any_pattern_and_documents(
    rg: Ripgrep, texts: list[str], pattern: str, ignore_case: bool
) -> None:
    with TemporaryDirectory() as directory:
        stored = opened(directory, texts)
        try:
            expected = scanned(stored, pattern, ignore_case=ignore_case)
        except PatternError:
            return
        assert rg.count(stored, stored.searched(), pattern, ignore_case=ignore_case) in (None, expected)


COUNTED = [
    "ab|é", "a.*b", "b$", "^a", r"\bab\b", r"\b\w{2,}b\b", r"(?i)ab.*\d", r"[^\W\d]+", r"[A-Z]\w+Error", r"(?:a|b)+1", "[[:alpha:]]-",
    r"(?P<name>\w+)@", "[a-z&]+", "東|a", r"\p{Lu}\w", "a{2,3}", r"\S+", "é[^a\n]",
]  # fmt: skip


@pytest.mark.parametrize("pattern", COUNTED)
def test_ripgrep_does_count_usual_patterns(rg: Ripgrep, tmp_path: Path, pattern: str) -> None:
    stored = opened(tmp_path, "ab12 AB34 aab, Éab\nc-éc FooError me@here\r\nab1 ab\n" * 20 + "東-a")
    assert rg.count(stored, stored.searched(), pattern) == scanned(stored, pattern) != (0, True)


@pytest.mark.parametrize("pattern", ["needle", "a\nb", r"a\s+b", "[^a]", "(?s)a.b", "a*", "^", r"\b", r"\Aab", r"ab\z", "a|", "(?-m)^a",
                                     "a(?i)b", "(?i:a)b", "(?:a*)+b", "(?:|a)*b", "(?U)a+b"])  # fmt: skip
def test_what_may_differ_or_is_as_fast_here_is_left_to_our_scan(rg: Ripgrep, tmp_path: Path, pattern: str) -> None:
    stored = opened(tmp_path, "ab needle\n")
    assert rg.count(stored, stored.searched(), pattern) is None


def test_a_pattern_is_never_an_option(rg: Ripgrep, tmp_path: Path) -> None:
    stored = opened(tmp_path, "--version\n-v\n--files\n")
    for pattern in ("--[vf]", "--version|--files", "-[v-]", "-+v"):
        assert rg.count(stored, stored.searched(), pattern) == scanned(stored, pattern)


def test_a_directory_whose_name_looks_like_an_option_is_searched(
    rg: Ripgrep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stored = opened("-v", "ab\nb\n")
    assert rg.count(stored, stored.searched(), "a|b") == (3, True)


def test_a_configuration_of_the_user_changes_nothing(
    rg: Ripgrep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text("--invert-match\n--ignore-case\n")
    monkeypatch.setenv("RIPGREP_CONFIG_PATH", str(tmp_path / "config"))
    stored = opened(tmp_path / "contexts", "ab\nAB\nc\n")
    assert rg.count(stored, stored.searched(), "a|b") == (2, True)


@given(st.text(st.characters(max_codepoint=127, exclude_characters="\n"), min_size=1, max_size=20))
def test_a_translated_text_means_itself(text: str) -> None:
    written = translated(re.escape(text), False)
    assert written is not None
    assert re.fullmatch(written, text)


def test_a_boundary_that_our_scan_refuses_is_refused(rg: Ripgrep, tmp_path: Path) -> None:
    """Only our own count of a line of other characters can tell."""
    stored = opened(tmp_path, "a é" * 500_000 + " a b")
    with pytest.raises(PatternError, match="not available"):
        scanned(stored, r"a\b.*\bb")
    with pytest.raises(PatternError, match="not available"):
        rg.count(stored, stored.searched(), r"a\b.*\bb")


# --- when it counts ---------------------------------------------------------------------------------------------------


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The commands that were started."""
    commands: list[Any] = []
    start = ripgrep._started

    def spy(command: Any, stdin: int) -> Any:
        commands.append(command)
        return start(command, stdin)

    monkeypatch.setattr(ripgrep, "_started", spy)
    return commands


def test_a_store_counts_with_it_where_it_can(rg: Ripgrep, tmp_path: Path, started: list[Any]) -> None:
    text = "ab 1\nabc 2\n" * 100
    plain = ContextStore(tmp_path / "plain")
    ref = plain.put([text, "abc 3"])
    assert plain.count_matches(ref, r"ab.*\d") == (201, True)
    assert len(started) == 3, "its version, the file, and the lines that are put aside"
    assert ContextStore(tmp_path / "plain").count_matches(ref, r"ab.*\d", ignore_case=True) == (201, True)
    started.clear()
    assert plain.count_matches(ref, r"ab.*\d", documents=["context/0"]) == (200, True)
    for other in (ContextStore(), ContextStore(tmp_path / "sealed", serializer=JsonPlusSerializer())):
        assert other.count_matches(other.put([text, "abc 3"]), r"ab.*\d") == (201, True)
    assert started == []


def test_a_small_context_is_not_worth_a_process(
    rg: Ripgrep, tmp_path: Path, started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ripgrep, "LEAST_BYTES", 100)
    store = ContextStore(tmp_path)
    assert store.count_matches(store.put("ab1 " * 24), r"ab\d") == (24, True)
    assert started == []
    assert store.count_matches(store.put("ab1 " * 25), r"ab\d") == (25, True)
    assert started


def test_few_strings_that_are_rare_are_found_as_fast_here(
    rg: Ripgrep, tmp_path: Path, started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ripgrep, "_FEW", 4)
    store = ContextStore(tmp_path)
    ref = store.put("one seldom word\n" + "a usual line\n" * 1_000)
    for pattern, found in (("seldom|rare", 1), (r"seldom \w+", 1)):
        assert store.count_matches(ref, pattern) == (found, True)
    assert started == []
    for pattern, found in (("usual|seldom", 1_001), (r"usual \w+", 1_000), (r"\w+$", 1_001), ("(?i)seldom", 1)):
        assert store.count_matches(ref, pattern) == (found, True)
    assert len(started) == 1 + 2 * 4


def test_the_index_answers_where_it_knows_few_blocks(rg: Ripgrep, tmp_path: Path, started: list[Any]) -> None:
    store = ContextStore(tmp_path)
    ref = store.put("".join(f"line {number}\n" for number in range(40_000)))
    store.build_index(ref)
    assert store.count_matches(ref, r"line 3999\d$") == (10, True)
    assert started == []
    assert store.count_matches(ref, r"line \d+9$") == (3_999, True)
    assert started


def test_a_text_of_other_characters_is_left_to_our_scan(
    rg: Ripgrep, tmp_path: Path, started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ripgrep, "_MOST_ASIDE_SHARE", 0.5)
    stored = opened(tmp_path, "été ab1\n" * 100)
    for _ in range(2):
        assert rg.count(stored, stored.searched(), r"ab\d") is None
    assert len(started) <= 2, "it is not tried again"


# --- whatever becomes of it -------------------------------------------------------------------------------------------

VERSION = 'if [ "$1" = --version ]; then echo "ripgrep 15.2.0"; exit; fi\n'
ODD = {
    "fails": VERSION + "exit 2",
    "fails and prints a number": VERSION + "echo 7; exit 2",
    "finds nothing and prints a number": VERSION + "echo 7; exit 1",
    "finds nothing and says nothing": VERSION + "exit 1",
    "prints nothing": VERSION + "exit 0",
    "prints nonsense": VERSION + "echo many",
    "prints lines": VERSION + "echo 1; echo 2",
    "prints a negative number": VERSION + "echo -7",
    "prints a great number": VERSION + "echo 99999999999999999999999999",
    "prints less for the file than for its lines": VERSION + 'case "$*" in *-) echo 9;; *) echo 3;; esac',
    "is killed": VERSION + "kill -9 $$",
    "is another program": "echo 7",
    "is too old": VERSION.replace("15.2.0", "11.0.2") + "echo 7",
    "has no version": "echo ripgrep; exit 3",
    "is no program": None,
}


def fake(directory: Path, script: str | None) -> None:
    directory.mkdir()
    program = directory / "rg"
    if script is None:
        program.write_bytes(b"\x7fELF nothing of the kind")
    else:
        program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


@pytest.mark.parametrize("how", ODD)
def test_a_program_that_is_not_what_it_should_be_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    fake(tmp_path / "bin", ODD[how])
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    store = ContextStore(tmp_path / "contexts")
    ref = store.put("ab 1\nabc 2\né ab 3\n" * 20_000)
    assert [store.count_matches(ref, r"ab.*\d") for _ in range(2)] == [(60_000, True)] * 2


def test_without_it_our_scan_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    store = ContextStore(tmp_path / "contexts")
    assert store.count_matches(store.put("ab1\n" * 100), r"ab\d") == (100, True)


def test_a_program_in_the_working_directory_is_not_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path / "bin", VERSION + 'echo 7; : > "$0.started"')
    monkeypatch.chdir(tmp_path / "bin")
    for path in (".", "", "../bin"):
        monkeypatch.setenv("PATH", path)
        assert Ripgrep()._program is None
    assert [file.name for file in (tmp_path / "bin").iterdir()] == ["rg"]


def test_it_sees_nothing_of_our_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path / "bin", VERSION + f'export > "{tmp_path}/seen"; echo "$@" >> "{tmp_path}/seen"; exit 1')
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("A_SECRET", "hunter2")
    store = ContextStore(tmp_path / "contexts")
    store.count_matches(store.put("ab1\n" * 100), r"xy\d")
    seen = (tmp_path / "seen").read_text()
    assert "hunter2" not in seen
    assert "--no-config" in seen


def test_beyond_the_half_of_the_deadline_it_is_killed_and_the_scan_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(tmp_path / "bin", VERSION + "while :; do :; done")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    started: list[Any] = []
    popen = ripgrep.subprocess.Popen

    def spy(*arguments: Any, **options: Any) -> Any:
        started.append(popen(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(ripgrep.subprocess, "Popen", spy)
    store = ContextStore(tmp_path / "contexts")
    ref = store.put("ab1\n" * 100)
    assert store.count_matches(ref, r"ab\d", deadline=0.5) == (100, True)
    assert len(started) == 3
    assert all(process.returncode is not None for process in started), "none of them is left"
    assert [process.returncode for process in started[1:]] == [-9, -9]


def test_with_no_time_at_all_the_count_says_that_it_is_not_complete(rg: Ripgrep, tmp_path: Path) -> None:
    store = ContextStore(tmp_path)
    ref = store.put("ab1 é\n" * 300_000)
    assert not store.count_matches(ref, r"ab\d|é", deadline=0.0).complete


def test_a_file_that_is_gone_is_counted_from_the_mapping(rg: Ripgrep, tmp_path: Path) -> None:
    stored = opened(tmp_path, "ab1\n" * 100)
    assert stored.file is not None
    stored.file.unlink()
    assert rg.count(stored, stored.searched(), r"ab\d") is None


def test_threads_may_count_at_once(rg: Ripgrep, tmp_path: Path) -> None:
    store = ContextStore(tmp_path)
    ref, found = store.put("ab1 é\nab2\n" * 1_000), list[Count]()
    threads = [threading.Thread(target=lambda: found.append(store.count_matches(ref, r"ab\d"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [(2_000, True)] * 8


def test_a_pattern_that_is_refused_is_refused_before_anything_is_started(
    rg: Ripgrep, tmp_path: Path, started: list[Any]
) -> None:
    store = ContextStore(tmp_path)
    ref = store.put("ab1\n" * 100)
    for pattern in ("(", "(?=a)b", r"(a)\1"):
        with pytest.raises(PatternError):
            store.count_matches(ref, pattern)
    assert started == []
    assert plan_of("ab1").exact is not None
