"""The state of one Topology in the controller's memory, kept between two reconciles and lost at a restart."""

import asyncio
import random
from collections.abc import Mapping
from typing import Any

from topology_operator.broker.connection import ManagementEndpoint
from topology_operator.kubernetes.objects import condition_of


class ResourceState:
    def __init__(self, uid: str, status: Mapping[str, Any]) -> None:
        self.uid = uid
        self.status = dict(status)
        """The status as it was last read from the resource or written to it."""
        self.requested = asyncio.Event()
        """Set when a reconcile is due now."""
        self.lock = asyncio.Lock()
        """Serializes reconciles and the clean-up of this Topology."""
        self.ready = False
        self.was_ready = condition_of(status).get("status") == "True"
        """Whether the Topology was Ready when this process first saw it, or has been since."""
        self.connection: ManagementEndpoint | None = None
        """The connection of the last reconcile that reached the broker. Until one has: the first connection tried."""
        self.warning_due = False
        """Whether the last failure was a Normal event, since the broker may still have been starting. A Warning event
        follows if the Topology is not Ready in time."""
        self.compared = ""
        """RFC 3339 time of the last comparison with the broker; empty before the first."""
        self._failures = 0

    def next_retry(self, first_seconds: float, max_seconds: float) -> float:
        """Counts a failure and return the seconds until the next attempt: exponential backoff with jitter."""
        wait = min(first_seconds * 2.0 ** min(self._failures, 30), max_seconds)
        self._failures += 1
        return wait * random.uniform(0.8, 1.0)  # noqa: S311 - not a secret

    def reset_backoff(self) -> None:
        self._failures = 0
