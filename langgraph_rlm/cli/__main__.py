"""``python -m langgraph_rlm.cli``."""

from __future__ import annotations

from langgraph_rlm.cli import main

if __name__ == "__main__":
    main()
