"""Runs kubectl in one namespace."""

import base64
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.e2e.command import read_json, run
from tests.e2e.errors import CommandFailed

Object = dict[str, Any]


class Kubectl:
    """Uses the cluster that KUBECONFIG names."""

    def __init__(self, program: str, namespace: str) -> None:
        self.program = program
        self.namespace = namespace

    def __call__(self, *words: str, feed: str | None = None, seconds: float = 120) -> str:
        return run([self.program, "--namespace", self.namespace, *words], feed=feed, seconds=seconds)

    def get(self, *words: str) -> Any:
        return read_json([self.program, "--namespace", self.namespace, "get", *words, "--output", "json"])

    def items(self, *words: str) -> list[Object]:
        return list(self.get(*words)["items"])

    def apply(self, *objects: Object) -> None:
        self("apply", "--filename", "-", feed="\n".join(f"---\n{json.dumps(each)}" for each in objects))

    def secret(self, name: str) -> dict[str, str]:
        data = self.get("secret", name)["data"]
        return {key: base64.b64decode(text).decode() for key, text in data.items()}

    def remaining_pods(self, selector: str) -> list[Object]:
        """Pods that are not being deleted."""
        found = self.items("pods", "--selector", selector)
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def pods(self, component: str) -> list[Object]:
        return self.remaining_pods(f"app.kubernetes.io/name=warren,app.kubernetes.io/component={component}")

    def ready(self, component: str) -> int:
        return sum(is_ready(pod) for pod in self.pods(component))

    @contextmanager
    def forward(self, target: str, port: int) -> Iterator[int]:
        """Forward a free local port to `target`."""
        command = [self.program, "--namespace", self.namespace, "port-forward", target, f":{port}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                found = re.search(r"127\.0\.0\.1:(\d+) ->", line)
                if found is None:
                    raise CommandFailed(f"port-forward to {target} failed: {line.strip()}")
                # kubectl prints a line for each connection and blocks when the pipe is full.
                threading.Thread(target=process.stdout.read, daemon=True).start()
                yield int(found[1])
            finally:
                process.terminate()


def is_ready(it: Object) -> bool:
    """Returns whether a pod, a node or a Topology has the condition Ready."""
    conditions = it.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
