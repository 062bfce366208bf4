"""What is kept of a run that failed, for whoever looks into it: in a folder, nothing of it secret."""

from collections.abc import Callable
from pathlib import Path

from tests.e2e.errors import E2EError
from tests.e2e.kubectl import Kubectl

LISTED = "pods,deployments,statefulsets,jobs,services,persistentvolumeclaims,networkpolicies,topologies"


def collect(kubectl: Kubectl, folder: Path) -> Path:
    """Never fails: what cannot be had is said in its file."""
    folder.mkdir(parents=True, exist_ok=True)

    def keep(name: str, words: list[str]) -> str:
        text = _tried(lambda: kubectl(*words))
        (folder / name).write_text(text)
        return text

    keep("objects.txt", ["get", LISTED, "--output=wide"])
    keep("described.txt", ["describe", "pods"])
    keep("topologies.yaml", ["get", "topologies", "--output=yaml"])
    keep("events.txt", ["get", "events", "--sort-by=.lastTimestamp"])
    for pod in _tried(lambda: kubectl("get", "pods", "--output=name")).split():
        if not pod.startswith("pod/"):
            continue
        name = pod.removeprefix("pod/")
        keep(f"{name}.log", ["logs", name, "--all-containers", "--timestamps"])
        keep(f"{name}.previous.log", ["logs", name, "--all-containers", "--timestamps", "--previous"])
    return folder


def _tried(ask: Callable[[], str]) -> str:
    try:
        return ask()
    except E2EError as error:
        return f"{error}\n"
