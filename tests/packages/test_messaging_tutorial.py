"""The tutorial of the messaging library, done by a program: its files and commands, with the installed package.

The only differences are the addresses of the servers, and a proxy that is closed where the reader stops the broker.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from struct import pack
from typing import Any

import aiormq
import pytest

from devtools.distributions.build import FOLDERS
from devtools.distributions.environment import EmptyEnvironment
from devtools.paths import CHECKOUT
from devtools.servers.servers import Servers
from faults.proxy import Proxies
from tests.coffee_shop import CoffeeShop, blocks, console, project_files, wait_until
from warren_messaging.amqp.pipeline import PublishFrame, send
from warren_messaging.amqp.properties import RawProperties
from warren_messaging.dead_letters.parked_message import COUNT_HEADER
from warren_messaging.sender import REDRIVE_EXCHANGE

MAX_LINES = 30
CREATE_TABLE, READ_CUPS, COUNT_EFFECTS = blocks("sql")


class Reader:
    """Enters the commands of the tutorial in their order."""

    def __init__(self, shop: CoffeeShop) -> None:
        self._shop = shop
        self._commands = console()

    def next(self, prefix: str) -> str:
        """Take the next command, which begins with `prefix`."""
        command = self._commands.pop(0)
        assert command.startswith(prefix), f"the tutorial continues with another command: {command}"
        return command

    def enter(self, prefix: str) -> str:
        """Enter the next command; it must succeed. Returns its output."""
        done = self._shop.run_program("bash", "-c", self.next(prefix))
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def is_done(self) -> bool:
        return not self._commands


@pytest.fixture
def proxies() -> Iterator[Proxies]:
    proxies = Proxies()
    yield proxies
    proxies.close()


@pytest.fixture
def shop(servers: Servers, tmp_path: Path, environment: Callable[..., EmptyEnvironment]) -> Iterator[CoffeeShop]:
    with CoffeeShop(servers, tmp_path, environment().variables) as shop:
        yield shop


@pytest.fixture
def prepared(servers: Servers, tmp_path: Path, installed: Callable[[str], EmptyEnvironment]) -> Iterator[CoffeeShop]:
    """A shop after section 4 of the tutorial."""
    with CoffeeShop(servers, tmp_path, installed("warren-messaging").variables) as shop:
        shop.sql(CREATE_TABLE)
        for arguments in (("migrations", "apply", "coffee:service"), ("topology", "coffee:service", "--declare")):
            done = shop.run(*arguments)
            assert done.returncode == 0, done.stderr
        yield shop


def served(shop: CoffeeShop) -> list[int]:
    """The numbers of cups of all effects."""
    return sorted(row[0] for row in shop.sql("SELECT cups FROM served"))


def waiting(shop: CoffeeShop) -> int:
    return int(shop.sql("SELECT count(*) FROM outbox")[0][0])


def test_a_service_is_a_file_of_at_most_30_lines() -> None:
    assert len(project_files()["coffee.py"].splitlines()) <= MAX_LINES


def test_the_quick_start_of_the_package_is_the_service_of_the_tutorial() -> None:
    readme = (CHECKOUT / FOLDERS["warren-messaging"] / "README.md").read_text()
    assert f"```python\n{project_files()['coffee.py']}```" in readme
    commands = [command for command in console() if command.startswith("warren-messaging")]
    assert "\n".join(commands) in readme


def test_the_tutorial_ends_with_one_effect_for_each_order(shop: CoffeeShop, proxies: Proxies) -> None:
    reader = Reader(shop)
    proxy = proxies.proxy("broker", shop.broker_port)
    shop.broker_port = proxy.port
    # 1. and 2.: the fixtures are the environment and the servers
    for prefix in ("python -m venv", ". .venv"):
        reader.next(prefix)
    reader.enter("pip install warren-messaging")
    for prefix in ("docker run", "docker run", "export COFFEE_BROKER_URL", "export COFFEE_DATABASE_URL"):
        reader.next(prefix)
    # 3. and 4.
    shop.sql(CREATE_TABLE)
    assert reader.enter("warren-messaging migrations apply").startswith("applied 0001")
    assert reader.enter("warren-messaging topology").startswith("declared at amqps://")
    assert all(line.startswith("ok ") for line in reader.enter("warren-messaging doctor").splitlines())
    # 5.
    with shop.running(*reader.next("warren-messaging run").split()) as service:
        reader.enter("python order.py 2")
        wait_until(lambda: served(shop) == [2], "the first order is not served")
        assert shop.sql(READ_CUPS)[0][0] == 2
        # 6.: SIGKILL between the commit and the publish
        reader.next("docker stop")
        proxy.refuse()
        order = reader.next("python order.py 3 &").split(" &")[0]
        with shop.running(*order.split()) as program:
            wait_until(lambda: waiting(shop) == 1, "the order is not committed")
            program.kill()
        assert served(shop) == [2]
        assert waiting(shop) == 1, "the broker cannot have it"
        reader.next("docker start")
        proxy.heal()
        wait_until(lambda: served(shop) == [2, 3], "the second order is not served")
        wait_until(lambda: waiting(shop) == 0, "an event was not published")
        service.terminate()
        assert service.wait(30) == 0
    assert [row[1] for row in shop.sql(COUNT_EFFECTS)] == [1, 1]
    assert reader.is_done


CRASHES = {
    "between the effect and its commit": ("warren_messaging.transaction", "Transaction", "save"),
    "between the commit and the publish": ("warren_messaging.amqp.publisher", "Publisher", "publish"),
    "before the acknowledgement": ("warren_messaging.consumer.settlement", "Settlement", "flush"),
}
CRASH = """
import importlib, os, signal, sys
import coffee

