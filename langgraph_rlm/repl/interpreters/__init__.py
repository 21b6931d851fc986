"""REPLs on interpreters of others: Monty, and anything of the shape of dspy's ``CodeInterpreter``."""
