"""What Prometheus may ask: `topology_*`, base units. Series of a resource end when the resource does."""

from __future__ import annotations

from collections import Counter as Tally

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from broker_topology.planning.result import Status, TopologyResult
from topology_operator.reconcile.peer_topologies import ResourceKey

RESOURCE = ("namespace", "topology")
BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class OperatorMetrics:
    """One process's numbers, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._objects = Gauge(
            "topology_objects",
            "Objects at the broker, by state; none while it cannot be compared.",
            (*RESOURCE, "state"),
            registry=registry,
        )
        self._ready = Gauge("topology_ready", "1 when the broker holds the spec.", RESOURCE, registry=registry)
        self._repaired = Counter(
            "topology_drift_repaired_total",
            "Objects put back after somebody else changed them.",
            (*RESOURCE, "kind"),
            registry=registry,
        )
        self._seconds = Histogram(
            "topology_reconcile_seconds",
            "How long one comparison took, with what it wrote.",
            ("reason",),
            buckets=BUCKETS,
            registry=registry,
        )
        self._success = Gauge(
            "topology_last_success_timestamp_seconds",
            "When the broker was last read back and held the spec.",
            RESOURCE,
            registry=registry,
        )
        self._reachable = Gauge(
            "topology_broker_reachable", "1 when the broker answered last time.", ("broker",), registry=registry
        )

    def took(self, reason: str, seconds: float) -> None:
        self._seconds.labels(reason).observe(seconds)

    def reconciled(self, key: ResourceKey, outcome: TopologyResult | None, *, ready: bool) -> None:
        self._ready.labels(*key).set(ready)
        if ready:
            self._success.labels(*key).set_to_current_time()
        if outcome is None:
            self._objects.remove_by_labels(dict(zip(RESOURCE, key, strict=True)))
            return
        counted = Tally(each.status for each in outcome.objects)
        for status in Status:
            if status is not Status.DELETED:
                self._objects.labels(*key, status.value).set(counted[status])
        for step in outcome.repaired:
            self._repaired.labels(*key, step.kind.value).inc()

    def reached(self, address: str, *, answered: bool) -> None:
        self._reachable.labels(address).set(answered)

    def drop(self, key: ResourceKey) -> None:
        for metric in (self._objects, self._ready, self._repaired, self._success):
            metric.remove_by_labels(dict(zip(RESOURCE, key, strict=True)))
