"""`warren retries list`, on a real broker and a real database."""

import time
from collections.abc import Iterable
from datetime import datetime, timedelta

from services.shared.contracts import Event, EventData
from services.shared.contracts.orders import OrderCompleted, OrderConfirmed, OrderPaid
from tests.integration.dlq.conftest import ParkingLotEnv
from tests.messaging_env import QUEUE_ARGUMENTS, eventually
from warren_messaging import Transaction, TransientError, codec
from warren_messaging.testing import event_of

CONFIRMED = event_of(OrderConfirmed(customer="gayal"))
PAID = event_of(OrderPaid(customer="ann", total_cents=1, currency="EUR"))


async def test_a_list_shows_what_waits_and_when_the_broker_delivers_it_again(env: ParkingLotEnv) -> None:
    tries: list[float] = []
    async with env.channel() as channel:
        await channel.queue_delete("probe.queue")
        arguments = QUEUE_ARGUMENTS | {"x-delayed-retry-min": 1500, "x-delayed-retry-max": 10_000}
        await channel.queue_declare("probe.queue", durable=True, arguments=arguments)

    async def fail(event: Event[OrderConfirmed], uow: Transaction) -> Iterable[EventData]:
        tries.append(time.time())
        raise TransientError("the gateway is [busy]\x1b")

    async def succeed_later(event: Event[OrderPaid], uow: Transaction) -> Iterable[EventData]:
        if not tries:
            raise TransientError("too early")
        return ()

    async with env.consumer({OrderConfirmed: fail, OrderPaid: succeed_later}, attempts=9):
        await env.send(codec.encode(PAID))
        await eventually(lambda: len(env.telemetry.failures) == 1)
        await env.send(codec.encode(CONFIRMED), codec.encode(event_of(OrderCompleted(customer="ann"))))
        await eventually(lambda: len(tries) >= 2 and len(env.telemetry.failures) >= 4)
        (waiting,) = (await env.warren("retries", "list", "--json")).documents
        shown = await env.warren("retries", "list", "--queue", "probe.queue", "--reason", "GATEWAY", "--since", "10m")
        await eventually(lambda: len(tries) > waiting["attempts"])
    assert waiting["queue"] == "probe.queue"
    assert waiting["key"] == str(CONFIRMED.logicalid)
    assert (waiting["event_type"], waiting["subject"]) == ("order.confirmed", str(CONFIRMED.subject))
    attempts = waiting["attempts"]  # two, unless the machine was slower than the queue's delay
    assert (attempts >= 2, waiting["reason"]) == (True, "TransientError: the gateway is [busy]\x1b")
    last, next_attempt = (datetime.fromisoformat(waiting[name]) for name in ("last_at", "next_attempt_at"))
    assert next_attempt - last == timedelta(seconds=1.5 * attempts)
    assert -0.5 < tries[attempts] - next_attempt.timestamp() < 10
    assert "order.confirmed" in shown.out
    assert "TransientError: the gateway is [busy]\\x1b" in shown.out
    assert shown.code == 0


async def test_filters_select_and_an_empty_list_is_a_success(env: ParkingLotEnv) -> None:
    await env.sql(
        "INSERT INTO failures (consumer, key, event_type, subject, attempts, reason, state) SELECT 'probe', n::text,"
        " 'order.paid', $1, 1, 'busy', 'retrying' FROM generate_series(1, 60) AS n",
        PAID.subject,
    )
    assert "… and 10 more" in (await env.warren("retries", "list")).out
    assert len((await env.warren("retries", "list", "--json", "--limit", "0")).documents) == 60
    chosen = ["--queue", "probe", "--type", "order.*", "--order", str(PAID.subject), "--until", "0s", "--limit", "7"]
    assert len((await env.warren("retries", "list", "--json", *chosen)).documents) == 7
    for option, value in (("--type", "payment.*"), ("--reason", "late"), ("--until", "1d")):
        result = await env.warren("retries", "list", option, value)
        assert (result.code, result.out.strip()) == (0, "no matching message")


async def test_without_the_management_api_the_next_attempt_is_not_known(env: ParkingLotEnv) -> None:
    await env.sql(
        "INSERT INTO failures (consumer, key, attempts, reason, state) VALUES ('probe', 'a', 1, 'busy', 'retrying')"
    )
    result = await env.warren("retries", "list", "--json", WARREN_MANAGEMENT_URL="https://127.0.0.1:9")
    assert [each["next_attempt_at"] for each in result.documents] == [None]
    assert "the next attempt is not known" in result.err
    result = await env.warren("retries", "list", "--json", WARREN_BROKER_URL="")
    assert [each["next_attempt_at"] for each in result.documents] == [None]


async def test_a_service_without_tables_and_a_wrong_option_end_with_their_codes(env: ParkingLotEnv) -> None:
    unknown = await env.warren("retries", "list", "--queue", "nowhere.queue")
    assert unknown.code == 1
    assert "nowhere" in unknown.err
    assert (await env.warren("retries", "list", "--limit", "many")).code == 2
