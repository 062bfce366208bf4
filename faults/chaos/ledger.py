"""The responses that customers received, kept outside of the system and compared with its final state."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

import msgspec

from devtools.invariants import Check
from faults.chaos.workload import PAYMENT_TIMEOUT, PlannedOrder

MAX_SHOWN = 5  # violations
UNAVAILABLE, UNANSWERED = "responses with 503", "requests without a response"
DUPLICATE = "duplicate requests"
"""Requests accepted under a key that had been accepted before."""
CANCELLATION, LATE_CANCELLATION = "cancellations", "late cancellations"


class AcceptedOrder(msgspec.Struct, kw_only=True):
    """One line of the ledger's file."""

    at: float
    key: str
    profile: str
    order_id: UUID
    requests: int
    """Requests sent until the order was accepted."""


class ClientLedger:
    """Writes each accepted order to `file` at once."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("wb", buffering=0)
        self._written: set[str] = set()
        self.placed: dict[str, PlannedOrder] = {}
        self.accepted: dict[str, UUID] = {}
        """Key to order id, for every 202."""
        self.contradictions: list[str] = []
        """Keys that got two orders."""
        self.unexpected: list[str] = []
        """Responses outside of the API's contract."""
        self.counts: Counter[str] = Counter()
        """Requests, by their responses."""

    def place(self, order: PlannedOrder) -> None:
        self.placed[order.key] = order

    def accept(self, order: PlannedOrder, order_id: UUID, at: float, requests: int) -> None:
        known = self.accepted.setdefault(order.key, order_id)
        if known != order_id:
            self.contradictions.append(f"{order.key} is {known} and {order_id}")
        if order.key in self._written:
            self.counts[DUPLICATE] += 1
            return
        self._written.add(order.key)
        line = AcceptedOrder(
            at=round(at, 3), key=order.key, profile=order.profile.name, order_id=order_id, requests=requests
        )
        self._file.write(msgspec.json.encode(line) + b"\n")

    def close(self) -> None:
        self._file.close()

    def check(self, found: Mapping[UUID, str]) -> list[Check]:
        """Compare with all orders of the system; their final states have the form "STATE" or "STATE (reason)"."""
        return [self._one_order_per_key(found), self._outcomes(found), self._responses()]

    def _one_order_per_key(self, found: Mapping[UUID, str]) -> Check:
        wrong = list(self.contradictions)
        wrong += [f"{key} was never accepted" for key in self.placed if key not in self.accepted]
        wrong += [f"no client received {order_id}" for order_id in found.keys() - set(self.accepted.values())]
        if len(set(self.accepted.values())) != len(self.accepted):
            wrong.append("one order under two keys")
        detail = f"{len(self.accepted):,} keys, {self.counts[DUPLICATE]:,} duplicate requests absorbed"
        return Check("one order per key, and each known to a client", not wrong, _some(wrong) or detail)

    def _outcomes(self, found: Mapping[UUID, str]) -> Check:
        wrong, timeouts = [], 0
        for key, order_id in self.accepted.items():
            order, outcome = self.placed[key], found.get(order_id, "missing")
            timeouts += outcome == PAYMENT_TIMEOUT
            if outcome not in order.outcomes:
                wrong.append(f"{key} ({order.profile.name}) is {outcome}")
        return Check("each order has an allowed outcome", not wrong, _some(wrong) or f"{timeouts:,} payment timeouts")

    def _responses(self) -> Check:
        detail = f"{self.counts[UNAVAILABLE]:,} {UNAVAILABLE}, {self.counts[UNANSWERED]:,} {UNANSWERED}"
        return Check("every response follows the API's contract", not self.unexpected, _some(self.unexpected) or detail)

    def by_profile(self) -> Counter[str]:
        return Counter(order.profile.name for order in self.placed.values())


def _some(wrong: list[str]) -> str:
    return "; ".join(wrong[:MAX_SHOWN]) + (f" and {len(wrong) - MAX_SHOWN} more" if len(wrong) > MAX_SHOWN else "")
