"""Customers who order while things break, and remember what they were told.

Each order has an Idempotency-Key, and a customer who hears nothing, or is told to come again, comes again with the
same one. What was answered with 202 is kept here, outside of the system: that is what it will be held against.
"""

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import httpx

PATIENCE = 120.0  # seconds that a customer keeps asking
HURRY = 30.0  # seconds that a customer waits for an answer
CUSTOMERS = 6
SKUS = ("item1", "item2", "item3", "item4", "mug", "teapot", "kettle", "notebook")


class Customers:
    def __init__(self, url: str, seed: int) -> None:
        self.doors = [url]
        """Addresses of the replicas of the order API; each request goes to any of them."""
        self._http = httpx.Client(timeout=HURRY)
        self._random = random.Random(seed)
        self._any_door = random.Random(seed)
        self._lock = threading.Lock()
        self._number = 0
        self.accepted: dict[str, UUID] = {}
        """Key to order, for every 202."""
        self.turned_away: list[httpx.Response] = []
        """Answers with 503."""
        self.unanswered = 0
        """Requests whose connection broke."""

        self._before = 0

    def begin(self) -> None:
        """A new test: forget what is not about orders."""
        self.turned_away.clear()
        self.unanswered = 0
        self._before = len(self.accepted)

    @property
    def are_busy(self) -> bool:
        """Whether some orders of this test have been accepted, and their events are on the way."""
        return len(self.accepted) - self._before >= 3

    def leave(self) -> None:
        self._http.close()

    def order(self, *items: Any, **fields: Any) -> UUID:
        """Place one order, trying until it is accepted."""
        return self._place(self._body(items or ("item1",), fields))

    @contextmanager
    def ordering(self, count: int, seconds: float, *, cancelling: float = 0.1) -> Iterator[list[UUID]]:
        """`count` orders of every kind, spread over `seconds`, while the block runs; leaving waits for the last
        answer. A share of them is cancelled at once. The list has their ids afterwards."""
        bodies = [self._any_body() for _ in range(count)]
        moments = sorted(self._random.uniform(0, seconds) for _ in range(count))
        fickle = [self._random.random() < cancelling for _ in range(count)]
        began = time.monotonic()

        def act(number: int) -> UUID:
            time.sleep(max(0.0, began + moments[number] - time.monotonic()))
            order = self._place(bodies[number])
            if fickle[number]:
                self.cancel(order)
            return order

        placed: list[UUID] = []
        with ThreadPoolExecutor(CUSTOMERS) as pool:
            acts: list[Future[UUID]] = [pool.submit(act, number) for number in range(count)]
            yield placed
        placed += [act.result() for act in acts]

    def _any_body(self) -> dict[str, Any]:
        sku = "sold-out" if self._random.random() < 0.05 else self._random.choice(SKUS)
        token = "tok_declined" if self._random.random() < 0.05 else "tok_ok"
        items = [{"sku": sku, "quantity": self._random.randint(1, 3)}]
        return self._body(items, {"paymentToken": token, "express": self._random.random() < 0.1})

    def _body(self, items: Any, fields: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            self._number += 1
            return {"user": "fault", "orderId": f"fault-{self._number}", "items": list(items), **fields}

    def _place(self, body: dict[str, Any]) -> UUID:
        key = str(body["orderId"])
        answer = self._ask("/orders", 202, json=body, headers={"Idempotency-Key": key})
        order = UUID(answer.json()["id"])
        with self._lock:
            assert self.accepted.setdefault(key, order) == order, "one key, two orders"
        return order

    def cancel(self, order: UUID) -> None:
        self._ask(f"/orders/{order}/cancel", 202, 409)

    def _ask(self, path: str, *good: int, **request: Any) -> httpx.Response:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                answer = self._http.post(self._any_door.choice(self.doors) + path, **request)
            except httpx.TransportError:
                self.unanswered += 1
            else:
                if answer.status_code in good:
                    return answer
                assert answer.status_code == 503, answer.text
                self.turned_away.append(answer)
            assert time.monotonic() < deadline, f"{path} was not accepted within {PATIENCE:.0f} s"
            time.sleep(0.2)
