"""Errors that a command reports in one line, without a stack trace.

WarrenError         the text is ready to print: what is wrong, where, and what to do
└── ClientError     a request failed, or the command cannot be carried out as given
"""


class WarrenError(Exception):
    """An error for the user; `str()` is ready to print."""


class ClientError(WarrenError):
    """A request failed. `status` is the HTTP status of the response; None without a response."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status
