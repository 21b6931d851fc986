"""Data sets that are made here, from a seed: needles in filler, aggregation over entries, and mixtures with look-ups.

The aggregation tasks have the form of OOLONG's (classify every entry, then count, compare, pair) with texts of our own:
which label an entry has stands nowhere, it has to be read. What is right is known from how the entries were made.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.evaluation.tasks import DataSet, Evidence, Task, kept

LABELS = ("person", "place", "number", "reason", "definition")
"""What an entry asks for."""
_ASKS: dict[str, tuple[str, ...]] = {
    "person": ("Who built {}?", "Whom did the council thank for {}?", "Whose idea was {}?"),
    "place": ("Where can one see {}?", "In which town was {} shown first?", "To what country was {} sold?"),
    "number": ("How many visitors came to {}?", "How tall is {}?", "What did {} cost?"),
    "reason": ("Why was {} closed?", "What led to the repair of {}?", "For what purpose was {} made?"),
    "definition": ("What is meant by {}?", "What does one call {} in plain words?", "Explain the term {}."),
}
_ADJECTIVES = ("old", "red", "silent", "northern", "broken", "famous", "hidden", "painted", "iron", "small", "tall", "early")  # fmt: skip
_NOUNS = ("bridge", "mill", "harbour", "clock", "garden", "tower", "library", "ferry", "market", "organ", "canal", "gate")  # fmt: skip
_OWNERS = ("Alvik", "Borun", "Celmar", "Dorrin", "Elsby", "Farrow", "Gelton", "Hasken", "Irvale", "Jorund", "Kelmere", "Lunden")  # fmt: skip
_FIRST = ("Ada", "Bela", "Cleo", "Dario", "Edda", "Faruk", "Greta", "Hugo", "Ines", "Jonas", "Kira", "Leon", "Mina", "Nils")  # fmt: skip
_LAST = ("Arendt", "Bruno", "Castell", "Dahl", "Egger", "Frisk", "Gallo", "Holm", "Ilves", "Jansen", "Korda", "Lund")
_TOWNS = ("Turin", "Bergen", "Lyon", "Graz", "Porto", "Ghent", "Tartu", "Split", "Lugo", "Bath", "Kiel", "Cork", "Brno", "Pecs")  # fmt: skip
_TRADES = ("a carpenter", "a nurse", "a pilot", "a baker", "a teacher", "a surveyor", "a printer", "a gardener")
_FILLER = (
    "The morning was clear and the boats left early.", "Nobody on the pier had asked about the weather.",
    "A cart with barrels stood in front of the shop.", "The road to the hill is steep but short.",
    "In the afternoon the wind turned and the flags hung still.", "Two dogs slept in the shade of the wall.",
    "The baker closed late that day.", "Children had drawn a map of the island on the ground.",
    "The lamp in the tower was lit before dusk.", "There were apples in a bowl and letters on the table.",
)  # fmt: skip
_PART_CHARS = 20_000
"""Of one part of a generated text: about a page."""


@dataclass(frozen=True, slots=True)
class Generated:
    """A data set and what its makers know.

    Args:
        data: the tasks and documents.
        labels: the label of each entry's text: for models that stand in for one that can read.
    """

    data: DataSet
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Entry:
    user: int
    text: str
    label: str

    def line(self) -> str:
        return f"User: {self.user} || Entry: {self.text}\n"


# --- needles -----------------------------------------------------------------------------------------------------------


def needle(*, tasks: int = 20, chars: int = 100_000, seed: int = 0) -> Generated:
    """Look-ups of numbers that stand somewhere in filler, as in RULER: one key among others, or all values of one.

    Args:
        tasks: questions; every fourth asks for all values of a key.
        chars: of the text.
        seed: the same seed makes the same set.

    Example:
        >>> needle(tasks=1, chars=2_000).data.tasks[0].question
        'What is the special number of the small garden of Hasken?'
    """
    _check(tasks, chars, seed, least=2_000)
    random_ = random.Random(f"needle {seed}")
    keys = _things(random_, tasks)
    values = {
        key: [random_.randrange(10**6, 10**7) for _ in range(3 if n % 4 == 3 else 1)] for n, key in enumerate(keys)
    }
    needles = [(f"The special number of {key} is {value}.", key) for key in keys for value in values[key]]
    text, places = _hidden(needles, chars, random_)
    asked = []
    for number, key in enumerate(keys):
        several = len(values[key]) > 1
        question = f"What are all the special numbers of {key}?" if several else f"What is the special number of {key}?"
        asked.append(
            Task(
                id=f"needle-{number}",
                question=question,
                collection="needle",
                answers=tuple(map(str, values[key])),
                match="all" if several else "number",
                evidence=tuple(Evidence("filler.txt", *place) for place in places[key]),
                label="complex" if several else "simple",
            )
        )
    return Generated(DataSet(name="needle", tasks=tuple(asked), collections={"needle": kept([("filler.txt", text)])}))


def _hidden(
    needles: Sequence[tuple[str, str]], chars: int, random_: random.Random
) -> tuple[str, dict[str, list[tuple[int, int]]]]:
    """Filler of about ``chars`` characters with the needles between its sentences, and where each key's stand."""
    sentences = list[str]()
    size = sum(len(needle) + 1 for needle, _ in needles)
    while size < chars:
        sentences.append(random_.choice(_FILLER))
        size += len(sentences[-1]) + 1
    mixed: list[tuple[str, str | None]] = [(sentence, None) for sentence in sentences]
    for one in needles:
        mixed.insert(random_.randrange(len(mixed) + 1), one)
    places, parts, at = dict[str, list[tuple[int, int]]](), list[str](), 0
    for number, (sentence, key) in enumerate(mixed, 1):
        if key is not None:
            places.setdefault(key, []).append((at, at + len(sentence)))
        parts.append(sentence + ("\n" if number % 12 == 0 else " "))
        at += len(parts[-1])
    return "".join(parts), places


