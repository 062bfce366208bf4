"""Everything that can go wrong, as one tree.

TopologyError                 base; its text is one message a person can act on
├── InvalidTopology           the files are refused; carries every finding
│   └── Claimed               another owner has an object already
├── SecretError               a credential cannot be read, or contradicts the files
├── BrokerError               the broker could not do what was asked
│   ├── BrokerUnreachable     nothing answers, or not in time; worth waiting for
│   ├── CertificateRefused    the broker's certificate is not signed by the given CA
│   ├── NotRabbitMQ           something answers, but not a RabbitMQ management API
│   ├── BrokerTooOld          a version that would accept our arguments and ignore them
│   ├── AccessRefused         401 or 403: wrong password, or rights missing
│   ├── RequestFailed         any other refusal, with the broker's own reason
│   └── MigrationBusy         another process is moving this queue's messages
├── NotDisowned               an owner's record has to stay as it is
└── ApplyIncomplete           some steps of a plan failed; names each with its reason
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker_topology.findings import Finding


class TopologyError(Exception):
    """Base of every error this package raises on purpose."""


class InvalidTopology(TopologyError):
    """The topology is refused. Nothing was written."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(str(finding) for finding in self.findings))


class OwnershipConflict(InvalidTopology):
    """Another owner has some of the objects already; the findings name it. Nothing was written."""


class SecretError(TopologyError):
    """A credential cannot be read or written, or it names another user."""


class BrokerError(TopologyError):
    """The broker could not do what was asked."""


class BrokerUnreachable(BrokerError):
    """Nothing answers at the address, or not within the time limit."""


class CertificateRefused(BrokerError):
    """The broker's certificate does not verify against the given CA and host name."""


class NotRabbitMQ(BrokerError):
    """The address answers, but not as a RabbitMQ management API."""


class BrokerVersionUnsupported(BrokerError):
    """The broker is older than this engine's arguments."""


class AccessDenied(BrokerError):
    """The broker refused the user name and password, or this user's rights do not suffice."""


class RequestFailed(BrokerError):
    """The broker refused one request; the text carries the broker's reason."""

    def __init__(self, message: str, status: int) -> None:
        self.status = status
        super().__init__(message)


class MigrationBusy(BrokerError):
    """Another process holds the lease of a migration."""


class DisownRefused(TopologyError):
    """There is no such owner, or its record is still needed. Nothing was written."""


class ApplyIncomplete(BrokerError):
    """Some steps failed. Every step that could be done is done; running again continues.

    `skipped` are the steps that build on those, each with what it waits for.
    """

    def __init__(self, failures: Sequence[tuple[str, str]], skipped: Sequence[tuple[str, str]] = ()) -> None:
        self.failures = tuple(failures)
        self.skipped = tuple(skipped)
        lines = [f"{len(self.failures)} of the planned steps failed:"]
        lines += [f"  {step}: {reason}" for step, reason in self.failures]
        if skipped:
            lines.append(f"{len(self.skipped)} were not tried, as they build on these:")
            lines += [f"  {step}: waits for {what}" for step, what in self.skipped]
        super().__init__("\n".join(lines))
