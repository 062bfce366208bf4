"""Why a measurement could not be made."""

from devtools.errors import LocalError


class RunFailed(LocalError):
    """A process of the run failed, or did not finish in time; carries what it said."""
