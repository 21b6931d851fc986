"""The secret of the host that nobody in the jail may see, and the variable of the environment that holds it."""

MARK = "SECRET-OF-THE-HOST-4711"
ENVIRONMENT = "API_KEY_OF_THE_HOST"
