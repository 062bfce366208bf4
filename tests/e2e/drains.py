"""Drains nodes, as for maintenance, while customers place orders."""

import json
import subprocess
import time
from collections import Counter

from tests.e2e.customers import QUIET_SECONDS
from tests.e2e.errors import CheckFailed, CommandFailed
from tests.e2e.kubectl import Object, is_ready
from tests.e2e.progress import POLL, Progress, wait
from tests.e2e.release import Release

WAIT_SECONDS = 900.0  # long enough for busy machines
STUCK_SECONDS = 20.0  # seconds without a schedulable broker after which a drain counts as blocked
EXCLUDED_COMPONENTS = "postgresql, smoke"  # its disk may be bound to the node; the test's own customers


def drain(release: Release) -> str:
    """Drain a node of services: no request fails."""
    kubectl = release.kubectl
    pods = kubectl.pods("order-api") + kubectl.pods("payment")
    node = sorted({pod["spec"]["nodeName"] for pod in pods})[-1]
    movable = f"app.kubernetes.io/name=warren,app.kubernetes.io/component notin (rabbitmq, {EXCLUDED_COMPONENTS})"
    with release.customers() as ordering:
        try:
            kubectl(*_drain_command(node, movable), seconds=WAIT_SECONDS + 30)
            for component in ("order-api", "order-worker", "payment"):
                release.wait_complete(component, WAIT_SECONDS)
            time.sleep(QUIET_SECONDS)
        finally:
            kubectl("uncordon", node)
    if ordering.failed:
        raise CheckFailed(f"{ordering.summary}: {'; '.join(ordering.failures[:5])}")
    return f"{node}: {ordering.summary}; {release.judge()}"


def broker_drain(release: Release) -> str:
    """Drain the node with the most brokers.

    A majority of brokers serves at every moment, and a second one cannot be evicted while the first is unavailable. If
    disks are bound to their node, the drain of a node with two brokers waits, and the first returns after `uncordon`.
    """
    brokers = release.brokers()
    majority = len(brokers) // 2 + 1
    node, count = Counter(pod["spec"]["nodeName"] for pod in brokers).most_common(1)[0]
    with release.customers() as ordering:
        try:
            lowest, ended = _watch_drain(release, node, majority)
            online = release.least_online()
        finally:
            release.kubectl("uncordon", node)
        back = wait(lambda: _ready(release) == len(brokers), "every broker is back", WAIT_SECONDS)
        time.sleep(QUIET_SECONDS)
    if online < majority:
        raise CheckFailed(f"a quorum queue had {online} of {len(brokers)} members online")
    if ordering.failed:
        raise CheckFailed(f"{ordering.summary}: {'; '.join(ordering.failures[:5])}")
    return (
        f"{node} with {count} of {len(brokers)} brokers {ended}: at least {lowest} brokers ready and {online} members"
        f" of every queue online, all back after {back:.0f} s; {ordering.summary}; {release.judge()}"
    )


def _watch_drain(release: Release, node: str, majority: int) -> tuple[int, str]:
    """Returns the lowest number of ready brokers and the end of the drain. Raises CheckFailed below a majority."""
    selector = (
        f"app.kubernetes.io/part-of in (warren, rabbitmq),app.kubernetes.io/component notin ({EXCLUDED_COMPONENTS})"
    )
    command = [release.kubectl.program, *_drain_command(node, selector)]
    lowest, away_since, refused, progress = len(release.brokers()), None, False, Progress()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            while process.poll() is None:
                brokers = release.brokers()
                ready = sum(map(is_ready, brokers))
                lowest = min(lowest, ready)
                if ready < majority:
                    raise CheckFailed(f"{ready} brokers were ready; a majority is {majority}")
                if ready == majority and not refused:
                    refused = _is_refused(release, brokers)
                stuck = any(_cannot_start(pod) for pod in brokers)
                away_since = (away_since or time.monotonic()) if stuck else None
                if away_since is not None and time.monotonic() - away_since > STUCK_SECONDS:
                    return lowest, "waited for the first one, whose disk is on that node"
                progress.show(f"draining {node}; {ready} brokers are ready")
                time.sleep(POLL)
            assert process.stdout is not None
            if process.returncode:
                raise CheckFailed(f"the drain of {node} failed: {process.stdout.read()[-800:]}")
        finally:
            process.terminate()
    if not refused and lowest == majority:
        raise CheckFailed("a second broker could have been evicted while the first was unavailable")
    return lowest, "was drained"


def _is_refused(release: Release, brokers: list[Object]) -> bool:
    """Returns whether the API refuses the eviction of another broker (a dry run)."""
    name = next(pod["metadata"]["name"] for pod in brokers if is_ready(pod))
    path = f"/api/v1/namespaces/{release.kubectl.namespace}/pods/{name}/eviction"
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    trial = eviction | {"deleteOptions": {"dryRun": ["All"]}}
    try:
        release.kubectl("create", "--raw", path, "--filename", "-", feed=json.dumps(trial))
    except CommandFailed as error:
        return "disruption budget" in str(error)
    return False


def _cannot_start(pod: Object) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(each["type"] == "PodScheduled" and each.get("reason") == "Unschedulable" for each in conditions)


def _ready(release: Release) -> int:
    return sum(map(is_ready, release.brokers()))


def _drain_command(node: str, selector: str) -> list[str]:
    options = ["--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={WAIT_SECONDS:.0f}s"]
    return ["drain", node, f"--pod-selector={selector}", *options]
