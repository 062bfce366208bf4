"""Checks the requirements of the chart and of the chosen scenarios before the installation."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from tests.e2e.errors import CommandFailed, NotReady
from tests.e2e.kubectl import Kubectl, Object, is_ready
from tests.e2e.release import Release

OWN_API_GROUP = "warren.dev"
"""The API group whose definitions the chart installs."""
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
EXTERNAL_METRICS = "v1beta1.external.metrics.k8s.io"
THREE_BROKERS = "E2E_VALUES=k8s/kind/values.yaml,k8s/kind/three-brokers.yaml"
INSTALLERS = {"RabbitmqCluster": "the RabbitMQ Cluster Operator", "ScaledObject": "KEDA"}


@dataclass(frozen=True)
class Facts:
    """The chart's rendered objects, and the names of the schedulable nodes."""

    rendered: list[Object] = field(repr=False)
    nodes: list[str]

    @property
    def brokers(self) -> int:
        return sum(each["spec"]["replicas"] for each in self.rendered if each["kind"] == "RabbitmqCluster")


def gather_facts(release: Release, *options: str) -> Facts:
    """Raises CommandFailed if the chart refuses its values."""
    return Facts(release.rendered(*options), _nodes(release.kubectl))


def require(kubectl: Kubectl, facts: Facts, scaler: str) -> None:
    """Raises NotReady with every missing requirement."""
    if found := [
        *_unknown_kinds(kubectl, facts.rendered),
        *_storage(kubectl, facts.rendered),
        *_metrics(kubectl, scaler),
    ]:
        raise NotReady("the cluster lacks requirements; nothing was installed:\n  " + "\n  ".join(found))
    if not facts.nodes:
        raise NotReady("no node of the cluster is ready and schedulable")


def images(rendered: list[Object]) -> list[str]:
    """Returns the images that the rendered objects name, each once."""
    return sorted(set(_images(rendered)))


def _images(node: object) -> Iterator[str]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key == "image" and isinstance(value, str):
                yield value
            else:
                yield from _images(value)
    elif isinstance(node, list):
        for each in node:
            yield from _images(each)


def _nodes(kubectl: Kubectl) -> list[str]:
    def is_schedulable(node: Object) -> bool:
        taints = node["spec"].get("taints", [])
        return is_ready(node) and all(each["effect"] == "PreferNoSchedule" for each in taints)

    return sorted(node["metadata"]["name"] for node in kubectl.items("nodes") if is_schedulable(node))


def _unknown_kinds(kubectl: Kubectl, rendered: list[Object]) -> Iterator[str]:
    served = {tuple(line.split()[-3::2]) for line in kubectl("api-resources", "--no-headers").splitlines()}
    required = {
        (each["apiVersion"], each["kind"]) for each in rendered if not each["apiVersion"].startswith(OWN_API_GROUP)
    }
    for version, kind in sorted(required - served):
        yield f"it does not know {kind} ({version}): install {INSTALLERS.get(kind, 'its definition')} first"


def _storage(kubectl: Kubectl, rendered: list[Object]) -> Iterator[str]:
    classes = {each["metadata"]["name"]: each["metadata"] for each in kubectl.items("storageclasses")}
    has_default = any(each.get("annotations", {}).get(DEFAULT_CLASS) == "true" for each in classes.values())
    for owner, storage_class in sorted(_claims(rendered)):
        if storage_class and storage_class not in classes:
            yield f"{owner} needs storage of the class {storage_class}, which does not exist"
        if not storage_class and not has_default:
            yield f"{owner} needs storage, and no StorageClass is marked as the default"


def _claims(rendered: list[Object]) -> Iterator[tuple[str, str]]:
    for each in rendered:
        name = f"{each['kind']} {each['metadata']['name']}"
        if each["kind"] == "StatefulSet":
            for claim in each["spec"].get("volumeClaimTemplates", []):
                yield name, claim["spec"].get("storageClassName", "")
        elif each["kind"] == "RabbitmqCluster":
            yield name, each["spec"]["persistence"].get("storageClassName", "")


def _metrics(kubectl: Kubectl, scaler: str) -> Iterator[str]:
    if scaler != "hpa":
        return
    try:
        kubectl("get", "apiservice", EXTERNAL_METRICS)
    except CommandFailed:
        yield f"E2E_SCALER=hpa needs {EXTERNAL_METRICS}: install prometheus-adapter with its rules first"


def _two_nodes(facts: Facts) -> str:
    return "" if len(facts.nodes) > 1 else f"two schedulable nodes; there is {', '.join(facts.nodes) or 'none'}"


def _three_brokers(facts: Facts) -> str:
    if facts.brokers < 3:
        return f"three broker nodes of the RabbitMQ Cluster Operator: {THREE_BROKERS}"
    return _two_nodes(facts)


NEEDS: Mapping[str, Callable[[Facts], str]] = {"drain": _two_nodes, "broker drain": _three_brokers}
"""By scenario: returns the missing requirement, or an empty text."""


def unmet(chosen: list[str], facts: Facts) -> dict[str, str]:
    return {name: requirement for name in chosen if name in NEEDS and (requirement := NEEDS[name](facts))}
