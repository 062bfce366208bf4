"""The client of the management API, with fakes that answer as no healthy broker does."""

import asyncio
import socket

import pytest
from aiohttp import web

from broker_topology.broker.management_api import ManagementApi, path
from broker_topology.cli import main
from broker_topology.errors import AccessDenied, BrokerUnreachable, BrokerVersionUnsupported, NotRabbitMQ, RequestFailed
from tests.unit.topology.conftest import fake_management

HEALTHY = {"rabbitmq_version": "4.3.6"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("version", ["3.10.8", "4.0.5", "4.3.0", "4.3.0-rc.3"])
async def test_an_old_broker_is_refused_because_it_ignores_arguments(version):
    async with fake_management({"rabbitmq_version": version}) as url:
        with pytest.raises(BrokerVersionUnsupported) as refused:
            await ManagementApi(url, "u", "p").wait(0)
    assert f"is RabbitMQ {version}; 4.3.1 or newer is needed" in str(refused.value)
    assert "ignore them" in str(refused.value)


@pytest.mark.parametrize("version", ["4.3.1", "4.3.6", "4.3.1+dev.5", "4.10.0", "5.0.0-beta.1"])
async def test_a_new_broker_is_accepted(version):
    async with fake_management({"rabbitmq_version": version}) as url, ManagementApi(url, "u", "p") as api:
        assert api.version == version


@pytest.mark.parametrize(
    ("overview", "error", "message"),
    [
        ({"name": "something else"}, NotRabbitMQ, "names no RabbitMQ version"),
        (web.Response(text="<html>"), NotRabbitMQ, "not with JSON"),
        (web.Response(status=404), NotRabbitMQ, "answers 404 to /api/overview"),
        (web.Response(status=503), BrokerUnreachable, "is not ready: it answers 503"),
        (web.Response(status=302, headers={"Location": "/login"}), NotRabbitMQ, "answers 302"),
        (web.Response(status=401), AccessDenied, "refuses user u: wrong user name or password"),
        (
            web.Response(status=401, text='{"error": "not_authorized", "reason": "Not_Authorized"}'),
            AccessDenied,
            "refuses user u: wrong user name or password",
        ),
        (web.Response(status=401, text='{"reason": "Not management user"}'), AccessDenied, "u: Not management user"),
        (web.Response(status=403, text='{"reason": "no tag"}'), AccessDenied, "u may not GET /api/overview: no tag"),
    ],
    ids=["other JSON", "HTML", "404", "503", "redirect", "401", "wrong login", "no tag", "403"],
)
async def test_an_endpoint_that_is_not_a_usable_management_api_is_reported(overview, error, message):
    async with fake_management(overview) as url:
        with pytest.raises(error, match=message):
            await ManagementApi(url, "u", "p").wait(0)


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}", "https://broker.invalid:{port}"])
async def test_an_address_where_no_server_listens_is_reported(url):
    address = url.format(port=free_port())
    with pytest.raises(BrokerUnreachable, match=f"nothing answers at {address}"):
        await ManagementApi(address, "u", "p").wait(0)


async def test_a_server_that_does_not_speak_http_is_reported():
    async def greet(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-hello\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        with pytest.raises(
            NotRabbitMQ, match="does not speak HTTP as RabbitMQ does; a port with TLS needs https://: "
        ) as refused:
            await ManagementApi(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "u", "p").wait(0)
    assert "\n" not in str(refused.value)


async def test_a_request_to_a_broker_that_hangs_times_out():
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts connections, and never answers
        api = ManagementApi(f"http://127.0.0.1:{silent.getsockname()[1]}", "u", "p", time_limit=0.2)
        with pytest.raises(BrokerUnreachable, match=r"does not answer within 0.2 s"):
            await api.wait(0)


async def test_wait_retries_until_the_broker_answers():
    port = free_port()
    api = ManagementApi(f"http://127.0.0.1:{port}", "u", "p")
    waiting = asyncio.create_task(api.wait(10))
    await asyncio.sleep(0.3)
    async with fake_management(HEALTHY, port=port):
        assert (await waiting).version == "4.3.6"
        await api.close()


async def test_a_refusal_has_the_brokers_reason():
    async def refuse(_request):
        return web.json_response({"error": "bad_request", "reason": "inequivalent arg"}, status=400)

    async with fake_management(HEALTHY, thing=refuse) as url, ManagementApi(url, "u", "p") as api:
        with pytest.raises(RequestFailed, match=r"^inequivalent arg$"):
            await api.put("/api/thing", {})


@pytest.mark.parametrize("closed", [1, 2])
async def test_a_request_is_repeated_once_when_the_broker_closes_the_connection(closed):
    received = []

    async def close(request):
        received.append(request.method)
        if len(received) <= closed:
            request.transport.abort()
        return web.json_response({})

    async with fake_management(HEALTHY, thing=close) as url, ManagementApi(url, "u", "p") as api:
        if closed == 1:
            await api.post("/api/thing", {})
        else:
            with pytest.raises(BrokerUnreachable, match="nothing answers"):
                await api.post("/api/thing", {})
    assert received == ["POST", "POST"]


async def test_deleting_a_missing_object_succeeds():
    async def missing(_request):
        return web.json_response({"error": "Object Not Found"}, status=404)

    async with fake_management(HEALTHY, thing=missing) as url, ManagementApi(url, "u", "p") as api:
        await api.delete("/api/thing")
        assert await api.get_or_none("/api/thing") is None
        with pytest.raises(RequestFailed):
            await api.get("/api/thing")


def test_every_character_of_a_name_is_escaped():
    assert path("queues", "/", "a/b %41?ä") == "/api/queues/%2F/a%2Fb%20%2541%3F%C3%A4"


async def test_an_old_broker_ends_the_command_with_one_message(tmp_path, file, capsys):
    (tmp_path / "password").write_text("p")
    async with fake_management({"rabbitmq_version": "3.13.7"}) as url:
        options = ["--url", url, "--username", "u", "--password-file", str(tmp_path / "password")]
        command = ["apply", str(file({"queues": {"q": {}}})), *options, "--secrets-dir", str(tmp_path / "secrets")]
        assert await asyncio.to_thread(main, command) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "RabbitMQ 3.13.7; 4.3.1 or newer is needed" in line
    assert not (tmp_path / "secrets").exists()


def test_a_missing_broker_ends_the_command_with_one_message(tmp_path, file, capsys):
    (tmp_path / "password").write_text("p")
    options = ["--url", f"http://127.0.0.1:{free_port()}", "--username", "u", "--wait", "0.1"]
    options += ["--password-file", str(tmp_path / "password"), "--secrets-dir", str(tmp_path / "secrets")]
    assert main(["plan", str(file({"queues": {"q": {}}})), *options]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: nothing answers at http://127.0.0.1")