# --- aggregation --------------------------------------------------------------------------------------------------------


def counting(*, tasks: int = 20, chars: int = 100_000, seed: int = 0) -> Generated:
    """OOLONG-like: how many entries ask for something, which kind is most frequent, how many of one user's.

    Args:
        tasks: questions.
        chars: of all entries together.
        seed: the same seed makes the same set.
    """
    _check(tasks, chars, seed)
    random_ = random.Random(f"counting {seed}")
    entries = _entries(chars, random_)
    asked = _counting_tasks(tasks, entries, random_, "counting")
    return Generated(_on_entries("counting", asked, entries), _known(entries))


def pairs(*, tasks: int = 20, chars: int = 20_000, seed: int = 0) -> Generated:
    """Like OOLONG-Pairs: all pairs of users of whom both have entries of certain kinds. Answers grow with the square.

    Args:
        tasks: questions.
        chars: of all entries together.
        seed: the same seed makes the same set.
    """
    _check(tasks, chars, seed)
    random_ = random.Random(f"pairs {seed}")
    entries = _entries(chars, random_, users=16)
    asked = _pair_tasks(tasks, entries, "pairs")
    return Generated(_on_entries("pairs", asked, entries), _known(entries))


def mixed(*, tasks: int = 40, chars: int = 100_000, simple_share: float = 0.7, seed: int = 0) -> Generated:
    """Look-ups about people and aggregations over entries, on the same documents.

    Args:
        tasks: questions.
        chars: of all entries together; the people come on top.
        simple_share: the share of look-ups, 0 to 1.
        seed: the same seed makes the same set.
    """
    _check(tasks, chars, seed)
    if not 0 <= simple_share <= 1:
        raise InvalidInput(f"simple_share must be from 0 to 1, not {simple_share!r}")
    random_ = random.Random(f"mixed {seed}")
    entries, look_ups = _entries(chars, random_), round(tasks * simple_share)
    asked, people = _look_ups(look_ups, random_)
    asked += _counting_tasks(tasks - look_ups, entries, random_, "mixed-complex")
    data = _on_entries("mixed", asked, entries, more=[("people.txt", people)])
    return Generated(data, _known(entries))


def _entries(chars: int, random_: random.Random, users: int = 40) -> list[_Entry]:
    names = sorted(random_.sample(range(10_000, 99_999), users))
    weights = [random_.uniform(0.5, 2.0) for _ in LABELS]
    entries, size = list[_Entry](), 0
    while size < chars:
        label = random_.choices(LABELS, weights)[0]
        entry = _Entry(random_.choice(names), random_.choice(_ASKS[label]).format(_thing(random_)), label)
        entries.append(entry)
        size += len(entry.line())
    return entries


_EXPLAINED = (
    "Each line of the entry files is an entry: a question that a user has asked, which asks for one of "
    f"{', '.join(LABELS)}. "
)
_KINDS = [*((label, label) for label in LABELS), *combinations(LABELS, 2)]


def _kind_words(one: str, other: str) -> str:
    return f"a {one}" if one == other else f"a {one} or a {other}"


def _counting_tasks(tasks: int, entries: Sequence[_Entry], random_: random.Random, name: str) -> list[Task]:
    """Counts over everything, over one user's entries, and comparisons, in turn; no question twice."""
    labels = Counter(entry.label for entry in entries)
    owned = Counter((entry.user, entry.label) for entry in entries)
    users = [(user, kinds) for user in sorted({entry.user for entry in entries}) for kinds in _KINDS]
    random_.shuffle(users)
    asked = list[Task]()
    for number in range(tasks):
        turn, way = divmod(number, 3)
        if way == 0 and turn < len(_KINDS):
            one, other = _KINDS[turn]
            question = f"How many entries ask for {_kind_words(one, other)}? Answer with the number alone."
            gold = str(sum(labels[label] for label in {one, other}))
        elif way == 2 and turn < len(_KINDS) - len(LABELS):
            one, other = _KINDS[len(LABELS) + turn]
            more = labels[one] - labels[other]
            gold = "equally many" if more == 0 else one if more > 0 else other
            question = (
                f"Across all entries, do more ask for a {one} or for a {other}? Answer with that word alone, or with: "
                "equally many"
            )
        elif users:
            user, (one, other) = users.pop()
            gold = str(sum(owned[user, label] for label in {one, other}))
            question = (
                f"How many entries of user {user} ask for {_kind_words(one, other)}? Answer with the number alone."
            )
        else:
            raise InvalidInput(f"only {number} different questions can be made here: ask for fewer tasks or more chars")
        asked.append(
            Task(
                id=f"{name}-{number}",
                question=_EXPLAINED + question,
                collection="entries",
                answers=(gold,),
                match="exact",
                label="complex",
            )
        )
    return asked


