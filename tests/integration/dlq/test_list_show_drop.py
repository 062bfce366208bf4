"""`warren dlq list, show, drop` and `warren failures, outbox`, on a real broker and a real database."""

import hashlib
import json
import uuid
from pathlib import Path

import aio_pika
import aiormq
import pytest
from aiormq import spec

from services.shared.contracts.orders import OrderCompleted, OrderConfirmed
from tests.integration.dlq.conftest import ParkingLotEnv
from tests.messaging_env import eventually
from warren.cli.drop_record import DropRecord
from warren_messaging import codec
from warren_messaging.amqp.connection import connect
from warren_messaging.dead_letters.parking_lot import parking_lot
from warren_messaging.testing import event_of

CONFIRMED = OrderConfirmed(customer="gayal")
POISON = b"\x00\xff{ [red]\x1b[2J"


async def park_three_messages(env: ParkingLotEnv) -> list[bytes]:
    """Park three messages: one unreadable and one without a handler, both with a failure record, and one expired."""
    event = event_of(OrderCompleted(customer="ann"), reference="77")
    async with env.consumer({OrderConfirmed: None}):
        await env.send(POISON, codec.encode(event))
        await eventually(lambda: env.has_depth("probe.dlq", 2))
    late = codec.encode(event_of(CONFIRMED, reference="late"))
    async with env.channel() as channel:
        properties = spec.Basic.Properties(delivery_mode=2, expiration="1", message_id="late")
        await channel.basic_publish(late, routing_key="probe.queue", properties=properties)
    await eventually(lambda: env.has_depth("probe.dlq", 3))
    return [POISON, codec.encode(event), late]


async def test_a_list_shows_messages_and_reasons_and_changes_nothing(env: ParkingLotEnv) -> None:
    bodies = await park_three_messages(env)
    for _ in range(2):
        result = await env.warren("dlq", "list", "--queue", "probe", "--json")
        first, second, third = result.documents
        assert first["reason"].startswith("not JSON: ")
        assert (first["type"], first["order"], first["attempts"]) == (None, None, 1)
        assert second["reason"] == "probe has no handler for 'order.completed'"
        assert (second["type"], second["order"]) == ("order.completed", "77")
        assert (third["reason"], third["attempts"], third["order"]) == ("expired", None, "late")
    result = await env.warren("dlq", "list", "--queue", "probe.dlq", "--limit", "1")
    assert "probe.dlq  3 messages" in result.out
    assert "… and 2 more" in result.out
    messages = await env.drain("probe.dlq")
    assert [bytes(message.body) for message in messages] == bodies
    counted = [message.header.properties.headers.get("x-delivery-count", 0) for message in messages]
    assert counted == [1, 1, 0], "looking must not count as a failed delivery: these are from probe.queue"


async def test_a_long_parking_lot_keeps_its_order_over_many_windows(env: ParkingLotEnv) -> None:
    bodies = [f"{number}".encode() for number in range(1700)]
    await env.park(*bodies)
    await env.park(b"express", priority=9)
    result = await env.warren("dlq", "list", "--queue", "probe", "--limit", "0", "--json")
    assert len(result.documents) == 1701
    await eventually(lambda: env.has_depth("probe.dlq", 1701))
    assert await env.bodies("probe.dlq") == [b"express", *bodies]


async def test_filters_select_messages(env: ParkingLotEnv) -> None:
    await park_three_messages(env)

    async def found(*arguments: str) -> list[str]:
        result = await env.warren("dlq", "list", "--queue", "probe", "--json", *arguments)
        return ["late" if each["order"] == "late" else each["reason"].split()[0] for each in result.documents]

    assert await found("--reason", "NO HANDLER") == ["probe"]
    assert await found("--reason", "^expired$") == ["late"]
    assert await found("--since", "1h") == ["not", "probe", "late"]
    assert await found("--until", "1h") == []
    assert await found("--type", "order.*") == ["probe", "late"]
    assert await found("--type", "order.*", "--order", "77") == ["probe"]
    assert await found("--id", "late") == ["late"]


