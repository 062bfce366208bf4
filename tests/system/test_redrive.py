"""Parked messages of the running system are replayed, replayed twice, parked again and dropped; invariants hold."""

import asyncio
import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx

from devtools.local.demo import POISON, send_poison
from devtools.local.system import System
from devtools.paths import CHECKOUT
from devtools.servers.endpoints import BrokerEndpoints
from tests.system.shop import Shop

# Dies when every message is safe in its queue and none has left the parking lot.
DYING = """
import os, signal
from warren_messaging.dead_letters.parking_lot import ParkingLot
async def fatal(self, messages):
    os.kill(os.getpid(), signal.SIGKILL)
ParkingLot.remove = fatal
from warren.entry import warren
warren()
"""


def warren(
    system: System,
    folder: Path,
    *arguments: str,
    program: tuple[str, ...] = ("-m", "warren"),
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Any:
    broker, database = system.servers.broker.endpoints, system.servers.postgres.endpoint
    password = folder / "database-password"
    password.write_text(database.admin_password)
    settings = {
        "PYTHONPATH": os.pathsep.join(str(CHECKOUT / part) for part in (".", "operator", "services/shared/messaging")),
        "WARREN_BROKER_URL": f"amqps://{broker.host}:{broker.amqps_port}/orders",
        "WARREN_BROKER_CREDENTIALS": str(system.secrets / "dlq-rabbitmq"),
        "WARREN_BROKER_CA_FILE": str(broker.ca_file),
        "WARREN_MANAGEMENT_URL": broker.management_url,
        "WARREN_DATABASE_URL": f"postgresql://postgres@{database.host}:{database.port}/{database.database}",
        "WARREN_DATABASE_PASSWORD_FILE": str(password),
        "WARREN_DATABASE_CA_FILE": str(database.ca_file),
    }
    command = [sys.executable, *program, *arguments]
    return subprocess.run(command, cwd=folder, env=settings | environment, capture_output=True, text=True, check=False)


@contextmanager
def parking(shop: Shop, service: str, count: int) -> Iterator[None]:
    """Within the block the service stands still; at its end the next `count` messages of its queue are parked."""
    broker = shop.system.servers.broker.endpoints
    with shop.without(service):
        yield
        options = {"auth": broker.login, "verify": _tls(broker.ca_file)}
        with httpx.Client(base_url=f"{broker.management_url}/api/", **options) as api:
            # The broker takes back what it had handed out to the service that stands still.
            _eventually(lambda: any(each["user"] == service for each in api.get("connections").json()))
            for connection in api.get("connections").json():
                if connection["user"] == service:
                    api.delete(f"connections/{connection['name']}")
        asyncio.run(_reject(broker, service, count))


async def _reject(broker: BrokerEndpoints, service: str, count: int) -> None:
    rejected = 0
    async with asyncio.timeout(20), broker.channel("orders") as channel:
        while rejected < count:
            message = await channel.basic_get(f"{service}.queue")
            if message.delivery_tag is None:
                await asyncio.sleep(0.1)
            else:
                await channel.basic_reject(message.delivery_tag, requeue=False)
                rejected += 1


def test_orders_with_parked_events_complete_after_a_killed_and_repeated_replay(shop: Shop, tmp_path: Path) -> None:
    before = shop.stock("item3")
    with parking(shop, "inventory", 8):
        orders = [shop.place("item3") for _ in range(8)]
    killed = warren(shop.system, tmp_path, "dlq", "replay", "--queue", "inventory", program=("-c", DYING))
    assert killed.returncode == -9, killed.stderr
    result = warren(shop.system, tmp_path, "dlq", "replay", "--queue", "inventory", "--type", "order.created")
    assert (result.returncode, result.stdout) == (0, "replayed 8 of 8 examined\n"), result.stderr
    for order in orders:
        assert shop.reaches(order, "COMPLETED", "CANCELLED").state == "COMPLETED"
    assert shop.stock("item3")["sold"] - before["sold"] == 8, "each event came twice and had one effect"


def test_poison_is_parked_again_with_a_new_count_and_can_be_dropped(shop: Shop, tmp_path: Path) -> None:
    send_poison(shop.system.servers.broker.endpoints, "inventory.queue")

    def listed() -> list[dict[str, Any]]:
        result = warren(shop.system, tmp_path, "dlq", "list", "--queue", "inventory", "--json")
        assert result.returncode == 0, result.stderr
        return [json.loads(line) for line in result.stdout.splitlines()]

    for replays in range(2):
        _eventually(lambda count=replays: [each["replays"] for each in listed()] == [count])
        (parked,) = listed()
        assert (parked["attempts"], parked["reason"][:16]) == (1, "not a CloudEvent")
        result = warren(shop.system, tmp_path, "dlq", "replay", "--all")
        assert result.returncode == 0, result.stderr
    _eventually(lambda: [each["replays"] for each in listed()] == [2])
    kept = tmp_path / "kept.jsonl"
    result = warren(shop.system, tmp_path, "dlq", "drop", "--queue", "inventory", "--yes", "--record", str(kept))
    assert result.returncode == 0, result.stderr
    assert json.loads(kept.read_text())["body"].encode() == POISON
    result = warren(shop.system, tmp_path, "failures", "--service", "inventory", "--state", "dropped", "--json")
    assert len(result.stdout.splitlines()) == 1
    result = warren(shop.system, tmp_path, "outbox", "--json")
    assert {json.loads(line)["service"] for line in result.stdout.splitlines()} >= {"order", "inventory", "payment"}


def _eventually(condition: Any, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "still not so"
        time.sleep(0.1)


def _tls(ca_file: Path) -> Any:
    return ssl.create_default_context(cafile=ca_file)
