"""Simulated customers of a chaos run. A customer without a response, or with 503, repeats the request with the same
Idempotency-Key to any replica of the order API until the order is accepted."""

import asyncio
import math
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

import httpx

from faults.chaos.ledger import CANCELLATION, LATE_CANCELLATION, UNANSWERED, UNAVAILABLE, ClientLedger
from faults.chaos.workload import PlannedOrder

REQUEST_TIMEOUT = 8.0  # seconds
FIRST_PAUSE, MAX_PAUSE = 0.3, 3.0  # seconds between two attempts
ACCEPTED, SERVICE_UNAVAILABLE, CONFLICT = 202, 503, 409


class NeverAccepted(Exception):
    """A request was not accepted although every fault had long been repaired."""


class ChaosCustomers:
    """`now` returns the seconds since the start of the run."""

    def __init__(self, urls: Sequence[str], ledger: ClientLedger, now: Callable[[], float]) -> None:
        self._urls = urls
        self._ledger = ledger
        self._now = now
        limits = httpx.Limits(max_connections=400, max_keepalive_connections=40, keepalive_expiry=5)
        self._http = httpx.AsyncClient(timeout=REQUEST_TIMEOUT, limits=limits)
        self._active: set[asyncio.Task[None]] = set()
        self._deadline = math.inf

    async def place(self, orders: Iterable[PlannedOrder]) -> None:
        """Start each order at its time; returns when the last one has started."""
        for order in orders:
            await asyncio.sleep(max(0.0, order.at - self._now()))
            task = asyncio.create_task(self._simulate(order))
            self._active.add(task)
            task.add_done_callback(self._active.discard)

    async def finish(self, seconds: float) -> None:
        """Wait for the customers that still retry; those that are not accepted within `seconds` give up."""
        self._deadline = self._now() + seconds
        if self._active:
            await asyncio.wait(self._active, timeout=seconds + REQUEST_TIMEOUT + MAX_PAUSE)

    async def close(self) -> None:
        for task in self._active:
            task.cancel()
        await asyncio.gather(*self._active, return_exceptions=True)
        await self._http.aclose()

    async def _simulate(self, order: PlannedOrder) -> None:
        self._ledger.place(order)
        rng = random.Random(order.seed)  # noqa: S311 - must be repeatable
        try:
            ids = await asyncio.gather(*(self._order(order, rng) for _ in range(order.profile.copies)))
            if order.cancels_after is not None:
                await asyncio.sleep(order.cancels_after)
                self._ledger.counts[CANCELLATION] += 1
                response, _ = await self._post(f"/orders/{ids[0]}/cancel", rng, ACCEPTED, CONFLICT)
                self._ledger.counts[LATE_CANCELLATION] += response.status_code == CONFLICT
        except NeverAccepted as error:
            self._ledger.unexpected.append(f"{order.key}: {error}")

    async def _order(self, order: PlannedOrder, rng: random.Random) -> UUID:
        headers = {"Idempotency-Key": order.key}
        response, requests = await self._post("/orders", rng, ACCEPTED, json=order.body, headers=headers)
        order_id = UUID(response.json()["id"])
        self._ledger.accept(order, order_id, self._now(), requests)
        return order_id

    async def _post(self, path: str, rng: random.Random, *final: int, **request: Any) -> tuple[httpx.Response, int]:
        """Repeat a request until its status is one of `final`; returns the response and the number of requests."""
        pause, requests = FIRST_PAUSE, 0
        while self._now() < self._deadline:
            requests += 1
            try:
                response = await self._http.post(f"{rng.choice(self._urls)}{path}", **request)
            except httpx.TransportError:
                self._ledger.counts[UNANSWERED] += 1
            else:
                if response.status_code in final:
                    return response, requests
                if response.status_code == SERVICE_UNAVAILABLE:
                    self._ledger.counts[UNAVAILABLE] += 1
                else:
                    what = f"{response.status_code} at {self._now():.1f} s for {path}: {response.text[:200]}"
                    self._ledger.unexpected.append(what)
            await asyncio.sleep(pause * rng.uniform(0.5, 1.0))
            pause = min(pause * 1.7, MAX_PAUSE)
        raise NeverAccepted(f"{path} was not accepted after every fault was repaired")
