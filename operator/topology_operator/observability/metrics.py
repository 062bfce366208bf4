"""Prometheus metrics `topology_*`, in base units. The series of a Topology end when it is deleted."""

from collections import Counter as Count
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from broker_topology.planning.result import Status, TopologyResult
from broker_topology.planning.state import ObjectKind
from topology_operator.kubernetes.objects import ResourceKey

RESOURCE = ("namespace", "topology")
BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class OperatorMetrics:
    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        gauge = partial(Gauge, registry=registry)
        objects = "Objects of a Topology by state; no series while the broker cannot be compared."
        repaired = "Objects repaired after a change from outside of the operator."
        duration = "Duration of a reconcile, by the reason of the condition Ready that it ended with."
        success = "Time of the last reconcile that ended with Ready True."
        reachable = "1 if the broker answered the last reconcile, else 0."
        self._objects = gauge("topology_objects", objects, (*RESOURCE, "state"))
        self._ready = gauge("topology_ready", "1 if the condition Ready is True, else 0.", RESOURCE)
        self._repaired = Counter("topology_drift_repaired_total", repaired, (*RESOURCE, "kind"), registry=registry)
        self._duration = Histogram(
            "topology_reconcile_duration_seconds", duration, ("reason",), buckets=BUCKETS, registry=registry
        )
        self._success = gauge("topology_last_success_timestamp_seconds", success, RESOURCE)
        self._reachable = gauge("topology_broker_reachable", reachable, ("broker",))

    def record_duration(self, reason: str, seconds: float) -> None:
        self._duration.labels(reason).observe(seconds)

    def record_result(self, key: ResourceKey, result: TopologyResult | None, *, ready: bool) -> None:
        self._ready.labels(*key).set(ready)
        if ready:
            self._success.labels(*key).set_to_current_time()
        if result is None:
            self._objects.remove_by_labels(dict(zip(RESOURCE, key, strict=True)))
            return
        for kind in ObjectKind:  # from 0 on: the first repair is an increase, too
            self._repaired.labels(*key, kind.value)
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
