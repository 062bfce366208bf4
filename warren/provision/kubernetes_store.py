"""Stores secrets as Secrets of a Kubernetes namespace, with the in-cluster configuration of a pod."""

import base64
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import httpx

from warren.provision.errors import SecretStoreError
from warren.provision.store import SecretData

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIME_LIMIT = 10.0  # seconds for each response
TRIES = 5  # of connecting: a pod's network may start after its process
TLS_TYPE = "kubernetes.io/tls"


class KubernetesStore:
    """Each set of files is a Secret, a published one a ConfigMap. All have `labels`."""

    def __init__(self, client: httpx.Client, namespace: str, labels: Mapping[str, str]) -> None:
        self._client = client
        self._namespace = namespace
        self._labels = dict(labels)

    @classmethod
    def from_pod(cls, labels: Mapping[str, str], account: Path = ACCOUNT) -> Self:
        """Return a store for the namespace of this pod. Raises SecretStoreError outside a pod."""
        try:
            token = (account / "token").read_text().strip()
            namespace = (account / "namespace").read_text().strip()
            tls = ssl.create_default_context(cafile=account / "ca.crt")
            # Some clusters' authorities have no key usage, which Python refuses from 3.13 on.
            tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
            host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
        except (OSError, KeyError) as error:
            raise SecretStoreError(f"this is not a pod with a service account: {error} is missing") from error
        if ":" in host:
            host = f"[{host}]"
        client = httpx.Client(
            base_url=f"https://{host}:{port}",
            headers={"Authorization": f"Bearer {token}"},
            timeout=TIME_LIMIT,
            transport=httpx.HTTPTransport(verify=tls, retries=TRIES),
        )
        return cls(client, namespace, labels)

    def read(self, name: str) -> SecretData | None:
        response = self._ask("GET", f"secrets/{name}")
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        found = self._checked(response, f"read Secret {name}").get("data") or {}
        return {key: base64.b64decode(text) for key, text in found.items()}

    def create(self, name: str, data: SecretData) -> bool:
        response = self._ask("POST", "secrets", self._secret(name, data))
        if response.status_code == httpx.codes.CONFLICT:
            return False
        self._checked(response, f"create Secret {name}")
        return True

    def replace(self, name: str, data: SecretData) -> None:
        self._checked(self._ask("PUT", f"secrets/{name}", self._secret(name, data)), f"replace Secret {name}")

    def publish(self, name: str, data: SecretData) -> None:
        texts = {key: content.decode() for key, content in data.items()}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": self._metadata(name), "data": texts}
        response = self._ask("POST", "configmaps", body)
        if response.status_code == httpx.codes.CONFLICT:
            response = self._ask("PUT", f"configmaps/{name}", body)
        self._checked(response, f"write ConfigMap {name}")

    def _secret(self, name: str, data: SecretData) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": TLS_TYPE if "tls.key" in data else "Opaque",
            "metadata": self._metadata(name),
            "data": {key: base64.b64encode(content).decode() for key, content in data.items()},
        }

    def _metadata(self, name: str) -> dict[str, Any]:
        return {"name": name, "namespace": self._namespace, "labels": self._labels}

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        try:
            return self._client.request(method, f"/api/v1/namespaces/{self._namespace}/{path}", json=body)
        except httpx.HTTPError as error:
            raise SecretStoreError(
                f"the Kubernetes API at {self._client.base_url} does not respond: {error}"
            ) from error

    def _checked(self, response: httpx.Response, purpose: str) -> dict[str, Any]:
        if response.is_success:
            return dict(response.json())
        reason = response.text
        if response.headers.get("content-type", "").startswith("application/json"):
            reason = response.json().get("message", reason)
        raise SecretStoreError(f"cannot {purpose} in namespace {self._namespace}: {response.status_code} {reason}")