async def test_a_message_is_shown_in_full_for_any_body(env: ParkingLotEnv) -> None:
    await park_three_messages(env)
    (second,) = (await env.warren("dlq", "list", "--queue", "probe", "--json", "--order", "77")).documents
    result = await env.warren("dlq", "show", second["id"][:30], "--queue", "probe")
    for text in ("77", '"customer": "ann"', "probe has no handler for 'order.completed'", "probe.queue", "x-death"):
        assert text in result.out
    (document,) = (await env.warren("dlq", "show", second["id"], "--queue", "probe", "--json")).documents
    assert document["failure"]["state"] == "parked"
    assert json.loads(document["body"])["data"] == {"customer": "ann"}
    (poison,) = (await env.warren("dlq", "list", "--queue", "probe", "--json", "--reason", "not JSON")).documents
    result = await env.warren("dlq", "show", poison["id"], "--queue", "probe")
    assert "00 ff 7b" in result.out
    assert "\x1b[2J" not in result.out, "a stranger's bytes must not steer the terminal"
    result = await env.warren("dlq", "show", "nothing", "--queue", "probe")
    assert (result.code, result.out) == (1, "")


async def test_dropped_messages_are_written_to_a_file(env: ParkingLotEnv) -> None:
    bodies = await park_three_messages(env)
    result = await env.warren("dlq", "drop", "--queue", "probe", "--reason", "not JSON")
    assert (result.code, await env.depth("probe.dlq")) == (1, 3), "without a terminal to ask on, --yes is needed"
    file = env.folder / "kept.jsonl"
    for reason in ("not JSON", "handler"):
        arguments = ("dlq", "drop", "--queue", "probe", "--reason", reason, "--yes", "--record", str(file))
        result = await env.warren(*arguments)
        assert (result.code, result.out) == (0, f"dropped 1, written to {file}\n")
    first, second = [json.loads(line) for line in file.read_text().splitlines()]
    assert first["body_base64"] == "AP97IFtyZWRdG1sySg=="
    assert second["body"].encode() == bodies[1]
    assert second["failure"]["reason"] == "probe has no handler for 'order.completed'"
    assert {row["state"] for row in await env.sql("SELECT state FROM failures")} == {"dropped"}
    assert await env.bodies("probe.dlq") == [bodies[2]]


async def test_a_message_that_cannot_be_written_is_not_dropped(env: ParkingLotEnv) -> None:
    await env.park(b"1", b"2")
    nowhere = str(env.folder / "no such folder" / "kept.jsonl")
    result = await env.warren("dlq", "drop", "--queue", "probe", "--yes", "--record", nowhere)
    assert result.code == 1
    assert "nothing more was dropped" in result.err
    await eventually(lambda: env.has_depth("probe.dlq", 2))


async def test_a_dropped_message_that_returns_counts_from_one(env: ParkingLotEnv) -> None:
    await env.sql(
        "INSERT INTO failures (consumer, key, attempts, reason, state) VALUES ('probe', $1, 5, 'old', 'dropped')",
        hashlib.sha256(b"poison").hexdigest(),
    )
    await env.send(b"poison")
    async with env.consumer({}):
        await eventually(lambda: env.has_depth("probe.dlq", 1))
    row = (await env.sql("SELECT attempts, state FROM failures"))[0]
    assert tuple(row) == (1, "parked")


async def test_a_refusal_or_a_missing_queue_is_reported_in_one_line(env: ParkingLotEnv) -> None:
    await env.park(b"1")
    result = await env.warren("dlq", "list", "--queue", "nowhere")
    assert result.code == 1
    assert "no parking lot 'nowhere'" in result.err
    assert "there are: probe.dlq, unrouted.queue" in result.err
    assert len(result.err.splitlines()) == 1
    result = await env.warren("dlq", "list", "--queue", "probe", user="probe")
    assert result.code == 1
    assert "broker user 'probe' lacks a permission" in result.err
    (env.folder / "dlq-rabbitmq" / "password").write_text("wrong")
    result = await env.warren("dlq", "list", "--queue", "probe")
    assert result.code == 1
    assert "refused the user 'dlq'" in result.err


