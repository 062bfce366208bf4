"""The operator's series."""

from broker_topology.planning.plan import Plan
from broker_topology.planning.result import TopologyResult
from broker_topology.planning.state import ObjectKind
from topology_operator.kubernetes.objects import ResourceKey
from topology_operator.observability.metrics import OperatorMetrics

KEY: ResourceKey = ("shop", "payment")
REPAIRED = "topology_drift_repaired_total"


def test_repairs_are_counted_from_zero_so_that_the_first_is_an_increase() -> None:
    metrics = OperatorMetrics()
    metrics.record_result(KEY, TopologyResult(Plan(())), ready=True)
    for kind in ObjectKind:
        labels = {"namespace": "shop", "topology": "payment", "kind": kind.value}
        assert metrics.registry.get_sample_value(REPAIRED, labels) == 0


def test_the_series_of_a_topology_end_with_it() -> None:
    metrics = OperatorMetrics()
    metrics.record_result(KEY, TopologyResult(Plan(())), ready=True)
    metrics.drop(KEY)
    assert not [sample for family in metrics.registry.collect() for sample in family.samples]