module, kind, method = sys.argv[1:]

async def killed(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)

setattr(getattr(importlib.import_module(module), kind), method, killed)
coffee.service.run()
"""


@pytest.mark.parametrize("point", CRASHES)
def test_a_service_that_is_killed_has_each_effect_once(prepared: CoffeeShop, point: str) -> None:
    (prepared.folder / "crash.py").write_text(CRASH)
    assert prepared.run_program("python", "order.py", "4").returncode == 0
    with prepared.running("python", "crash.py", *CRASHES[point]) as killed:
        assert killed.wait(40) == -9, (prepared.folder / "output").read_text()
    with prepared.running("warren-messaging", "run", "coffee:service") as service:
        assert prepared.run_program("python", "order.py", "5").returncode == 0
        wait_until(lambda: {4, 5} <= set(served(prepared)) and waiting(prepared) == 0, "the orders are not served")
        service.terminate()
        assert service.wait(40) == 0
    assert (served(prepared), prepared.depth("coffee.queue")) == ([4, 5], 0)
    # The announcements have no subscriber. A killed process may have published one that is published again: the same.
    announced = [json.loads(body) for body in prepared.messages("unrouted.queue")]
    assert len({event["logicalid"] for event in announced}) == 2
    assert sorted({event["data"]["cups"] for event in announced}) == [4, 5]


def test_a_message_that_the_driver_cannot_decode_is_parked(prepared: CoffeeShop) -> None:
    name = COUNT_HEADER.encode()
    header = bytes((len(name),)) + name + b"T" + pack(">Q", 2**60)
    properties = RawProperties(b"\x20\x00" + pack(">I", len(header)) + header)

    async def publish() -> None:
        broker = prepared.servers.broker.endpoints
        connection = await aiormq.connect(f"{broker.amqps_url(vhost=prepared.vhost)}?cafile={broker.ca_file}")
        try:
            channel: Any = await connection.channel()
            batch = await send(channel, [PublishFrame.of(REDRIVE_EXCHANGE, "coffee.queue", b"{}", properties)])
            await batch.finished
        finally:
            await connection.close()

    asyncio.run(publish())
    with prepared.running("warren-messaging", "run", "coffee:service"):
        wait_until(lambda: prepared.depth("coffee.dlq") == 1, "the message is not parked")
        assert prepared.run_program("python", "order.py", "5").returncode == 0
        wait_until(lambda: served(prepared) == [5], "the service does not continue after it")
    reason = prepared.sql("SELECT reason, state FROM failures")
    assert [(row["reason"], row["state"]) for row in reason] == [
        (f"headers[{COUNT_HEADER!r}]: {2**60} is not a time", "parked")
    ]
