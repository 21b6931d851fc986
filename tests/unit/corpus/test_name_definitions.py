"""What is a name, and which names a document defines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_rlm.corpus.names.definitions import definitions
from langgraph_rlm.corpus.names.naming import MOST_NAME_WORDS, Words, folded_text, forms_of, key_of


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("The Lord of the Rings", "lord of the rings"),
        ("Tekezé-River", "tekeze river"),
        ("Lothair II", "lothair ii"),
        ("url_for", "url_for"),
        ("__init__", "init"),
        ("東京", "東 京"),
        ("Ἀθῆναι", "αθηναι"),
        ("the", None),
        ("It", None),
        ("X", None),
        ("1984", None),
        ("…", None),
        ("", None),
        ("word " * 13, None),
        ("x" * 10_000_000, None),
    ],
)
def test_a_name_is_its_words_without_case_accents_and_article(text: str, key: str | None) -> None:
    assert key_of(text) == key


@given(st.text(max_size=80))
def test_words_stand_where_they_say_and_a_key_is_made_of_them(text: str) -> None:
    words = Words(text)
    for number, written in enumerate(words.written):
        start, end = words.place(number)
        assert text[start:end] == written
        assert " " not in words.keys[number]
    key = key_of(text)
    assert key is None or (0 < len(key.split()) <= MOST_NAME_WORDS and words.keys[-len(key.split()) :] == key.split())
    plain, low = folded_text(text)
    assert len(plain) == len(low)


def test_a_title_is_called_by_its_parts_too() -> None:
    assert list(forms_of("Springfield, Illinois (city)")) == [
        "Springfield, Illinois (city)", "Springfield, Illinois", "Springfield",
    ]  # fmt: skip
    assert list(forms_of("(a[b")) == ["(a[b"]


def keys(doc_id: str, text: str, **metadata: object) -> dict[str, str]:
    return {name.key: name.kind for name in definitions(doc_id, text, metadata)}


def test_metadata_first_lines_and_files_give_names() -> None:
    found = keys("guides/Setting_Up.txt", "Some first line\nand text", title="The Guide (v2)", author="Jane Doe",
                 language="en", path="/home/Jane", year=1984)  # fmt: skip
    assert found == {
        "guide v2": "title", "guide": "title", "jane doe": "metadata", "some first line": "title",
        "setting up": "file", "setting_up": "file",
    }  # fmt: skip


@pytest.mark.parametrize(
    "doc_id", ["p17", "doc-3", "0b7f3a9c1122", "page_12.txt", "6c5b3f0e-51c5-4c1c-9d0e-3a7c2f0b8e21"]
)
def test_numbers_and_digests_are_no_file_names(doc_id: str) -> None:
    assert keys(doc_id, "nothing but prose.") == {}


def test_an_address_names_its_last_part() -> None:
    assert keys("https://example.org/wiki/Lothair_II?x=1#top", "prose.") == {"lothair ii": "file", "lothair_ii": "file"}


@pytest.mark.parametrize("text", ["", "\n", "One sentence.\nAnother.", "no second line", "# \n\n", "<h1></h1>"])
def test_a_text_without_a_title_has_none(text: str) -> None:
    assert keys("p1", text) == {}


def test_headings_of_markdown_name_their_sections() -> None:
    text = "# Big *Guide*\nintro\n## Use of [Forms](x.md) {#forms-use}\ntext\n```\n# no heading\n```\n### Deep Part\nx\n## Closing Part ##\nend"
    found = {name.key: name for name in definitions("p1", text, {})}
    assert {key: name.kind for key, name in found.items()} == {
        "big guide": "heading", "use of forms": "heading", "forms use": "anchor", "deep part": "heading", "closing part": "heading",
    }  # fmt: skip
    assert text[found["use of forms"].start : found["use of forms"].end].splitlines()[-1] == "x"
    assert text[found["deep part"].start : found["deep part"].end] == "### Deep Part\nx\n"
    assert (found["big guide"].start, found["big guide"].end) == (0, len(text))


def test_underlined_headings_and_targets_are_read() -> None:
    text = ".. _lazy-loading:\n\nLazily Loading Views\n====================\n\nBecause.\n\nThe Problem\n-----------\nmore\n"
    assert keys("lazy.rst", text) == {
        "lazy": "file", "lazy loading": "anchor", "lazily loading views": "heading", "problem": "heading",
    }  # fmt: skip


def test_headings_and_anchors_of_html() -> None:
    text = '<html><title>Cats &amp; Dogs</title><h1 id="top-part">Big <b>Heading</b></h1>text<h2>Small One</h2><a name="foot-note">x</a>'
    assert keys("a.html", text) == {
        "cats dogs": "title", "big heading": "heading", "top part": "anchor", "small one": "heading", "foot note": "anchor",
    }  # fmt: skip


CODE = {
    "src/flask/json/provider.py": (
        'import x\n\nclass JSONProvider:\n    """def in_a_string(): pass\n    def nor_here():\n    """\n'
        "    async def dumps_it(self):\n        pass\n\nMAX_SIZE = 3\ndef __init__(): ...\n",
        {"jsonprovider", "json provider", "dumps_it", "dumps it", "jsonprovider dumps_it", "max_size", "max size",
         "provider", "flask json provider"},
    ),
    "web/cart.ts": (
        "// function notThis() {}\nexport class ShoppingCart {\n  addItem(item: Item): void {\n    if (x) { y() }\n  }\n}\n"
        "export const taxRate = 3;\ninterface Priced { p: number }\nexport async function loadCart() {}\n",
        {"shoppingcart", "shopping cart", "additem", "add item", "shoppingcart additem", "taxrate", "tax rate", "priced",
         "loadcart", "load cart", "cart", "web cart"},
    ),
    "pkg/server.go": (
        "package pkg\n/* func no() */\ntype HttpServer struct {\n}\nfunc (s *HttpServer) ServeIt(w int) {\n}\nfunc startAll() {}\n",
        {"httpserver", "http server", "serveit", "serve it", "startall", "start all", "server", "pkg server"},
    ),
    "src/parse.rs": (
        'pub struct TokenTree;\nimpl TokenTree {\n    pub fn next_token(&mut self) -> u8 { 0 }\n}\nmacro_rules! my_macro { () => {} }\n"fn no() {}";\n',
        {"tokentree", "token tree", "next_token", "next token", "my_macro", "my macro", "parse"},
    ),
    "com/acme/OrderBook.java": (
        "package com.acme;\npublic final class OrderBook {\n    public List<Order> openOrders(int max) throws X {\n        return null;\n    }\n}\n",
        {"orderbook", "order book", "openorders", "open orders", "orderbook openorders", "acme orderbook", "com acme orderbook"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("doc_id", list(CODE))
def test_code_defines_what_it_declares_and_its_module(doc_id: str) -> None:
    text, wanted = CODE[doc_id]
    found = set(keys(doc_id, text))
    assert wanted <= found
    assert not {"no", "notthis", "in_a_string", "nor_here", "if"} & found


def test_a_definition_reaches_to_the_next_of_its_depth() -> None:
    text = (
        "class A1:\n    def one_of(self):\n        pass\n\n    def two_of(self):\n        pass\n\nclass B1:\n    pass\n"
    )
    found = {name.key: text[name.start : name.end] for name in definitions("m.py", text, {})}
    assert found["one_of"] == "    def one_of(self):\n        pass\n\n"
    assert found["a1"].endswith("pass\n\n") and "two_of" in found["a1"] and "B1" not in found["a1"]


@pytest.mark.parametrize("doc_id", ["a.md", "a.html", "a.py", "a.java", "a.ts", "plain"])
@pytest.mark.parametrize(
    "text",
    ["(" * 20_000, "[" * 20_000, "# " * 20_000, "<a " * 20_000, '"' * 20_001, "`" * 20_001, "a(" * 20_000, "=\n" * 20_000,
     "public " * 10_000, "<" * 20_000, "const a" * 10_000, "```\n" * 9_999, "<h1>" * 20_000, "x\n===\n" * 5_000],
    ids=lambda text: text[:4].strip(),
)  # fmt: skip
def test_a_hostile_text_is_read_in_linear_time(doc_id: str, text: str) -> None:
    definitions(doc_id, text, {"title": text})  # quadratic patterns would take minutes
