"""Connections that break in every way: half-open, cut, blocked, refused, with rotated credentials."""

import asyncio
import uuid
from collections.abc import Iterable

import pytest

from faults.proxy import FaultProxy
from services.shared.contracts import Event, EventData
from services.shared.contracts.orders import OrderConfirmed
from tests.messaging_env import MessagingEnv, eventually
from warren_messaging import codec
from warren_messaging.amqp import connection, publisher
from warren_messaging.amqp.connection import BrokerAddress, connect, opened
from warren_messaging.consumer import consumer
from warren_messaging.errors import AccessRefused, BrokerTooOld, BrokerUnavailable, ConfigurationError
from warren_messaging.postgres.database import Database, DatabaseAddress
from warren_messaging.testing import event_of
from warren_messaging.transaction import Transaction

CONFIRMED = OrderConfirmed(customer="gayal")


@pytest.fixture(autouse=True)
async def _seen_table(env: MessagingEnv) -> None:
    await env.sql("CREATE TABLE seen (id uuid)")


async def note(event: Event[EventData], work: Transaction) -> Iterable[EventData]:
    await work.connection.execute("INSERT INTO seen VALUES ($1)", event.logicalid)
    return []


async def seen(env: MessagingEnv) -> int:
    return int((await env.sql("SELECT count(DISTINCT id) FROM seen"))[0][0])


async def waiting(env: MessagingEnv) -> int:
    return int((await env.sql("SELECT count(*) FROM outbox"))[0][0])


def through(env: MessagingEnv, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch, heartbeat: int = 1) -> None:
    """Every client of the broker goes through the proxy and notices silence after about six seconds."""
    direct = env.broker_address

    def address(user: str = "probe") -> BrokerAddress:
        whole = direct(user)
        url = whole.url.replace(f":{env.broker_port}/", f":{proxy.port}/")
        return BrokerAddress(url, whole.credentials, whole.ca_file, heartbeat)

    monkeypatch.setattr(env, "broker_address", address)


