"""A Service starts, drains and starts again, inside asyncio, inside Litestar and as a process of its own."""

import asyncio
import os
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from litestar import Litestar, post
from litestar.testing import AsyncTestClient

from services.shared.contracts import Event, EventData
from services.shared.contracts.orders import OrderCompleted, OrderConfirmed
from tests.messaging_env import MessagingEnv, announce, eventually, record
from warren_messaging import (
    ConfigurationError,
    DatabaseUnavailable,
    PermanentError,
    Service,
    ServiceSettings,
    TopologyMissing,
    Transaction,
    encode,
)
from warren_messaging.telemetry import Telemetry
from warren_messaging.testing import event_of
from warren_messaging.testing.recording_telemetry import RecordingTelemetry

CONFIRMED = OrderConfirmed(customer="gayal")


def service(env: MessagingEnv, settings: ServiceSettings | None = None) -> Service:
    """A service that records what it consumes."""
    made = Service("probe", settings or env.settings(), exchange="order.exchange", telemetry=env.telemetry)
    made.consume("probe.queue", {OrderConfirmed: record})
    return made


async def test_an_announced_event_is_published_and_consumed(env: MessagingEnv) -> None:
    async with service(env) as running:
        await announce(running.outbox, CONFIRMED)
        await env.wait_for_recorded(1)
        for check in running.readiness_checks.values():
            await check()
    assert await env.outbox_count() == 0


async def is_parked(env: MessagingEnv) -> bool:
    return await env.depth("probe.dlq") == 1


async def test_a_listener_that_fails_stops_nothing(env: MessagingEnv) -> None:
    class Broken(Telemetry):
        def __getattribute__(self, name: str) -> object:
            raise RuntimeError("broken")

    async def on_order_confirmed(event: Event[OrderConfirmed], uow: Transaction) -> Iterable[EventData]:
        if event.reference == "refused":
            raise PermanentError("refused")
        await uow.connection.execute("INSERT INTO recorded VALUES ($1)", event.logicalid)
        return [OrderCompleted(customer=event.data.customer)]

    await env.separate_announcements()
    running = Service("probe", env.settings(), exchange="order.exchange", telemetry=Broken())
    running.consume("probe.queue", {OrderConfirmed: on_order_confirmed})
    event = event_of(CONFIRMED)
    await env.send(encode(event), encode(event), encode(event_of(CONFIRMED, reference="refused")))
    async with running:
        await env.wait_for_recorded(1)
        await env.wait_for_outbox()
        await eventually(lambda: is_parked(env))
        assert not any(task.done() for task in running._tasks)
    assert await env.recorded() == [event.logicalid]
    assert len(await env.drain("announced.queue")) == 1
    assert await env.depth("probe.queue") == 0


async def test_7_leaving_the_block_finishes_and_publishes_the_batch_and_a_second_start_does_the_rest(
    env: MessagingEnv,
) -> None:
    async def on_order_confirmed(event: Event[OrderConfirmed], uow: Transaction) -> Iterable[EventData]:
        await asyncio.sleep(0.005)
        await uow.connection.execute("INSERT INTO recorded VALUES ($1)", event.logicalid)
        return [OrderCompleted(customer=event.data.customer)]

    await env.separate_announcements()
    working = Service("probe", env.settings(), exchange="order.exchange")
    working.consume("probe.queue", {OrderConfirmed: on_order_confirmed}, prefetch=100, batch=50)
    await env.send(*(encode(event_of(CONFIRMED)) for _ in range(600)))
    async with working:
        await env.wait_for_recorded(1)
    done = len(await env.recorded())
    assert await env.outbox_count() == 0
    assert len(await env.drain("announced.queue")) == done < 600
    assert await env.depth("probe.queue") == 600 - done
    async with working:
        await env.wait_for_recorded(600)
    assert await env.outbox_count() == 0
    assert len(await env.drain("announced.queue")) == 600 - done


async def test_a_running_service_is_not_started_again(env: MessagingEnv) -> None:
    async with service(env) as running:
        with pytest.raises(RuntimeError, match="probe is running already"):
            async with running:
                pytest.fail("a service runs twice")
        await announce(running.outbox, CONFIRMED)
        await env.wait_for_recorded(1)


