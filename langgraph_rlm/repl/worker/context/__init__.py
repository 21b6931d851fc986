"""A context in the memory of a session: strings that are made from a few long texts when they are asked for."""
