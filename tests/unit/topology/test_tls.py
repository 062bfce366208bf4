"""A broker that asks for a client certificate, as a fake that does nothing but that."""

import contextlib
import ssl

import pytest
import trustme
from aiohttp import web

from broker_topology import ManagementApi
from broker_topology.cli import main
from broker_topology.errors import BrokerError, CertificateRefused


@pytest.fixture
def authority():
    return trustme.CA()


@pytest.fixture
async def broker(authority):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    app = web.Application()

    async def overview(_request):
        return web.json_response({"rabbitmq_version": "4.3.6"})

    app.router.add_get("/api/overview", overview)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "localhost", 0, ssl_context=context).start()
    yield f"https://localhost:{runner.addresses[0][1]}"
    with contextlib.suppress(ssl.SSLError):
        await runner.cleanup()


@pytest.fixture
def files(authority, tmp_path):
    issued = authority.issue_cert("operator@example.org")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "tls.crt")
    issued.private_key_pem.write_to_path(tmp_path / "tls.key")
    return tmp_path


async def test_the_certificate_opens_the_door(broker, files):
    pair = (files / "tls.crt", files / "tls.key")
    async with ManagementApi(broker, "u", "p", ca_file=files / "ca.pem", client_certificate=pair) as api:
        assert api.version == "4.3.6"


async def test_without_one_there_is_an_error(broker, files):
    with pytest.raises(BrokerError):
        async with ManagementApi(broker, "u", "p", ca_file=files / "ca.pem"):
            pass


async def test_a_key_that_is_not_its_own(broker, files, authority):
    authority.issue_cert("other@example.org").private_key_pem.write_to_path(files / "tls.key")
    pair = (files / "tls.crt", files / "tls.key")
    with pytest.raises(CertificateRefused, match=r"the client certificate .*tls.crt with key .*tls.key cannot be used"):
        async with ManagementApi(broker, "u", "p", ca_file=files / "ca.pem", client_certificate=pair):
            pass


def test_a_certificate_without_its_key_is_wrong_usage(tmp_path, text, capsys):
    (tmp_path / "shop.yaml").write_text(text({"queues": {"q": {}}}))
    options = ["--url", "https://localhost:1", "--username", "u", "--password-file", "p", "--secrets-dir", "s"]
    with pytest.raises(SystemExit) as exit_:
        main(["plan", str(tmp_path / "shop.yaml"), *options, "--cert-file", "tls.crt"])
    assert exit_.value.code == 2
    assert "--cert-file and --key-file go together" in capsys.readouterr().err
