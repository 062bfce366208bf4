"""Where it runs: the cluster that KUBECONFIG names, or a kind cluster that is made and removed; and its images."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.command import run
from tests.e2e.errors import CommandFailed, NoCluster
from tests.e2e.settings import ROOT, Settings
from warren.images.__main__ import names

NAME = "warren"
"""Of the kind cluster, as in k8s/kind/cluster.yaml."""
NEXT = "-next"


@contextmanager
def cluster(settings: Settings) -> Iterator[bool]:
    """Sets KUBECONFIG for every program; true on a kind cluster of our own. Raises NoCluster, CommandFailed."""
    if settings.kubeconfig:
        _reach(settings)
        yield False
        return
    if shutil.which(settings.kind) is None:
        raise NoCluster("KUBECONFIG is not set, and kind, which could make a cluster, is not installed")
    if NAME in run([settings.kind, "get", "clusters"]).split():
        raise NoCluster(f"a kind cluster {NAME} exists: name it (kind export kubeconfig), or delete it")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["KUBECONFIG"] = str(Path(folder) / "kubeconfig")
        config = ROOT / "k8s" / "kind" / "cluster.yaml"
        try:
            run([settings.kind, "create", "cluster", "--config", str(config), "--wait", "180s"], seconds=600)
            yield True
        finally:
            if not settings.keep:
                run([settings.kind, "delete", "cluster", "--name", NAME])
            del os.environ["KUBECONFIG"]


def _reach(settings: Settings) -> None:
    try:
        run([settings.kubectl, "version"], seconds=30)
    except CommandFailed as error:
        raise NoCluster(f"no API server answers at what KUBECONFIG names: {error}") from error


def load(settings: Settings, own: bool) -> str:
    """Bring both generations of images into the cluster; returns the tag of the second. Raises CommandFailed."""
    after = settings.next_tag or settings.tag + NEXT
    if not settings.next_tag and (own or settings.load):
        for name in names():
            image = f"{settings.prefix}/{name}"
            run([settings.docker, "tag", f"{image}:{settings.tag}", f"{image}:{after}"])
    for tag in (settings.tag, after):
        for name in names():
            _load(settings, own, f"{settings.prefix}/{name}:{tag}")
    return after


def _load(settings: Settings, own: bool, image: str) -> None:
    if settings.load:
        run(["sh", "-c", settings.load], environment=os.environ | {"IMAGE": image}, seconds=600)
    elif own:
        run([settings.kind, "load", "docker-image", image, "--name", NAME], seconds=600)
