"""What an installation must go through. Each returns the figures it rests on, or raises E2EError."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from tests.e2e.customers import UNDISTURBED, Ordering
from tests.e2e.drains import PATIENCE, broker_drain, drain
from tests.e2e.errors import NotSo
from tests.e2e.kubectl import is_ready
from tests.e2e.progress import wait
from tests.e2e.release import Release

BACKLOG = 150  # messages that wait when the consumers start
QUEUE = "payment.queue"
BLIND = 10.0  # seconds for which requests may fail after a pod is killed: Kubernetes still sends to its address
SLOWEST = 30.0  # seconds until the last order is accepted, with repeated requests


def install(release: Release) -> str:
    began = time.monotonic()
    release.install()
    took = time.monotonic() - began
    topologies = release.kubectl.items("topologies")
    unready = [each["metadata"]["name"] for each in topologies if not is_ready(each)]
    if unready or not topologies:
        raise NotSo(f"of {len(topologies)} Topologies these are not ready: {', '.join(unready) or 'there are none'}")
    # A slow machine is no reason to end a process that starts: probes must wait for it.
    if restarted := _restarted(release):
        raise NotSo(f"containers were started more than once: {', '.join(restarted)}")
    return f"{took:.0f} s until every pod was ready; {len(topologies)} Topologies are; no container started twice"


def helm_test(release: Release) -> str:
    # Helm 3 deletes the pod of a test that passed before it reads its log, and fails over that.
    logs = [] if release.helm("version", "--short").startswith("v3.") else ["--logs"]
    said = release.helm("test", release.name, "--timeout", f"{PATIENCE:.0f}s", *logs)
    found = [line.strip() for line in said.splitlines() if "orders ended as expected" in line]
    if logs and not found:
        raise NotSo(f"the test said nothing of its orders: {said}")
    return found[0] if logs else "as Helm 3 says"


def topology(release: Release) -> str:
    """A queue that is wanted exists at the broker; one that no longer is does not."""
    kubectl, queue = release.kubectl, "e2e.queue"
    before = kubectl.get("topology", "shared")
    wanted = before["spec"]["queues"] | {queue: {"deliveryLimit": -1}}
    _patch(release, wanted)
    wait(lambda: _holds(release, queue), f"the broker holds {queue}", PATIENCE)
    _patch(release, {queue: None})
    wait(lambda: not _holds(release, queue), f"{queue} is gone", PATIENCE)
    wait(lambda: is_ready(kubectl.get("topology", "shared")), "the Topology is ready again", PATIENCE)
    return f"{queue} was made and removed with its resource"


def scale(release: Release) -> str:
    """Consumers go from one to three and back under a backlog, and work it off; nothing of it is lost."""
    scaler = release.settings.scaler
    figures = _by_hand(release) if scaler == "hand" else _by_the_cluster(release)
    wait(lambda: not release.depth(QUEUE), f"{QUEUE} is empty", PATIENCE, lambda: _waiting(release))
    return f"by {scaler}, with {BACKLOG} or more waiting: {figures}; {release.judge()}"


def _by_hand(release: Release) -> str:
    with _backlog(release):
        one, three = _scaled(release, 1), _scaled(release, 3)
        time.sleep(UNDISTURBED)
        down = _scaled(release, 1)
    return f"1 after {one:.0f} s, 3 after {three:.0f} s, 1 again after {down:.0f} s"


def _by_the_cluster(release: Release) -> str:
    with _backlog(release):
        release.install(*autoscaling(release))
        # An autoscaler leaves alone what somebody has set to 0.
        release.kubectl("scale", f"deployment/{release.name}-payment", "--replicas=1")
        up = release.wait_ready("payment", 3)
        time.sleep(UNDISTURBED)
    down = release.wait_ready("payment", 1)
    release.install()
    return f"3 after {up:.0f} s, 1 again {down:.0f} s after the last order"


@contextmanager
def _backlog(release: Release) -> Iterator[None]:
    """Customers order all the time, and payments wait until now for a consumer."""
    release.kubectl("scale", f"deployment/{release.name}-payment", "--replicas=0")
    wait(lambda: not release.kubectl.pods("payment"), "payment has no pod", PATIENCE)
    with release.customers():
        full = f"{BACKLOG} messages wait for payment"
        wait(lambda: release.depth(QUEUE) >= BACKLOG, full, PATIENCE, lambda: _waiting(release))
        yield


def _waiting(release: Release) -> str:
    return f"{release.depth(QUEUE)} do"


def _scaled(release: Release, pods: int) -> float:
    release.kubectl("scale", f"deployment/{release.name}-payment", f"--replicas={pods}")
    return release.wait_ready("payment", pods)


def autoscaling(release: Release) -> list[str]:
    """Targets so small that the customers' rate needs three consumers: 0.7 x 0.3 of it a second for each."""
    targets = {"minimum": 1, "maximum": 3, "backlogSeconds": 2, "messagesPerSecond": 0.3 * release.settings.rate}
    wanted = json.dumps({"enabled": True} | targets)
    return [
        *("--set-json", f"components.payment.autoscaling={wanted}"),
        *("--set", f"autoscaling.mode={release.settings.scaler}", "--set", "autoscaling.scaleDownSeconds=15"),
    ]


def kill(release: Release) -> str:
    """Pods end without a word while customers order: few requests fail, every order is accepted, and none is lost."""
    killed = ["order-api", "order-worker", "payment", "inventory"]
    with release.customers() as ordering:
        for component in killed:
            pod = release.kubectl.pods(component)[0]["metadata"]["name"]
            release.kubectl("delete", "pod", pod, "--grace-period=0", "--force")
            release.wait_whole(component, PATIENCE)
        time.sleep(UNDISTURBED)
    bound_failures(ordering, release.settings.rate)
    return f"{', '.join(killed)}: {ordering.summary}; {release.judge()}"


def bound_failures(ordering: Ordering, rate: float) -> None:
    """Raises NotSo when one dead pod out of two of the order API cost the customers more than it must."""
    most = round(BLIND * rate)
    if ordering.failed > most or ordering.given_up or ordering.slowest > SLOWEST:
        raise NotSo(
            f"{ordering.summary}: at most {most} requests may fail, and every order must be accepted within"
            f" {SLOWEST:.0f} s: {'; '.join(ordering.failures[:5])}"
        )


def upgrade(release: Release) -> str:
    """A new chart with new images is rolled out while customers order: no request fails."""
    with release.customers() as ordering:
        with release.next_chart() as chart:
            release.install(chart=chart, tag=release.next_tag)
        time.sleep(UNDISTURBED)
    if ordering.failures:
        raise NotSo(f"{ordering.summary}: {'; '.join(ordering.failures[:5])}")
    old = [
        pod["metadata"]["name"]
        for pod in release.kubectl.staying("app.kubernetes.io/name=warren,app.kubernetes.io/component!=smoke")
        for container in pod["spec"]["containers"]
        if container["image"].endswith(f":{release.settings.tag}")
    ]
    if old:
        raise NotSo(f"these pods still run the former images: {', '.join(old)}")
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
    """Nothing moves any more, and everything that all customers ordered has ended as it should."""
    return release.judge(mail=True)


SCENARIOS: Mapping[str, Callable[[Release], str]] = {
    "helm test": helm_test,
    "topology": topology,
    "scale": scale,
    "kill": kill,
    "drain": drain,
    "broker drain": broker_drain,
    "upgrade": upgrade,
}
"""Between installing and the outcome, in this order."""
