"""The errors of this package, as one tree below `TopologyError`. Each text is one message that users can act on."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker_topology.findings import Finding


class TopologyError(Exception):
    """Base class of every error that this package raises on purpose."""


class InvalidTopology(TopologyError):
    """The topology is refused; carries every finding. Nothing was written."""

    def __init__(self, findings: "Sequence[Finding]") -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(str(finding) for finding in self.findings))


class OwnershipConflict(InvalidTopology):
    """Another owner already has some of the objects; the findings name it. Nothing was written."""


class SecretError(TopologyError):
    """A credential cannot be read or written, or it belongs to another user."""


class DisownRefused(TopologyError):
    """The owner is unknown, or its record is still needed. Nothing was written."""


class BrokerError(TopologyError):
    """Base class of the errors of the broker."""


class BrokerUnreachable(BrokerError):
    """No broker answers at the address, or not within the time limit. A retry can succeed."""


class CertificateRefused(BrokerError):
    """The broker's certificate does not verify against the given CA and host name."""


class NotRabbitMQ(BrokerError):
    """The address answers, but not as a RabbitMQ management API."""


class BrokerVersionUnsupported(BrokerError):
    """The broker would accept arguments of this engine and ignore them."""


class AccessDenied(BrokerError):
    """The broker answered 401 or 403: the password is wrong, or the user's rights do not suffice."""


class RequestFailed(BrokerError):
    """The broker refused a request for any other reason, which the text gives."""

    def __init__(self, message: str, status: int) -> None:
        self.status = status
        super().__init__(message)


class MigrationBusy(BrokerError):
    """Another process holds the lease of a migration."""


class ApplyIncomplete(BrokerError):
    """Some steps failed. All steps that do not depend on them are done, and the next run continues.

    `failures` has each failed step with its reason, `skipped` each dependent step with what it waits for.
    """

    def __init__(self, failures: Sequence[tuple[str, str]], skipped: Sequence[tuple[str, str]] = ()) -> None:
        self.failures = tuple(failures)
        self.skipped = tuple(skipped)
        lines = [f"{len(self.failures)} of the planned steps failed:"]
        lines += [f"  {step}: {reason}" for step, reason in self.failures]
        if skipped:
            lines.append(f"{len(self.skipped)} were not tried, as they depend on these:")
            lines += [f"  {step}: waits for {needed}" for step, needed in self.skipped]
        super().__init__("\n".join(lines))
