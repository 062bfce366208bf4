"""Customers who order while things break. Whoever hears nothing, or is told to come again, comes again with the same
Idempotency-Key, to either of the two order processes, until the order is accepted."""

import asyncio
import math
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

import httpx

from faults.chaos.ledger import Notebook
from faults.chaos.workload import Wish

HURRY = 8.0  # seconds that a customer waits for an answer
FIRST_PAUSE, LONGEST_PAUSE = 0.3, 3.0  # seconds between two attempts
ACCEPTED, PUT_OFF, TOO_LATE = 202, 503, 409


class GaveUp(Exception):
    """Nobody has accepted a request, though everything has been whole for long."""


class Customers:
    """`now` tells the seconds since the beginning."""

    def __init__(self, urls: Sequence[str], notebook: Notebook, now: Callable[[], float]) -> None:
        self._urls = urls
        self._notebook = notebook
        self._now = now
        limits = httpx.Limits(max_connections=400, max_keepalive_connections=40, keepalive_expiry=5)
        self._http = httpx.AsyncClient(timeout=HURRY, limits=limits)
        self._shopping: set[asyncio.Task[None]] = set()
        self._closing = math.inf
        """When whoever has not been answered gives up."""

    @property
    def waiting(self) -> int:
        """Customers who are not done yet."""
        return len(self._shopping)

    async def shop(self, wishes: Iterable[Wish]) -> None:
        """Each at its time; returns when the last has come, though not yet gone."""
        for wish in wishes:
            await asyncio.sleep(max(0.0, wish.at - self._now()))
            task = asyncio.create_task(self._serve(wish))
            self._shopping.add(task)
            task.add_done_callback(self._shopping.discard)

    async def finish(self, seconds: float) -> None:
        """Everything is whole: wait for those who still ask, at most `seconds`, after which they give up."""
        self._closing = self._now() + seconds
        if self._shopping:
            await asyncio.wait(self._shopping, timeout=seconds + HURRY + LONGEST_PAUSE)

    async def leave(self) -> None:
        for task in self._shopping:
            task.cancel()
        await asyncio.gather(*self._shopping, return_exceptions=True)
        await self._http.aclose()

    async def _serve(self, wish: Wish) -> None:
        self._notebook.place(wish)
        chance = random.Random(wish.dice)  # noqa: S311 - must be repeatable
        try:
            orders = await asyncio.gather(*(self._order(wish, chance) for _ in range(wish.manner.copies)))
            if wish.cancels_after is not None:
                await asyncio.sleep(wish.cancels_after)
                self._notebook.cancelling += 1
                answer = await self._ask(f"/orders/{orders[0]}/cancel", chance, ACCEPTED, TOO_LATE)
                self._notebook.refused += answer.status_code == TOO_LATE
        except GaveUp as error:
            self._notebook.odd.append(f"{wish.key}: {error}")

    async def _order(self, wish: Wish, chance: random.Random) -> UUID:
        asked = 0

        def count() -> None:
            nonlocal asked
            asked += 1

        request = {"json": wish.body, "headers": {"Idempotency-Key": wish.key}}
        answer = await self._ask("/orders", chance, ACCEPTED, on_try=count, **request)
        order = UUID(answer.json()["id"])
        self._notebook.accept(wish, order, self._now(), asked)
        return order

    async def _ask(
        self, path: str, chance: random.Random, *good: int, on_try: Callable[[], None] = lambda: None, **request: Any
    ) -> httpx.Response:
        pause = FIRST_PAUSE
        while self._now() < self._closing:
            on_try()
            try:
                answer = await self._http.post(f"{chance.choice(self._urls)}{path}", **request)
            except httpx.TransportError:
                self._notebook.unanswered += 1
            else:
                if answer.status_code in good:
                    return answer
                if answer.status_code == PUT_OFF:
                    self._notebook.put_off += 1
                else:
                    self._notebook.odd.append(
                        f"{answer.status_code} at {self._now():.1f} s for {path}: {answer.text[:200]}"
                    )
            await asyncio.sleep(pause * chance.uniform(0.5, 1.0))
            pause = min(pause * 1.7, LONGEST_PAUSE)
        raise GaveUp(f"{path} was not accepted, though all was whole again")
