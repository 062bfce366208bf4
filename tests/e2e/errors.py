"""Errors of `make e2e`.

E2EError
├── NoCluster     there is nothing to run on; nothing was run
├── NotReady      the cluster lacks something that the chart needs; nothing was run
├── NoImage       a node cannot get an image; nothing was run
├── CommandFailed a program ended with an error; its words are in the message
└── NotSo         a scenario found something other than it demands
"""


class E2EError(Exception):
    """Ready to print."""


class NoCluster(E2EError):
    """Neither KUBECONFIG nor kind leads to a cluster."""


class NotReady(E2EError):
    """Everything that is missing, a line each."""


class NoImage(E2EError):
    """Which, on which node, and what to do about it."""


class CommandFailed(E2EError):
    """What was run, and the last lines that it said."""


class NotSo(E2EError):
    """What was expected, and what is so instead."""