async def test_of_two_starts_at_the_same_time_one_is_refused(env: MessagingEnv) -> None:
    started = service(env)
    with pytest.raises(RuntimeError, match="probe is not running"):
        await started.wait()
    results = await asyncio.gather(started.__aenter__(), started.__aenter__(), return_exceptions=True)
    assert sorted(type(each).__name__ for each in results) == ["RuntimeError", "Service"]
    await announce(started.outbox, CONFIRMED)
    await env.wait_for_recorded(1)
    await started.stop()


async def test_a_missing_queue_ends_the_start(env: MessagingEnv) -> None:
    async with env.channel() as channel:
        await channel.queue_delete("probe.queue")
    with pytest.raises(TopologyMissing, match=r"probe\.queue"):
        async with service(env):
            pytest.fail("a service without its queue has started")


async def test_a_part_that_fails_is_reported_and_raised(env: MessagingEnv) -> None:
    class Failing:
        async def run(self) -> None:
            raise PermanentError("no such printer")

        def stop(self) -> None:
            pass

    telemetry = RecordingTelemetry()
    broken = Service("probe", env.settings(), telemetry=telemetry)
    broken.add(Failing())
    with pytest.raises(PermanentError, match="no such printer"):
        async with broken:
            await broken.wait()
    assert any("no such printer" in text for text in telemetry.statuses)


async def test_litestar_starts_and_stops_a_service_with_its_lifespan(env: MessagingEnv) -> None:
    lived = service(env)

    @post("/orders")
    async def confirm() -> None:
        await announce(lived.outbox, CONFIRMED)

    application = Litestar([confirm], lifespan=[lived])
    for started in (1, 2):
        async with AsyncTestClient(application) as client:
            assert (await client.post("/orders")).status_code == 201
            await env.wait_for_recorded(started)
        assert await env.outbox_count() == 0


@asynccontextmanager
async def unencrypted(env: MessagingEnv) -> AsyncIterator[int]:
    """A port that speaks plain AMQP, as a broker on a developer's machine does."""
    broker = env.servers.broker.endpoints
    context = ssl.create_default_context(cafile=broker.ca_file)

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_connection(broker.host, env.broker_port, ssl=context)
        await asyncio.gather(copy(reader, outer), copy(inner, writer), return_exceptions=True)

    async with await asyncio.start_server(accept, "127.0.0.1") as server:
        yield server.sockets[0].getsockname()[1]


async def test_addresses_with_passwords_and_without_certificates_suffice(env: MessagingEnv) -> None:
    postgres = env.servers.postgres.endpoint
    async with unencrypted(env) as port:
        settings = ServiceSettings(
            broker_url=f"amqp://probe:probe-password@127.0.0.1:{port}/{env.vhost}",
            database_url=f"postgresql://probe:probe-password@{postgres.host}:{env.database_port}/{env.database_name}",
        )
        async with service(env, settings) as running:
            await announce(running.outbox, CONFIRMED)
            await env.wait_for_recorded(1)


async def test_no_error_shows_a_password(env: MessagingEnv) -> None:
    broker, database = env.servers.broker.endpoints, env.servers.postgres.endpoint
    good = env.settings()
    urls = (
        (f"amqps://probe:wrong-secret@{broker.host}:{env.broker_port}/{env.vhost}", good.database_url),
        (f"amqps://probe:probe-password@{broker.host}:{env.broker_port}/nowhere", good.database_url),
        (good.broker_url, f"postgresql://probe:wrong-secret@{database.host}:{env.database_port}/{env.database_name}"),
        (good.broker_url, f"postgresql://probe:wrong-secret@{database.host}:1/{env.database_name}"),
    )
    for broker_url, database_url in urls:
        settings = ServiceSettings(
            broker_url=broker_url,
            broker_credentials=good.broker_credentials if broker_url == good.broker_url else None,
            broker_ca_file=good.broker_ca_file,
            database_url=database_url,
            startup_seconds=0,
        )
        with pytest.raises(ConfigurationError if ":1/" not in database_url else Exception) as refused:
            async with service(env, settings):
                pytest.fail("started")
        assert "secret" not in str(refused.value)
        assert "probe-password" not in str(refused.value)


PROGRAM = """
from services.shared.contracts.orders import OrderConfirmed
from tests.messaging_env import record
from warren_messaging import Service, run

one, two = (Service.from_environment("probe", prefix=prefix, exchange="order.exchange") for prefix in ("ONE_", "TWO_"))
for each in (one, two):
    each.consume("probe.queue", {OrderConfirmed: record})
run(one, two)
"""


