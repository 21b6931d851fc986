"""PDF by page and HTML as it reads, in a process of their own that ends at its bounds."""

from __future__ import annotations

import multiprocessing
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from langgraph_rlm.corpus.corpus import Corpus
from langgraph_rlm.corpus.files import reading
from langgraph_rlm.corpus.files.loaders import load_paths
from langgraph_rlm.corpus.files.readers.html import html_text
from langgraph_rlm.corpus.files.reading import KINDS, FileReader, NotRead
from tests.pdf import pdf, slow_pdf


def test_each_page_of_a_pdf_is_a_document(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "report.pdf").write_bytes(pdf("Margins fell", "", "Margins rose"))
    (tmp_path / "docs" / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    (tmp_path / "docs" / "scan.pdf").write_bytes(pdf(""))
    files = load_paths([tmp_path / "docs"])
    found = {document.id: (document.page_content.strip(), document.metadata) for document in files}
    metadata = {"path": "report.pdf", "suffix": ".pdf"}
    assert found == {
        "report.pdf#page=1": ("Margins fell", {**metadata, "page": 1}),
        "report.pdf#page=3": ("Margins rose", {**metadata, "page": 3}),
    }
    reasons = {Path(skipped.path).name: skipped.reason for skipped in files.skipped}
    assert "no PDF that can be read" in reasons["broken.pdf"] and "without text" in reasons["scan.pdf"]
    with Corpus.open(f"chroma:{tmp_path / 'index'}") as corpus:
        assert corpus.add(files).new == 2
        assert corpus.retrieve("margins", mode="bm25", where={"page": 3})[0]["doc_id"] == "report.pdf#page=3"


def test_without_pypdf_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf("x"))
    (tmp_path / "b.txt").write_text("y")
    monkeypatch.setitem(sys.modules, "pypdf", None)
    files = load_paths([tmp_path])
    assert [document.id for document in files] == ["b.txt"]
    assert "langgraph-rlm[pdf]" in files.skipped[0].reason


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("plain", ("plain\n", "")),
        ("<p>a<br>b</p><script>alert(1)</script><ul><li>c<li>d</ul>", ("a\nb\nc\nd\n", "")),
        ("<head><title>A &amp; B</title><style>p{}</style></head><body>x &lt; y", ("x < y\n", "A & B")),
        ("<head><title>T</title><body><p>never closed", ("never closed\n", "T")),
        ("<svg><title>no</title><text>shown</text></svg><div>yes</div>", ("shown\nyes\n", "")),
        ("<svg><title>no</title></svg><title>Yes</title>", ("", "Yes")),
        ("<head><title>T</title><p>no body", ("no body\n", "T")),
        ("<title>T</title>no head", ("no head\n", "T")),
        ("<title>T<p>never closed", ("", "T<p>never closed")),
        ("<![foo[x]]>a<!x[ %>b", ("ab\n", "")),
        ("<p>&#x110000;&#xD800;&#0;", ("\ufffd\ufffd\ufffd\n", "")),
        ("<td>out<table><tr><td>a<td>b</table><textarea>c</textarea>", ("out\na\nb\nc\n", "")),
        ("<p>d<noscript>a</noscript><template>b</template><iframe>c</iframe>", ("d\n", "")),
        ("", ("", "")),
    ],
)
def test_html_becomes_what_it_reads(html: str, expected: tuple[str, str]) -> None:
    assert html_text(html) == expected