async def test_a_half_open_connection_is_given_up_in_bounded_time_and_nothing_is_lost(
    env: MessagingEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FaultProxy(env.broker_port).serving() as proxy:
        through(env, proxy, monkeypatch)
        async with env.consumer({OrderConfirmed: note}) as running, env.outbox() as outbox:
            async with outbox.transaction(Transaction) as work:
                work.announce(CONFIRMED, subject=uuid.uuid4())
            await eventually(lambda: seen_is(env, 1))
            proxy.black_hole()
            async with outbox.transaction(Transaction) as work:
                work.announce(CONFIRMED, subject=uuid.uuid4())
            # Three missed heartbeats, one second apart, and the closing limits.
            await eventually(lambda: not running.consuming, seconds=20, what="the consumer did not notice")
            assert await waiting(env) == 1
            proxy.cut()
            proxy.heal()
            await eventually(lambda: seen_is(env, 2), seconds=20)
            await eventually(lambda: none_waits(env), seconds=20)


async def seen_is(env: MessagingEnv, count: int) -> bool:
    return await seen(env) == count


async def none_waits(env: MessagingEnv) -> bool:
    return await waiting(env) == 0


async def test_connections_that_are_cut_again_and_again_lose_nothing(
    env: MessagingEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FaultProxy(env.broker_port).serving() as proxy:
        through(env, proxy, monkeypatch)
        async with env.consumer({OrderConfirmed: note}), env.outbox() as outbox:
            for _ in range(12):
                async with outbox.transaction(Transaction) as work:
                    for _ in range(25):
                        work.announce(CONFIRMED, subject=uuid.uuid4())
                await asyncio.sleep(0.1)
                proxy.cut()
            await eventually(lambda: seen_is(env, 300), seconds=40)
            await eventually(lambda: none_waits(env))


async def test_a_connection_that_ends_without_a_reason_is_a_broker_that_is_away(env: MessagingEnv) -> None:
    with pytest.raises(BrokerUnavailable, match="ended without a reason"):
        async with opened(env.broker_address(), "probe") as connection:
            waiting_for_an_answer = connection.create_future()
            await connection.close(None)  # what the driver does itself when the socket ends
            await waiting_for_an_answer


async def test_while_the_broker_blocks_publishers_events_are_kept_and_consumers_drain(env: MessagingEnv) -> None:
    broker = env.servers.broker
    async with env.outbox() as outbox:
        async with outbox.transaction(Transaction) as work:
            work.announce(CONFIRMED, subject=uuid.uuid4())
        await eventually(lambda: none_waits(env))
        await asyncio.to_thread(broker.rabbitmqctl, "set_vm_memory_high_watermark", "absolute", "1MB")
        try:
            async with outbox.transaction(Transaction) as work:
                for _ in range(10):
                    work.announce(CONFIRMED, subject=uuid.uuid4())
            async with env.consumer({OrderConfirmed: note}):
                await eventually(lambda: seen_is(env, 1))
                # Longer than the lease: it is renewed, and nobody else publishes them.
                await asyncio.sleep(3)
                assert await waiting(env) == 10
        finally:
            await asyncio.to_thread(broker.rabbitmqctl, "set_vm_memory_high_watermark", "0.6")
        await eventually(lambda: none_waits(env))
    assert len(await env.drain("probe.queue")) == 10


async def test_new_credentials_are_taken_up_without_a_restart_or_a_failed_publish(
    env: MessagingEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (consumer, publisher):
        monkeypatch.setattr(module, "RELOAD_SECONDS", 0.2)
    folder = env.folder / "probe-rabbitmq"
    async with env.consumer({OrderConfirmed: note}), env.outbox() as outbox:

        async def announce() -> None:
            async with outbox.transaction(Transaction) as work:
                work.announce(CONFIRMED, subject=uuid.uuid4())

        await announce()
        await eventually(lambda: seen_is(env, 1))
        await env.add_user("probe.2", write="^order.exchange$", read="^probe.queue$")
        (folder / "username").write_text("probe.2")
        await asyncio.sleep(0.5)
        await announce()
        await eventually(lambda: seen_is(env, 2))
        async with env.management_api() as api:

            async def users() -> set[str]:
                found = (await api.get("connections")).json()
                return {each["user"] for each in found if each.get("vhost") == env.vhost}

            async def only_new() -> bool:
                return await users() == {"probe.2"}

            await eventually(only_new)
            await api.delete("users/probe")
        await announce()
        await eventually(lambda: seen_is(env, 3))
    # The env's own fixture user is back for those who come after.
    await env.add_user("probe", write="^order.exchange$", read="^probe.queue$")
    assert env.telemetry.failures == []
    assert not [text for text in env.telemetry.statuses if "refused" in text]


async def test_wrong_credentials_say_which_file_to_look_at(env: MessagingEnv) -> None:
    (env.folder / "probe-rabbitmq" / "password").write_text("wrong")
    with pytest.raises(AccessRefused, match=r"refused the user 'probe': check the files in .*probe-rabbitmq"):
        await connect(env.broker_address(), "test")


async def test_missing_credentials_say_which_file_is_missing(env: MessagingEnv) -> None:
    (env.folder / "probe-rabbitmq" / "password").unlink()
    with pytest.raises(ConfigurationError, match=r"cannot read the broker password from .*password: No such file"):
        await connect(env.broker_address(), "test")


async def test_a_broker_that_is_not_there_is_named(env: MessagingEnv) -> None:
    whole = env.broker_address()
    nowhere = BrokerAddress("amqps://127.0.0.1:1/orders", whole.credentials, whole.ca_file)
    with pytest.raises(BrokerUnavailable, match=r"amqps://127.0.0.1:1/orders does not answer"):
        await connect(nowhere, "test")


async def test_a_certificate_of_another_authority_is_refused(env: MessagingEnv) -> None:
    whole = env.broker_address()
    stranger = BrokerAddress(whole.url, whole.credentials, None)
    with pytest.raises(ConfigurationError, match="certificate that None does not verify"):
        await connect(stranger, "test")


async def test_a_broker_older_than_4_3_1_is_refused_by_its_version(
    env: MessagingEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The broker is real and new; what the client asks for is moved instead.
    monkeypatch.setattr(connection, "MIN_BROKER_VERSION", (99, 0, 0))
    with pytest.raises(BrokerTooOld, match=r"RabbitMQ 4\.3\.\d+; 99\.0\.0 or newer is needed"):
        await connect(env.broker_address(), "test")


async def test_the_user_of_a_message_is_checked_by_its_prefix(env: MessagingEnv) -> None:
    await env.add_user("order.7", write=".*", read="^$")
    body = codec.encode(event_of(CONFIRMED, source="/warren/order"))
    async with env.consumer({OrderConfirmed: note}):
        sender = publisher.Publisher(env.broker_address("order.7"), "order")
        message = publisher.Message("order.exchange", "order.confirmed", body, "m", "c", 0.0)
        await sender.publish([message])
        await sender.close()
        await eventually(lambda: seen_is(env, 1))


async def test_a_vhost_that_does_not_exist_is_said(env: MessagingEnv) -> None:
    whole = env.broker_address()
    elsewhere = BrokerAddress(whole.url.replace(env.vhost, "nope"), whole.credentials, whole.ca_file)
    with pytest.raises(AccessRefused, match=r"'probe' may not enter the vhost of .*/nope, or there is no such vhost"):
        await connect(elsewhere, "test")


@pytest.mark.parametrize("url", ["amqps://127.0.0.1:notaport/orders", "https://127.0.0.1/orders", "orders", ""])
async def test_an_address_that_is_none_is_said(env: MessagingEnv, url: str) -> None:
    with pytest.raises(ConfigurationError, match="is not amqps://host:port/vhost"):
        await connect(BrokerAddress(url, env.broker_address().credentials), "test")


@pytest.mark.parametrize("url", ["postgresql://probe@127.0.0.1:x/warren", "foo", ""])
async def test_a_database_address_that_is_none_is_said(url: str) -> None:
    with pytest.raises(ConfigurationError, match="is not postgresql://role@host:port/database"):
        await Database(DatabaseAddress(url)).open()


async def test_a_secret_that_is_missing_for_a_while_blames_no_event_and_ends_no_relay(env: MessagingEnv) -> None:
    password = env.folder / "probe-rabbitmq" / "password"
    kept = password.read_text()
    password.unlink()
    async with env.outbox() as outbox:
        async with outbox.transaction(Transaction) as work:
            work.announce(CONFIRMED, subject=uuid.uuid4())
        await eventually(lambda: any("cannot read the broker password" in text for text in env.telemetry.statuses))
        assert (await env.sql("SELECT attempts FROM outbox"))[0]["attempts"] == 0
        database = env.folder / "probe-postgres" / "password"
        database_password = database.read_text()
        database.unlink()
        await env.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'probe'")
        await asyncio.sleep(1)
        database.write_text(database_password)
        password.write_text(kept)
        await eventually(lambda: none_waits(env))
    assert len(await env.drain("probe.queue")) == 1


async def test_what_the_database_refuses_is_said_with_its_remedy(env: MessagingEnv) -> None:
    address = env.database()._address
    secret = env.folder / "wrong"
    secret.write_text("wrong")
    for refused, text in (
        (DatabaseAddress(address.url, secret, address.ca_file), "check the role in the address and its password file"),
        (DatabaseAddress(address.url + "x", address.password_file, address.ca_file), "there is no such database"),
    ):
        with pytest.raises(ConfigurationError, match=text):
            await Database(refused).open()
        await asyncio.sleep(0.1)  # a refused connection closes a moment later
