"""What earlier releases wrote is opened, migrated or refused with a reason; a format that changes has another version."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import sqlite3
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langgraph.checkpoint.sqlite import SqliteSaver
from typer.testing import CliRunner

from langgraph_rlm import ContextStore, Corpus, SmartRouter, SqliteMemo
from langgraph_rlm.cli.commands import app
from langgraph_rlm.errors import IndexMismatch, InvalidInput, RLMError
from tests.fixtures import write

FIXTURES = Path(write.__file__).parent
RELEASES = ["8f690e5", "2026-12-01"]
"""Oldest first. A release whose formats differ gets a folder of its own (CONTRIBUTING, "Formats on disk")."""
NEWEST = FIXTURES / RELEASES[-1]


@pytest.fixture(params=RELEASES)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of what a release wrote."""
    copy = tmp_path / "written"
    shutil.copytree(FIXTURES / request.param, copy)
    return copy


def test_there_is_a_folder_for_each_release_and_no_other() -> None:
    assert sorted(path.name for path in FIXTURES.iterdir() if path.is_dir() and path.name != "__pycache__") == sorted(
        RELEASES
    )


# --- an index ---------------------------------------------------------------------------------------------------------


def opened(written: Path) -> Corpus:
    return Corpus.open(f"chroma:{written / 'index'}", write.PaidEmbeddings(), create=False)


KEPT = {str(document.id): document for document in write.DOCUMENTS if document.id != write.DELETED}


def test_an_index_holds_every_document_with_its_metadata(written: Path) -> None:
    with opened(written) as corpus:
        assert {name: corpus.read(name) for name in KEPT} == {name: kept.page_content for name, kept in KEPT.items()}
        listed = {row["doc_id"]: row["metadata"] for row in corpus.list_documents()}
        assert listed == {name: kept.metadata for name, kept in KEPT.items()}
        assert [row["doc_id"] for row in corpus.list_documents({"year": {"$lt": 2000}})] == ["harbour.md"]
        assert [hit["doc_id"] for hit in corpus.grep("16 weeks")] == ["leave.md"]


@pytest.mark.parametrize("mode", ["bm25", "vector", "hybrid"])
def test_an_index_is_searched_in_each_mode(written: Path, mode: Any) -> None:
    with opened(written) as corpus:
        hits = corpus.retrieve("How long is parental leave?", k=10, mode=mode)
        assert hits[0]["doc_id"] == "leave.md"
        assert write.DELETED not in {hit["doc_id"] for hit in hits}
        (only,) = corpus.retrieve("harbour", mode=mode, where={"town": "Bergen"})
        assert only["text"] == KEPT["harbour.md"].page_content[only["start"] : only["end"]]


def test_the_names_of_an_index_are_followed(written: Path) -> None:
    with opened(written) as corpus:
        hits = corpus.retrieve("Where was the keeper of the harbour born?", k=3, mode="hop")
        assert "marta.md" in {hit["doc_id"] for hit in hits}
        assert "weeks_of_leave" in {named["name"] for named in corpus.names()}


def test_an_index_grows_and_pays_for_no_text_twice(written: Path) -> None:
    embeddings = write.PaidEmbeddings()
    with Corpus.open(f"chroma:{written / 'index'}", embeddings) as corpus:
        known, new = KEPT["harbour.md"].page_content, "Tromsø lies in the north."
        report = corpus.add([*KEPT.values(), Document(known, id="copy.md"), Document(new, id="tromso.md")])
        assert (report.new, report.unchanged, embeddings.texts) == (2, len(KEPT), 1)
        assert corpus.delete(["harbour.md"]) == 1
    with opened(written) as corpus:
        assert corpus.retrieve("Which town lies in the north?", k=1)[0]["doc_id"] == "tromso.md"
        assert not corpus.holds("harbour.md")


def test_an_index_of_another_chunker_says_so_and_is_cut_anew_by_its_next_change(tmp_path: Path) -> None:
    index = tmp_path / "index"
    shutil.copytree(FIXTURES / "8f690e5" / "index", index)
    title, body = "Robert North Bradbury", "He directed films in the West. " * 60
    with pytest.warns(UserWarning, match=r"earlier release.*corpus\.add\(\[\]\)"):
        corpus = Corpus.open(f"chroma:{index}", write.PaidEmbeddings())
    with corpus:
        before = {name: corpus.read(name) for name in KEPT}
        assert corpus.add([]).resumed == 0
        assert {name: corpus.read(name) for name in KEPT} == before
        corpus.add([Document(f"{title}\n{body}", id="bradbury")])
        assert all(hit["text"] != title for hit in corpus.retrieve("Bradbury", k=10))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        embeddings = write.PaidEmbeddings()
        with Corpus.open(f"chroma:{index}", embeddings, create=False) as again:
            assert again.add(list(KEPT.values())).unchanged == len(KEPT)
            assert embeddings.texts == 0


