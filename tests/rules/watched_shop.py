"""The system whose Prometheus evaluates the shortened rules: what the tests that raise alerts need of it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from devtools.servers.prometheus import Prometheus
from faults.harness import FaultHarness
from faults.proxy import FaultProxy
from tests.rules.shortened import INTERVAL
from warren.prometheus_api import PrometheusApi

FIRE_SECONDS = 180.0
"""Time for an alert to fire or to clear: some wait for a whole minute of the shop, on a busy machine."""
SUBJECTS = ("queue", "outbox", "service", "state", "resource", "certificate", "breaker", "topology", "job")
Alert = tuple[str, str, str]
"""Name, severity, and the value of the first of the labels SUBJECTS that it has, or nothing."""


class AlertWatch:
    """Waits until alerts fire and clear."""

    def __init__(self, api: PrometheusApi) -> None:
        self._api = api

    def firing(self) -> set[Alert]:
        return {_identity(alert["labels"]) for alert in self._api.alerts() if alert["state"] == "firing"}

    def wait_until_firing(self, *wanted: Alert, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Wait until each of the alerts has fired, not necessarily at the same time. Its texts must be complete."""
        missing = set(wanted)
        deadline = time.monotonic() + FIRE_SECONDS
        while missing:
            assert time.monotonic() < deadline, f"{missing} do not fire; {self._states()}"
            meanwhile()
            missing -= self.firing()
            time.sleep(INTERVAL / 4)
        for alert in self._api.alerts():
            for text in alert["annotations"].values():
                assert "error expanding" not in text, text
                assert "<no value>" not in text, text

    def wait_until_cleared(self, *wanted: Alert, seconds: float = FIRE_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while left := self.firing() & set(wanted):
            assert time.monotonic() < deadline, f"{left} still fire"
            time.sleep(INTERVAL / 4)

    def _states(self) -> list[str]:
        return [f"{alert['labels']} {alert['state']}" for alert in self._api.alerts()]


def _identity(labels: Mapping[str, str]) -> Alert:
    subject = next((labels[name] for name in SUBJECTS if name in labels), "")
    return labels["alertname"], labels["severity"], subject


@dataclass(frozen=True)
class WatchedShop:
    harness: FaultHarness
    prometheus: Prometheus
    alerts: AlertWatch
    second_node: FaultProxy
    """Before the broker's metrics: Prometheus sees a second node of the broker behind it."""
    replica_port: int
    """Port of the metrics of the second process of sms."""
    client: httpx.Client

    def order(self, **fields: Any) -> httpx.Response:
        return self.client.post("/orders", json={"user": "rules", "items": ["item4"], **fields})

    def start_replica(self) -> None:
        self.harness.start_replica("sms", "sms-2", WARREN_METRICS_PORT=str(self.replica_port))
