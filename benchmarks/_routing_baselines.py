"""Published kinds of routers, each trained without the group it is asked about. Runs where scikit-learn is installed.

Reads ``[[text, complex, group], …]`` from standard input and writes ``{name: [prediction, …]}``.
"""

from __future__ import annotations

import json
import re
import sys

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

WORDS = [
    "what",
    "which",
    "who",
    "whose",
    "when",
    "where",
    "why",
    "how",
    "many",
    "compare",
    "both",
    "each",
    "all",
    "every",
    "average",
    "total",
    "most",
    "least",
    "between",
    "same",
    "difference",
    "that",
    "did",
    "does",
]


def structure(question: str) -> list[float]:
    """Lengths, marks, numbers, capitals and single words of a question."""
    words, lower = question.split(), question.lower()
    counted = [question.count(mark) for mark in (",", "?", "'s", '"')] + [
        lower.count(f" {word} ") for word in ("of", "and", "or")
    ]
    found = [len(re.findall(pattern, question)) for pattern in (r"\d+", r"\b(?:19|20)\d\d\b", r"(?<!^)\b[A-Z]\w+")]
    lengths = [len(words), len(question), sum(map(len, words)) / max(1, len(words))]
    return [*lengths, *counted, *found, *(bool(re.search(rf"\b{word}\b", lower)) for word in WORDS)]


def main() -> None:
    """Train each without one group at a time."""
    rows = json.load(sys.stdin)
    texts = np.array([text for text, _, _ in rows], object)
    labels = np.array([int(label) for _, label, _ in rows])
    groups = np.array([group for _, _, group in rows])
    structures = np.array([structure(text) for text in texts], float)
    words = {"ngram_range": (1, 2), "min_df": 2}
    models = {
        "TF-IDF, linear SVM": (
            lambda: make_pipeline(TfidfVectorizer(**words), LinearSVC(class_weight="balanced")),
            texts,
        ),
        "structure, logistic regression": (
            lambda: make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=3000)),
            structures,
        ),
        "structure, random forest": (
            lambda: RandomForestClassifier(300, class_weight="balanced", random_state=0, min_samples_leaf=2),
            structures,
        ),
    }
    predictions = {}
    for name, (make, data) in models.items():
        predicted = np.zeros(len(rows), int)
        for group in sorted(set(groups)):
            out = groups == group
            predicted[out] = make().fit(data[~out], labels[~out]).predict(data[out])
        predictions[name] = predicted.tolist()
    json.dump(predictions, sys.stdout)


if __name__ == "__main__":
    main()
