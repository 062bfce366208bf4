"""The images under test: brought into the cluster's nodes, and looked for there before anything waits for them."""

import os

from tests.e2e.command import run
from tests.e2e.customers import SHUT, UNPRIVILEGED
from tests.e2e.errors import NoImage
from tests.e2e.kubectl import Kubectl, Object, wait
from tests.e2e.place import NAME
from tests.e2e.settings import Settings
from warren.images.__main__ import names

NEXT = "-next"
POD = "images"
ABSENT = {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"}
SECONDS = 300.0


def load(settings: Settings, own: bool) -> str:
    """Bring both generations of images into the cluster; returns the tag of the second. Raises CommandFailed."""
    after = settings.next_tag or settings.tag + NEXT
    if not settings.next_tag and (own or settings.load):
        for name in names():
            image = f"{settings.prefix}/{name}"
            run([settings.docker, "tag", f"{image}:{settings.tag}", f"{image}:{after}"])
    for image in _all(settings, after):
        if settings.load:
            run(["sh", "-c", settings.load], environment=os.environ | {"IMAGE": image}, seconds=900)
        elif own:
            run([settings.kind, "load", "docker-image", image, "--name", NAME], seconds=900)
    return after


def require(settings: Settings, kubectl: Kubectl, after: str) -> None:
    """One pod tries each of them. Raises NoImage, which is said here and not when Helm has waited in vain."""
    kubectl.apply(_manifest(_all(settings, after)))
    try:
        wait(lambda: _tried(kubectl.get("pod", POD)), "every image has been started once", SECONDS)
    finally:
        kubectl("delete", "pod", POD, "--ignore-not-found", "--wait=false", "--grace-period=0")


def _all(settings: Settings, after: str) -> list[str]:
    return [f"{settings.prefix}/{name}:{tag}" for tag in (settings.tag, after) for name in names()]


def _manifest(images: list[str]) -> Object:
    containers = [
        {"name": f"image-{number}", "image": image, "imagePullPolicy": "IfNotPresent", "command": ["true"]}
        for number, image in enumerate(images)
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": POD},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": UNPRIVILEGED,
            "containers": [each | {"securityContext": SHUT} for each in containers],
        },
    }


def _tried(pod: Object) -> bool:
    status = pod["status"]
    for each in status.get("containerStatuses", []):
        reason = each["state"].get("waiting", {}).get("reason", "")
        if reason in ABSENT:
            raise NoImage(
                f"the node {pod['spec']['nodeName']} cannot get {each['image']} ({reason}):"
                " build it with `make images`, and say with E2E_LOAD_IMAGE how it comes to the nodes"
            )
    return status["phase"] == "Succeeded"
