"""What the controller remembers about one Topology between two reconciles. A restart may lose all of it."""

import asyncio
import random
from collections.abc import Mapping
from typing import Any

from topology_operator.broker.connection import BrokerConnection
from topology_operator.kubernetes.objects import condition_of


class ResourceState:
    def __init__(self, uid: str, status: Mapping[str, Any]) -> None:
        self.uid = uid
        self.status = dict(status)
        """As last read or written."""
        self.requested = asyncio.Event()
        """Set when a reconcile is due now."""
        self.lock = asyncio.Lock()
        """Serializes reconciles and the clean-up of this Topology."""
        self.ready = False
        self.was_ready = condition_of(status).get("status") == "True"
        """Whether the Topology has ever been Ready, as far as is known."""
        self.connection: BrokerConnection | None = None
        """The last one that worked."""
        self.warning_due = False
        """Whether the last failure was reported as Normal, because the broker may still be starting."""
        self.compared = ""
        """Time of the last comparison with the broker."""
        self._failures = 0

    def next_retry(self, first_seconds: float, max_seconds: float) -> float:
        """Counts a failure. Returns the seconds until the next try: exponential backoff with jitter."""
        wait = min(first_seconds * 2.0 ** min(self._failures, 30), max_seconds)
        self._failures += 1
        return wait * random.uniform(0.8, 1.0)  # noqa: S311 - spreads load, guards nothing

    def reset_backoff(self) -> None:
        self._failures = 0
