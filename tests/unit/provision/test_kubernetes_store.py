"""Secrets and ConfigMaps in a fake API server: written content, kept content, and errors."""

import base64
import os
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.unit.provision.fake_api_server import NAMESPACE, FakeApiServer, Object, serving
from warren.provision.apply import apply_manifest
from warren.provision.errors import SecretStoreError
from warren.provision.kubernetes_store import KubernetesStore
from warren.provision.manifest import CertificateEntry, PasswordEntry, SecretsManifest

LABELS = {"app.kubernetes.io/instance": "shop"}
NOW = datetime.now(UTC)
MANIFEST = SecretsManifest(
    authority="ca",
    bundle="bundle",
    certificates={"server": CertificateEntry(names=["broker.example"])},
    passwords={"order-postgres": PasswordEntry(username="order")},
)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApiServer]:
    with serving(tmp_path / "account") as fake:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(fake.port))
        yield fake


@pytest.fixture
def cluster(server: FakeApiServer, tmp_path: Path) -> Iterator[KubernetesStore]:
    found = KubernetesStore.from_pod(LABELS, tmp_path / "account")
    yield found
    found._client.close()


def texts(secret: Object) -> dict[str, str]:
    return {key: base64.b64decode(text).decode() for key, text in secret["data"].items()}


def test_a_created_secret_is_read_back(cluster: KubernetesStore, server: FakeApiServer) -> None:
    assert cluster.create("order-postgres", {"username": b"order", "password": b"\x00\xff"})
    assert cluster.read("order-postgres") == {"username": b"order", "password": b"\x00\xff"}
    secret = server.objects["secrets", "order-postgres"]
    assert secret["metadata"] == {"name": "order-postgres", "namespace": NAMESPACE, "labels": LABELS}
    assert secret["type"] == "Opaque"


def test_a_missing_secret_is_none(cluster: KubernetesStore) -> None:
    assert cluster.read("order-postgres") is None


def test_a_secret_without_data_is_empty(cluster: KubernetesStore, server: FakeApiServer) -> None:
    server.objects["secrets", "empty"] = {"kind": "Secret", "metadata": {"name": "empty"}}
    assert cluster.read("empty") == {}


def test_an_existing_secret_is_not_created_again(cluster: KubernetesStore, server: FakeApiServer) -> None:
    cluster.create("order-postgres", {"password": b"first"})
    assert not cluster.create("order-postgres", {"password": b"second"})
    assert texts(server.objects["secrets", "order-postgres"]) == {"password": "first"}


def test_a_replaced_secret_has_the_new_content(cluster: KubernetesStore) -> None:
    cluster.create("server", {"tls.crt": b"old", "tls.key": b"old"})
    cluster.replace("server", {"tls.crt": b"new", "tls.key": b"new"})
    assert cluster.read("server") == {"tls.crt": b"new", "tls.key": b"new"}


def test_published_content_is_a_config_map_and_may_change(cluster: KubernetesStore, server: FakeApiServer) -> None:
    cluster.publish("bundle", {"ca.crt": b"one"})
    cluster.publish("bundle", {"ca.crt": b"two"})
    assert server.objects["configmaps", "bundle"]["data"] == {"ca.crt": "two"}
    assert server.requests == ["POST configmaps", "POST configmaps", "PUT configmaps"]


def test_a_manifest_is_applied_once(cluster: KubernetesStore, server: FakeApiServer) -> None:
    list(apply_manifest(MANIFEST, cluster, NOW))
    before = dict(server.objects)
    assert sorted(before) == [
        ("configmaps", "bundle"),
        ("secrets", "ca"),
        ("secrets", "order-postgres"),
        ("secrets", "server"),
    ]
    # Kubernetes checks this type's keys, and cert-manager has the same.
    assert before["secrets", "server"]["type"] == "kubernetes.io/tls"
    assert list(apply_manifest(MANIFEST, cluster, NOW))[1:] == ["server: unchanged", "order-postgres: unchanged"]
    assert server.objects == before


