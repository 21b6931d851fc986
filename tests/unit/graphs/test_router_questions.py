"""Questions in plain sight: which route each takes, and the reason that is given for it."""

from __future__ import annotations

import pytest

from langgraph_rlm import SmartRouter
from langgraph_rlm.graphs.signals import SIGNS, signals_of

LOOK_UPS = [
    "What is the notice period in the lease with Harbor Ltd?",
    "Who signed the amendment of 3 May 2021?",
    "When does the warranty of the X200 expire?",
    "What does error code E42 mean?",
    "How do I reset my password?",
    "Which port does the metrics endpoint use?",
    "What was net revenue in Q3 2023?",
    "Is overtime paid on Sundays?",
    "Where is the emergency shut-off valve?",
    "How many vacation days do new employees get?",
    "What is the default timeout of urlopen?",
    "Who wrote Middlemarch?",
    "what year did the factory open",
    "capital of Mongolia",
    "How tall is the north tower?",
    "Why was the launch postponed?",
    "What is meant by force majeure in section 12?",
    "Can I return a used charger?",
    "What is the dosage for children under six?",
    "Which law governs the agreement?",
]
"""One passage answers each of these."""

DEEP = [
    ("How many support tickets mention the word refund?", "it counts things over many documents"),
    ("List all suppliers that missed a deadline in 2022.", "it asks for a list of all"),
    ("Compare the termination clauses of the three leases.", "it compares"),
    ("What changed between version 2 and version 3 of the policy?", "it asks for a change"),
    ("How has the churn rate developed over time?", "it follows a change over time"),
    ("Summarize the board minutes of last year.", "it asks for a summary of everything"),
    ("Do any of the interviews contradict each other?", "it speaks of all of something"),
    ("Which contracts have no liability cap?", "it asks for all documents of a kind"),
    ("What is the average order value across all regions?", "it speaks of all of something"),
    (
        "Who is the mother of the director of the film Northern Lights?",
        "it follows a relation of a named person or work",
    ),
    ("Where was the author of the novel Glass Harbor born?", "it follows a relation of a named person or work"),
    ("Which is older, the Karlov Bridge or the Minster of Ulm?", "it chooses between things"),
    ("Are Lake Vann and Lake Orre in the same country?", "it chooses between things"),
    ("What are the capitals of the five largest provinces?", "it asks about each of a ranked set"),
    ("In which modules is the function parse_date used?", "it asks for all documents of a kind"),
    ("Find every place where a lock is taken but not released.", "it asks for a list of all"),
    ("What do all the complaints have in common?", "it speaks of all of something"),
    (
        "Who founded the company that makes the engine of the X200, and where did they study?",
        "one thing is described by another fact",
    ),
    ("How do the scheduler and the worker pool interact?", "it is about a whole code base"),
    ("For each customer, what was the first product they bought?", "it speaks of all of something"),
    ("When did the team that won the 2012 cup play its first match?", "one thing is described by another fact"),
    ("What percentage of the interviewees were satisfied, and how does it compare with 2019?", "it compares"),
    ("Name the ministers who resigned after the vote and their successors.", "it asks for a list of all"),
    ("Which chapters discuss grief?", "it asks for all documents of a kind"),
    ("How often is the hero lied to?", "it counts occurrences"),
    ("What are the main themes of the correspondence?", "it asks for a summary of everything"),
    (
        "What is the population of the city where the inventor of the zipper died?",
        "one thing is described by another fact",
    ),
    ("Did revenue grow faster in Europe than in Asia from 2019 to 2023?", "it asks for a change"),
]
"""Each needs many documents, several steps or a calculation; with the first reason that is told."""

OTHER_LANGUAGES = [
    "Wie lang ist die Kündigungsfrist im Vertrag mit Hafen GmbH?",
    "¿Cuántos contratos mencionan una penalización?",
    "Quels fournisseurs ont livré en retard ?",
    "这份合同的通知期是多久?",
    "Какой срок уведомления?",
    "كم عدد العقود؟",
]


@pytest.mark.parametrize("question", LOOK_UPS)
def test_a_look_up_reads_like_one(question: str) -> None:
    decision = SmartRouter().decide(question)
    assert decision["route"] == "rag", decision
    assert "look-up" in decision["reasons"][0]


@pytest.mark.parametrize(("question", "reason"), DEEP)
def test_a_question_over_many_documents_or_steps_is_told_by_its_signs(question: str, reason: str) -> None:
    decision = SmartRouter().decide(question)
    assert decision["route"] == "rlm", decision
    assert reason in decision["reasons"][:2]


@pytest.mark.parametrize("question", OTHER_LANGUAGES)
def test_a_question_in_another_language_is_said_to_be_one(question: str) -> None:
    decision = SmartRouter().decide(question)
    assert "does not read like English" in decision["reasons"][0]
    assert decision["confidence"] < 0.5


@pytest.mark.parametrize("question", ["capital of Mongolia", "E42", "retry backoff", "OK?"])
def test_a_few_words_tell_no_language(question: str) -> None:
    assert signals_of(question).english


def test_words_of_another_language_are_no_signs() -> None:
    assert signals_of(
        "Il totale dei ricavi e la ratio tra debito e capitale, per ogni anno dal 2019 al 2023"
    ).features == {"several_periods": 1.0}


@pytest.mark.parametrize(
    ("question", "several"),
    [
        ("What was revenue in Q3 2023?", False),
        ("What was revenue in Q3 2022 and Q3 2023?", True),
        ("What was revenue in Q2 and Q3 2023?", True),
    ],
)
def test_a_quarter_of_a_year_is_one_period(question: str, several: bool) -> None:
    assert ("several_periods" in signals_of(question).features) is several


def test_a_date_does_not_make_a_question_long() -> None:
    plain = "What was the net loss of the holding"
    dated = plain + " in the three months ended September 30, 2023"
    assert signals_of(dated).features.get("length", 0.0) <= signals_of(plain).features.get("length", 0.0) + 0.5


def test_every_sign_has_a_name_and_a_reason_of_its_own() -> None:
    assert len({sign.name for sign in SIGNS}) == len({sign.reason for sign in SIGNS}) == len(SIGNS)


@pytest.mark.parametrize("size", [1_000_000])
@pytest.mark.parametrize("piece", ["a", "compare ", "Q1 2020 ", "Anna's father's ", "\u4e2d", "\ud800"])
def test_a_question_of_a_megabyte_is_decided_by_its_ends(piece: str, size: int) -> None:
    question = piece * (size // len(piece))
    assert SmartRouter().decide(question)["route"] in ("rag", "rlm")
    assert sum(signals_of(question).features.values()) < 100
