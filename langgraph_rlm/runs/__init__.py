"""A run: its runtime, its request, its two faces. It knows no graph."""
