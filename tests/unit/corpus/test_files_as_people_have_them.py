"""Files of daily work: other encodings than UTF-8, spreadsheets with semicolons, notebooks, mail."""

from __future__ import annotations

import json
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_rlm.corpus import load_paths, load_rows
from langgraph_rlm.corpus.files.encodings import encoding_of
from langgraph_rlm.errors import InvalidInput

ENGLISH = "The quick brown fox jumps over the lazy dog, and that is all.\n"
GERMAN = "Überstunden müssen genehmigt werden – «größere» Reisen auch; Kosten: 5 €.\n"
JAPANESE = "育児休暇は16週間です。申請はメールで行ってください。\nテスト ABC\n"


def read(path: Path, **options: str) -> tuple[str, str | None]:
    (document,) = load_paths([path], **options)  # type: ignore[arg-type]
    return document.page_content, document.metadata.get("encoding")


@pytest.mark.parametrize(
    ("text", "written", "told"),
    [
        (GERMAN, "utf-8", None),
        (GERMAN, "utf-8-sig", None),
        (GERMAN, "utf-16", "utf-16"),
        (ENGLISH, "utf-16-le", "utf-16-le"),
        (GERMAN, "utf-16-be", "utf-16-be"),
        (JAPANESE, "utf-16", "utf-16"),
        (GERMAN, "cp1252", "cp1252"),
        ("Les élèves français déjà à l'école, où ça?\n", "latin-1", "cp1252"),
        (JAPANESE, "shift_jis", "cp932"),
        (JAPANESE, "utf-8", None),
        (GERMAN * 2_000, "cp1252", "cp1252"),
        (JAPANESE * 2_000, "shift_jis", "cp932"),
        (JAPANESE * 2_000, "utf-8", None),
        ("", "utf-8", None),
    ],
)
def test_the_encoding_of_a_text_is_found(text: str, written: str, told: str | None, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(text.encode(written))
    assert read(tmp_path / "a.txt") == (text, told)


def test_one_that_is_not_known_is_skipped_or_named_by_the_user(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("Привет, мир".encode("cp1251"))
    with pytest.raises(InvalidInput, match="in no encoding that is known: give encoding="):
        list(load_paths([tmp_path]))
    assert read(tmp_path / "a.txt", encoding="cp1251") == ("Привет, мир", "cp1251")
    with pytest.raises(InvalidInput, match="not ascii"):
        list(load_paths([tmp_path], encoding="ascii"))
    for wrong in ("nonsense", 7):
        with pytest.raises(InvalidInput, match="Python knows no"):
            load_paths([tmp_path], encoding=wrong)  # type: ignore[arg-type]


@given(st.binary(max_size=400))
def test_what_an_encoding_is_found_for_can_be_read_in_it(data: bytes) -> None:
    encoding = encoding_of(data)
    if encoding is not None and not encoding.startswith("utf-16") and encoding != "utf-32":  # their end may be cut
        data.decode(encoding)


def test_a_table_with_semicolons_and_quoted_newlines_is_read_row_by_row(tmp_path: Path) -> None:
    table = 'Name;"Text, lang";Preis\nÖl;"erste\nzweite; Zeile";1,5\nEssig;kurz;2\n'
    (tmp_path / "a.csv").write_bytes(table.encode("cp1252"))
    rows = list(load_rows(tmp_path / "a.csv", text="Text, lang", id="Name"))
    assert [(row.id, row.page_content, row.metadata["Preis"], row.metadata["line"]) for row in rows] == [
        ("a.csv#Öl", "erste\nzweite; Zeile", "1,5", 2),
        ("a.csv#Essig", "kurz", "2", 4),
    ]
    (tmp_path / "b.csv").write_text("a|b,c\n1|2\n")
    assert next(iter(load_rows(tmp_path / "b.csv", delimiter="|"))).page_content == "a: 1\nb,c: 2\n"
    (tmp_path / "c.csv").write_text("a,b\n1,x;y\n", encoding="utf-16")
    assert next(iter(load_rows(tmp_path / "c.csv"))).page_content == "a: 1\nb: x;y\n"
    with pytest.raises(InvalidInput, match="one character"):
        list(load_rows(tmp_path / "b.csv", delimiter=";;"))


def test_a_notebook_gives_its_cells_and_the_outputs_that_are_text(tmp_path: Path) -> None:
    picture = {"output_type": "display_data", "data": {"image/png": "aGVsbG8" * 100, "text/plain": ["<Figure>"]}}
    cells = [
        {"cell_type": "markdown", "source": ["# Sales\n", "By month."]},
        {
            "cell_type": "code",
            "source": ["print(total)"],
            "outputs": [
                {"output_type": "stream", "name": "stdout", "text": ["\x1b[31m42\x1b[0m\n"]},
                picture,
                {"output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": ["…"]},
            ],
        },
        {"cell_type": "code", "source": [], "outputs": []},
    ]
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4}))
    text, _ = read(tmp_path / "a.ipynb")
    assert text == "# Sales\nBy month.\n\n```python\nprint(total)\n```\n\n42\n\n<Figure>\n\nValueError: no\n"
    for odd in ("{}", "[1]", '{"cells": [7]}', "not json", '{"cells": ' + "[" * 100_000 + "]" * 100_000 + "}"):
        (tmp_path / "a.ipynb").write_text(odd)
        with pytest.raises(InvalidInput, match=r"no IPYN that can be read|nested too deeply"):
            list(load_paths([tmp_path / "a.ipynb"]))


def test_a_mail_gives_its_headers_and_decoded_parts(tmp_path: Path) -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "Ann Müller <a@example.org>", "b@example.org", "Überstunden – März"
    mail.set_content("Grüße aus Köln\n", charset="iso-8859-1")
    mail.add_alternative("<p>never shown</p>", subtype="html")
    mail.add_attachment("a;b\n1;2\n", subtype="csv", filename="zahlen.csv")
    mail.add_attachment(b"\x89PNG\x00", maintype="image", subtype="png", filename="bild.png")
    (tmp_path / "a.eml").write_bytes(mail.as_bytes())
    (document,) = load_paths([tmp_path / "a.eml"])
    assert document.metadata["title"] == "Überstunden – März"
    assert document.page_content == (
        "From: Ann Müller <a@example.org>\nTo: b@example.org\nSubject: Überstunden – März\n\nGrüße aus Köln\n\n"
        "Attachment: zahlen.csv\na;b\n1;2\n\nAttachment: bild.png\n"
    )
    page = EmailMessage()
    page["Subject"] = "only a page"
    page.set_content("<p>Tea is <b>hot</b></p><script>x()</script>", subtype="html")
    (tmp_path / "b.eml").write_bytes(page.as_bytes())
    assert read(tmp_path / "b.eml")[0] == "Subject: only a page\n\nTea is hot\n"
    (tmp_path / "c.eml").write_bytes(b"\x00\x01 nothing of the kind")
    with pytest.raises(InvalidInput, match="none of the headers"):
        list(load_paths([tmp_path / "c.eml"]))
