"""Errors of `make e2e`.

E2EError
├── NoCluster      there is no cluster; nothing was run
├── NotReady       the cluster lacks a requirement of the chart; nothing was run
├── NoImage        a node cannot pull an image; nothing was run
├── CommandFailed  a program failed; the message has its output
└── CheckFailed    a scenario's expectation was not met
"""


class E2EError(Exception):
    """The message is for the user."""


class NoCluster(E2EError):
    """Neither KUBECONFIG nor kind provides a cluster."""


class NotReady(E2EError):
    """The message has one line for each missing requirement."""


class NoImage(E2EError):
    """The message names image, node and remedy."""


class CommandFailed(E2EError):
    """The message has the command and the last lines of its output."""


class CheckFailed(E2EError):
    """The message has the expectation and the observation."""
