"""The cluster under test: the one that KUBECONFIG names, or a kind cluster for the run."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.command import run
from tests.e2e.errors import CommandFailed, NoCluster
from tests.e2e.settings import ROOT, Settings

NAME = "warren"
"""The name of the kind cluster, as in k8s/kind/cluster.yaml."""


@contextmanager
def cluster(settings: Settings) -> Iterator[bool]:
    """Sets KUBECONFIG for all programs; yields True for a kind cluster of this run. Raises NoCluster, CommandFailed."""
    if settings.kubeconfig:
        _require_api_server(settings)
        _require_helm(settings)
        yield False
        return
    if shutil.which(settings.kind) is None:
        raise NoCluster("KUBECONFIG is not set, and kind is not installed")
    if NAME in run([settings.kind, "get", "clusters"]).split():
        raise NoCluster(f"the kind cluster {NAME} exists: set KUBECONFIG (kind export kubeconfig) or delete it")
    _require_helm(settings)
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


def _require_helm(settings: Settings) -> None:
    try:
        run([settings.helm, "version", "--short"], seconds=30)
    except CommandFailed as error:
        raise CommandFailed(f"{error}; install Helm or set E2E_HELM") from error


def _require_api_server(settings: Settings) -> None:
    if shutil.which(settings.kubectl) is None:
        raise NoCluster(f"{settings.kubectl} is not installed; install it or set E2E_KUBECTL")
    try:
        run([settings.kubectl, "version"], seconds=30)
    except CommandFailed as error:
        (*_, reason) = str(error).splitlines()
        raise NoCluster(f"the API server that KUBECONFIG names does not answer: {reason.rstrip('.')}") from error
