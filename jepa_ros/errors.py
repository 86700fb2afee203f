"""The one error class a user is meant to read."""


class JepaError(Exception):
    """A failure the user can act on: the message says what is wrong, where, and what to do."""
