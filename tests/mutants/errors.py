"""What can be wrong with a mutant, before any test has run."""


class MutantError(Exception):
    """A patch cannot be used; the message is one line with the file and what to do."""


class MalformedMutant(MutantError):
    """The file is no patch, or its header lacks something."""


class DoesNotApply(MutantError):
    """The lines that it changes are not, or not once, in the file that it names."""