def _pair_tasks(tasks: int, entries: Sequence[_Entry], name: str) -> list[Task]:
    counts = Counter((entry.user, entry.label) for entry in entries)
    users, asked = {entry.user for entry in entries}, list[Task]()
    for number in range(tasks):
        one, other = _KINDS[number % len(_KINDS)]
        least = number // len(_KINDS) + 1  # a further round asks for more entries each
        able = sorted(user for user in users if any(counts[user, label] >= least for label in {one, other}))
        found = [f"{a}-{b}" for a, b in combinations(able, 2)]
        kinds = _kind_words(one, other)
        question = (
            f"List all pairs of users of whom each has at least {least} entr{'y' if least == 1 else 'ies of the same kind'} "
            f"that ask{'s' if least == 1 else ''} for {kinds}. Write each pair once as the smaller id, a hyphen and the "
            "larger id, separated by semicolons, and nothing else. If there is none, write: none"
        )
        asked.append(
            Task(
                id=f"{name}-{number}",
                question=_EXPLAINED + question,
                collection="entries",
                answers=tuple(found) or ("none",),
                match="set",
                label="complex",
            )
        )
    return asked


def _look_ups(tasks: int, random_: random.Random) -> tuple[list[Task], str]:
    """Questions that one line answers, and the lines, among others."""
    names = [f"{first} {last}" for first in _FIRST for last in _LAST]
    random_.shuffle(names)
    if tasks > len(names):
        raise InvalidInput(f"at most {len(names)} look-ups can be made, not {tasks}: ask for fewer tasks")
    asked, parts, at = list[Task](), list[str](), 0
    for number, name in enumerate(names):
        town, trade, year = random_.choice(_TOWNS), random_.choice(_TRADES), random_.randrange(1990, 2024)
        line = f"{name} works as {trade}, lives in {town} and joined in {year}.\n"
        if number < tasks:
            question, gold = [
                (f"Where does {name} live?", town),
                (f"In what year did {name} join?", str(year)),
                (f"What does {name} work as?", trade),
            ][number % 3]
            asked.append(
                Task(
                    id=f"mixed-simple-{number}",
                    question=question,
                    collection="entries",
                    answers=(gold,),
                    evidence=(Evidence("people.txt", at, at + len(line)),),
                    label="simple",
                )
            )
        parts.append(line)
        at += len(line)
    return asked, "".join(parts)


def _on_entries(
    name: str, asked: Sequence[Task], entries: Sequence[_Entry], more: Sequence[tuple[str, str]] = ()
) -> DataSet:
    """The entries in files of some pages each."""
    per_file = max(1, _PART_CHARS * len(entries) // sum(len(entry.line()) for entry in entries))
    files = [
        (f"entries-{at // per_file + 1:03}.txt", "".join(entry.line() for entry in entries[at : at + per_file]))
        for at in range(0, len(entries), per_file)
    ]
    return DataSet(name=name, tasks=tuple(asked), collections={"entries": kept([*files, *more])})


def _known(entries: Sequence[_Entry]) -> dict[str, str]:
    return {entry.text: entry.label for entry in entries}


def _thing(random_: random.Random) -> str:
    return f"the {random_.choice(_ADJECTIVES)} {random_.choice(_NOUNS)} of {random_.choice(_OWNERS)}"


def _things(random_: random.Random, count: int) -> list[str]:
    """So many different things."""
    every = [f"the {a} {n} of {o}" for a in _ADJECTIVES for n in _NOUNS for o in _OWNERS]
    if count > len(every):
        raise InvalidInput(f"at most {len(every)} needles can be made, not {count}: ask for fewer tasks")
    return random_.sample(every, count)


def _check(tasks: int, chars: int, seed: int, least: int = 1_000) -> None:
    for name, value, lowest in (("tasks", tasks, 1), ("chars", chars, least), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
            raise InvalidInput(f"{name} must be a whole number from {lowest:,} on, not {value!r}")


GENERATED: dict[str, Callable[..., Generated]] = {
    "needle": needle,
    "counting": counting,
    "pairs": pairs,
    "mixed": mixed,
}
"""Makers by name; each takes ``tasks``, ``chars`` and ``seed``, and ``mixed`` also ``simple_share``."""
