"""Connections that are half-open, cut, blocked or refused, and credentials that are rotated or missing."""

import asyncio
from collections.abc import AsyncIterator

import aio_pika
import pytest

from faults.proxy import FaultProxy
from services.shared.contracts.orders import OrderConfirmed
from tests.messaging_env import MessagingEnv, announce, eventually, record
from warren_messaging import codec
from warren_messaging.amqp import connection, publisher
from warren_messaging.amqp.connection import BrokerAddress, connect, opened
from warren_messaging.consumer import consumer
from warren_messaging.errors import AccessRefused, BrokerTooOld, BrokerUnavailable, ConfigurationError
from warren_messaging.postgres.database import Database, DatabaseAddress
from warren_messaging.testing import event_of

CONFIRMED = OrderConfirmed(customer="gayal")


@pytest.fixture
async def proxy(env: MessagingEnv, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FaultProxy]:
    """Every client of the broker connects through this proxy, and notices silence after about six seconds."""
    direct = env.broker_address
    async with FaultProxy(env.broker_port).serving() as proxy:

        def address(user: str = "probe") -> BrokerAddress:
            whole = direct(user)
            url = whole.url.replace(f":{env.broker_port}/", f":{proxy.port}/")
            return BrokerAddress(url, whole.credentials, whole.ca_file, heartbeat=1)

        monkeypatch.setattr(env, "broker_address", address)
        yield proxy


async def test_a_half_open_connection_is_replaced_in_bounded_time_and_no_event_is_lost(
    env: MessagingEnv, proxy: FaultProxy
) -> None:
    async with env.consumer({OrderConfirmed: record}) as running, env.outbox() as outbox:
        await announce(outbox, CONFIRMED)
        await env.wait_for_recorded(1)
        proxy.black_hole()
        await announce(outbox, CONFIRMED)
        # Three missed heartbeats, one second apart, and the time limits of closing.
        await eventually(lambda: not running.consuming, seconds=20, what="the consumer did not notice")
        assert await env.outbox_count() == 1
        proxy.cut()
        proxy.heal()
        await env.wait_for_recorded(2)
        await env.wait_for_outbox()


async def test_connections_that_are_cut_repeatedly_lose_no_event(env: MessagingEnv, proxy: FaultProxy) -> None:
    async with env.consumer({OrderConfirmed: record}), env.outbox() as outbox:
        for _ in range(12):
            await announce(outbox, *[CONFIRMED] * 25)
            await asyncio.sleep(0.1)
            proxy.cut()
        await env.wait_for_recorded(300, seconds=40)
        await env.wait_for_outbox()
    assert len(set(await env.recorded())) == 300


async def test_a_connection_that_ends_without_a_reason_is_an_unavailable_broker(env: MessagingEnv) -> None:
    with pytest.raises(BrokerUnavailable, match="ended without a reason"):
        async with opened(env.broker_address(), "probe") as connection:
            answer = connection.driver.create_future()
            await connection.driver.close(None)  # as the driver does when the socket ends
            await answer


async def test_code_for_aio_pika_runs_on_a_connection_of_the_library(env: MessagingEnv) -> None:
    async with opened(env.broker_address(), "reports") as connection, connection.channel() as channel:
        exchange = await channel.get_exchange("order.exchange")
        for number in range(3):
            message = aio_pika.Message(f"{number}".encode(), message_id=f"{number}")
            await exchange.publish(message, routing_key="order.confirmed")
        queue = await channel.get_queue("probe.queue")
        received = []
        async with queue.iterator(timeout=20) as messages:
            async for each in messages:
                async with each.process():
                    received.append((each.body, each.message_id))
                if len(received) == 3:
                    break
    assert received == [(b"0", "0"), (b"1", "1"), (b"2", "2")]


async def test_while_the_broker_blocks_publishers_events_are_kept_and_consumers_continue(env: MessagingEnv) -> None:
    broker = env.servers.broker
    async with env.outbox() as outbox:
        await announce(outbox, CONFIRMED)
        await env.wait_for_outbox()
        await asyncio.to_thread(broker.rabbitmqctl, "set_vm_memory_high_watermark", "absolute", "1MB")
        try:
            await announce(outbox, *[CONFIRMED] * 10)
            async with env.consumer({OrderConfirmed: record}):
                await env.wait_for_recorded(1)
                # Longer than the lease: it is renewed, so no other relay publishes the events.
                await asyncio.sleep(3)
                assert await env.outbox_count() == 10
        finally:
            await asyncio.to_thread(broker.rabbitmqctl, "set_vm_memory_high_watermark", "0.6")
        await env.wait_for_outbox()
    assert len(await env.drain("probe.queue")) == 10


