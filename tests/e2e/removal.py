"""Uninstalls the release: only objects that the chart's notes name remain, and none after the commands in the notes."""

import re
import shlex

from tests.e2e.command import run
from tests.e2e.errors import CheckFailed
from tests.e2e.kubectl import Kubectl
from tests.e2e.progress import wait
from tests.e2e.release import Release

PLATFORM_NAMESPACE = "kube-node-lease"
"""A namespace of every cluster; it contains only leases and the objects that the platform creates everywhere."""
# Objects that Kubernetes removes later.
TRANSIENT = re.compile(
    r"^(event(\.events\.k8s\.io)?|endpoints|endpointslice\.discovery\.k8s\.io|lease\.coordination\.k8s\.io|podmetrics\..*)/"
)
NAMED = re.compile(r"^(secret|configmap|persistentvolumeclaim)/")
COMMANDS_HEADING = "These commands delete them:"


def remaining_objects(kubectl: Kubectl) -> set[str]:
    """Returns the objects of the namespace, without the platform's own, as kind/name."""
    kinds = ",".join(run([kubectl.program, "api-resources", "--namespaced", "--verbs=list", "--output=name"]).split())

    def found(client: Kubectl) -> set[str]:
        return set(client("get", kinds, "--output=name", "--ignore-not-found").split())

    return {
        each
        for each in found(kubectl) - found(Kubectl(kubectl.program, PLATFORM_NAMESPACE))
        if not TRANSIENT.match(each)
    }


def uninstall(release: Release) -> str:
    """Raises CheckFailed with the objects that should not be left."""
    kubectl = release.kubectl
    notes = release.helm("get", "notes", release.name)
    # Claims with an owner are deleted with it: the Cluster Operator's with the RabbitmqCluster.
    claims = {
        f"persistentvolumeclaim/{each['metadata']['name']}"
        for each in kubectl.items("persistentvolumeclaims")
        if not each["metadata"].get("ownerReferences")
    }
    release.helm("uninstall", release.name, "--wait", "--timeout", "600s")
    wait(lambda: not kubectl.items("pods"), "no pod is left", 180)
    remaining = remaining_objects(kubectl)
    if unnamed := sorted(each for each in remaining if not NAMED.match(each)):
        raise CheckFailed(f"uninstalling left objects that the notes do not name: {', '.join(unnamed)}")
    if gone := sorted(claims - remaining):
        raise CheckFailed(f"uninstalling deleted data: {', '.join(gone)}")
    for command in commands(notes):
        # Deleting the definition deletes all Topologies of the cluster.
        if release.installed_definition or "customresourcedefinition" not in command:
            run([kubectl.program, *command[1:]])
    wait(lambda: not remaining_objects(kubectl), "nothing is left", 120)
    return f"{len(remaining)} objects were left, all named by the notes, and none after their commands"


def commands(notes: str) -> list[list[str]]:
    """Returns the commands in the notes that delete the remaining objects. Raises CheckFailed if there are none."""
    _, promised, rest = notes.partition(COMMANDS_HEADING)
    found = [shlex.split(line, comments=True) for line in rest.splitlines() if line.strip().startswith("kubectl ")]
    if not promised or not found:
        raise CheckFailed(f"the chart's notes have no {COMMANDS_HEADING!r} with commands below it")
    return found
