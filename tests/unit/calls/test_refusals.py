"""Texts that answer nothing, in several languages, and answers that look a little like them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_rlm.calls.refusals import answers_nothing

REFUSALS = [
    "I'm sorry, but I can't assist with that.",
    "I’m sorry, but I can’t assist with that request.",
    "Sorry, I can't help with that.",
    "I am sorry, but I am not able to answer this.",
    "I apologize, but I cannot provide this information.",
    "My apologies, but I'm unable to do that.",
    "I cannot fulfill this request.",
    "Unfortunately, I cannot comply with this request.",
    "I won't engage with this topic.",
    "I'm not able to help with that.",
    "I must decline to answer.",
    "As an AI language model, I cannot give medical advice.",
    "This request violates our usage policies.",
    "Your prompt was flagged by the content filter.",
    "**I'm sorry, but I can't assist with that.**",
    "Es tut mir leid, aber dabei kann ich nicht helfen.",
    "Ich kann Ihnen dabei leider nicht helfen.",
    "Je suis désolé, mais je ne peux pas vous aider.",
    "Désolée, je ne peux pas répondre à cette question.",
    "Lo siento, pero no puedo ayudarte con eso.",
    "No puedo ayudar con esa solicitud.",
    "Desculpe, mas não posso ajudar com isso.",
    "Mi dispiace, ma non posso aiutarti.",
    "Het spijt me, maar daar kan ik niet bij helpen.",
    "Przykro mi, ale nie mogę w tym pomóc.",
    "Извините, но я не могу помочь с этим.",
    "К сожалению, я не могу вам помочь.",
    "抱歉，我无法协助处理这个请求。",
    "很抱歉，我不能提供这些信息。",
    "申し訳ありませんが、そのリクエストにはお答えできません。",
    "죄송하지만 그 요청은 도와드릴 수 없습니다.",
]


@pytest.mark.parametrize("text", REFUSALS)
def test_refusals_are_known_in_several_languages(text: str) -> None:
    assert answers_nothing(text) == "refusal"


@pytest.mark.parametrize(
    "text",
    [
        "I don't know.",
        "I could not find the answer.",
        "I was unable to determine the total.",
        "Unable to determine.",
        "Not found",
        "N/A",
        "Unknown.",
        "The context does not mention it.",
        "The provided text doesn't contain this information.",
        "There is not enough information to answer the question.",
        "No relevant passages were found.",
        "Ich weiß es nicht.",
        "Je ne sais pas.",
        "No lo sé.",
        "Не знаю.",
        "我不知道。",
        "わかりません。",
    ],
)
def test_that_it_does_not_know_is_no_answer(text: str) -> None:
    assert answers_nothing(text) == "unknown"


@pytest.mark.parametrize(
    "text",
    [
        "```repl\nprint(context[:100])\n```",
        "```python\nx = 1\n```",
        "I look first.\n```repl\nhits = grep('total')\nprint(hits)\n```",
        "```\nprint(context)\n```",
        "```repl\nprint(1)",
        "print(context[:100])",
        "hits = grep('total')\nprint(hits)",
        "FINAL('x",
        "`FINAL(rows)`",
        "**FINAL(len(rows)",
    ],
)
def test_code_is_no_answer(text: str) -> None:
    assert answers_nothing(text) == "code"


@pytest.mark.parametrize(("text", "why"), [("", "empty"), (" \n\t", "empty"), ("1", "bare"), ("42.", "bare"), ("3.5 %", "bare"), ("-", "bare"), ("[]", "bare")])  # fmt: skip
def test_nothing_and_a_bare_sign_are_no_answer(text: str, why: str) -> None:
    assert answers_nothing(text) == why


@pytest.mark.parametrize(
    "text",
    [
        "Paris",
        "Yes.",
        "巴黎",
        "37 lines",
        "Revenue fell by 3 % in 2020 [1].",
        "Sorry is a board game from 1929.",
        "I can confirm that the total is 73.",
        "I cannot overstate it: revenue rose by 12 %.",
        "None of the quarters fell.",
        "Unknown Pleasures is the first album.",
        "No results improved in 2020, except in Q3.",
        "No evidence of fraud was found by the auditors, who reviewed 40 accounts.",
        "The document does not only mention Anna, but Bob as well.",
        "The data is not in the cloud but on site.",
        "She said that she was sorry but could not help.",
        "Ich kann das bestätigen: 73.",
        "Je suis désolé, dit-il.",
        "他不能参加会议，因为病了。",
        "Call `print(x)` to show it.",
        "The function is:\n```python\ndef f():\n    return 1\n```\nIt returns one, whatever it is given, and it is called by the loader of the package when the first file is read, once in a run.",
        "I'm sorry, but I can't assist with all of it. " + "The first part says that revenue rose. " * 20,
    ],
)  # fmt: skip
def test_answers_are_answers(text: str) -> None:
    assert answers_nothing(text) is None


@given(st.text())
def test_any_text_is_taken(text: str) -> None:
    assert (answers_nothing(text) == "empty") == (not text.strip())


@pytest.mark.parametrize(
    "piece",
    ["I'm sorry, ", "no information ", " ", "```py\n", "Es tut mir leid, aber ich kann dabei ", "print(", "很抱歉"],
)
def test_hostile_texts_take_linear_time(piece: str) -> None:
    answers_nothing(piece * 20_000)
    answers_nothing((piece * 100)[:600])
