"""Uninstalling, and what is left: nothing but what the chart's notes name, and after their commands nothing at all."""

import re
import shlex

from tests.e2e.command import run
from tests.e2e.errors import NotSo
from tests.e2e.kubectl import Kubectl
from tests.e2e.progress import wait
from tests.e2e.release import Release

UNUSED = "kube-node-lease"
"""A namespace of every cluster: besides leases it holds what the platform puts into each namespace."""
# Traces that Kubernetes removes in its own time.
TRACES = re.compile(
    r"^(event(\.events\.k8s\.io)?|endpoints|endpointslice\.discovery\.k8s\.io|lease\.coordination\.k8s\.io|podmetrics\..*)/"
)
NAMED = re.compile(r"^(secret|configmap|persistentvolumeclaim)/")
PROMISE = "This removes them:"


def left(kubectl: Kubectl) -> set[str]:
    """Every object of the namespace but the platform's own, as kind/name."""
    kinds = ",".join(run([kubectl.program, "api-resources", "--namespaced", "--verbs=list", "--output=name"]).split())

    def found(asked: Kubectl) -> set[str]:
        return set(asked("get", kinds, "--output=name", "--ignore-not-found").split())

    return {each for each in found(kubectl) - found(Kubectl(kubectl.program, UNUSED)) if not TRACES.match(each)}


def uninstall(release: Release) -> str:
    """Raises NotSo with what is left and should not be."""
    kubectl = release.kubectl
    notes = release.helm("get", "notes", release.name)
    # One with an owner is its owner's: the Cluster Operator's go with the RabbitmqCluster.
    claims = {
        f"persistentvolumeclaim/{each['metadata']['name']}"
        for each in kubectl.items("persistentvolumeclaims")
        if not each["metadata"].get("ownerReferences")
    }
    release.helm("uninstall", release.name, "--wait", "--timeout", "600s")
    wait(lambda: not kubectl.items("pods"), "no pod is left", 180)
    remaining = left(kubectl)
    if unnamed := sorted(each for each in remaining if not NAMED.match(each)):
        raise NotSo(f"uninstalling left what the notes do not name: {', '.join(unnamed)}")
    # Data that nobody said should go must not be gone.
    if gone := sorted(claims - remaining):
        raise NotSo(f"uninstalling took data along: {', '.join(gone)}")
    for command in commands(notes):
        # With the definition go the Topologies of everybody in the cluster.
        if release.brought_definition or "customresourcedefinition" not in command:
            run([kubectl.program, *command[1:]])
    wait(lambda: not left(kubectl), "nothing is left", 120)
    return f"{len(remaining)} objects were left, all of them named by the notes, and none after their commands"


def commands(notes: str) -> list[list[str]]:
    """Those that the notes give for what is left. Raises NotSo when there are none."""
    _, promised, rest = notes.partition(PROMISE)
    found = [shlex.split(line, comments=True) for line in rest.splitlines() if line.strip().startswith("kubectl ")]
    if not promised or not found:
        raise NotSo(f"the chart's notes have no {PROMISE!r} with commands below it")
    return found
