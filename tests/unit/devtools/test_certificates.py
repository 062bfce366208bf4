import shutil
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from devtools.errors import LocalError
from devtools.servers.credentials import Certificates
from warren.provision.authority import CERTIFICATE_DAYS, RENEW_DAYS


def names(file: Path) -> set[str]:
    certificate = x509.load_pem_x509_certificate(file.read_bytes())
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return {str(name.value) for name in extension.value}


def test_a_server_certificate_covers_loopback_and_its_key_is_private(tmp_path: Path) -> None:
    server = Certificates(tmp_path).server("postgres")
    assert names(server.chain_file) == {"localhost", "127.0.0.1"}
    assert server.key_file.stat().st_mode & 0o077 == 0
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(server.chain_file, server.key_file)


def test_valid_certificates_are_kept(tmp_path: Path) -> None:
    first = Certificates(tmp_path).server("postgres").chain_file.read_bytes()
    assert Certificates(tmp_path).server("postgres").chain_file.read_bytes() == first


def test_a_server_certificate_is_renewed_before_it_expires(tmp_path: Path) -> None:
    past = datetime.now(UTC) - timedelta(days=CERTIFICATE_DAYS - RENEW_DAYS + 1)
    first = Certificates(tmp_path).server("postgres", past).chain_file.read_bytes()
    authority = Certificates(tmp_path).ca_file.read_bytes()
    assert Certificates(tmp_path).server("postgres").chain_file.read_bytes() != first
    assert Certificates(tmp_path).ca_file.read_bytes() == authority


def test_a_new_authority_replaces_all_certificates(tmp_path: Path) -> None:
    old = Certificates(tmp_path).server("postgres").chain_file.read_bytes()
    shutil.rmtree(tmp_path / "authority")
    assert Certificates(tmp_path).server("postgres").chain_file.read_bytes() != old


def test_a_damaged_authority_is_reported(tmp_path: Path) -> None:
    key = Certificates(tmp_path).ca_file.parents[1] / "authority" / "ca.key"
    key.unlink()
    with pytest.raises(LocalError, match="authority exists without a valid authority"):
        Certificates(tmp_path)
