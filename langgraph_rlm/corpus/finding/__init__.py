"""Chunks found for a query, by words, vectors, names or all of them."""
