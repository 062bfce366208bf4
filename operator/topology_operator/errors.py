"""Everything that can go wrong between the operator and Kubernetes, as one tree.

OperatorError                 base; its text is one message a person can act on
├── SettingsError             the environment asks for something impossible; the process does not start
├── UnresolvedReference          what `spec.broker` names cannot be used, see `broker_address`
└── KubernetesError           the API server could not do what was asked
    ├── ApiServerUnreachable        nothing answers, or it says it is overloaded; worth waiting for
    ├── Forbidden            403: the operator's role lacks a verb
    └── Conflict              409: somebody else wrote in between; read again
"""

from __future__ import annotations


class OperatorError(Exception):
    """Base of every error this package raises on purpose."""


class SettingsError(OperatorError):
    """A variable of the environment has an impossible value."""


class UnresolvedReference(OperatorError):
    """What `spec.broker` names cannot be used. `reason` is the word for the condition."""

    def __init__(self, reason: str, message: str, *, gone: bool = False) -> None:
        self.reason = reason
        self.gone = gone
        """The broker, or the Secret that leads to it, does not exist: nobody can clean up there any more."""
        super().__init__(message)


class KubernetesError(OperatorError):
    """The API server refused one request; the text carries its reason."""

    def __init__(self, message: str, status: int = 0) -> None:
        self.status = status
        super().__init__(message)


class ApiServerUnreachable(KubernetesError):
    """Nothing answers, or not in time, or the server asks to come back later."""


class Forbidden(KubernetesError):
    """The operator's role lacks a right."""


class Conflict(KubernetesError):
    """The object exists already, or was changed since it was read."""
