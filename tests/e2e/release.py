"""The Helm release under test: installation, customers inside the cluster, invariants checked from outside."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import asyncpg
import httpx
import yaml

from devtools.invariants import Check, check_invariants, queue_depths, quorums_online
from devtools.servers.endpoints import BrokerEndpoints, DatabaseEndpoint
from tests.e2e.command import run
from tests.e2e.customers import CustomerRun, manifest
from tests.e2e.errors import CheckFailed, CommandFailed
from tests.e2e.kubectl import Kubectl, Object, is_ready
from tests.e2e.progress import Progress, show_progress, wait
from tests.e2e.settings import ROOT, Settings

DEFINITION = "topologies.warren.dev"
COMPONENT = "app.kubernetes.io/component"
CHART = ROOT / "charts" / "warren"
INSTALL = 900.0  # seconds; a broker takes minutes to start on a busy machine
SETTLE = 3600.0
STALLED = 600.0  # seconds without a change after which the result is final
CHANNELS = ("email.", "sms.")
"""Prefixes of the channels' queues: only the last scenario waits until they are empty."""
TRIES = 10
T = TypeVar("T")


class Release:
    """`accepted` has every order that the API accepted from a customer; `installed_definition` is true if this run
    installed the definition of Topologies."""

    def __init__(self, settings: Settings, kubectl: Kubectl, next_tag: str) -> None:
        self.settings = settings
        self.kubectl = kubectl
        self.next_tag = next_tag
        self.name = settings.release
        self.accepted: list[UUID] = []
        self.installed_definition = False

    # Helm

    def helm(self, *words: str, seconds: float = INSTALL) -> str:
        return run([self.settings.helm, "--namespace", self.settings.namespace, *words], seconds=seconds + 60)

    def install(self, *options: str, chart: Path = CHART, tag: str = "") -> None:
        """Install or upgrade, and wait until every pod is ready."""
        known = self.kubectl("get", "customresourcedefinition", DEFINITION, "--ignore-not-found", "--output=name")
        self.installed_definition = self.installed_definition or not known
        words = ["upgrade", "--install", self.name, str(chart), "--wait", "--timeout", f"{INSTALL:.0f}s"]
        with show_progress(self._readiness):
            self.helm(*words, *self._values(tag), *options)

    def rendered(self, *options: str) -> list[Object]:
        """Returns the objects that the chart renders."""
        documents = yaml.safe_load_all(self.helm("template", self.name, str(CHART), *self._values(), *options))
        return [each for each in documents if each]

    def _values(self, tag: str = "") -> list[str]:
        files = [word for file in self.settings.values for word in ("--values", str(file))]
        tag = tag or self.settings.tag
        return [*files, "--set-string", f"image.tag={tag}", "--set-string", f"topology-operator.image.tag={tag}"]

    def _readiness(self) -> str:
        pods = [pod for pod in self.kubectl.items("pods") if pod["status"]["phase"] != "Succeeded"]
        waiting = [
            pod["metadata"].get("labels", {}).get(COMPONENT, pod["metadata"]["name"])
            for pod in pods
            if not is_ready(pod)
        ]
        missing = f"; not ready: {', '.join(sorted(waiting))}" if waiting else ""
        return f"{len(pods) - len(waiting)} of {len(pods)} pods are ready{missing}"

    @contextmanager
    def next_chart(self) -> Iterator[Path]:
        """A copy of the chart with a higher version, like the next release."""
        with tempfile.TemporaryDirectory() as folder:
            chart = Path(folder) / "warren"
            shutil.copytree(CHART, chart)
            about = yaml.safe_load((chart / "Chart.yaml").read_text())
            about["version"] = about["appVersion"] = "999.0.0"
            (chart / "Chart.yaml").write_text(yaml.safe_dump(about))
            yield chart

    # Customers

    @contextmanager
    def customers(self, seconds: float = 7200) -> Iterator[CustomerRun]:
        """Customers place orders from a pod while the block runs; accepted orders are recorded."""
        ordering = CustomerRun(self.kubectl)
        self.kubectl.apply(manifest(ordering.name, self.settings, seconds))
        try:
            ordering.wait_until_accepted(self.settings.rate)
            yield ordering
            ordering.end()
            self.accepted += ordering.accepted
        finally:
            self.kubectl("delete", "pod", ordering.name, "--ignore-not-found", "--wait=false")

    # The outcome

    @contextmanager
    def addresses(self) -> Iterator[tuple[DatabaseEndpoint, BrokerEndpoints]]:
        """The administrators' addresses of both servers, forwarded to local ports."""
        trust = self.kubectl.get("configmap", "warren-trust")["data"]["ca.crt"]
        database = self.kubectl.secret("postgresql-admin")
        broker = self.kubectl.secret(self._broker_secret())
        with (
            tempfile.TemporaryDirectory() as folder,
            self.kubectl.forward(f"service/{self.name}-postgresql", 5432) as sql,
            self.kubectl.forward(f"service/{self.name}-rabbitmq", 15671) as management,
        ):
            authority = Path(folder) / "ca.crt"
            authority.write_text(trust)
            yield (
                DatabaseEndpoint("localhost", sql, database["username"], database["password"], authority),
                BrokerEndpoints(
                    host="localhost",
                    amqps_port=0,
                    management_url=f"https://localhost:{management}",
                    stream_port=0,
                    metrics_url="",
                    admin_username=broker["username"],
                    admin_password=broker["password"],
                    ca_file=authority,
                ),
            )

    def _broker_secret(self) -> str:
        found = self.kubectl.items("secrets")
        by_operator = f"{self.name}-rabbitmq-default-user"
        return by_operator if any(each["metadata"]["name"] == by_operator for each in found) else "rabbitmq-admin"

    def judge(self, *, channels: bool = False) -> str:
        """Wait until the invariants hold, with `channels` also until every notification is sent; return the figures.

        Raises CheckFailed with each invariant that does not hold."""
        began = changed = time.monotonic()
        progress, last = Progress(), None
        # Each attempt has new port-forwards: kubectl ends one when a server closes a connection.
        while broken := _broken(checks := self._ask(lambda *servers: self._judge_once(*servers, channels=channels))):
            now = time.monotonic()
            if broken != last:
                last, changed = broken, now
            if now - changed > STALLED or now - began > SETTLE:
                raise CheckFailed("; ".join(broken))
            progress.show("; ".join(broken))
            time.sleep(1)
        return f"{len(checks)} invariants hold with {len(self.accepted)} accepted orders"

    def _judge_once(self, database: DatabaseEndpoint, broker: BrokerEndpoints, *, channels: bool) -> list[Check]:
        return asyncio.run(
            check_invariants(database, broker, accepted=self.accepted, ignored_queues=() if channels else CHANNELS)
        )

    def depth(self, queue: str) -> int:
        return self._ask(lambda _, broker: asyncio.run(queue_depths(broker, "orders")))[queue]

    def brokers(self) -> list[Object]:
        """Pods of the Cluster Operator's broker that are not being deleted."""
        return self.kubectl.remaining_pods(
            f"app.kubernetes.io/name={self.name}-rabbitmq,app.kubernetes.io/component=rabbitmq"
        )

    def least_online(self) -> int:
        """Returns the lowest number of online members of any quorum queue."""
        found = self._ask(lambda _, broker: asyncio.run(quorums_online(broker, "orders")))
        return min(found.values())

    def _ask(self, question: Callable[[DatabaseEndpoint, BrokerEndpoints], T]) -> T:
        """Ask the servers through port-forwards, which may break at any time and are then made again."""
        for attempt in range(TRIES):
            try:
                with self.addresses() as (database, broker):
                    return question(database, broker)
            except (OSError, httpx.HTTPError, asyncpg.PostgresError, asyncpg.InterfaceError, CommandFailed) as error:
                if attempt == TRIES - 1:
                    reason = str(error) or type(error).__name__
                    raise CheckFailed(f"the servers did not answer in {TRIES} attempts: {reason}") from error
            time.sleep(1)
        raise AssertionError

    def wait_ready(self, component: str, pods: int, seconds: float = INSTALL) -> float:
        def there() -> tuple[int, int]:
            return self.kubectl.ready(component), len(self.kubectl.pods(component))

        what = f"{component} has {pods} ready pods"
        return wait(lambda: there() == (pods, pods), what, seconds, lambda: "{} of {} are".format(*there()))

    def wait_complete(self, component: str, seconds: float) -> float:
        """Wait until the component has the desired number of ready pods."""
        replicas = self.kubectl.get("deployment", f"{self.name}-{component}")["spec"]["replicas"]
        return self.wait_ready(component, replicas, seconds)


def _broken(checks: list[Check]) -> list[str]:
    return [f"{check.name}: {check.detail}" for check in checks if not check.held]
