"""The errors a person is told about: what happened, to which thing, and what to do next."""

RESTORE = "Restore a backup: python -m storage restore FILE (python -m storage backups lists them)."
"""What to do where saved work is damaged."""


class AssayError(Exception):
    """A refusal with one sentence for the person. Never holds the text of a pair."""


class NotFound(AssayError):
    """The thing asked for does not exist, or no longer does."""


class NotAllowed(AssayError):
    """The person's roles do not include this verb."""


class RuleBroken(AssayError):
    """A rule of the domain refuses: stale version, own draft, unmet gate, closed trial."""


class BadInput(AssayError):
    """A file or a field cannot be taken as it is."""


class Unavailable(AssayError):
    """Something outside the rules is missing: a model, an endpoint, disk space."""


class StorageRefusal(Unavailable):
    """The database or the disk refuses now; the very same may go through later."""
