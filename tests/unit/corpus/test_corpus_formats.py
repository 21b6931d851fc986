"""PDF by page, CSV and JSON Lines by row, HTML as it reads; what cannot be read is named with its line or page."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from langgraph_rlm.corpus.corpus import Corpus
from langgraph_rlm.corpus.files.formats import html_text, load_rows
from langgraph_rlm.corpus.files.loaders import load_paths
from langgraph_rlm.errors import InvalidInput


def pdf(*pages: str) -> bytes:
    """A PDF with a line of text on each page."""
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, text in enumerate(pages):
        stream = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET"
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * number} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>"
        )
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode()
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    tail = f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(out)}\n%%EOF\n"
    return out + f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{tail}".encode()


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
        ("<svg><title>no</title></svg><div>yes</div>", ("yes\n", "no")),
        ("", ("", "")),
    ],
)
def test_html_becomes_what_it_reads(html: str, expected: tuple[str, str]) -> None:
    assert html_text(html) == expected


def test_an_html_file_brings_its_title(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<title>Tea</title><h1>Green</h1><p>is <i>hot</i></p>")
    (document,) = load_paths([tmp_path])
    assert (document.page_content, document.metadata["title"]) == ("Green\nis hot\n", "Tea")


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
