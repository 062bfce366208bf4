"""Both real servers, from the cached root, in a new instance folder."""

import asyncio
import json
import os
import socket
import ssl
import struct
import subprocess
import sys
import time
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import aio_pika
import asyncpg
import pytest
from pamqp import commands as spec
from pamqp import frame
from pamqp.body import ContentBody

from devtools.errors import ServerError
from devtools.servers.servers import Servers

CLOSING = 0.1  # seconds; asyncpg closes a refused connection in a later round of the event loop
SUPERVISOR = """
import sys, time
from pathlib import Path
from typing import Protocol
from devtools.servers.servers import Servers
servers = Servers(Path(sys.argv[1]))
servers.start()
print("ready", flush=True)
time.sleep(120)
"""


class Processes(Protocol):
    def __call__(self) -> list[int]: ...

    def wait_until_gone(self) -> None: ...


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with Servers(tmp_path_factory.mktemp("servers")) as servers:
        yield servers


def tls(servers: Servers) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(servers.broker.endpoints.ca_file))


async def answers(servers: Servers) -> bool:
    async with servers.postgres.endpoint.connection():
        pass
    broker = await aio_pika.connect(servers.broker.endpoints.amqps_url(), ssl_context=tls(servers))
    await broker.close()
    return True


async def test_postgres_serves_verified_tls_only(servers: Servers) -> None:
    async with servers.postgres.endpoint.connection() as connection:
        assert connection.get_server_version().major >= 16
        assert await connection.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        settings = dict(await connection.fetch("SELECT name, setting FROM pg_settings"))
        assert settings["fsync"] == settings["synchronous_commit"] == settings["full_page_writes"] == "on"
        assert await connection.fetchval("SELECT current_database()") == "warren"
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match="no encryption"):
        await asyncpg.connect(servers.postgres.endpoint.dsn().split("?")[0], ssl=False)
    await asyncio.sleep(CLOSING)


async def test_the_servers_shared_memory_is_private(servers: Servers) -> None:
    """A killed server leaves segments behind, which nothing would remove from the machine's /dev/shm."""
    async with servers.postgres.endpoint.connection() as connection:
        segments = {row[0] for row in await connection.fetch("SELECT pg_ls_dir('/dev/shm')")}
    assert segments
    assert not segments & set(os.listdir("/dev/shm"))  # noqa: S108, PTH208


async def test_wrong_password_is_refused(servers: Servers) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(servers.postgres.endpoint.dsn(password="wrong"))
    await asyncio.sleep(CLOSING)


async def test_broker_is_new_enough_and_serves_verified_tls(servers: Servers) -> None:
    connection = await aio_pika.connect(servers.broker.endpoints.amqps_url(), ssl_context=tls(servers))
    async with connection:
        transport = connection.transport
        assert transport is not None
        version = str(transport.connection.server_properties["version"])
        assert tuple(int(part) for part in version.split(".")) >= (4, 3, 1)
        channel = await connection.channel()
        queue = await channel.declare_queue("roundtrip", durable=True, arguments={"x-queue-type": "quorum"})
        await channel.default_exchange.publish(aio_pika.Message(b"hello", delivery_mode=2), "roundtrip")
        message = await queue.get(timeout=5)
        assert message is not None
        await message.ack()


def test_no_port_is_reachable_from_other_machines(servers: Servers) -> None:
    ports = set(json.loads((servers.instance_dir / "ports.json").read_text()).values())
    listening: dict[int, str] = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, *_ = line.split()
        address, port = local.split(":")
        if state == "0A" and int(port, 16) in ports:
            listening[int(port, 16)] = address
    assert len(listening) >= 5
    assert set(listening.values()) == {"0100007F"}


def test_the_administrator_is_the_only_user(servers: Servers) -> None:
    users = servers.broker.rabbitmqctl("--silent", "list_users", "--formatter=json")
    assert json.loads(users) == [{"user": "admin", "tags": ["administrator"]}]


def test_management_and_metrics_respond_over_https(servers: Servers) -> None:
    address = servers.broker.endpoints
    credentials = b64encode(f"{address.admin_username}:{address.admin_password}".encode()).decode()
    request = urllib.request.Request(  # noqa: S310 (an address of our own)
        f"{address.management_url}/api/overview", headers={"Authorization": f"Basic {credentials}"}
    )
    with urllib.request.urlopen(request, context=tls(servers)) as answer:  # noqa: S310
        overview = json.load(answer)
    protocols = {listener["protocol"] for listener in overview["listeners"]}
    assert {"amqp/ssl", "stream/ssl", "https", "https/prometheus"} <= protocols
    assert not protocols & {"amqp", "stream", "http", "http/prometheus"}
    with urllib.request.urlopen(address.metrics_url, context=tls(servers)) as answer:  # noqa: S310
        assert b"rabbitmq_build_info" in answer.read()


@pytest.mark.parametrize("server", ["broker", "postgres"])
def test_neither_server_is_trusted_without_the_private_authority(servers: Servers, server: str) -> None:
    port = servers.broker.endpoints.amqps_port if server == "broker" else servers.postgres.endpoint.port
    with socket.create_connection(("127.0.0.1", port)) as plain:
        if server == "postgres":
            plain.sendall(bytes.fromhex("00000008 04d2162f"))  # asks for TLS
            assert plain.recv(1) == b"S"
        with pytest.raises(ssl.SSLCertVerificationError):
            ssl.create_default_context().wrap_socket(plain, server_hostname="127.0.0.1")