async def test_parking_lots_and_reasons_of_any_service_are_found(env: ParkingLotEnv) -> None:
    await env.add_service("loyalty")
    async with env.channel() as channel:
        await channel.basic_publish(b"rubbish", routing_key="loyalty.queue")
        message = await channel.basic_get("loyalty.queue")
        await channel.basic_reject(message.delivery_tag, requeue=False)
        await channel.queue_declare("cellar", durable=True, arguments={"x-queue-type": "quorum"})
        await channel.queue_bind("cellar", "orders.dlx", "cellar")
    await eventually(lambda: env.has_depth("loyalty.dlq", 1))
    await env.sql(
        "INSERT INTO loyalty.failures (consumer, key, attempts, reason, state)"
        " VALUES ('loyalty', $1, 1, 'not JSON: rubbish', 'parked')",
        hashlib.sha256(b"rubbish").hexdigest(),
    )
    result = await env.warren("dlq", "list")
    assert (result.code, "not JSON: rubbish" in result.out) == (0, True)
    assert "nothing in probe.dlq, unrouted.queue" in result.out
    assert result.err.startswith("skipped cellar: broker user 'dlq' lacks a permission")
    assert (await env.warren("dlq", "replay", "--all")).out == "replayed 1 of 1 examined\n"
    assert await env.depth("loyalty.queue") == 1
    assert {row["state"] for row in await env.sql("SELECT state FROM loyalty.failures")} == {"replayed"}
    result = await env.warren("dlq", "list", WARREN_MANAGEMENT_URL="https://127.0.0.1:1")
    assert "nothing in loyalty.dlq, probe.dlq, unrouted.queue" in result.out
    assert "the list of queues cannot be read from https://127.0.0.1:1" in result.err


async def test_a_vhost_without_parking_lots_is_reported_in_one_line(env: ParkingLotEnv) -> None:
    async with env.channel() as channel:
        for queue in ("probe.dlq", "unrouted.queue"):
            await channel.queue_delete(queue)
    for management in (env.servers.broker.endpoints.management_url, "https://127.0.0.1:1"):
        result = await env.warren("dlq", "list", WARREN_MANAGEMENT_URL=management)
        assert (result.code, result.out) == (1, "")
        assert "is it the" in result.err.splitlines()[-1]


async def test_failures_are_found_by_the_reference_of_an_order(env: ParkingLotEnv) -> None:
    order, other = uuid.uuid4(), uuid.uuid4()
    for subject in (order, other):
        await env.sql(
            "INSERT INTO failures (consumer, key, subject, attempts, reason, state)"
            " VALUES ('probe', $1, $2, 1, 'busy', 'parked')",
            str(subject),
            subject,
        )
    result = await env.warren("failures", "--order", "k1")
    assert (result.code, "give the id" in result.err) == (1, True)
    await env.sql('CREATE SCHEMA "order"')
    await env.sql('CREATE TABLE "order".orders (id uuid, reference text)')
    await env.sql('INSERT INTO "order".orders VALUES ($1, $2)', order, "k1")
    (found,) = (await env.warren("failures", "--order", "k1", "--json")).documents
    assert found["subject"] == str(order)
    result = await env.warren("failures", "--order", "k2")
    assert (result.code, result.err) == (1, "warren: no order 'k2'\n")


async def test_a_reader_that_stops_early_changes_nothing(env: ParkingLotEnv) -> None:
    await env.park(*(f"{number}".encode() * 100 for number in range(2000)))
    async with env.process("-m", "warren", "dlq", "list", "--limit", "0", "--json", pipe=True) as process:
        assert process.stdout is not None
        await process.stdout.readline()
        process.stdout._transport.close()  # type: ignore[attr-defined]
        assert await process.wait() == 1
    await eventually(lambda: env.has_depth("probe.dlq", 2000))


