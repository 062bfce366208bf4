"""A broker that requires a client certificate."""

import contextlib
import ssl

import pytest
import trustme

from broker_topology import ManagementApi
from broker_topology.errors import BrokerError, CertificateRefused
from tests.unit.topology.conftest import fake_management


@pytest.fixture
def authority():
    return trustme.CA()


@pytest.fixture
async def broker(authority):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    with contextlib.suppress(ssl.SSLError):
        async with fake_management({"rabbitmq_version": "4.3.6"}, tls=context) as url:
            yield url


@pytest.fixture
def files(authority, tmp_path):
    issued = authority.issue_cert("operator@example.org")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "tls.crt")
    issued.private_key_pem.write_to_path(tmp_path / "tls.key")
    return tmp_path


async def test_a_client_certificate_is_accepted(broker, files):
    pair = (files / "tls.crt", files / "tls.key")
    async with ManagementApi(broker, "u", "p", ca_file=files / "ca.pem", client_certificate=pair) as api:
        assert api.version == "4.3.6"


async def test_a_missing_client_certificate_is_an_error(broker, files):
    with pytest.raises(BrokerError):
        async with ManagementApi(broker, "u", "p", ca_file=files / "ca.pem"):
            pass


async def test_a_key_that_does_not_fit_its_certificate_is_refused(broker, files, authority):
    authority.issue_cert("other@example.org").private_key_pem.write_to_path(files / "tls.key")
    pair = (files / "tls.crt", files / "tls.key")
    with pytest.raises(CertificateRefused, match=r"the client certificate .*tls.crt with key .*tls.key cannot be used"):
        async with ManagementApi(broker, "u", "p", ca_file=files / "ca.pem", client_certificate=pair):
            pass