# --- memos and contexts -----------------------------------------------------------------------------------------------

THROUGH: dict[str, Callable[[], Any]] = {"plain": lambda: None, "sealed": write.serializer}


@pytest.mark.parametrize("name", THROUGH)
def test_a_memo_gives_back_what_was_paid_and_forgets_it(written: Path, name: str) -> None:
    memo = SqliteMemo(written / "stores" / name / "memo.sqlite3", serializer=THROUGH[name]())
    assert memo.results(write.RUN, [*write.RESULTS, "another key"]) == write.RESULTS
    assert memo.calls(write.RUN) == write.CALLS
    more = write.CALLS[1] | {"open": False}
    memo.record(write.RUN, calls=[more])  # type: ignore[list-item]
    assert memo.calls(write.RUN) == [write.CALLS[0], more]
    assert memo.prune(older_than=0) == len(write.RESULTS) + len(write.CALLS)
    memo.close()


@pytest.mark.parametrize("name", THROUGH)
def test_contexts_are_read_by_their_references(written: Path, name: str) -> None:
    text, fields = json.loads((written / "stores" / "references.json").read_text("utf-8"))[name]
    store = ContextStore(written / "stores" / name, serializer=THROUGH[name]())
    assert store.read(text) == write.TEXT
    assert store.lines(text, 2, 2) == "second line: Tromsø\n"
    assert {key: store.read(fields, doc_id=f"context/{key}") for key in write.FIELDS} == write.FIELDS
    assert dict(store.put(write.TEXT)) == text


# --- a run that was killed --------------------------------------------------------------------------------------------


def test_a_killed_run_goes_on_and_pays_nothing_twice(written: Path) -> None:
    before = (written / "thread" / "requests.txt").read_text("utf-8").splitlines()
    asked = list[str]()
    with SqliteSaver.from_conn_string(str(written / "thread" / "checkpoints.sqlite3")) as saver:
        graph = write.graph_in(written / "thread", saver, asked.append)
        result = graph.invoke(None, write.thread_config())
    assert result["answer"] == write.ANSWER
    assert result["stop_reason"] == "answered"
    assert [(citation["start"], citation["end"]) for citation in result["citations"]] == [(0, 5)]
    assert Counter([*before, *asked]) - Counter(set(before) | set(asked)) == Counter([write.INTERRUPTED_AT])
    assert len(set(before) | set(asked)) == write.CALLS_OF_RUN
    # The call in flight may have been paid by the dead process: it counts at the most that it could cost.
    assert result["usage"]["calls"] == write.CALLS_OF_RUN + 1
    assert result["usage"]["cost_usd"] >= write.CALLS_OF_RUN * write.COST_USD


def test_a_finished_thread_takes_another_question(written: Path) -> None:
    with SqliteSaver.from_conn_string(str(written / "thread" / "checkpoints.sqlite3")) as saver:
        write.graph_in(written / "thread", saver, lambda name: None).invoke(None, write.thread_config())
        asked = list[str]()
        graph = write.graph_in(written / "thread", saver, asked.append)
        result = graph.invoke({"question": write.QUESTION, "context": write.CONTEXT}, write.thread_config())
    assert result["answer"] == write.ANSWER
    assert len(asked) == write.CALLS_OF_RUN + 1  # a new run, of which nothing is known, after a follow-up was rewritten


# --- an evaluation and a router ---------------------------------------------------------------------------------------


def evaluate(folder: Path) -> Any:
    return CliRunner().invoke(app, [*write.EVALUATION, "--out", str(folder)], prog_name="langgraph-rlm")


def test_an_evaluation_goes_on_where_it_stopped(written: Path) -> None:
    answers = written / "evaluation" / "answers.jsonl"
    before = answers.read_bytes()
    result = evaluate(written / "evaluation")
    assert result.exit_code == 0, result.output
    assert f"{write.ANSWERS_KEPT} answers were there already." in result.stderr
    assert answers.read_bytes().startswith(before)
    assert len(answers.read_bytes().splitlines()) == 2 * write.ANSWERS_KEPT


def test_the_weights_of_a_router_are_loaded(written: Path) -> None:
    router = SmartRouter(weights=written / "router.json")
    assert {question: router.decide(question)["route"] for question in write.LABELLED} == write.LABELLED


# --- versions ---------------------------------------------------------------------------------------------------------


def _json_version(path: str, field: str, newer: int = 2) -> Callable[[Path], None]:
    def change(written: Path) -> None:
        record = json.loads((written / path).read_text("utf-8"))
        assert record[field] < newer
        (written / path).write_text(json.dumps(record | {field: newer}), "utf-8")

    return change


