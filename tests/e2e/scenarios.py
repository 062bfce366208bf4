"""The scenarios. Each returns its figures or raises E2EError."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from tests.e2e.customers import QUIET_SECONDS, CustomerRun
from tests.e2e.drains import WAIT_SECONDS, broker_drain, drain
from tests.e2e.errors import CheckFailed
from tests.e2e.kubectl import is_ready
from tests.e2e.progress import wait
from tests.e2e.release import Release

BACKLOG = 150  # messages in the queue when the consumers start
QUEUE = "payment.queue"
MAX_FAILING_SECONDS = 10.0  # after a pod is killed Kubernetes still routes to its address
MAX_ACCEPT_SECONDS = 30.0  # from the first request to acceptance, with repeated requests


def install(release: Release) -> str:
    began = time.monotonic()
    release.install()
    took = time.monotonic() - began
    topologies = release.kubectl.items("topologies")
    unready = [each["metadata"]["name"] for each in topologies if not is_ready(each)]
    if unready or not topologies:
        raise CheckFailed(
            f"of {len(topologies)} Topologies these are not ready: {', '.join(unready) or 'there are none'}"
        )
    # Probes must not restart a process that is slow to start.
    if restarted := _restarted(release):
        raise CheckFailed(f"containers were started more than once: {', '.join(restarted)}")
    return f"{took:.0f} s until every pod and {len(topologies)} Topologies were ready; no container started twice"


def helm_test(release: Release) -> str:
    # Helm 3 deletes the pod of a passed test before it reads the log, and then fails.
    logs = [] if release.helm("version", "--short").startswith("v3.") else ["--logs"]
    output = release.helm("test", release.name, "--timeout", f"{WAIT_SECONDS:.0f}s", *logs)
    found = [line.strip() for line in output.splitlines() if "orders ended as expected" in line]
    if logs and not found:
        raise CheckFailed(f"the test's output has no result: {output}")
    return found[0] if logs else "Helm 3 reports success"


def topology(release: Release) -> str:
    """Checks that a queue that is added to a Topology appears at the broker; a removed one disappears."""
    kubectl, queue = release.kubectl, "e2e.queue"
    before = kubectl.get("topology", "shared")
    queues = before["spec"]["queues"] | {queue: {"deliveryLimit": -1}}
    _patch(release, queues)
    wait(lambda: _holds(release, queue), f"the broker holds {queue}", WAIT_SECONDS)
    _patch(release, {queue: None})
    wait(lambda: not _holds(release, queue), f"{queue} is gone", WAIT_SECONDS)
    wait(lambda: is_ready(kubectl.get("topology", "shared")), "the Topology is ready again", WAIT_SECONDS)
    return f"{queue} was created and removed with its resource"


def scale(release: Release) -> str:
    """Scale consumers from one to three and back under a backlog; they process all of it."""
    scaler = release.settings.scaler
    figures = _by_hand(release) if scaler == "hand" else _by_autoscaler(release)
    wait(lambda: not release.depth(QUEUE), f"{QUEUE} is empty", WAIT_SECONDS, lambda: _waiting(release))
    return f"by {scaler}, with a backlog of {BACKLOG} or more: {figures}; {release.judge()}"


def _by_hand(release: Release) -> str:
    with _backlog(release):
        one, three = _scale_by_hand(release, 1), _scale_by_hand(release, 3)
        time.sleep(QUIET_SECONDS)
        down = _scale_by_hand(release, 1)
    return f"1 after {one:.0f} s, 3 after {three:.0f} s, 1 again after {down:.0f} s"


def _by_autoscaler(release: Release) -> str:
    with _backlog(release):
        release.install(*autoscaling(release))
        # An autoscaler ignores a Deployment with 0 replicas.
        release.kubectl("scale", f"deployment/{release.name}-payment", "--replicas=1")
        up = release.wait_ready("payment", 3)
        time.sleep(QUIET_SECONDS)
    down = release.wait_ready("payment", 1)
    release.install()
    return f"3 after {up:.0f} s, 1 again {down:.0f} s after the last order"


@contextmanager
def _backlog(release: Release) -> Iterator[None]:
    """Customers place orders during the block; payments have queued up before it."""
    release.kubectl("scale", f"deployment/{release.name}-payment", "--replicas=0")
    wait(lambda: not release.kubectl.pods("payment"), "payment has no pod", WAIT_SECONDS)
    with release.customers():
        full = f"{BACKLOG} messages wait for payment"
        wait(lambda: release.depth(QUEUE) >= BACKLOG, full, WAIT_SECONDS, lambda: _waiting(release))
        yield


def _waiting(release: Release) -> str:
    return f"now {release.depth(QUEUE)}"


def _scale_by_hand(release: Release, pods: int) -> float:
    release.kubectl("scale", f"deployment/{release.name}-payment", f"--replicas={pods}")
    return release.wait_ready("payment", pods)


def autoscaling(release: Release) -> list[str]:
    """Returns options of Helm with targets so low that the rate of orders needs three consumers (0.21 of it each)."""
    targets = {"minimum": 1, "maximum": 3, "backlogSeconds": 2, "messagesPerSecond": 0.3 * release.settings.rate}
    settings = json.dumps({"enabled": True} | targets)
    return [
        *("--set-json", f"components.payment.autoscaling={settings}"),
        *("--set", f"autoscaling.mode={release.settings.scaler}", "--set", "autoscaling.scaleDownSeconds=15"),
    ]


def kill(release: Release) -> str:
    """Kill pods without a grace period: few requests fail, every order is accepted and completes."""
    killed = ["order-api", "order-worker", "payment", "inventory"]
    with release.customers() as ordering:
        for component in killed:
            pod = release.kubectl.pods(component)[0]["metadata"]["name"]
            release.kubectl("delete", "pod", pod, "--grace-period=0", "--force")
            release.wait_complete(component, WAIT_SECONDS)
        time.sleep(QUIET_SECONDS)
    bound_failures(ordering, release.settings.rate)
    return f"{', '.join(killed)}: {ordering.summary}; {release.judge()}"


def bound_failures(ordering: CustomerRun, rate: float) -> None:
    """Raises CheckFailed if too many requests failed, an order was abandoned, or an acceptance took too long."""
    most = round(MAX_FAILING_SECONDS * rate)
    if ordering.failed > most or ordering.abandoned or ordering.slowest > MAX_ACCEPT_SECONDS:
        raise CheckFailed(
            f"{ordering.summary}: at most {most} requests may fail, and every order must be accepted within"
            f" {MAX_ACCEPT_SECONDS:.0f} s: {'; '.join(ordering.failures[:5])}"
        )


def upgrade(release: Release) -> str:
    """Roll out a new chart version with new images: no request fails."""
    with release.customers() as ordering:
        with release.next_chart() as chart:
            release.install(chart=chart, tag=release.next_tag)
        time.sleep(QUIET_SECONDS)
    if ordering.failures:
        raise CheckFailed(f"{ordering.summary}: {'; '.join(ordering.failures[:5])}")
    old = [
        pod["metadata"]["name"]
        for pod in release.kubectl.remaining_pods("app.kubernetes.io/name=warren,app.kubernetes.io/component!=smoke")
        for container in pod["spec"]["containers"]
        if container["image"].endswith(f":{release.settings.tag}")
    ]
    if old:
        raise CheckFailed(f"these pods still run the previous images: {', '.join(old)}")
    return f"{ordering.summary}; {release.judge()}"


def _patch(release: Release, queues: object) -> None:
    patch = json.dumps({"spec": {"queues": queues}})
    release.kubectl("patch", "topology", "shared", "--type=merge", "--patch", patch)


def _holds(release: Release, queue: str) -> bool:
    try:
        release.depth(queue)
    except KeyError:
        return False
    return True


def _restarted(release: Release) -> list[str]:
    return [
        f"{each['name']} of {pod['metadata']['name']} ({each['restartCount']} times)"
        for pod in release.kubectl.items("pods")
        for each in pod["status"].get("containerStatuses", [])
        if each["restartCount"]
    ]


def outcome(release: Release) -> str:
    """Checks that every accepted order of all customers reached its expected state, and every notification was sent."""
    return release.judge(channels=True)


SCENARIOS: Mapping[str, Callable[[Release], str]] = {
    "helm test": helm_test,
    "topology": topology,
    "scale": scale,
    "kill": kill,
    "drain": drain,
    "broker drain": broker_drain,
    "upgrade": upgrade,
}
"""They run in this order, between installation and outcome."""
