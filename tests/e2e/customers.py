"""Customers that run in a pod: a port-forward from outside would end with the pod that it leads to."""

import re
import secrets
import time
from uuid import UUID

from tests.e2e.errors import CheckFailed, CommandFailed
from tests.e2e.kubectl import Kubectl, Object
from tests.e2e.progress import wait
from tests.e2e.settings import Settings

USER = 10001
QUIET_SECONDS = 10.0  # seconds of orders before and after the event of a scenario
SUMMARY = re.compile(
    r"(?P<ordered>\d+) ordered, (?P<accepted>\d+) accepted, (?P<failed>\d+) requests failed"
    r"(.* (?P<slowest>[\d.]+) s \(all\))?$"
)
POD_SECURITY: Object = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "fsGroup": USER,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY: Object = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def manifest(name: str, settings: Settings, seconds: float) -> Object:
    """Returns the customers' pod. It has the labels and restrictions of the pod of `helm test`."""
    release = settings.release
    labels = {"name": "warren", "instance": release, "component": "smoke"}
    container = {
        "name": "customers",
        "image": f"{settings.prefix}/tools:{settings.tag}",
        "imagePullPolicy": "IfNotPresent",
        "args": [
            "warren.customers",
            f"--url=http://{release}-order-api:8080",
            "--token-key-file=/run/warren/token/password",
            f"--rate={settings.rate:g}",
            f"--seconds={seconds}",
            "--ids",
        ],
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [{"name": "token", "mountPath": "/run/warren/token", "readOnly": True}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {f"app.kubernetes.io/{key}": value for key, value in labels.items()}},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": POD_SECURITY,
            "containers": [container],
            "volumes": [{"name": "token", "secret": {"secretName": "token-key", "defaultMode": 0o440}}],
        },
    }


class CustomerRun:
    """One run of customers. After `end` it has the accepted orders, the number of failed requests and abandoned orders,
    the longest time to acceptance in seconds, and the failures as text."""

    def __init__(self, kubectl: Kubectl) -> None:
        self.name = f"customers-{secrets.token_hex(3)}"
        self.accepted: list[UUID] = []
        self.failures: list[str] = []
        self.failed = self.abandoned = 0
        self.slowest = 0.0
        self.summary = ""
        self._kubectl = kubectl

    def wait_until_accepted(self, rate: float) -> None:
        """Raises CheckFailed if the order API cannot accept the customers' rate even without a disturbance."""
        wait(lambda: "accepted " in self._log(), "customers' orders are accepted", 300)
        before = self._log().count("accepted ")
        time.sleep(QUIET_SECONDS)
        log = self._log()
        accepted, failed = log.count("accepted ") - before, log.count("failed at ")
        if failed or accepted < rate * QUIET_SECONDS / 2:
            raise CheckFailed(
                f"the undisturbed cluster cannot accept {rate:g} orders a second: in {QUIET_SECONDS:.0f} s {accepted}"
                f" were accepted and {failed} requests failed; lower E2E_RATE"
            )

    def end(self) -> None:
        """Stop the customers and wait for open answers. Raises CheckFailed if the log has no summary."""
        code = "import os, signal; os.kill(1, signal.SIGTERM)"
        if self._phase() == "Running":
            self._kubectl("exec", self.name, "--", "python", "-c", code)
        wait(lambda: self._phase() in {"Succeeded", "Failed"}, "the customers have ended", 120)
        lines = self._log().splitlines()
        self.accepted = [UUID(line.split()[1]) for line in lines if line.startswith("accepted ")]
        self.failures = [line for line in lines if line.startswith("failed at ")]
        self.summary = lines[-1] if lines else ""
        figures = SUMMARY.match(self.summary)
        if figures is None or int(figures["accepted"]) != len(self.accepted):
            raise CheckFailed(f"the customers' log is incomplete: it ends with {self.summary!r}")
        self.failed = int(figures["failed"])
        self.abandoned = int(figures["ordered"]) - len(self.accepted)
        self.slowest = float(figures["slowest"] or 0)

    def _phase(self) -> str:
        return str(self._kubectl.get("pod", self.name)["status"]["phase"])

    def _log(self) -> str:
        try:
            return self._kubectl("logs", self.name)
        except CommandFailed:
            return ""  # a pod that has not started has no log