def _sqlite_version(path: str) -> Callable[[Path], None]:
    def change(written: Path) -> None:
        connection = sqlite3.connect(written / path)
        [(version,)] = connection.execute("PRAGMA user_version")
        connection.execute(f"PRAGMA user_version = {version + 1}")
        connection.commit()
        connection.close()

    return change


def _context_version(written: Path) -> None:
    for path in (written / "stores" / "plain").glob("*.ctx"):
        data = bytearray(path.read_bytes())
        data[8] += 1  # after the magic word, little-endian
        path.write_bytes(data)


def _open_index(written: Path) -> None:
    with opened(written) as corpus:
        corpus.retrieve("harbour", mode="hop")


def _open_memo(written: Path) -> None:
    SqliteMemo(written / "stores" / "plain" / "memo.sqlite3").calls(write.RUN)


def _open_context(written: Path) -> None:
    store = ContextStore(written / "stores" / "plain")
    store.read(json.loads((written / "stores" / "references.json").read_text("utf-8"))["plain"][0])


def _open_evaluation(written: Path) -> None:
    result = evaluate(written / "evaluation")
    assert result.exit_code == 2
    raise InvalidInput(result.stderr)  # so that it is looked at as the others


def _load_router(written: Path) -> None:
    SmartRouter(weights=written / "router.json")


NEWER: dict[str, tuple[Callable[[Path], None], Callable[[Path], None], type[RLMError], str]] = {
    "manifest": (_json_version("index/manifest.json", "format_version", 3), _open_index, IndexMismatch, "version 3"),
    "words": (_json_version("index/bm25/words.json", "format_version"), _open_index, IndexMismatch, "version 2"),
    "names": (_sqlite_version("index/names.sqlite"), _open_index, IndexMismatch, "version 2"),
    "memo": (_sqlite_version("stores/plain/memo.sqlite3"), _open_memo, IndexMismatch, "version 2"),
    "context": (_context_version, _open_context, IndexMismatch, "version 2"),
    "evaluation": (_json_version("evaluation/settings.json", "format"), _open_evaluation, InvalidInput, "format was 2"),
    "router": (_json_version("router.json", "format", 3), _load_router, InvalidInput, "format"),
}


@pytest.mark.parametrize("name", NEWER)
def test_what_a_later_release_wrote_is_refused_with_its_version(name: str, written: Path) -> None:
    make_newer, open_it, error, says = NEWER[name]
    make_newer(written)
    with pytest.raises(error, match=says):
        open_it(written)


def test_the_table_of_formats_in_contributing_has_todays_versions() -> None:
    text = (FIXTURES.parents[1] / "CONTRIBUTING.md").read_text("utf-8")
    rows = re.findall(r"^\| .* \| `([\w.]+)\.(\w+)` (\d+) \|", text, re.MULTILINE)
    assert len(rows) == 9
    for module, name, version in rows:
        assert getattr(importlib.import_module(f"langgraph_rlm.{module}"), name) == int(version), (module, name)


THEIRS = ("chroma.sqlite3", "checkpoints.sqlite3", "meta.json", ".managed.json")
"""Formats of Chroma, LangGraph and Tantivy, which have versions of their own."""
RANDOM = re.compile(r"[0-9a-f]{64}|[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def shape_of(path: Path) -> Any:
    """What a reader of the file depends on: version, tables, fields; not the content."""
    if path.suffix in (".sqlite", ".sqlite3"):
        connection = sqlite3.connect(path)
        [(version,)] = connection.execute("PRAGMA user_version")
        tables = [re.sub(r"\s+", " ", sql) for (sql,) in connection.execute("SELECT sql FROM sqlite_master") if sql]
        connection.close()
        return version, sorted(tables)
    if path.suffix == ".json":
        record = json.loads(path.read_text("utf-8"))
        fields = sorted(name for name in record if not name.startswith("limit "))  # each is told when it differs
        return record.get("format_version", record.get("format")), fields
    if path.suffix == ".jsonl":
        return sorted({tuple(json.loads(line)) for line in path.read_text("utf-8").splitlines()})
    return path.read_bytes()[:12] if path.suffix == ".ctx" else None  # magic word and version


def shapes_of(folder: Path) -> dict[str, Any]:
    return {
        RANDOM.sub("*", str(path.relative_to(folder))): shape_of(path)
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".sqlite", ".sqlite3", ".json", ".jsonl", ".ctx") and path.name not in THEIRS
    }


def test_the_newest_fixtures_are_of_todays_formats(tmp_path: Path) -> None:
    """Red: a format has changed. Raise its version, and write fixtures of this release beside the old ones."""
    write.main(tmp_path / "today")
    copy = tmp_path / "newest"
    shutil.copytree(NEWEST, copy)
    assert shapes_of(tmp_path / "today") == shapes_of(copy)