def test_two_concurrent_runs_use_the_secrets_of_the_first(cluster: KubernetesStore, server: FakeApiServer) -> None:
    def be_quicker(verb: str, resource: str, name: str) -> None:
        if (verb, name) == ("POST", "ca"):
            server.before = lambda *_: None
            list(apply_manifest(MANIFEST, cluster, NOW))

    server.before = be_quicker
    lines = list(apply_manifest(MANIFEST, cluster, NOW))
    assert lines[1:] == ["server: unchanged", "order-postgres: unchanged"]
    authority = texts(server.objects["secrets", "ca"])["ca.crt"]
    assert server.objects["configmaps", "bundle"]["data"]["ca.crt"] == authority
    assert texts(server.objects["secrets", "server"])["ca.crt"] == authority


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ("GET secrets", "cannot read Secret ca in namespace shop: 403 secrets is forbidden"),
        ("POST secrets", "cannot create Secret ca in namespace shop: 403 secrets is forbidden"),
        ("POST configmaps", "cannot write ConfigMap bundle in namespace shop: 403 configmaps is forbidden"),
    ],
)
def test_a_missing_permission_is_named(
    cluster: KubernetesStore, server: FakeApiServer, request_: str, message: str
) -> None:
    server.forbidden.add(request_)
    with pytest.raises(SecretStoreError, match=message):
        list(apply_manifest(MANIFEST, cluster, NOW))


def test_a_refused_replacement_is_reported_and_the_secret_stays(
    cluster: KubernetesStore, server: FakeApiServer
) -> None:
    cluster.create("server", {"password": b"mine"})
    with pytest.raises(SecretStoreError, match=r"cannot replace Secret server in namespace shop: 422 .*immutable"):
        cluster.replace("server", {"tls.crt": b"new", "tls.key": b"new"})
    assert cluster.read("server") == {"password": b"mine"}


def test_a_wrong_token_is_reported(server: FakeApiServer, tmp_path: Path) -> None:
    (tmp_path / "account" / "token").write_text("of another pod")
    with pytest.raises(SecretStoreError, match="401 Unauthorized"):
        KubernetesStore.from_pod(LABELS, tmp_path / "account").read("ca")


def test_a_server_of_another_authority_is_not_trusted(server: FakeApiServer, tmp_path: Path) -> None:
    with (
        serving(tmp_path / "other"),
        pytest.raises(SecretStoreError, match=r"does not respond: .*certificate verify failed"),
    ):
        KubernetesStore.from_pod(LABELS, tmp_path / "other").read("ca")


def test_an_authority_without_a_key_usage_is_accepted(
    server: FakeApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clusters have them, and Python refuses them from 3.13 on by default."""
    file = tmp_path / "account" / "ca.crt"
    file.write_bytes(without_usage(file.read_bytes(), server.authority_key))
    monkeypatch.setattr(ssl, "create_default_context", strict(ssl.create_default_context))
    assert KubernetesStore.from_pod(LABELS, tmp_path / "account").read("order-postgres") is None


def without_usage(certificate: bytes, key: bytes) -> bytes:
    """Return the CA certificate without the extension key usage, as older tools create it."""
    made, signer = x509.load_pem_x509_certificate(certificate), serialization.load_pem_private_key(key, None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    again = (
        x509.CertificateBuilder(made.subject, made.subject, made.public_key(), made.serial_number)
        .not_valid_before(made.not_valid_before_utc)
        .not_valid_after(made.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    return again.public_bytes(serialization.Encoding.PEM)


def strict(make: Callable[..., ssl.SSLContext]) -> Callable[..., ssl.SSLContext]:
    """Make the contexts verify certificates strictly, as Python 3.13 does by default."""

    def made(*arguments: Any, **options: Any) -> ssl.SSLContext:
        context = make(*arguments, **options)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    return made


def test_the_error_outside_a_pod_names_the_missing_part(tmp_path: Path) -> None:
    with pytest.raises(SecretStoreError, match=r"not a pod with a service account: .*token"):
        KubernetesStore.from_pod(LABELS, tmp_path)


def run(manifest: str, tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    file = tmp_path / "secrets.yaml"
    file.write_text(manifest)
    return subprocess.run(
        [sys.executable, "-m", "warren.provision", str(file), "--kubernetes"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_command_outside_a_pod_fails_with_one_line(tmp_path: Path) -> None:
    done = run("authority: ca\nbundle: bundle\n", tmp_path)
    assert done.returncode == 1
    assert "provisioning failed  reason=this is not a pod with a service account: " in done.stdout
    assert done.stdout.count("\n") == 1
