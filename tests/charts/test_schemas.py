"""Every rendered object is valid for an API server."""

import jsonschema
import kubernetes_validate
import pytest

from tests.charts.rendering import CASES, Object, case, identity
from tests.charts.schemas import UnknownKind, check


@pytest.mark.parametrize("name", CASES)
def test_every_object_matches_the_schema_of_its_kind(name: str) -> None:
    for body in case(name):
        try:
            check(body)
        except (jsonschema.ValidationError, kubernetes_validate.ValidationError) as error:
            pytest.fail(f"{identity(body)}: {error.message} at {list(error.absolute_path)}")


def one(kind: str, name: str = "keda") -> Object:
    return next(body for body in case(name) if body["kind"] == kind)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(UnknownKind, match="Gadget"):
        check({"apiVersion": "example.org/v1", "kind": "Gadget", "metadata": {"name": "it"}})
    with pytest.raises(UnknownKind, match="v2beta2"):
        check(one("HorizontalPodAutoscaler") | {"apiVersion": "autoscaling/v2beta2"})


@pytest.mark.parametrize("kind", ["Deployment", "Topology", "RabbitmqCluster", "ScaledObject", "TriggerAuthentication"])
def test_an_unknown_field_is_detected(kind: str) -> None:
    body = one(kind)
    with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
        check(body | {"spec": body["spec"] | {"replicaz": 3}})


def test_a_violated_topology_rule_is_detected() -> None:
    body = one("Topology")
    with pytest.raises(Exception, match="virtual host is empty"):
        check(body | {"spec": body["spec"] | {"vhost": ""}})