def test_stream_port_speaks_tls(servers: Servers) -> None:
    address = servers.broker.endpoints
    with (
        socket.create_connection((address.host, address.stream_port)) as plain,
        tls(servers).wrap_socket(plain, server_hostname=address.host) as wrapped,
    ):
        assert wrapped.version() == "TLSv1.3"


def test_passwords_and_keys_are_readable_by_the_owner_only(servers: Servers) -> None:
    secret = [*servers.instance_dir.rglob("*.key"), *(servers.instance_dir / "secrets").iterdir()]
    secret += list(servers.instance_dir.rglob("rabbitmq.conf"))
    assert len(secret) >= 6
    assert [file for file in secret if file.stat().st_mode & 0o077] == []


async def test_a_confirmed_message_and_a_committed_row_survive_a_kill(servers: Servers) -> None:
    database = await asyncpg.connect(servers.postgres.endpoint.dsn())
    await database.execute("CREATE TABLE kept (id int); INSERT INTO kept VALUES (1)")
    connection = await aio_pika.connect(servers.broker.endpoints.amqps_url(), ssl_context=tls(servers))
    channel = await connection.channel()
    await channel.declare_queue("kept", durable=True, arguments={"x-queue-type": "quorum"})
    await asyncio.sleep(2.5)  # a quorum queue younger than that may lose its log in a kill
    await channel.default_exchange.publish(aio_pika.Message(b"kept", delivery_mode=2), "kept")
    before = servers.broker.endpoints, servers.postgres.endpoint

    servers.broker.kill()
    servers.postgres.kill()
    assert not servers.broker.running
    assert not servers.postgres.running
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncpg.connect(servers.postgres.endpoint.dsn())
    await connection.close()
    database.terminate()
    servers.broker.start()
    servers.postgres.start()

    assert (servers.broker.endpoints, servers.postgres.endpoint) == before
    async with servers.postgres.endpoint.connection() as database:
        assert await database.fetchval("SELECT count(*) FROM kept") == 1
    connection = await aio_pika.connect(servers.broker.endpoints.amqps_url(), ssl_context=tls(servers))
    async with connection:
        queue = await (await connection.channel()).get_queue("kept")
        message = await queue.get(timeout=10)
        assert message is not None
        assert message.body == b"kept"


def test_a_failed_start_shows_the_end_of_the_log(servers: Servers) -> None:
    servers.postgres.stop()
    address = servers.postgres.endpoint
    with socket.create_server((address.host, address.port)), pytest.raises(ServerError) as failure:
        servers.postgres.start()
    assert "PostgreSQL did not start (exit code 1)" in str(failure.value)
    assert "address already in use" in failure.value.log_tail.lower()
    assert not servers.postgres.running
    servers.postgres.start()


def test_two_instances_run_side_by_side_and_end_with_their_process(
    servers: Servers, tmp_path: Path, processes: Processes
) -> None:
    command = [sys.executable, "-c", SUPERVISOR, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as supervisor:
        try:
            assert supervisor.stdout is not None
            assert supervisor.stdout.readline() == "ready\n"
            assert len(processes()) >= 2
            assert asyncio.run(answers(servers))
        finally:
            supervisor.kill()
    processes.wait_until_gone()
    with Servers(tmp_path) as again:
        assert asyncio.run(answers(again))
        assert asyncio.run(answers(servers))
    processes.wait_until_gone()


def test_the_brokers_log_contains_no_part_of_a_malformed_message(servers: Servers) -> None:
    """Its channel fails. Without a limit the log would have the message, and twenty kilobytes of state, each time."""
    broker = servers.broker.endpoints
    body = b'{"email": "ann@customers.example", "token": "tok_secret"}'
    login = f"\0{broker.admin_username}\0{broker.admin_password}"
    with (
        socket.create_connection((broker.host, broker.amqps_port), timeout=30) as plain,
        tls(servers).wrap_socket(plain, server_hostname=broker.host) as wire,
    ):
        wire.sendall(b"AMQP\0\0\x09\x01")
        wire.recv(65536)
        for channel, method in (
            (0, spec.Connection.StartOk({}, "PLAIN", login, "en_US")),
            (0, spec.Connection.TuneOk(2047, 131072, 60)),
            (0, spec.Connection.Open("/")),
            (1, spec.Channel.Open()),
            (1, spec.Basic.Publish(exchange="amq.topic", routing_key="any")),
        ):
            wire.sendall(frame.marshal(method, channel))
        every_property_and_no_content = struct.pack(">HHQH", 60, 0, len(body), 0xFFFC)
        wire.sendall(struct.pack(">BHI", 2, 1, 14) + every_property_and_no_content + b"\xce")
        wire.sendall(frame.marshal(ContentBody(body), 1))
        received = b""
        while b"INTERNAL_ERROR" not in received:
            more = wire.recv(65536)
            assert more, received
            received += more
    for _ in range(300):  # the broker writes its log after the response
        log = servers.broker.log_file.read_bytes()
        if b"INTERNAL_ERROR" in log or b"decode_properties" in log:
            break
        time.sleep(0.1)
    assert b"INTERNAL_ERROR" in log or b"decode_properties" in log
    assert b"ann@customers.example" not in log
    assert b"tok_secret" not in log
