"""What is remembered about one resource between two looks. All of it may be lost: a restart begins anew."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import Any

from topology_operator.broker.connection import BrokerConnection


class ResourceState:
    def __init__(self, uid: str, status: Mapping[str, Any]) -> None:
        self.uid = uid
        self.status = dict(status)
        """As last written, or as found."""
        self.wake = asyncio.Event()
        self.lock = asyncio.Lock()
        """Looks and the clean-up of one resource never overlap in this process."""
        self.ready = False
        self.was_ready = any(
            each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions") or ()
        )
        """Whether the broker held the spec at any time that is known."""
        self.connection: BrokerConnection | None = None
        """What worked last."""
        self.warning_due = False
        """Whether an event that was Normal, since the broker may still have been starting, becomes a Warning later."""
        self.compared = ""
        """When the broker was last compared."""
        self._failures = 0

    def failed(self, first_seconds: float, most_seconds: float) -> float:
        """Seconds until the next try: twice as long each time, a little apart from others that failed together."""
        wait = min(first_seconds * 2.0 ** min(self._failures, 30), most_seconds)
        self._failures += 1
        return wait * random.uniform(0.8, 1.0)  # noqa: S311 - spreads load, guards nothing

    def succeeded(self) -> None:
        self._failures = 0
