"""python -m loadtest.orders.generator: places orders over a few connections as fast as they are accepted.

It shares the machine with the measured system, so it does as little as HTTP allows: requests are encoded before the
clock starts, and of a response it reads only status and Location. Prints one line of JSON. Run by `python -m loadtest`.
"""

import argparse
import asyncio
import random
import time
from collections.abc import Iterator
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
import uvloop

from loadtest.child import write_result
from loadtest.orders import catalogue

RETRY_SECONDS = 0.2  # after a response with 503


class PlacedOrders(msgspec.Struct, frozen=True):
    accepted: list[UUID]
    first_at: float
    """Unix time of the first 202."""
    last_at: float
    unavailable: int
    """Responses with 503; each of these requests was repeated."""
    cpu_seconds: float


class Generator:
    """Sends the requests over several connections, and records the accepted orders with their times."""

    def __init__(self, host: str, port: int, requests: Iterator[bytes]) -> None:
        self._host = host
        self._port = port
        self._requests = requests
        self.accepted: list[tuple[float, UUID]] = []
        self.unavailable = 0

    async def run_connection(self) -> None:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        for request in self._requests:
            while True:
                writer.write(request)
                status, location = await _read_response(reader)
                if status == 202:
                    self.accepted.append((time.time(), UUID(location.rsplit("/", 1)[-1])))
                    break
                if status != 503:
                    raise SystemExit(f"an order was answered with {status}")
                self.unavailable += 1
                await asyncio.sleep(RETRY_SECONDS)
        writer.close()


async def _read_response(reader: asyncio.StreamReader) -> tuple[int, str]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    await reader.readexactly(int(headers["content-length"]))
    return int(head[0].split()[1]), headers.get("location", "")


async def place(url: str, orders: int, connections: int, seed: int) -> PlacedOrders:
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    rng = random.Random(seed)  # noqa: S311 - not a secret
    requests = [_request(host, parts.path, catalogue.order(rng)) for _ in range(orders)]
    generator = Generator(host, port, iter(requests))
    await asyncio.gather(*(generator.run_connection() for _ in range(connections)))
    return PlacedOrders(
        accepted=[order_id for _, order_id in generator.accepted],
        first_at=generator.accepted[0][0],
        last_at=generator.accepted[-1][0],
        unavailable=generator.unavailable,
        cpu_seconds=time.process_time(),
    )


def _request(host: str, path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}\r\n".encode() + body


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m loadtest.orders.generator", description=__doc__)
    parser.add_argument("url", help="where orders are placed, such as http://127.0.0.1:8080/orders")
    parser.add_argument("--orders", type=int, required=True)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    write_result(uvloop.run(place(options.url, options.orders, options.connections, options.seed)))


if __name__ == "__main__":
    main()
