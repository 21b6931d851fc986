"""The inside of the jail: the zygote, its templates and their sessions, and how they lock themselves down."""
