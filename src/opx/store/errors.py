"""What can be wrong with a program's store; apart, so that to name it costs nothing."""


class SecretsError(Exception):
    """The key file or a sealed value cannot be used; the text says why and what to do."""


class DatabaseTooNew(Exception):
    """The database was written by a newer release."""


class DatabaseUnusable(OSError):
    """The database cannot be opened, is damaged, or is something else altogether. Holds no password."""
