"""Customers who order during a fault and record every response.

Each order has an Idempotency-Key; a request without a response, or with 503, is repeated with the same key. The
accepted orders are recorded outside of the system, which must contain exactly these in the end.
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

RETRY_SECONDS = 120.0
REQUEST_TIMEOUT = 30.0  # seconds
CUSTOMERS = 6
SKUS = ("item1", "item2", "item3", "item4", "mug", "teapot", "kettle", "notebook")


class Customers:
    def __init__(self, url: str, seed: int) -> None:
        self.urls = [url]
        """Replicas of the order API; each request goes to any of them."""
        self._http = httpx.Client(timeout=REQUEST_TIMEOUT)
        self._random = random.Random(seed)
        self._replica_choice = random.Random(seed)
        self._lock = threading.Lock()
        self._number = 0
        self.accepted: dict[str, UUID] = {}
        """Key to order id, for every 202 of all tests."""
        self.unavailable: list[httpx.Response] = []
        """Responses with 503 in this test."""
        self.unanswered = 0
        """Requests of this test whose connection broke."""
        self._accepted_before = 0

    def begin_test(self) -> None:
        self.unavailable.clear()
        self.unanswered = 0
        self._accepted_before = len(self.accepted)

    @property
    def are_busy(self) -> bool:
        """Whether at least three orders of this test are accepted, so that their events are under way."""
        return len(self.accepted) - self._accepted_before >= 3

    def close(self) -> None:
        self._http.close()

    def order(self, *items: Any, **fields: Any) -> UUID:
        """Place one order; returns when it is accepted."""
        return self._place(self._body(items or ("item1",), fields))

    @contextmanager
    def ordering(self, count: int, seconds: float, *, cancelling: float = 0.1) -> Iterator[list[UUID]]:
        """Place `count` orders of every kind within `seconds`, in the background of the block.

        The share `cancelling` of them is cancelled at once. Leaving the block waits for the last response; the list
        contains the order ids afterwards.
        """
        bodies = [self._random_body() for _ in range(count)]
        times = sorted(self._random.uniform(0, seconds) for _ in range(count))
        cancelled = [self._random.random() < cancelling for _ in range(count)]
        began = time.monotonic()

        def place(number: int) -> UUID:
            time.sleep(max(0.0, began + times[number] - time.monotonic()))
            order_id = self._place(bodies[number])
            if cancelled[number]:
                self.cancel(order_id)
            return order_id

        placed: list[UUID] = []
        with ThreadPoolExecutor(CUSTOMERS) as pool:
            futures: list[Future[UUID]] = [pool.submit(place, number) for number in range(count)]
            yield placed
        placed += [future.result() for future in futures]

    def _random_body(self) -> dict[str, Any]:
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
        response = self._post("/orders", 202, json=body, headers={"Idempotency-Key": key})
        order_id = UUID(response.json()["id"])
        with self._lock:
            assert self.accepted.setdefault(key, order_id) == order_id, "one key, two orders"
        return order_id

    def cancel(self, order_id: UUID) -> None:
        self._post(f"/orders/{order_id}/cancel", 202, 409)

    def _post(self, path: str, *final: int, **request: Any) -> httpx.Response:
        """Repeat a request until its status is one of `final`."""
        deadline = time.monotonic() + RETRY_SECONDS
        while True:
            try:
                response = self._http.post(self._replica_choice.choice(self.urls) + path, **request)
            except httpx.TransportError:
                self.unanswered += 1
            else:
                if response.status_code in final:
                    return response
                assert response.status_code == 503, response.text
                self.unavailable.append(response)
            assert time.monotonic() < deadline, f"{path} was not accepted within {RETRY_SECONDS:.0f} s"
            time.sleep(0.2)
