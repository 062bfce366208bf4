"""Provisioning: TLS clients accept the certificates, a second run keeps passwords, invalid manifests are errors."""

import contextlib
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from warren.provision.apply import apply_manifest
from warren.provision.authority import CERTIFICATE_DAYS, RENEW_DAYS
from warren.provision.errors import InvalidManifest, SecretStoreError
from warren.provision.folder_store import FolderStore
from warren.provision.manifest import CertificateEntry, PasswordEntry, SecretsManifest, read_manifest

NOW = datetime.now(UTC)
MANIFEST = SecretsManifest(
    authority="ca",
    bundle="bundle",
    certificates={"server": CertificateEntry(names=["broker.example", "*.nodes.example", "127.0.0.1"])},
    passwords={"order-postgres": PasswordEntry(username="order")},
)


def provision(folder: Path, manifest: SecretsManifest = MANIFEST, now: datetime = NOW) -> list[str]:
    return list(apply_manifest(manifest, FolderStore(folder), now))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def handshake(folder: Path, name: str) -> None:
    """Do a TLS handshake with the created certificate. The client trusts only the bundle and expects `name`."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(folder / "server" / "tls.crt", folder / "server" / "tls.key")
    server_end, client_end = socket.socketpair()

    def serve() -> None:
        with server_end, server_context.wrap_socket(server_end, server_side=True, suppress_ragged_eofs=True) as tls:
            tls.recv(1)

    thread = threading.Thread(target=_ignoring_errors, args=(serve,))
    thread.start()
    client_context = ssl.create_default_context(cafile=folder / "bundle" / "ca.crt")
    client_context.verify_flags |= ssl.VERIFY_X509_STRICT
    try:
        with client_end, client_context.wrap_socket(client_end, server_hostname=name) as tls:
            tls.send(b"x")
    finally:
        thread.join()


def _ignoring_errors(serve: Callable[[], None]) -> None:
    """Run `serve` and ignore its error if the client refuses the certificate: the test checks the client's error."""
    with contextlib.suppress(OSError):
        serve()


@pytest.mark.parametrize("name", ["broker.example", "one.nodes.example", "127.0.0.1"])
def test_a_strict_client_accepts_the_certificate_for_each_of_its_names(tmp_path: Path, name: str) -> None:
    provision(tmp_path)
    handshake(tmp_path, name)


def test_a_strict_client_refuses_the_certificate_for_other_names(tmp_path: Path) -> None:
    provision(tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(tmp_path, "other.example")


def test_a_password_may_have_additional_files(tmp_path: Path) -> None:
    admin = PasswordEntry(username="admin", trust=True, also={"host": "broker.example"})
    provision(tmp_path, SecretsManifest(authority="ca", bundle="bundle", passwords={"admin": admin}))
    found = contents(tmp_path / "admin")
    assert (found["username"], found["host"]) == (b"admin", b"broker.example")
    assert found["ca.crt"] == (tmp_path / "bundle" / "ca.crt").read_bytes()
    assert len(found["password"]) >= 40


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    provision(tmp_path)
    before = contents(tmp_path)
    assert provision(tmp_path)[1:] == ["server: unchanged", "order-postgres: unchanged"]
    assert contents(tmp_path) == before


def test_only_the_bundle_is_readable_by_others(tmp_path: Path) -> None:
    provision(tmp_path)
    modes = {str(file.relative_to(tmp_path)): file.stat().st_mode & 0o777 for file in tmp_path.rglob("*.*")}
    assert {name for name, mode in modes.items() if mode & 0o077} == {"bundle/ca.crt"}


def test_files_with_an_owner_are_readable_by_its_group_only(tmp_path: Path) -> None:
    owner = (os.getuid(), os.getgid())
    FolderStore(tmp_path, owner).create("order-postgres", {"password": b"secret"})
    found = (tmp_path / "order-postgres" / "password").stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (*owner, 0o440)


def test_the_same_authority_renews_a_certificate_before_it_expires(tmp_path: Path) -> None:
    provision(tmp_path)
    before = contents(tmp_path)
    early = NOW + timedelta(days=CERTIFICATE_DAYS - RENEW_DAYS - 1)
    assert "server: unchanged" in provision(tmp_path, now=early)
    late = NOW + timedelta(days=CERTIFICATE_DAYS - RENEW_DAYS + 1)
    assert any(line.startswith("server: renewed") for line in provision(tmp_path, now=late))
    after = contents(tmp_path)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"server/tls.crt", "server/tls.key"}


def test_a_changed_name_replaces_the_certificate(tmp_path: Path) -> None:
    provision(tmp_path)
    renamed = SecretsManifest(
        authority="ca", bundle="bundle", certificates={"server": CertificateEntry(names=["new.example"])}
    )
    assert any(line.startswith("server: renewed") for line in provision(tmp_path, renamed))
    handshake(tmp_path, "new.example")


def test_without_an_authority_only_passwords_are_created(tmp_path: Path) -> None:
    file = tmp_path / "secrets.yaml"
    file.write_text("passwords: {order-postgres: {username: order}}\n")
    assert provision(tmp_path / "secrets", read_manifest(file)) == ["order-postgres: created"]
    assert sorted(contents(tmp_path / "secrets")) == ["order-postgres/password", "order-postgres/username"]


def test_a_folder_without_a_valid_authority_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "ca").mkdir()
    (tmp_path / "ca" / "ca.crt").write_text("invalid")
    with pytest.raises(SecretStoreError, match="ca exists without a valid authority"):
        provision(tmp_path)
    assert (tmp_path / "ca" / "ca.crt").read_text() == "invalid"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("authority: a\nbundle: a\n", "the same name: a"),
        ("authority: a\nbundle: b\ncertificats: {}\n", "certificats"),
        ("authority: a\nbundle: b\ncertificates: {c: {names: []}}\n", "length >= 1"),
        ("authority: [", "secrets.yaml"),
        ("authority: a\n", "name both or neither"),
        ("certificates: {c: {names: [x]}}\n", "need an authority"),
        ("passwords: {p: {username: x, trust: true}}\n", "need an authority"),
    ],
)
def test_an_invalid_manifest_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "secrets.yaml"
    file.write_text(text)
    with pytest.raises(InvalidManifest, match=expected):
        read_manifest(file)


def test_an_error_is_one_line_without_a_stack_trace(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "warren.provision", str(tmp_path / "none.yaml"), "--folder", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert f"reason={tmp_path / 'none.yaml'} cannot be read: No such file or directory\n" in result.stdout
