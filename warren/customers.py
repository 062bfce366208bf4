"""Customers who place orders at a steady rate and measure how long each takes.

    python -m warren.customers --url http://localhost:8080 --token-key-file token.key --rate 20 --seconds 60

A failed request is counted, and repeated with the same Idempotency-Key until the order is accepted or PATIENCE is over.
The time of an order runs from its first request to its acceptance. SIGTERM and Ctrl-C stop new orders. Exit codes: 0
every request was answered with 202, 1 some were not, 2 wrong usage.
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
TIMEOUT = 10.0  # seconds for a response
PATIENCE = 60.0  # seconds after which a customer gives up an order
PAUSE = 0.5  # seconds before a request is repeated
BUSY = httpx.codes.TOO_MANY_REQUESTS
MAX_PRINTED = 20  # failures that are printed


@dataclass
class OrderCounts:
    """Accepted orders with their seconds, failed requests by reason, and the number of orders given up."""

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
    """Places `rate` orders a second and prints the first failures; with `ids` also the id of each accepted order."""

    def __init__(self, url: str, key_file: Path | None, rate: float, *, ids: bool = False) -> None:
        self.counts = OrderCounts()
        self._url = url
        self._key_file = key_file
        self._pause = 1 / rate
        self._ids = ids
        self._run = secrets.token_hex(3)
        self._ended = asyncio.Event()

    def stop(self) -> None:
        """Place no further order; `order` returns when those in progress are done."""
        self._ended.set()

    async def order(self, seconds: float) -> OrderCounts:
        """Place orders for `seconds` or until `stop`. A slow response delays no other order. Raises WarrenError."""
        token = None if self._key_file is None else sign("customers", self._key_file, seconds=seconds + 600)
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        async with (
            httpx.AsyncClient(base_url=self._url, headers=headers, timeout=TIMEOUT) as client,
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
        return self.counts

    async def _place(self, client: httpx.AsyncClient, number: int) -> None:
        items = [ARTICLES[number % len(ARTICLES)], ARTICLES[number // len(ARTICLES) % len(ARTICLES)]]
        body = {"orderId": f"{self._run}-{number}", "user": "customers", "items": sorted(set(items))}
        began = time.monotonic()
        while (response := await self._request(client, body)) is None or response.status_code != httpx.codes.ACCEPTED:
            refused = response is not None and response.is_client_error and response.status_code != BUSY
            if refused or time.monotonic() - began > PATIENCE:
                self.counts.given_up += 1
                return
            await asyncio.sleep(PAUSE)
        order_id = UUID(response.json()["id"])
        self.counts.accepted[order_id] = time.monotonic() - began
        if self._ids:
            print(f"accepted {order_id}", flush=True)

    async def _request(self, client: httpx.AsyncClient, body: Mapping[str, object]) -> httpx.Response | None:
        try:
            response = await client.post("/orders", json=body, headers={"Idempotency-Key": str(body["orderId"])})
        except httpx.HTTPError as error:
            self._fail(f"no response: {str(error) or type(error).__name__}")
            return None
        if response.status_code != httpx.codes.ACCEPTED:
            self._fail(f"answered {response.status_code}: {response.text[:200]}")
        return response

    def _fail(self, reason: str) -> None:
        self.counts.failed[reason] += 1
        if self.counts.failed.total() <= MAX_PRINTED:
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
    parser.add_argument("--url", required=True, help="address of the order API")
    parser.add_argument("--token-key-file", type=Path, help="key to sign the customers' token with")
    parser.add_argument("--rate", type=_positive, default=10.0, help="orders per second; default: %(default)g")
    parser.add_argument("--seconds", type=_positive, default=60.0, help="duration; default: %(default)g")
    parser.add_argument("--ids", action="store_true", help="print the id of every accepted order")
    options = parser.parse_args()
    try:
        counts = asyncio.run(_run(options))
    except WarrenError as error:
        print(f"customers: {error}", file=sys.stderr)
        return 1
    print(counts.text, flush=True)
    return 1 if counts.failed else 0


if __name__ == "__main__":
    sys.exit(main())
