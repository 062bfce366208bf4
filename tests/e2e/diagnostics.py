"""Diagnostics of a failed scenario: logs, objects and events in a folder, without secrets."""

from collections.abc import Callable
from pathlib import Path

from tests.e2e.errors import E2EError
from tests.e2e.kubectl import Kubectl

LISTED = "pods,deployments,statefulsets,jobs,services,persistentvolumeclaims,networkpolicies,topologies"


def collect(kubectl: Kubectl, folder: Path) -> Path:
    """Write the diagnostics. Never raises: the error of a failed command is written to its file."""
    folder.mkdir(parents=True, exist_ok=True)

    def keep(name: str, words: list[str]) -> str:
        text = _output_of(lambda: kubectl(*words))
        (folder / name).write_text(text)
        return text

    keep("objects.txt", ["get", LISTED, "--output=wide"])
    keep("described.txt", ["describe", "pods"])
    keep("topologies.yaml", ["get", "topologies", "--output=yaml"])
    keep("events.txt", ["get", "events", "--sort-by=.lastTimestamp"])
    for pod in _output_of(lambda: kubectl("get", "pods", "--output=name")).split():
        if not pod.startswith("pod/"):
            continue
        name = pod.removeprefix("pod/")
        keep(f"{name}.log", ["logs", name, "--all-containers", "--timestamps"])
        keep(f"{name}.previous.log", ["logs", name, "--all-containers", "--timestamps", "--previous"])
    return folder


def _output_of(ask: Callable[[], str]) -> str:
    try:
        return ask()
    except E2EError as error:
        return f"{error}\n"
