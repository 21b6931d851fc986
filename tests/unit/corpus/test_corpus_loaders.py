"""Files become documents with exact texts; what is no text is skipped and named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from langgraph_rlm.corpus.files.loaders import SkippedFile, load_paths
from langgraph_rlm.errors import InvalidInput


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    files = {
        "b.txt": b"two\r\nlines\r\n",
        "a/z.PY": "é = 1\n".encode(),
        "a/b/c.md": b"\xef\xbb\xbf# title",
        "image.png": b"\x89PNG\x00",
        "latin.txt": "Привет, мир".encode("koi8-r"),
        "big.txt": b"x" * 200,
        ".git/config": b"x",
        "__pycache__/m.pyc": b"x",
        "node_modules/p/index.js": b"x",
        ".env.txt": b"dot file",
    }
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def test_a_folder_gives_its_texts_in_order_and_unchanged(folder: Path) -> None:
    files = load_paths([folder], max_file_bytes=100)
    found = {document.id: document.page_content for document in files}
    assert list(found) == ["b.txt", "a/z.PY", "a/b/c.md"]
    assert (found["b.txt"], found["a/z.PY"], found["a/b/c.md"]) == ("two\r\nlines\r\n", "é = 1\n", "# title")
    assert files.loaded == 3
    assert next(iter(load_paths([folder / "a"]))).metadata == {"path": "z.PY", "suffix": ".py"}


def test_what_is_skipped_is_named_with_its_reason(folder: Path) -> None:
    told: list[SkippedFile] = []
    files = load_paths([folder], on_skip=told.append, max_file_bytes=100)
    list(files)
    assert {Path(skipped.path).name: skipped.reason.split(",")[0].split(" (")[0] for skipped in files.skipped} == {
        "big.txt": "200 bytes",
        "image.png": "binary",
        "latin.txt": "not UTF-8",
    }
    assert told == files.skipped


def test_exclude_names_files_folders_and_paths(folder: Path) -> None:
    assert [d.id for d in load_paths([folder], exclude=["*.txt", "a/b"])] == ["a/z.PY"]
    assert [d.id for d in load_paths([folder], exclude=["*.txt", "b"])] == ["a/z.PY"]


def test_several_folders_are_told_apart(folder: Path) -> None:
    ids = [document.id for document in load_paths([folder / "a", folder / "b.txt"])]
    assert ids == ["a/z.PY", "a/b/c.md", "b.txt"]
    with pytest.raises(InvalidInput, match=r"would both have the id 'b\.txt'"):
        list(load_paths([folder / "b.txt", folder / "b.txt"]))


def test_links_that_lead_out_are_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "more.txt").write_text("secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "inside.txt").symlink_to(folder / "b.txt")
    (folder / "away").symlink_to(tmp_path / "outside")
    files = load_paths([folder])
    found = {document.id: document.page_content for document in files}
    assert "secret" not in found.values() and found["inside.txt"] == found["b.txt"]
    assert any(skipped.path.endswith("link.txt") for skipped in files.skipped)


def test_reserved_ids_are_written_apart(tmp_path: Path) -> None:
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "a.txt").write_text("x")
    assert [document.id for document in load_paths([tmp_path])] == ["./context/a.txt"]


def test_a_missing_path_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"nowhere does not exist"):
        load_paths([tmp_path / "nowhere"])
    with pytest.raises(InvalidInput, match="list of paths"):
        load_paths(str(tmp_path))  # type: ignore[arg-type]


def test_nothing_to_read_is_an_error_with_reasons(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="nothing there"):
        list(load_paths([tmp_path]))
    (tmp_path / "a.bin").write_bytes(b"\x00")
    with pytest.raises(InvalidInput, match=r"a\.bin: binary"):
        list(load_paths([tmp_path]))


def test_what_is_nobodys_document_is_not_read(tmp_path: Path) -> None:
    for name in (
        ".env",
        "env/pyvenv.cfg",
        "env/lib/site.py",
        "ix/manifest.json",
        "ix/documents.sqlite",
        "ix/bm25/meta.json",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("KEY=secret")
    (tmp_path / "venv").mkdir()  # only called so
    (tmp_path / "venv" / "notes.md").write_text("real")
    assert [document.id for document in load_paths([tmp_path])] == ["venv/notes.md"]


def test_only_included_files_are_read(tmp_path: Path) -> None:
    for name in ("a.py", "b.txt", "c.py"):
        (tmp_path / name).write_text("text")
    assert [document.id for document in load_paths([tmp_path], include=["*.py"], exclude=["c.*"])] == ["a.py"]


def test_a_file_whose_name_is_no_text_is_skipped_and_named(tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_text("text")
    (tmp_path / "bad\udcff.txt").write_text("text")
    files = load_paths([tmp_path])
    assert [document.id for document in files] == ["good.txt"]
    assert "not UTF-8" in files.skipped[0].reason
    assert files.skipped[0].path.endswith("bad\\udcff.txt")


def test_one_odd_file_is_left_out_with_its_reason_and_the_others_read(tmp_path: Path) -> None:
    (tmp_path / "good.md").write_text("fine\n")
    (tmp_path / "self.md").symlink_to("self.md")
    (tmp_path / "one.md").symlink_to("two.md")
    (tmp_path / "two.md").symlink_to("one.md")
    (tmp_path / "nowhere.md").symlink_to("missing.md")
    (tmp_path / "odd.html").write_text("x <![foo[ y")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "bad.pdf").write_bytes(b"%PDF-1.7\n" + b"\x00\xff" * 500)
    (tmp_path / "empty.pdf").write_bytes(b"")
    (tmp_path / "binary.html").write_bytes(b"<p>\x00")
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "zero.txt").symlink_to("/dev/zero")
    files = load_paths([tmp_path])
    found = {document.id: document.page_content for document in files}
    reasons = {Path(skipped.path).name: skipped.reason for skipped in files.skipped}
    assert found == {"good.md": "fine\n", "odd.html": "x\n", "deep.json": "[" * 100_000}
    assert {"self.md", "one.md", "two.md"} == {name for name, reason in reasons.items() if reason == "a link to itself"}
    assert reasons["pipe.txt"] == "not a file"
    assert "leads out of the folder" in reasons["zero.txt"] and "leads nowhere" in reasons["nowhere.md"]
    assert "NUL" in reasons["binary.html"] and {"bad.pdf", "empty.pdf"} <= reasons.keys()
    assert len(reasons) == 9


@pytest.mark.parametrize("name", ["/dev/zero", "pipe"])
def test_what_is_named_itself_and_is_no_file_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidInput, match="not a file"):
        list(load_paths([tmp_path / name]))


def test_a_large_file_is_read_where_it_is_named_itself(tmp_path: Path) -> None:
    large = tmp_path / "big.log"
    large.write_bytes(b"12:00 INFO filler line\n" * 500_000 + b"zebra\n")
    (tmp_path / "small.txt").write_text("x")
    (document,) = load_paths([large])
    assert document.page_content.endswith("zebra\n")
    in_a_folder = load_paths([tmp_path])
    assert [document.id for document in in_a_folder] == ["small.txt"]
    assert "more than 10,000,000" in in_a_folder.skipped[0].reason
    assert len(list(load_paths([tmp_path], max_file_bytes=20_000_000))) == 2
    with pytest.raises(InvalidInput, match="more than 100"):
        list(load_paths([large], max_file_bytes=100))
    with pytest.raises(InvalidInput, match="max_file_bytes"):
        load_paths([large], max_file_bytes=0)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "closed").mkdir(mode=0o000)
    files = load_paths([tmp_path])
    assert [document.id for document in files] == ["a.txt"]
    assert "cannot be listed" in files.skipped[0].reason


def test_how_much_there_is_to_read_is_known_before_and_while_it_is_read(folder: Path) -> None:
    files = load_paths([folder], exclude=["*.png", "latin.txt"])
    sizes = [(folder / name).stat().st_size for name in ("b.txt", "big.txt", "a/z.PY", "a/b/c.md")]
    assert files.measure() == (4, sum(sizes))
    assert [files.bytes_read for _ in files] == [sum(sizes[: number + 1]) for number in range(4)]
