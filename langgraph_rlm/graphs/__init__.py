"""What users add to their LangGraph app: compiled graphs, and the router between them."""
