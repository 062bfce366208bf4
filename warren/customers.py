"""Customers who order at an installation at a steady rate, and measure what each order costs them.

    python -m warren.customers --url http://localhost:8080 --token-key-file token.key --rate 20 --seconds 60

A request that fails is counted, and repeated with the same Idempotency-Key until the order is accepted or PATIENCE is
over. An order's time runs from its first request to its acceptance. SIGTERM and Ctrl-C end the ordering early. Exit
codes: 0 every request was answered with 202, 1 some were not, 2 wrong usage.
"""

import argparse
import asyncio
import secrets
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import httpx

from warren.errors import WarrenError
from warren.tokens import sign

ARTICLES = [f"item{number}" for number in range(1, 10)]
LIMIT = 10.0  # seconds for an answer
PATIENCE = 60.0  # seconds after which a customer gives up an order
PAUSE = 0.5  # seconds before a request is repeated
BUSY = httpx.codes.TOO_MANY_REQUESTS
SHOWN = 20  # failures that are printed one by one


@dataclass
class OrderCounts:
    """`accepted` has the seconds that each order took; `failed` counts requests by reason, `given_up` orders."""

    accepted: dict[UUID, float] = field(default_factory=dict)
    failed: Counter[str] = field(default_factory=Counter)
    given_up: int = 0

    @property
    def text(self) -> str:
        accepted = len(self.accepted)
        figures = f"{accepted + self.given_up} ordered, {accepted} accepted, {self.failed.total()} requests failed"
        if accepted > 1:
            took = list(self.accepted.values())
            cuts = statistics.quantiles(took, n=100)
            figures += (
                f"; accepted within {cuts[49]:.3f} s (half), {cuts[98]:.3f} s (99 of 100), {max(took):.3f} s (all)"
            )
        return figures


class SteadyCustomers:
    """`rate` is orders a second; with `ids`, each accepted one is printed, as are the first failures."""

    def __init__(self, url: str, key_file: Path | None, rate: float, *, ids: bool = False) -> None:
        self.tally = OrderCounts()
        self._url = url
        self._key_file = key_file
        self._pause = 1 / rate
        self._ids = ids
        self._run = secrets.token_hex(3)
        self._ended = asyncio.Event()

    def stop(self) -> None:
        """What is under way is waited for."""
        self._ended.set()

    async def order(self, seconds: float) -> OrderCounts:
        """Until the time is over or `stop`; slow answers hold up no other customer. Raises WarrenError."""
        token = None if self._key_file is None else sign("customers", self._key_file, seconds=seconds + 600)
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        async with (
            httpx.AsyncClient(base_url=self._url, headers=headers, timeout=LIMIT) as client,
            asyncio.TaskGroup() as group,
        ):
            began = time.monotonic()
            number = 0
            while time.monotonic() - began < seconds and not self._ended.is_set():
                group.create_task(self._place(client, number))
                number += 1
                late = began + number * self._pause - time.monotonic()
                try:
                    async with asyncio.timeout(max(late, 0)):
                        await self._ended.wait()
                except TimeoutError:
                    continue
        return self.tally

    async def _place(self, client: httpx.AsyncClient, number: int) -> None:
        items = [ARTICLES[number % len(ARTICLES)], ARTICLES[number // len(ARTICLES) % len(ARTICLES)]]
        body = {"orderId": f"{self._run}-{number}", "user": "customers", "items": sorted(set(items))}
        began = time.monotonic()
        while (answer := await self._request(client, body)) is None or answer.status_code != httpx.codes.ACCEPTED:
            refused = answer is not None and answer.is_client_error and answer.status_code != BUSY
            if refused or time.monotonic() - began > PATIENCE:
                self.tally.given_up += 1
                return
            await asyncio.sleep(PAUSE)
        order = UUID(answer.json()["id"])
        self.tally.accepted[order] = time.monotonic() - began
        if self._ids:
            print(f"accepted {order}", flush=True)

    async def _request(self, client: httpx.AsyncClient, body: Mapping[str, object]) -> httpx.Response | None:
        try:
            answer = await client.post("/orders", json=body, headers={"Idempotency-Key": str(body["orderId"])})
        except httpx.HTTPError as error:
            self._fail(f"no answer: {str(error) or type(error).__name__}")
            return None
        if answer.status_code != httpx.codes.ACCEPTED:
            self._fail(f"answered {answer.status_code}: {answer.text[:200]}")
        return answer

    def _fail(self, reason: str) -> None:
        self.tally.failed[reason] += 1
        if self.tally.failed.total() <= SHOWN:
            print(f"failed at {time.strftime('%H:%M:%S')}: {reason}", flush=True)


async def _run(options: argparse.Namespace) -> OrderCounts:
    customers = SteadyCustomers(options.url, options.token_key_file, options.rate, ids=options.ids)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, customers.stop)
    return await customers.order(options.seconds)


def _positive(text: str) -> float:
    if (number := float(text)) <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not more than 0")
    return number


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m warren.customers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", required=True, help="where the order API is")
    parser.add_argument("--token-key-file", type=Path, help="key to sign the customers' token with")
    parser.add_argument("--rate", type=_positive, default=10.0, help="orders a second; default: %(default)g")
    parser.add_argument("--seconds", type=_positive, default=60.0, help="for how long; default: %(default)g")
    parser.add_argument("--ids", action="store_true", help="print the id of every order that was accepted")
    options = parser.parse_args()
    try:
        tally = asyncio.run(_run(options))
    except WarrenError as error:
        print(f"customers: {error}", file=sys.stderr)
        return 1
    print(tally.text, flush=True)
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
