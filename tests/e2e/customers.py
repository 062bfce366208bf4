"""Customers in a pod of their own: a port-forward from outside would break with the pod that it leads to."""

import re
import secrets
import time
from uuid import UUID

from tests.e2e.errors import CommandFailed, NotSo
from tests.e2e.kubectl import Kubectl, Object
from tests.e2e.progress import wait
from tests.e2e.settings import Settings

USER = 10001
UNDISTURBED = 10.0  # seconds of ordering before and after what is done to the system
SUMMARY = re.compile(
    r"(?P<ordered>\d+) ordered, (?P<accepted>\d+) accepted, (?P<failed>\d+) requests failed"
    r"(.* (?P<slowest>[\d.]+) s \(all\))?$"
)
UNPRIVILEGED: Object = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "fsGroup": USER,
    "seccompProfile": {"type": "RuntimeDefault"},
}
SHUT: Object = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


def manifest(name: str, settings: Settings, seconds: float) -> Object:
    """It is what `helm test` is, as far as NetworkPolicies know, and may do as little."""
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
        "securityContext": SHUT,
        "volumeMounts": [{"name": "token", "mountPath": "/run/warren/token", "readOnly": True}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {f"app.kubernetes.io/{key}": value for key, value in labels.items()}},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": UNPRIVILEGED,
            "containers": [container],
            "volumes": [{"name": "token", "secret": {"secretName": "token-key", "defaultMode": 0o440}}],
        },
    }


class Ordering:
    """One run of customers. After `end`: which orders were accepted, how many requests failed and how many orders were
    given up, the seconds until the last order was accepted, and the first failures in words."""

    def __init__(self, kubectl: Kubectl) -> None:
        self.name = f"customers-{secrets.token_hex(3)}"
        self.accepted: list[UUID] = []
        self.failures: list[str] = []
        self.failed = self.given_up = 0
        self.slowest = 0.0
        self.summary = ""
        self._kubectl = kubectl

    def wait_until_ordering(self, rate: float) -> None:
        """Raises NotSo when the order API cannot keep up with them before anything is done to it."""
        wait(lambda: "accepted " in self._log(), "customers' orders are accepted", 300)
        before = self._log().count("accepted ")
        time.sleep(UNDISTURBED)
        log = self._log()
        accepted, failed = log.count("accepted ") - before, log.count("failed at ")
        if failed or accepted < rate * UNDISTURBED / 2:
            raise NotSo(
                f"the cluster cannot take {rate:g} orders a second, and nothing is done to it yet: in"
                f" {UNDISTURBED:.0f} s {accepted} were accepted, and {failed} requests failed; lower E2E_RATE"
            )

    def end(self) -> None:
        """Answers under way are waited for. Raises NotSo when its last words are missing."""
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
            raise NotSo(f"the customers' log is not whole: it ends with {self.summary!r}")
        self.failed = int(figures["failed"])
        self.given_up = int(figures["ordered"]) - len(self.accepted)
        self.slowest = float(figures["slowest"] or 0)

    def _phase(self) -> str:
        return str(self._kubectl.get("pod", self.name)["status"]["phase"])

    def _log(self) -> str:
        try:
            return self._kubectl("logs", self.name)
        except CommandFailed:
            return ""  # a pod that does not run yet has none
