"""Words with which questions compare, enumerate and ask for the latest, in English, German, French and Spanish."""

from __future__ import annotations

import re


def word_set(text: str) -> frozenset[str]:
    """A list of words, written as one text."""
    return frozenset(text.split())


CONNECTING = word_set("and or vs versus with und oder mit avec con gegen et ou contre y o e u & , / ;")
"""Between names that are asked about side by side."""

COMPARING = re.compile(
    r"\b(?:compar\w*|contrast\w*|versus|vs|differ\w*|both|respectively|each of|either|neither|than|same|more|less|first|earlier|"
    r"later|older|younger|vergleich\w*|unterschied\w*|unterscheid\w*|beide\w*|sowohl|jeweils|früher|später|"
    r"diff[ée]r\w*|respectivement|tous les deux|plus|moins|"
    r"difer\w*|ambos|ambas|respectivamente|más|menos)\b",
    re.IGNORECASE,
)
"""Without one of these, names side by side are taken for one thing (Johnson and Johnson)."""

FROM, UNTIL = ("from", "between", "von", "zwischen", "de", "entre", "desde"), (
    "to", "until", "till", "through", "and", "bis", "und", "à", "et", "hasta", "a", "y", "–", "—", "-",
)  # fmt: skip
"""Around two periods that mean those in between as well."""

EACH = word_set("each every per by jede jeder jedes jeden jedem pro nach chaque par cada por")
"""Before one of a kind."""

CLOSE = word_set("per by pro nach par por")
"""Those that stand right before it."""

ALL = word_set(
    "all across over these those throughout between previous past prior earlier historical different various several "
    "reported reporting multiple recent alle allen aller über diese diesen dieser vorherigen früheren vergangenen "
    "verschiedenen tous toutes ces précédents précédentes différents différentes todos todas estos estas anteriores "
    "distintos distintas"
)
"""Before the plural of a kind."""

CHANGING = re.compile(
    r"\b(?:changed|evolved|evolution|fluctuat\w+|varied|variations?|trends?|shifted|over time|historically|"
    r"verändert|entwickelt|entwicklung|schwank\w+|im laufe der zeit|évolu\w+|fluctu\w+|au fil du temps|"
    r"evolucion\w*|evolución|cambiado|variado|a lo largo del tiempo)\b",
    re.IGNORECASE,
)
"""Of what is asked about, from period to period."""

LATEST = word_set(
    "latest newest recent last current neueste neuesten neuester neuestes letzte letzten letzter letztes aktuelle "
    "aktuellen aktuellste aktuellsten dernier dernière récent récente último última reciente"
)
"""Before a kind that has an order in time."""

TIMES = word_set(
    "quarter year month week day period time quartal jahr monat woche tag zeitraum trimestre année an mois semaine jour "
    "période año mes semana día periodo período"
)
WRITINGS = word_set(
    "report filing document statement edition version release issue q k 10q 10k bericht dokument ausgabe fassung "
    "rapport édition informe documento edición versión"
)
"""What comes once a period. The form 10-Q is two words, ``10`` and ``q``."""

_PLURALS = {
    "quartale": "quartal", "quartalen": "quartal", "jahre": "jahr", "jahren": "jahr", "monate": "monat",
    "monaten": "monat", "wochen": "woche", "tage": "tag", "tagen": "tag", "zeiträume": "zeitraum", "zeiträumen": "zeitraum",
    "berichte": "bericht", "berichten": "bericht", "dokumente": "dokument", "dokumenten": "dokument",
    "ausgaben": "ausgabe", "fassungen": "fassung", "ediciones": "edición", "versiones": "versión", "meses": "mes",
}  # fmt: skip

SCAFFOLD = word_set(
    # asking
    "list name give show tell summarize summarise outline describe explain discuss analyze analyse examine identify "
    "evaluate determine find provide detail details how what which who when where why does do did is are was were has have "
    "had can could may might would should be been being if so there any "
    # comparing and enumerating
    "compare compared compares comparing comparison contrast versus vs difference differences differ differs both "
    "respectively relative between than same each every all across over throughout separately these those "
    # time, and what comes with it
    "change changes changed changing trend trends evolve evolved evolution fluctuate fluctuated fluctuation fluctuations vary "
    "varied variation variations shift shifts shifted time period periods quarter quarters quarterly year years month "
    "months recent latest newest previous prior past last current historical most "
    # who says it, and how much it matters
    "report reports reported reporting document documents filing filings according based disclosed stated mentioned "
    "provided described identified significant significantly substantial substantially notable notably major main key overall "
    # German, French, Spanish
    "nenne zeige vergleiche vergleichen erkläre beschreibe wie was welche welcher welches hat haben sich verändert geändert "
    "entwickelt entwicklung jede jeder jedes jeden alle allen über quartal quartale quartalen jahr jahre jahren zeit "
    "unterschied zwischen neueste neuesten letzte letzten "
    "compare comparez comparer quel quelle quels quelles comment évolution évolué chaque tous toutes trimestre trimestres "
    "année années différence entre dernier dernière récent "
    "compara comparar cuál cuáles cómo qué evolución cambiado cada todos todas trimestres año años diferencia último "
    "última reciente"
)
"""Words that shape an answer and do not stand in the passages that it is made from."""


def singular(word: str) -> set[str]:
    """The words of which this may be the plural, the word itself among them.

    Example:
        >>> sorted(singular("companies"))
        ['compani', 'companie', 'companies', 'company']
    """
    found = {word, _PLURALS.get(word, word)}
    if len(word) > 3 and word.endswith("s"):
        found.add(word[:-1])
    if word == "qs" or word == "ks":
        found.add(word[0])
    if len(word) > 4 and word.endswith("ies"):
        found.add(f"{word[:-3]}y")
    if len(word) > 4 and word.endswith("es"):
        found.add(word[:-2])
    return found