@asynccontextmanager
async def program(**variables: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, env=os.environ | variables, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def variables(env: MessagingEnv, **fields: str) -> dict[str, str]:
    broker, database = env.broker_address(), env.database_address()
    values = {
        "BROKER_URL": broker.url,
        "BROKER_CREDENTIALS": str(broker.credentials),
        "BROKER_CA_FILE": str(broker.ca_file),
        "DATABASE_URL": database.url,
        "DATABASE_PASSWORD_FILE": str(database.password_file),
        "DATABASE_CA_FILE": str(database.ca_file),
    } | fields
    return {f"{prefix}_{name}": value for prefix in ("ONE", "TWO") for name, value in values.items()}


async def test_two_services_in_one_process_stop_in_order_on_sigterm(env: MessagingEnv) -> None:
    async with program(**variables(env)) as process, env.channel() as channel:

        async def subscribed() -> bool:
            declared = await channel.queue_declare("probe.queue", passive=True)
            return int(declared.consumer_count or 0) == 2

        await eventually(subscribed)
        await env.send(encode(event_of(CONFIRMED)))
        await env.wait_for_recorded(1)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            assert await process.wait() == 0


async def test_a_wrong_setting_ends_the_process_with_78_and_all_mistakes(env: MessagingEnv) -> None:
    given = variables(env, DATABASE_CONNECTIONS="none") | {"ONE_BROKER_URL": ""}
    del given["ONE_DATABASE_URL"]
    async with program(**given) as process:
        _, errors = await process.communicate()
        assert process.returncode == os.EX_CONFIG
    text = errors.decode()
    assert "ONE_DATABASE_URL is not set" in text
    assert "ONE_DATABASE_CONNECTIONS='none'" in text
    assert "Traceback" not in text


async def test_an_unavailable_server_ends_the_process_with_69(env: MessagingEnv, tmp_path: Path) -> None:
    given = variables(env, DATABASE_URL="postgresql://probe@127.0.0.1:1/none", STARTUP_SECONDS="0")
    async with program(**given) as process:
        _, errors = await process.communicate()
        assert process.returncode == os.EX_UNAVAILABLE
    assert "127.0.0.1:1" in errors.decode()


def test_nothing_is_read_before_the_start() -> None:
    lazy = Service.from_environment("probe", prefix=f"{uuid4().hex}_")
    lazy.consume("probe.queue", {OrderConfirmed: record})
    assert lazy.consumers[0].types == (OrderConfirmed.TYPE,)
    with pytest.raises(ConfigurationError, match=r"BROKER_URL is not set; .*DATABASE_URL is not set"):
        _ = lazy.settings


@pytest.mark.parametrize("interrupted", [False, True])
async def test_a_start_without_a_server_calls_the_shutdown_hooks(env: MessagingEnv, interrupted: bool) -> None:
    settings = msgspec.structs.replace(
        env.settings(startup_seconds=60 if interrupted else 0), database_url="postgresql://probe@127.0.0.1:1/none"
    )
    closed = asyncio.Event()
    waiting = service(env, settings)

    async def close() -> None:
        closed.set()

    waiting.on_shutdown(close)
    starting = asyncio.create_task(waiting.__aenter__())
    if interrupted:
        await eventually(lambda: any("waiting" in text for text in env.telemetry.statuses))
        starting.cancel()
    (error,) = await asyncio.gather(starting, return_exceptions=True)
    assert isinstance(error, asyncio.CancelledError if interrupted else DatabaseUnavailable)
    assert closed.is_set()


async def test_an_interrupted_stop_leaves_no_connection_open(env: MessagingEnv) -> None:
    started = asyncio.Event()

    async def slow(event: Event[OrderConfirmed], uow: Transaction) -> Iterable[EventData]:
        started.set()
        await asyncio.sleep(30)
        return ()

    before = asyncio.all_tasks()
    working = Service("probe", env.settings(), exchange="order.exchange")
    working.consume("probe.queue", {OrderConfirmed: slow})
    await working.__aenter__()
    await announce(working.outbox, CONFIRMED)
    await started.wait()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await working.stop()
    await eventually(lambda: asyncio.all_tasks() == before, what=f"tasks remain: {asyncio.all_tasks() - before}")