async def test_rotated_credentials_are_used_without_a_restart_or_a_failed_publish(
    env: MessagingEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (consumer, publisher):
        monkeypatch.setattr(module, "RELOAD_SECONDS", 0.2)
    async with env.consumer({OrderConfirmed: record}), env.outbox() as outbox, env.management_api() as api:
        await announce(outbox, CONFIRMED)
        await env.wait_for_recorded(1)
        await env.add_user("probe.2", write="^order.exchange$", read="^probe.queue$")
        (env.folder / "probe-rabbitmq" / "username").write_text("probe.2")
        await asyncio.sleep(0.5)
        await announce(outbox, CONFIRMED)
        await env.wait_for_recorded(2)

        async def only_the_new_user_is_connected() -> bool:
            found = (await api.get("connections")).json()
            return {each["user"] for each in found if each.get("vhost") == env.vhost} == {"probe.2"}

        await eventually(only_the_new_user_is_connected)
        await api.delete("users/probe")
        await announce(outbox, CONFIRMED)
        await env.wait_for_recorded(3)
    # Users belong to the whole server: restore the one that later tests use.
    await env.add_user("probe", write="^order.exchange$", read="^probe.queue$")
    assert env.telemetry.failures == []
    assert not [text for text in env.telemetry.statuses if "refused" in text]


async def test_wrong_credentials_name_their_files(env: MessagingEnv) -> None:
    (env.folder / "probe-rabbitmq" / "password").write_text("wrong")
    with pytest.raises(AccessRefused, match=r"refused the user 'probe': check the files in .*probe-rabbitmq"):
        await connect(env.broker_address(), "test")


async def test_missing_credentials_name_the_missing_file(env: MessagingEnv) -> None:
    (env.folder / "probe-rabbitmq" / "password").unlink()
    with pytest.raises(ConfigurationError, match=r"cannot read the broker password from .*password: No such file"):
        await connect(env.broker_address(), "test")


async def test_an_unreachable_broker_is_named(env: MessagingEnv) -> None:
    whole = env.broker_address()
    unreachable = BrokerAddress("amqps://127.0.0.1:1/orders", whole.credentials, whole.ca_file)
    with pytest.raises(BrokerUnavailable, match=r"amqps://127.0.0.1:1/orders does not answer"):
        await connect(unreachable, "test")


async def test_a_certificate_of_another_authority_is_refused(env: MessagingEnv) -> None:
    whole = env.broker_address()
    with pytest.raises(
        ConfigurationError, match=r"certificate that the system's CA \(no CA file is set\) does not verify"
    ):
        await connect(BrokerAddress(whole.url, whole.credentials, None), "test")


async def test_a_broker_older_than_4_3_1_is_refused_by_its_version(
    env: MessagingEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The broker is recent, so the test raises the required version.
    monkeypatch.setattr(connection, "MIN_BROKER_VERSION", (99, 0, 0))
    with pytest.raises(BrokerTooOld, match=r"RabbitMQ 4\.3\.\d+; 99\.0\.0 or newer is needed"):
        await connect(env.broker_address(), "test")


async def test_a_numbered_user_of_a_service_may_publish_its_events(env: MessagingEnv) -> None:
    await env.add_user("order.7", write=".*", read="^$")
    body = codec.encode(event_of(CONFIRMED, source="/warren/order"))
    async with env.consumer({OrderConfirmed: record}):
        sender = publisher.Publisher(env.broker_address("order.7"), "order")
        await sender.publish([publisher.Message("order.exchange", "order.confirmed", body, "m", "c", 0.0)])
        await sender.close()
        await env.wait_for_recorded(1)


async def test_a_missing_vhost_is_named(env: MessagingEnv) -> None:
    whole = env.broker_address()
    elsewhere = BrokerAddress(whole.url.replace(env.vhost, "nope"), whole.credentials, whole.ca_file)
    with pytest.raises(AccessRefused, match=r"'probe' may not enter the vhost of .*/nope, or there is no such vhost"):
        await connect(elsewhere, "test")


@pytest.mark.parametrize("url", ["amqps://127.0.0.1:notaport/orders", "https://127.0.0.1/orders", "orders", ""])
async def test_an_invalid_broker_address_is_refused(env: MessagingEnv, url: str) -> None:
    with pytest.raises(ConfigurationError, match="is not amqps://host:port/vhost"):
        await connect(BrokerAddress(url, env.broker_address().credentials), "test")


@pytest.mark.parametrize("url", ["postgresql://probe@127.0.0.1:x/warren", "foo", ""])
async def test_an_invalid_database_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="is not postgresql://role@host:port/database"):
        await Database(DatabaseAddress(url)).open()


async def test_a_temporarily_missing_secret_counts_as_no_failure_and_stops_no_relay(env: MessagingEnv) -> None:
    broker_password = env.folder / "probe-rabbitmq" / "password"
    database_password = env.folder / "probe-postgres" / "password"
    texts = {file: file.read_text() for file in (broker_password, database_password)}
    broker_password.unlink()
    async with env.outbox() as outbox:
        await announce(outbox, CONFIRMED)
        await eventually(lambda: any("cannot read the broker password" in text for text in env.telemetry.statuses))
        assert (await env.sql("SELECT attempts FROM outbox"))[0]["attempts"] == 0
        database_password.unlink()
        await env.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'probe'")
        await asyncio.sleep(1)
        for file, text in texts.items():
            file.write_text(text)
        await env.wait_for_outbox()
    assert len(await env.drain("probe.queue")) == 1


@pytest.mark.parametrize(
    ("suffix", "password", "reason"),
    [
        pytest.param("", "wrong", "check the role and its password$", id="wrong password"),
        pytest.param(
            "x",
            "probe-password",
            "does not exist; create it, or correct the name in the address$",
            id="missing database",
        ),
    ],
)
async def test_a_refusal_of_the_database_names_its_remedy(
    env: MessagingEnv, suffix: str, password: str, reason: str
) -> None:
    address = env.database_address()
    secret = env.folder / "secret"
    secret.write_text(password)
    with pytest.raises(ConfigurationError, match=reason):
        await Database(DatabaseAddress(address.url + suffix, secret, address.ca_file)).open()
    await asyncio.sleep(0.1)  # a refused connection closes a moment later