def test_an_html_file_brings_its_title(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<title>Tea</title><h1>Green</h1><p>is <i>hot</i></p>")
    (document,) = load_paths([tmp_path])
    assert (document.page_content, document.metadata["title"]) == ("Green\nis hot\n", "Tea")


def test_an_array_of_more_than_a_hundred_thousand_elements_is_read(tmp_path: Path) -> None:
    (tmp_path / "report.pdf").write_bytes(pdf("Margins fell", array=150_000))
    assert [document.page_content.strip() for document in load_paths([tmp_path])] == ["Margins fell"]


# --- the process ------------------------------------------------------------------------------------------------------

TEA = b"<title>Tea</title><p>is hot"


@pytest.mark.parametrize(
    "unit", ["<!--", "<a ", "<![CDATA[", "<?", "</", "<div>", "&", "<p>text ", "<b>", "<svg>", "<![foo["]
)
def test_a_page_made_to_be_slow_is_read_or_named(unit: str) -> None:
    with FileReader() as reader:
        page = (unit * (40_000 // len(unit))).encode()
        try:
            assert reader.read(".html", page).title == ""
        except NotRead as reason:
            assert "seconds" in str(reason)
        assert reader.read(".html", TEA) == ([(0, "is hot\n")], "Tea")


def test_a_file_that_takes_too_long_is_left_out_and_the_next_one_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(reading.KINDS, ".pdf", KINDS[".pdf"]._replace(seconds=0.2, seconds_per_mb=0.0))
    with FileReader() as reader:
        with pytest.raises(NotRead, match=r"more than 0\.2 seconds"):
            reader.read(".pdf", slow_pdf(150_000))
        assert reader.read(".html", TEA).title == "Tea"


def test_a_file_that_takes_too_much_memory_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_PLAIN_MEMORY", 200 << 20)
    monkeypatch.setattr(reading, "_MEMORY_TIMES", 0)
    with FileReader() as reader:
        with pytest.raises(NotRead, match=r"memory|ended|parse"):
            reader.read(".html", b"<p>text <b>" * 1_000_000)
        assert reader.read(".html", TEA).title == "Tea"


def test_a_text_that_is_larger_than_its_file_allows_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_PLAIN_TEXT", 4)
    monkeypatch.setattr(reading, "_TEXT_TIMES", 0)
    with FileReader() as reader, pytest.raises(NotRead, match="more than 4 bytes"):
        reader.read(".html", TEA)


def test_what_is_nested_deeper_than_anybody_reads_is_no_end() -> None:
    deep = b"%PDF-1.4\n1 0 obj\n" + b"[" * 50_000 + b"\nendobj\ntrailer\n<< /Root 1 0 R >>\nstartxref\n9\n%%EOF"
    with FileReader() as reader:
        with pytest.raises(NotRead):
            reader.read(".pdf", deep)
        assert reader.read(".html", b"<i>" * 5_000 + b"deep").parts == [(0, "deep\n")]


def test_one_process_reads_many_files_and_goes_with_its_reader() -> None:
    with FileReader() as reader:
        reader.read(".html", TEA)
        process = reader._process
        assert process is not None
        with pytest.raises(NotRead):
            reader.read(".pdf", b"no PDF")
        reader.read(".pdf", pdf("x"))
        assert reader._process is process
    assert process.returncode is not None


def test_a_process_that_was_killed_is_started_again() -> None:
    with FileReader() as reader:
        reader.read(".html", TEA)
        assert reader._process is not None
        reader._process.kill()
        reader._process.wait()
        assert reader.read(".html", TEA).title == "Tea"


def test_the_process_has_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    with FileReader() as reader:
        reader.read(".html", TEA)
        assert reader._process is not None
        for name in ("environ", "cmdline"):
            assert b"canary" not in Path(f"/proc/{reader._process.pid}/{name}").read_bytes()


def test_threads_share_a_reader() -> None:
    with FileReader() as reader, ThreadPoolExecutor(8) as pool:
        pages = [f"<title>{number}</title><p>{number}".encode() for number in range(40)]
        found = list(pool.map(lambda page: reader.read(".html", page), pages))
    assert [parsed.title for parsed in found] == [str(number) for number in range(40)]


def test_a_forked_copy_reads_with_a_process_of_its_own() -> None:
    with FileReader() as reader:
        reader.read(".html", TEA)

        def child() -> None:
            os._exit(0 if reader.read(".html", TEA).title == "Tea" else 1)

        forked = multiprocessing.get_context("fork").Process(target=child)
        forked.start()
        forked.join(60)
        assert forked.exitcode == 0
        assert reader.read(".html", TEA).title == "Tea"
