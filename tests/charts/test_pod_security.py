"""Pods meet the profile "restricted" of the Pod Security Standards and have a read-only file system."""

import copy
from collections.abc import Iterator

import pytest

from tests.charts.rendering import CASES, Object, case, containers, pods

VOLUMES = {"configMap", "emptyDir", "projected", "secret", "persistentVolumeClaim", "downwardAPI", "csi", "ephemeral"}


def faults(spec: Object) -> Iterator[str]:
    """Violations of "restricted" and of the project's additional rules."""
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key):
            yield key
    pod = spec.get("securityContext", {})
    if pod.get("runAsNonRoot") is not True or pod.get("runAsUser") == 0:
        yield "may run as root"
    if pod.get("seccompProfile", {}).get("type") not in {"RuntimeDefault", "Localhost"}:
        yield "no seccomp profile"
    if pod.get("sysctls"):
        yield "sysctls"
    for volume in spec.get("volumes", ()):
        if not volume.keys() - {"name"} <= VOLUMES:
            yield f"volume {volume['name']}"
    for each in containers(spec):
        yield from (f"{each['name']}: {fault}" for fault in container_faults(each))


def container_faults(each: Object) -> Iterator[str]:
    context = each.get("securityContext", {})
    if context.get("privileged") or context.get("allowPrivilegeEscalation") is not False:
        yield "privileges"
    if context.get("capabilities") != {"drop": ["ALL"]}:
        yield "capabilities"
    if context.get("runAsUser", 1) == 0 or context.get("runAsNonRoot") is False or context.get("procMount"):
        yield "user"
    if context.get("readOnlyRootFilesystem") is not True:
        yield "may write to its image"
    if any("hostPort" in port for port in each.get("ports", ())):
        yield "port of the node"
    if not {"requests", "limits"} <= each.get("resources", {}).keys() or "memory" not in each["resources"]["limits"]:
        yield "no limit of memory"
    if each["image"].endswith(":latest") or ":" not in each["image"].rpartition("/")[2]:
        yield "no version of the image"


@pytest.mark.parametrize("name", CASES)
def test_every_pod_meets_the_restricted_standard(name: str) -> None:
    found = {pod: list(faults(spec)) for pod, _, spec in pods(case(name))}
    assert len(found) > 10
    assert {pod: violations for pod, violations in found.items() if violations} == {}


def test_each_violation_of_the_standard_is_detected() -> None:
    _, _, good = next(pods(case("default")))
    changes: dict[str, tuple[tuple[str | int, ...], object]] = {
        "hostNetwork": (("hostNetwork",), True),
        "may run as root": (("securityContext", "runAsNonRoot"), False),
        "no seccomp profile": (("securityContext", "seccompProfile"), {"type": "Unconfined"}),
        "privileges": (("containers", 0, "securityContext", "allowPrivilegeEscalation"), True),
        "capabilities": (("containers", 0, "securityContext", "capabilities"), {"drop": ["ALL"], "add": ["NET_RAW"]}),
        "may write": (("containers", 0, "securityContext", "readOnlyRootFilesystem"), False),
        "volume": (("volumes",), [{"name": "x", "hostPath": {"path": "/"}}]),
        "no limit": (("containers", 0, "resources"), {}),
        "no version": (("containers", 0, "image"), "registry:5000/warren/order"),
    }
    for violations, (path, value) in changes.items():
        bad = copy.deepcopy(good)
        place = bad
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        assert any(violations in fault for fault in faults(bad)), violations
