"""python -m loadtest.orders.generator: places orders over a few connections as fast as they are accepted.

It shares the machine with what it measures, so it does as little as HTTP allows: requests are made before the clock
starts, and of an answer only status and Location are read. Prints one line of JSON. Run by `python -m loadtest`.
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

from loadtest.orders import catalogue
from loadtest.result import write_result

PATIENCE = 0.2  # seconds after an answer of 503


class Placed(msgspec.Struct, frozen=True):
    """What became of the requests."""

    accepted: list[UUID]
    first_at: float
    """Unix time of the first 202."""
    last_at: float
    put_off: int
    """Answers of 503; each of these requests was sent again."""
    cpu_seconds: float


class Customer:
    """One connection."""

    def __init__(self, host: str, port: int, requests: Iterator[bytes], placed: list[tuple[float, UUID]]) -> None:
        self._host = host
        self._port = port
        self._requests = requests
        self._placed = placed
        self.put_off = 0

    async def shop(self) -> None:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        for request in self._requests:
            while True:
                writer.write(request)
                status, location = await _answer(reader)
                if status == 202:
                    self._placed.append((time.time(), UUID(location.rsplit("/", 1)[-1])))
                    break
                if status != 503:
                    raise SystemExit(f"an order was answered with {status}")
                self.put_off += 1
                await asyncio.sleep(PATIENCE)
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, str]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    await reader.readexactly(int(headers["content-length"]))
    return int(head[0].split()[1]), headers.get("location", "")


async def place(url: str, orders: int, connections: int, seed: int) -> Placed:
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    chance = random.Random(seed)  # noqa: S311 - a load, not a secret
    requests = iter([_request(host, parts.path, catalogue.order(chance)) for _ in range(orders)])
    placed: list[tuple[float, UUID]] = []
    customers = [Customer(host, port, requests, placed) for _ in range(connections)]
    await asyncio.gather(*(customer.shop() for customer in customers))
    return Placed(
        accepted=[order for _, order in placed],
        first_at=placed[0][0],
        last_at=placed[-1][0],
        put_off=sum(customer.put_off for customer in customers),
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
    placed = uvloop.run(place(options.url, options.orders, options.connections, options.seed))
    write_result(placed)


if __name__ == "__main__":
    main()
