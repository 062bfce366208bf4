"""Three minutes of orders, with faults in the first two."""

import asyncio
import json
import math
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from devtools.local.demo import send_poison
from devtools.local.system import System
from warren.client import ApiClient
from warren.customers import SteadyCustomers
from warren.demo import SCENARIOS
from warren.errors import ClientError
from warren.http import basic_auth, request

RATE = 8.0  # ordinary orders a second
SCENARIO_PAUSE = 1.5  # seconds between two orders of the demo's scenarios
FAULTS_SECONDS, CALM_SECONDS = 130.0, 50.0
CAPTION = f"{RATE:g} orders a second; payment is killed for 65 s, then the mail and SMS servers for 25 s"
LEAD_SECONDS = 20.0  # before the first order: rates need samples


@dataclass(frozen=True)
class LoadRun:
    """`start` and `end` are Unix times; `caption` says what happened between them."""

    start: float
    end: float
    caption: str


class ShopLoad:
    """Orders of every kind. Payment is killed for more than a minute, then the mail and SMS servers are.

    `during_outage` is called while payment is down.
    """

    def __init__(self, system: System, during_outage: Callable[[], object] = lambda: None) -> None:
        self._system = system
        self._during_outage = during_outage
        self._ended = threading.Event()

    def run(self) -> LoadRun:
        start = time.time()
        time.sleep(LEAD_SECONDS)
        customers = SteadyCustomers(self._system.url("order-api"), None, RATE)
        threads = [
            threading.Thread(target=lambda: asyncio.run(customers.order(math.inf))),
            threading.Thread(target=self._scenarios),
        ]
        for thread in threads:
            thread.start()
        try:
            self._faults()
            time.sleep(CALM_SECONDS)
            end = time.time()
        finally:
            self._ended.set()
            customers.stop()
            for thread in threads:
                thread.join()
        return LoadRun(start, end, CAPTION)

    def _faults(self) -> None:
        processes, began = self._system.processes, time.monotonic()

        def at(seconds: float) -> None:
            time.sleep(max(0.0, began + seconds - time.monotonic()))

        at(10)
        send_poison(self._system.servers.broker.endpoints, "inventory.queue")
        self._send_unrouted()
        self._lose_bindings(3)
        at(20)
        processes.kill("payment")
        at(80)
        self._during_outage()
        at(85)
        processes.start(self._system.process("payment"))
        at(100)
        processes.kill("sinks")
        at(110)
        self._close_connections()
        at(125)
        processes.start(self._system._sinks())
        at(FAULTS_SECONDS)

    def _scenarios(self) -> None:
        """Place the demo's orders again and again, which fail and are cancelled in every way."""
        with ApiClient(self._system.url("order-api")) as client:
            for number in count():
                scenario = SCENARIOS[number % len(SCENARIOS)]
                try:
                    order = client.place({**scenario.body, "orderId": f"{scenario.body['orderId']}-{number}"})
                    if scenario.cancel_in == "PENDING":
                        client.cancel(order.id)
                except ClientError as error:
                    sys.stderr.write(f"{scenario.title}: {error}\n")
                if self._ended.wait(SCENARIO_PAUSE):
                    return

    def _send_unrouted(self) -> None:
        """Publish an event that no service binds."""
        body = {"routing_key": "order.renamed", "payload": "{}", "payload_encoding": "string", "properties": {}}
        self._manage("POST", "exchanges/orders/workflow.exchange/publish", json.dumps(body).encode())

    def _lose_bindings(self, seconds: float) -> None:
        """Remove the bindings of the exchange of all events, so that the broker returns them, and restore them."""
        targets = [
            f"bindings/orders/e/order.exchange/e/{name}" for name in ("audit.fanout.exchange", "workflow.exchange")
        ]
        for target in targets:
            self._manage("DELETE", f"{target}/%23")
        time.sleep(seconds)
        for target in reversed(targets):  # an event that only the audit log received would leave its order waiting
            self._manage("POST", target, b'{"routing_key": "#"}')

    def _close_connections(self) -> None:
        """Close the broker connections of one service."""
        for each in json.loads(self._system.management("connections?columns=name,user")):
            if each["user"] == "shipping":
                self._manage("DELETE", f"connections/{each['name'].replace(' ', '%20').replace('>', '%3E')}")

    def _manage(self, method: str, path: str, body: bytes | None = None) -> None:
        broker = self._system.servers.broker.endpoints
        headers = basic_auth(*broker.login) | {"Content-Type": "application/json"}
        url = f"{broker.management_url}/api/{path}"
        response = request(method, url, body=body, headers=headers, ca_file=broker.ca_file, timeout=60)
        assert not response.is_error, response
