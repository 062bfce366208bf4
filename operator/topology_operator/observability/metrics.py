"""Prometheus metrics `topology_*`, in base units. The series of a Topology end when it is deleted."""

from collections import Counter as Count

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from broker_topology.planning.result import Status, TopologyResult
from topology_operator.kubernetes.objects import ResourceKey

RESOURCE = ("namespace", "topology")
BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class OperatorMetrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._objects = Gauge(
            "topology_objects",
            "Objects of a Topology by state; no series while the broker cannot be compared.",
            (*RESOURCE, "state"),
            registry=self.registry,
        )
        self._ready = Gauge(
            "topology_ready", "1 if the condition Ready is True, else 0.", RESOURCE, registry=self.registry
        )
        self._repaired = Counter(
            "topology_drift_repaired_total",
            "Objects repaired after a change from outside of the operator.",
            (*RESOURCE, "kind"),
            registry=self.registry,
        )
        self._duration = Histogram(
            "topology_reconcile_duration_seconds",
            "Duration of a reconcile, by the reason of the condition Ready that it ended with.",
            ("reason",),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._success = Gauge(
            "topology_last_success_timestamp_seconds",
            "Time of the last reconcile that ended with Ready True.",
            RESOURCE,
            registry=self.registry,
        )
        self._reachable = Gauge(
            "topology_broker_reachable",
            "1 if the broker answered the last reconcile, else 0.",
            ("broker",),
            registry=self.registry,
        )

    def record_duration(self, reason: str, seconds: float) -> None:
        self._duration.labels(reason).observe(seconds)

    def record_result(self, key: ResourceKey, result: TopologyResult | None, *, ready: bool) -> None:
        self._ready.labels(*key).set(ready)
        if ready:
            self._success.labels(*key).set_to_current_time()
        if result is None:
            self._objects.remove_by_labels(dict(zip(RESOURCE, key, strict=True)))
            return
        counts = Count(each.status for each in result.objects)
        for status in Status:
            if status is not Status.DELETED:
                self._objects.labels(*key, status.value).set(counts[status])
        for step in result.repaired:
            self._repaired.labels(*key, step.kind.value).inc()

    def record_reachable(self, url: str, *, reachable: bool) -> None:
        self._reachable.labels(url).set(reachable)

    def drop(self, key: ResourceKey) -> None:
        for metric in (self._objects, self._ready, self._repaired, self._success):
            metric.remove_by_labels(dict(zip(RESOURCE, key, strict=True)))
