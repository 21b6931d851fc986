"""What a model thinks aloud: taken off wherever it stands, left alone where it is spoken about."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_rlm.calls.thinking import without_thinking


@pytest.mark.parametrize(
    ("opening", "closing"),
    [
        ("<think>", "</think>"),
        ("<thinking>", "</thinking>"),
        ("<THINK>", "</THINK>"),
        ("<Thought>", "</Thought>"),
        ("<reasoning>", "</reasoning>"),
        ("<scratchpad>", "</scratchpad>"),
        ("<seed:think>", "</seed:think>"),
        ("<antThinking>", "</antThinking>"),
        ("<chain_of_thought>", "</chain_of_thought>"),
        ('<think duration="3">', "</think >"),
        ("[THINK]", "[/THINK]"),
        ("◁think▷", "◁/think▷"),
        ("<|begin_of_thought|>", "<|end_of_thought|>"),
        ("<|START_THINKING|>", "<|END_THINKING|>"),
        ("<think>", "</thinking>"),
    ],
)
@pytest.mark.parametrize("newline", ["", "\n", "\r\n"])
def test_thoughts_are_taken_off_by_whatever_name(opening: str, closing: str, newline: str) -> None:
    draft = f"Perhaps Rome.{newline}```repl{newline}FINAL('Rome'){newline}```{newline}No."
    assert without_thinking(f"{opening}{newline}{draft}{newline}{closing}{newline}Paris") == "Paris"


@pytest.mark.parametrize(
    ("reply", "spoken"),
    [
        ("<think></think>\n\nParis", "Paris"),
        ("<think/>Paris", "Paris"),
        ("<think>a</think>\n<think>b</think>\nParis", "Paris"),
        ("First.\n<think>hm</think>\nThen.", "First.\n\nThen."),
        ("<think>\n<reasoning>\na\n</reasoning>\nb</think>Paris", "Paris"),
        ("<think>\na\n<think>\nb\n</think>\nc\n</think>\nParis", "Paris"),
        ("<think>they ask about <think> tags</think>Paris", "Paris"),
        ('<think>He said "hi</think>"Paris"', '"Paris"'),
        ("<think>\n```repl\nx = 1\n</think>\nParis", "Paris"),  # a fence that was left open in it
        ("<think>Rome?</think><answer>Paris</answer>", "Paris"),
        ("<|begin_of_thought|>a<|end_of_thought|>\n<|begin_of_solution|>Paris<|end_of_solution|>", "Paris"),
        ("<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>Paris<|END_RESPONSE|>", "Paris"),
        (
            "<|channel|>analysis<|message|>Rome?<|end|><|start|>assistant<|channel|>final<|message|>Paris<|return|>",
            "Paris",
        ),
    ],
)
def test_nothing_but_the_answer_is_left(reply: str, spoken: str) -> None:
    assert without_thinking(reply) == spoken


@pytest.mark.parametrize(
    "thoughts", ["It is Paris.", "It is Paris\n", "Draft:\n```repl\nFINAL('Rome')\n```\nNo.\n", "a </think> b."]
)
def test_a_closing_tag_alone_ends_thoughts_that_began_with_the_reply(thoughts: str) -> None:
    assert without_thinking(f"{thoughts}</think>\nParis") == "Paris"


@pytest.mark.parametrize(
    "reply",
    [
        "<think>The total may be 3",
        "<think>\n```repl\nFINAL(3)\n```",
        "<THINKING>\n\n",
        "[THINK] so 3",
        "The total may be 3.\n</think>",
        "<|channel|>analysis<|message|>The total may be 3",
    ],
)
def test_a_reply_that_is_all_thoughts_says_nothing(reply: str) -> None:
    assert without_thinking(reply) == ""


def test_what_was_said_before_a_thought_without_end_stays() -> None:
    assert without_thinking("I look first.\n<think>\nor should I") == "I look first."


@pytest.mark.parametrize(
    "text",
    [
        'The tag "<think>" opens a thought and "</think>" ends it.',
        "`<think>` opens a thought, `</think>` ends it.",
        "The tag </think> ends it.",
        "“<think>” opens a thought.",
        "The tag <think> opens a thought.",
        '{"tag": "<think>a</think>"}',
        "FINAL('<think>')",
        "```repl\ntext = '''\n<think>\nx\n</think>\n'''\nprint(text)\n```",
        "```xml\n<think>\na\n</think>\n```\nis what it says.",
        "~~~\n<think>\n~~~\nis its first line.",
        "- ```python\n  tag = '<think>'\n  ```",
        "Think <b>twice</b>, a < b > c, [1].",
        "",
        "  spaces stay  ",
    ],
)
def test_tags_in_code_and_quotes_are_spoken_about(text: str) -> None:
    assert without_thinking(text) == text
    if text.strip():
        assert without_thinking(f"<think>hm</think>\n{text}") == text.strip()


_PIECES = st.sampled_from(
    [
        "<think>",
        "</think>",
        "[THINK]",
        "[/THINK]",
        "```",
        "```py\n",
        "\n",
        '"',
        "`",
        "'",
        "a",
        " ",
        ".",
        "<think/>",
        '"""',
    ]
)


@given(st.one_of(st.text(), st.lists(_PIECES, max_size=40).map("".join)))
def test_any_text_is_taken_and_taking_it_again_changes_nothing_that_was_whole(text: str) -> None:
    spoken = without_thinking(text)
    assert len(spoken) <= len(text)
    if "think" not in text.lower():
        assert spoken == text


@given(st.text(alphabet="ab .\n", max_size=60), st.text(alphabet="ab .\n", min_size=1, max_size=60))
def test_a_block_at_the_beginning_leaves_exactly_the_rest(thoughts: str, rest: str) -> None:
    assert without_thinking(f"<think>{thoughts}</think>{rest}") == rest.strip()


MANY = 10_000


@pytest.mark.parametrize(
    "piece",
    [
        "<think>",
        "</think>",
        "x <think> ",
        "<think>\n",
        "</think>\n",
        '"<think>',
        "`</think>`",
        "< ",
        "<think ",
        "```py\n<think>\n",
        "a <think> b </think> c\n",
        "```\n<think>\n",
        "</think>\n```\n",
        "[THINK]```x\n[/THINK]",
        "[THINK]\na```json\n~~~\n[/THINK]\n",
        '[THINK]\n```py\n"""\n[/THINK]\n',
        '```py\n\\"""\n```\n</think>\n',
    ],
)
def test_hostile_replies_take_linear_time(piece: str) -> None:
    without_thinking(piece * MANY)  # quadratic time would be minutes
    without_thinking(piece * MANY + "</think>")
