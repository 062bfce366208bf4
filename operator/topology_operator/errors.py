"""Errors between the operator and Kubernetes, as one tree.

OperatorError                     base; its text is one message a person can act on
├── SettingsError                 an environment variable has an impossible value; the process does not start
├── UnresolvedReference           a reference in `spec.broker` cannot be resolved, see `broker.resolver`
├── CleanupPending                the clean-up after a deleted Topology has to be tried again
├── HookTimeout                   a Helm hook did not finish in time
└── KubernetesError               the API server refused a request
    ├── ApiServerUnreachable      no answer, or the API server is overloaded; worth a retry
    ├── Forbidden                 401 or 403: the operator's role lacks a right
    └── Conflict                  409: the object exists, or was changed since it was read
"""


class OperatorError(Exception):
    """Base of every error that this package raises on purpose."""


class SettingsError(OperatorError):
    pass


class UnresolvedReference(OperatorError):
    def __init__(self, reason: str, message: str, *, not_found: bool = False) -> None:
        self.reason = reason
        """The reason of the Ready condition."""
        self.not_found = not_found
        """The broker, or the Secret with its address, does not exist: no clean-up is possible there."""
        super().__init__(message)


class CleanupPending(OperatorError):
    pass


class HookTimeout(OperatorError):
    """The text names what is left."""


class KubernetesError(OperatorError):
    def __init__(self, message: str, status: int = 0) -> None:
        self.status = status
        super().__init__(message)


class ApiServerUnreachable(KubernetesError):
    pass


class Forbidden(KubernetesError):
    pass


class Conflict(KubernetesError):
    pass
