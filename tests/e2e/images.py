"""Loads the images under test into the nodes, and checks that each node has them."""

import os
from collections.abc import Sequence

from tests.e2e.cluster import NAME
from tests.e2e.command import run
from tests.e2e.customers import CONTAINER_SECURITY, POD_SECURITY
from tests.e2e.errors import CommandFailed, NoImage
from tests.e2e.kubectl import Kubectl, Object
from tests.e2e.progress import wait
from tests.e2e.settings import Settings

NEXT_SUFFIX = "-next"
POD = "images"
ABSENT = {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"}
START_SECONDS = 300.0


def next_tag(settings: Settings) -> str:
    return settings.next_tag or settings.tag + NEXT_SUFFIX


def load(settings: Settings, own_cluster: bool, images: Sequence[str]) -> list[str]:
    """Load `images` and the next version of Warren's, if the cluster is `own_cluster` (kind) or a command for that
    is set; return all of them. Raises CommandFailed."""
    ours = [image for image in images if _is_ours(settings, image)]
    newer = {image: f"{image.removesuffix(settings.tag)}{next_tag(settings)}" for image in ours}
    if not settings.next_tag and (own_cluster or settings.load):
        for image, newer_image in newer.items():
            run([settings.docker, "tag", image, newer_image])
    everything = [*images, *newer.values()]
    for image in everything:
        if settings.load:
            run(["sh", "-c", settings.load], environment=os.environ | {"IMAGE": image}, seconds=900)
        # A kind node pulls a published image itself if Docker does not have it.
        elif own_cluster and (_is_ours(settings, image) or _has(settings, image)):
            run([settings.kind, "load", "docker-image", image, "--name", NAME], seconds=900)
    return everything


def require(kubectl: Kubectl, nodes: Sequence[str], images: Sequence[str]) -> None:
    """Start each image once on each node. Raises NoImage before Helm would wait for a pod that cannot start."""
    pods = {f"{POD}-{number}": node for number, node in enumerate(nodes)}
    kubectl.apply(*(_manifest(name, node, images) for name, node in pods.items()))
    try:
        for name, node in pods.items():
            wait(lambda: _has_started(kubectl.get("pod", name)), f"{node} has started every image once", START_SECONDS)  # noqa: B023
    finally:
        kubectl("delete", "pod", *pods, "--ignore-not-found", "--wait=false", "--grace-period=0")


def _is_ours(settings: Settings, image: str) -> bool:
    return image.startswith(f"{settings.prefix}/") and image.endswith(f":{settings.tag}")


def _has(settings: Settings, image: str) -> bool:
    try:
        run([settings.docker, "image", "inspect", image])
    except CommandFailed:
        return False
    return True


def _manifest(name: str, node: str, images: Sequence[str]) -> Object:
    containers = [
        {"name": f"image-{number}", "image": image, "imagePullPolicy": "IfNotPresent", "command": ["true"]}
        for number, image in enumerate(images)
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "nodeName": node,
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": POD_SECURITY,
            "containers": [each | {"securityContext": CONTAINER_SECURITY} for each in containers],
        },
    }


def _has_started(pod: Object) -> bool:
    status = pod["status"]
    for each in status.get("containerStatuses", []):
        reason = each["state"].get("waiting", {}).get("reason", "")
        if reason in ABSENT:
            raise NoImage(
                f"the node {pod['spec']['nodeName']} cannot get {each['image']} ({reason}): build Warren's images with"
                " `make images` (SERVERS=1 if the broker's and the database's cannot be pulled), and set"
                " E2E_LOAD_IMAGE to the command that loads an image into the nodes"
            )
    return bool(status["phase"] == "Succeeded")
