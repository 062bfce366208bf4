"""Text messages through the library on the real database, to a real HTTP server."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from devtools.servers.servers import Servers
from services.shared.contracts import AnyEvent
from services.shared.contracts.notifications import NotificationRequested
from services.shared.contracts.orders import Contact
from services.sms.gateway import Gateway
from services.sms.handlers import handlers
from services.sms.settings import Settings
from services.sms.store import Deliveries
from tests.service_replica import Replica, ServiceDatabase, replica
from warren.sinks.sms import SmsSink
from warren_messaging.consumer.processor import Verdict
from warren_messaging.testing import event_of


@pytest.fixture(scope="module")
def db(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceDatabase]:
    db = ServiceDatabase(servers, tmp_path_factory.mktemp("secrets"))
    asyncio.run(db.prepare("sms"))
    yield db


@pytest.fixture
def sink() -> Iterator[SmsSink]:
    with SmsSink() as running:
        yield running


@pytest.fixture
async def sms(db: ServiceDatabase, sink: SmsSink) -> AsyncIterator[Replica]:
    address = db.address("sms")
    assert address.password_file is not None
    assert address.ca_file is not None
    gateway = Gateway(
        Settings(
            database_url=address.url,
            database_password_file=address.password_file,
            database_ca_file=address.ca_file,
            broker_url="",
            broker_credentials=address.password_file.parent,
            broker_ca_file=address.ca_file,
            sms_url=sink.url,
        )
    )
    async with replica(db, "sms", handlers(gateway), Deliveries) as running:
        yield running
    await gateway.close()


def notification(phone: str | None) -> AnyEvent:
    data = NotificationRequested(
        customer="ada", contact=Contact(phone=phone), topic="order.paid", title="Paid", text="Thank you"
    )
    return event_of(data, source="/warren/notification")


async def state(db: ServiceDatabase, event: AnyEvent) -> str | None:
    rows = await db.sql("SELECT state FROM sms.deliveries WHERE id = $1", event.logicalid)
    return rows[0][0] if rows else None


async def test_a_notification_is_one_message_however_often_it_comes(
    db: ServiceDatabase, sms: Replica, sink: SmsSink
) -> None:
    event = notification("+49 151 12345")
    for _ in range(3):
        assert await sms.process(event, returned=True) == [Verdict.DONE]
    [message] = sink.messages
    assert (message.to, message.text, message.key) == ("+4915112345", "Paid\nThank you", str(event.logicalid))
    assert sink.requests == 1
    assert await state(db, event) == "sent"


async def test_a_message_whose_record_was_lost_is_not_sent_twice(
    db: ServiceDatabase, sms: Replica, sink: SmsSink
) -> None:
    """As after a crash between the call and its record: the gateway knows the key."""
    event = notification("+4915112345")
    await sms.process(event)
    await db.sql("DELETE FROM sms.inbox WHERE logical_id = $1", event.logicalid)
    await db.sql("DELETE FROM sms.deliveries WHERE id = $1", event.logicalid)
    assert await sms.process(event, returned=True) == [Verdict.DONE]
    assert (len(sink.messages), sink.requests) == (1, 2)


async def test_verdicts_of_a_batch(db: ServiceDatabase, sms: Replica, sink: SmsSink) -> None:
    events = [notification(phone) for phone in (None, "+4915112345", "nonsense", "+9994001", "+9995001")]
    assert await sms.process(*events) == [Verdict.DONE, Verdict.DONE, Verdict.PARK, Verdict.PARK, Verdict.RETRY]
    assert [await state(db, event) for event in events] == ["skipped", "sent", "sending", "sending", "sending"]
    assert [message.to for message in sink.messages] == ["+4915112345"]
    assert await sms.process(events[-1], returned=True) == [Verdict.RETRY]
    assert await sms.process(events[-1], returned=True) == [Verdict.DONE]
    assert await state(db, events[-1]) == "sent"