async def test_the_dlq_user_may_write_only_to_the_redrive_exchange(env: ParkingLotEnv) -> None:
    for exchange, queue in (("", "probe.queue"), ("order.exchange", "order.confirmed"), ("orders.dlx", "probe.dlq")):
        connection = await connect(env.dlq, "test")
        channel = await connection.channel()
        with pytest.raises(aiormq.exceptions.ChannelAccessRefused):
            target = await channel.get_exchange(exchange, ensure=False)
            await target.publish(aio_pika.Message(b"x"), routing_key=queue)
        await connection.close()
    connection = await connect(env.dlq, "test")
    with pytest.raises(aiormq.exceptions.ChannelAccessRefused):
        await (await (await connection.channel()).get_queue("probe.queue", ensure=False)).get()
    await connection.close()


async def test_a_closed_reader_has_removed_no_message(env: ParkingLotEnv) -> None:
    bodies = [f"{number}".encode() for number in range(30)]
    await env.park(*bodies)
    async with parking_lot(env.dlq, "probe.dlq") as lot:
        async for window in lot.windows(20, size=7):
            assert window
        async with env.management_api() as api:
            found = [each["name"] for each in (await api.get("connections")).json() if each["vhost"] == env.vhost]
            for name in found:
                await api.delete(f"connections/{name}")
    await eventually(lambda: env.has_depth("probe.dlq", 30))
    assert await env.bodies("probe.dlq") == bodies


async def test_the_outbox_shows_waiting_events_and_errors(env: ParkingLotEnv) -> None:
    await env.sql(
        "INSERT INTO outbox (exchange, body, owner, leased_until, attempts, last_error, created_at) VALUES"
        " ('e', '', gen_random_uuid(), now() + interval '9 s', 0, NULL, now()),"
        " ('e', '', gen_random_uuid(), now() + interval '9 s', 3, 'no queue took it', now() - interval '5 minutes')"
    )
    (backlog,) = (await env.warren("outbox", "probe", "--json")).documents
    del backlog["oldest"]
    assert backlog == {
        "service": "probe",
        "waiting": 2,
        "leased": 1,
        "failed": 1,
        "attempts": 3,
        "last_error": "no queue took it",
    }
    result = await env.warren("outbox")
    assert "5 m" in result.out
    assert "no queue took it" in result.out
    result = await env.warren("outbox", "stranger")
    assert (result.code, "there are: probe" in result.err) == (1, True)


async def test_failures_are_listed_latest_first_and_filtered(env: ParkingLotEnv) -> None:
    order = uuid.uuid4()
    for minutes, state, reason in ((3, "parked", "gateway [down]"), (2, "succeeded", "busy"), (1, "retrying", "busy")):
        await env.sql(
            "INSERT INTO failures (consumer, key, event_type, subject, attempts, reason, state, last_at)"
            " VALUES ('probe', $1, 'order.paid', $2, 2, $1 || $3, $4, now() - make_interval(mins => $5))",
            state,
            order if state == "parked" else None,
            reason,
            state,
            minutes,
        )

    async def states(*arguments: str) -> list[str]:
        return [each["state"] for each in (await env.warren("failures", "--json", *arguments)).documents]

    assert await states() == ["retrying", "succeeded", "parked"]
    assert await states("--limit", "1", "--service", "probe") == ["retrying"]
    assert await states("--since", "150s", "--type", "order.*") == ["retrying", "succeeded"]
    assert await states("--reason", "GATEWAY", "--order", str(order)) == ["parked"]
    assert "gateway [down]" in (await env.warren("failures", "--state", "parked")).out
    assert (await env.warren("failures", "--reason", "(")).code == 1


def test_the_file_of_dropped_messages_is_readable_by_the_owner_only(tmp_path: Path) -> None:
    with DropRecord(tmp_path / "kept.jsonl") as file:
        file.write([{"a": 1}])
    assert (tmp_path / "kept.jsonl").stat().st_mode & 0o777 == 0o600
