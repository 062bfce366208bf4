"""Actions of customers and operators in the system tests."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import httpx

from devtools.local.system import System
from warren.client import ApiClient, OrderView

ACCEPTED: list[UUID] = []


class Shop:
    def __init__(self, system: System, client: ApiClient) -> None:
        self.system = system
        self.client = client
        self.accepted = ACCEPTED
        self.frozen: set[str] = set()

    def place(self, *items: Any, user: str = "gayal", key: str | None = None, **fields: Any) -> OrderView:
        order = self.client.place({"user": user, "items": list(items or ["item1"]), **fields}, key)
        self.accepted.append(order.id)
        return order

    def reaches(self, order: OrderView, *states: str, seconds: float = 30) -> OrderView:
        """Wait until the order shows one of the states, as "STATE" or "STATE (reason)"."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.client.find(str(order.id))
            if found.shown_state in states or found.state in states:
                return found
            assert time.monotonic() < deadline, f"{order.name} is {found.shown_state}, not {states}"
            time.sleep(0.02)

    def freeze(self, *processes: str) -> None:
        """SIGSTOP: a process that is there and does nothing."""
        for process in processes:
            os.kill(self.system.processes.pids[process], signal.SIGSTOP)
            self.frozen.add(process)

    def thaw(self, *processes: str) -> None:
        for process in processes:
            os.kill(self.system.processes.pids[process], signal.SIGCONT)
            self.frozen.discard(process)

    @contextmanager
    def without(self, *processes: str) -> Iterator[None]:
        self.freeze(*processes)
        try:
            yield
        finally:
            self.thaw(*processes)

    def story(self, order: OrderView, *, until: str) -> list[str]:
        """Event types of an order in time order, once audit has `until`."""
        deadline = time.monotonic() + 20
        while True:
            answer = httpx.get(f"{self.system.url('audit')}/audit/orders/{order.id}")
            types = [event["event"]["type"] for event in answer.json().get("events", [])]
            if until in types or time.monotonic() > deadline:
                assert until in types, types
                assert answer.json()["gaps"] == []
                return types
            time.sleep(0.05)

    def stock(self, sku: str) -> dict[str, int]:
        return dict(httpx.get(f"{self.system.url('inventory')}/stock/{sku}").json())

    def restock(self, sku: str, quantity: int) -> None:
        url = f"{self.system.url('inventory')}/stock/{sku}/restock"
        httpx.post(url, json={"quantity": quantity}).raise_for_status()
