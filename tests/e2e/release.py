"""The release under test: installed with Helm, ordered at from inside, judged from outside."""

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

from tests.e2e.command import run
from tests.e2e.customers import Ordering, manifest
from tests.e2e.errors import CommandFailed, NotSo
from tests.e2e.kubectl import Kubectl, wait
from tests.e2e.settings import ROOT, Settings
from warren.invariants import Check, judge, queue_depths
from warren.local.addresses import BrokerAddress, DatabaseAddress

DEFINITION = "topologies.warren.dev"
CHART = ROOT / "charts" / "warren"
INSTALL = 900.0  # seconds; a broker that boots on a busy machine takes minutes
SETTLE = 900.0
TRIES = 10
T = TypeVar("T")


class Release:
    """`accepted` is every order that any customer was told was taken; `brought_definition` says whether the cluster
    had no Topologies before."""

    def __init__(self, settings: Settings, kubectl: Kubectl, next_tag: str) -> None:
        self.settings = settings
        self.kubectl = kubectl
        self.next_tag = next_tag
        self.name = settings.release
        self.accepted: list[UUID] = []
        self.brought_definition = False

    # Helm

    def helm(self, *words: str, seconds: float = INSTALL) -> str:
        return run([self.settings.helm, "--namespace", self.settings.namespace, *words], seconds=seconds + 60)

    def install(self, *options: str, chart: Path = CHART, tag: str = "") -> None:
        """Install, or upgrade, and wait until every pod is ready."""
        known = self.kubectl("get", "customresourcedefinition", DEFINITION, "--ignore-not-found", "--output=name")
        self.brought_definition = self.brought_definition or not known
        files = [word for file in self.settings.values for word in ("--values", str(file))]
        tag = tag or self.settings.tag
        images = ["--set-string", f"image.tag={tag}", "--set-string", f"topology-operator.image.tag={tag}"]
        limit = ["--timeout", f"{INSTALL:.0f}s"]
        self.helm("upgrade", "--install", self.name, str(chart), "--wait", *limit, *files, *images, *options)

    @contextmanager
    def next_chart(self) -> Iterator[Path]:
        """The same chart under a higher version, as the next release would have it."""
        with tempfile.TemporaryDirectory() as folder:
            chart = Path(folder) / "warren"
            shutil.copytree(CHART, chart)
            about = yaml.safe_load((chart / "Chart.yaml").read_text())
            about["version"] = about["appVersion"] = "999.0.0"
            (chart / "Chart.yaml").write_text(yaml.safe_dump(about))
            yield chart

    # Customers

    @contextmanager
    def customers(self, seconds: float = 7200) -> Iterator[Ordering]:
        """They order while the block runs, from a pod inside; what was accepted is remembered."""
        ordering = Ordering(self.kubectl)
        self.kubectl.apply(manifest(ordering.name, self.settings, seconds))
        try:
            ordering.wait_until_ordering()
            yield ordering
            ordering.end()
            self.accepted += ordering.accepted
        finally:
            self.kubectl("delete", "pod", ordering.name, "--ignore-not-found", "--wait=false")

    # The outcome

    @contextmanager
    def addresses(self) -> Iterator[tuple[DatabaseAddress, BrokerAddress]]:
        """Both servers as their administrators reach them from here."""
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
                DatabaseAddress("localhost", sql, database["username"], database["password"], authority),
                BrokerAddress(
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
        operators = f"{self.name}-rabbitmq-default-user"
        return operators if any(each["metadata"]["name"] == operators for each in found) else "rabbitmq-admin"

    def judge(self) -> str:
        """The figures, once everything has come to rest. Raises NotSo with each invariant that does not hold."""
        until = time.monotonic() + SETTLE
        # Each look through port-forwards of its own: kubectl ends one as soon as a server has closed a connection.
        while (broken := _broken(checks := self._ask(self._look))) and time.monotonic() < until:
            time.sleep(1)
        if broken:
            raise NotSo("; ".join(broken))
        return f"{len(checks)} invariants hold with {len(self.accepted)} accepted orders"

    def _look(self, database: DatabaseAddress, broker: BrokerAddress) -> list[Check]:
        return asyncio.run(judge(database, broker, accepted=self.accepted))

    def depth(self, queue: str) -> int:
        return self._ask(lambda _, broker: asyncio.run(queue_depths(broker, "orders")))[queue]

    def _ask(self, question: Callable[[DatabaseAddress, BrokerAddress], T]) -> T:
        """A port-forward may break at any time; then there is another."""
        for attempt in range(TRIES):
            try:
                with self.addresses() as (database, broker):
                    return question(database, broker)
            except (OSError, httpx.HTTPError, asyncpg.PostgresError, asyncpg.InterfaceError, CommandFailed) as error:
                if attempt == TRIES - 1:
                    said = str(error) or type(error).__name__
                    raise NotSo(f"the servers cannot be asked from outside, {TRIES} times: {said}") from error
            time.sleep(1)
        raise AssertionError

    def wait_ready(self, component: str, pods: int, seconds: float = SETTLE) -> float:
        what = f"{component} has {pods} ready pods"
        return wait(lambda: self.kubectl.ready(component) == pods == len(self.kubectl.pods(component)), what, seconds)


def _broken(checks: list[Check]) -> list[str]:
    return [f"{check.name}: {check.detail}" for check in checks if not check.held]
