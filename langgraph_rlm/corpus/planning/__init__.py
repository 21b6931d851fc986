"""A question taken apart into queries, each with its scope, by rules and the corpus's own metadata."""
