"""Rows of CSV and JSON Lines files are documents; what is no row is named with its line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from langgraph_rlm.corpus.files.rows import load_rows
from langgraph_rlm.errors import InvalidInput


def test_rows_of_a_csv_file_know_their_line(tmp_path: Path) -> None:
    file = tmp_path / "faq.csv"
    file.write_text('\ufeffq,a,team\nHow?,"So,\nand so",ops\nWhy?,Thus,hr\n', encoding="utf-8")
    first, second = load_rows(file, text=["q", "a"])
    assert (first.id, first.page_content) == ("faq.csv#2", "q: How?\na: So,\nand so\n")
    assert (second.id, second.metadata) == ("faq.csv#4", {"team": "hr", "path": "faq.csv", "line": 4})
    assert [row.id for row in load_rows(file, text="a", id="team")] == ["faq.csv#ops", "faq.csv#hr"]
    assert next(load_rows(file)).page_content == "q: How?\na: So,\nand so\nteam: ops\n"


def test_rows_of_json_lines(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text('{"t": "ü", "n": 1, "tags": ["a"]}\n\n{"t": "b", "n": 2.5}\n')
    first, second = load_rows(file, text="t")
    assert (first.page_content, first.metadata) == ("ü", {"n": 1, "path": "log.jsonl", "line": 1})
    assert second.id == "log.jsonl#3"
    assert next(load_rows(file)).page_content == 't: ü\nn: 1\ntags: ["a"]\n'


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.csv", b"x,y\n1,2,3\n", "line 2: more values"),
        ("a.csv", b'x\n"open\n', "line 2"),
        ("a.csv", b"x\n1\n", "no column 'absent'; there are x"),
        ("a.jsonl", b'{"x": 1}\n{', "line 2: no JSON|no column"),
        ("a.jsonl", b"[1]\n", "line 1: expected an object"),
        ("a.jsonl", b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n", "line 1: it is nested too deeply"),
        ("a.jsonl", b'{"x": "' + b"x" * 10_000_000 + b'"}', "line 1: more than 10,000,000 characters"),
        ("a.csv", b"x\n\xff\n", "cannot be read"),
        ("a.txt", b"x", r"expected a \.csv"),
    ],
)
def test_rows_that_are_none_are_named(tmp_path: Path, name: str, data: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InvalidInput, match=says):
        list(load_rows(tmp_path / name, text="absent" if "absent" in says else None))
    with pytest.raises(InvalidInput, match="cannot be read"):
        list(load_rows(tmp_path / "missing.csv"))


def test_a_pipe_without_a_writer_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(InvalidInput, match="not a file"):
        list(load_rows(tmp_path / "a.csv"))
