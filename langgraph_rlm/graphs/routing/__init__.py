"""Which route a question takes, and why."""
