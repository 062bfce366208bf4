"""The door to RabbitMQ, at fakes that answer what no healthy broker answers."""

import asyncio
import contextlib
import socket

import pytest
from aiohttp import web

from broker_topology.broker.management_api import ManagementApi, path
from broker_topology.cli import main
from broker_topology.errors import AccessDenied, BrokerUnreachable, BrokerVersionUnsupported, NotRabbitMQ, RequestFailed


@contextlib.asynccontextmanager
async def fake_management(overview=None, port=0, **routes):
    """A fake: an HTTP endpoint on loopback that answers /api/overview, and whatever handler a route is given."""
    app = web.Application()

    async def answer(_request):
        return overview if isinstance(overview, web.Response) else web.json_response(overview)

    app.router.add_get("/api/overview", answer)
    for name, handler in routes.items():
        app.router.add_route("*", f"/api/{name}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("version", ["3.10.8", "4.0.5", "4.3.0", "4.3.0-rc.3"])
async def test_a_broker_that_would_ignore_our_arguments(version):
    async with fake_management({"rabbitmq_version": version}) as url:
        with pytest.raises(BrokerVersionUnsupported) as refused:
            await ManagementApi(url, "u", "p").wait(0)
    assert f"is RabbitMQ {version}; 4.3.1 or newer is needed" in str(refused.value)
    assert "ignore them" in str(refused.value)


@pytest.mark.parametrize("version", ["4.3.1", "4.3.6", "4.3.1+dev.5", "4.10.0", "5.0.0-beta.1"])
async def test_a_broker_new_enough(version):
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
            web.Response(status=403, text='{"reason": "no tag"}'),
            AccessDenied,
            "u may not GET /api/overview: no tag",
        ),
    ],
    ids=["other JSON", "HTML", "404", "503", "redirect", "401", "403"],
)
async def test_what_is_no_usable_management_api(overview, error, message):
    async with fake_management(overview) as url:
        with pytest.raises(error, match=message):
            await ManagementApi(url, "u", "p").wait(0)


async def test_nobody_listens():
    with pytest.raises(BrokerUnreachable, match=r"nothing answers at http://127.0.0.1"):
        await ManagementApi(f"http://127.0.0.1:{free_port()}", "u", "p").wait(0)


async def test_an_unknown_host():
    with pytest.raises(BrokerUnreachable, match=r"nothing answers at https://broker.invalid"):
        await ManagementApi("https://broker.invalid:15671", "u", "p").wait(0)


async def test_something_else_than_http_listens():
    async def greet(_reader, writer):
        writer.write(b"SSH-2.0-hello\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        with pytest.raises((NotRabbitMQ, BrokerUnreachable)):
            await ManagementApi(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "u", "p").wait(0)


async def test_a_broker_that_hangs_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connects, and never answers
        api = ManagementApi(f"http://127.0.0.1:{silent.getsockname()[1]}", "u", "p", time_limit=0.2)
        with pytest.raises(BrokerUnreachable, match=r"does not answer within 0.2 s"):
            await api.wait(0)


async def test_waiting_for_a_broker_that_comes_up():
    port = free_port()
    api = ManagementApi(f"http://127.0.0.1:{port}", "u", "p")
    waiting = asyncio.create_task(api.wait(10))
    await asyncio.sleep(0.3)
    async with fake_management({"rabbitmq_version": "4.3.6"}, port=port):
        assert (await waiting).version == "4.3.6"
        await api.close()


async def test_a_refusal_carries_the_brokers_reason():
    async def refuse(_request):
        return web.json_response({"error": "bad_request", "reason": "inequivalent arg"}, status=400)

    async with fake_management({"rabbitmq_version": "4.3.6"}, thing=refuse) as url, ManagementApi(url, "u", "p") as api:
        with pytest.raises(RequestFailed, match=r"^inequivalent arg$"):
            await api.put("/api/thing", {})


@pytest.mark.parametrize("hung_up", [1, 2])
async def test_a_kept_connection_that_the_broker_ends_is_no_failure_unless_it_does_so_again(hung_up):
    asked = []

    async def hang_up(request):
        asked.append(request.method)
        if len(asked) <= hung_up:
            request.transport.abort()
        return web.json_response({})

    async with (
        fake_management({"rabbitmq_version": "4.3.6"}, thing=hang_up) as url,
        ManagementApi(url, "u", "p") as api,
    ):
        if hung_up == 1:
            await api.post("/api/thing", {})
        else:
            with pytest.raises(BrokerUnreachable, match="nothing answers"):
                await api.post("/api/thing", {})
    assert asked == ["POST", "POST"]


async def test_deleting_what_is_gone_succeeds():
    async def gone(_request):
        return web.json_response({"error": "Object Not Found"}, status=404)

    async with fake_management({"rabbitmq_version": "4.3.6"}, thing=gone) as url, ManagementApi(url, "u", "p") as api:
        await api.delete("/api/thing")
        with pytest.raises(RequestFailed):
            await api.get("/api/thing")


def test_names_are_escaped_whole():
    assert path("queues", "/", "a/b %41?ä") == "/api/queues/%2F/a%2Fb%20%2541%3F%C3%A4"


async def test_an_old_broker_ends_the_command_with_one_message(tmp_path, text, capsys):
    (tmp_path / "shop.yaml").write_text(text({"queues": {"q": {}}}))
    (tmp_path / "password").write_text("p")
    async with fake_management({"rabbitmq_version": "3.13.7"}) as url:
        options = ["--url", url, "--username", "u", "--password-file", str(tmp_path / "password")]
        command = ["apply", str(tmp_path / "shop.yaml"), *options, "--secrets-dir", str(tmp_path / "secrets")]
        assert await asyncio.to_thread(main, command) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "RabbitMQ 3.13.7; 4.3.1 or newer is needed" in line
    assert not (tmp_path / "secrets").exists()


def test_a_missing_broker_ends_the_command_with_one_message(tmp_path, text, capsys):
    (tmp_path / "shop.yaml").write_text(text({"queues": {"q": {}}}))
    (tmp_path / "password").write_text("p")
    options = ["--url", f"http://127.0.0.1:{free_port()}", "--username", "u"]
    options += ["--password-file", str(tmp_path / "password"), "--secrets-dir", str(tmp_path / "secrets")]
    assert main(["plan", str(tmp_path / "shop.yaml"), *options, "--wait", "0.1"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: nothing answers at http://127.0.0.1")
