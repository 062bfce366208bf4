"""Mails through the library on the real database, to a real SMTP server."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest

from devtools.servers.servers import Servers
from services.email.handlers import handlers
from services.email.mail_server import MailServer
from services.email.settings import Settings
from services.email.store import Deliveries
from services.shared.contracts import AnyEvent
from services.shared.contracts.notifications import NotificationRequested
from services.shared.contracts.orders import Contact
from tests.service_replica import Replica, ServiceDatabase, replica
from warren.sinks.mail import MailSink
from warren_messaging.consumer.processor import Verdict
from warren_messaging.testing import event_of


@pytest.fixture(scope="module")
def db(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceDatabase]:
    db = ServiceDatabase(servers, tmp_path_factory.mktemp("secrets"))
    asyncio.run(db.prepare("email"))
    yield db


@pytest.fixture
def sink() -> Iterator[MailSink]:
    with MailSink() as running:
        yield running


@pytest.fixture
async def email(db: ServiceDatabase, sink: MailSink) -> AsyncIterator[Replica]:
    address = db.address("email")
    assert address.password_file is not None
    assert address.ca_file is not None
    server = MailServer(
        Settings(
            database_url=address.url,
            database_password_file=address.password_file,
            database_ca_file=address.ca_file,
            broker_url="",
            broker_credentials=address.password_file.parent,
            broker_ca_file=address.ca_file,
            smtp_host=sink.host,
            smtp_port=sink.port,
        )
    )
    async with replica(db, "email", handlers(server), Deliveries) as running:
        yield running
    await server.close()


def notification(address: str | None) -> AnyEvent:
    data = NotificationRequested(
        customer="ada", contact=Contact(email=address), topic="order.paid", title="Paid", text="Thank you"
    )
    return event_of(data, source="/warren/notification")


async def state(db: ServiceDatabase, event: AnyEvent) -> str | None:
    rows = await db.sql("SELECT state FROM email.deliveries WHERE id = $1", event.logicalid)
    return rows[0][0] if rows else None


async def test_a_notification_is_one_mail_however_often_it_comes(
    db: ServiceDatabase, email: Replica, sink: MailSink
) -> None:
    event = notification("ada@example.test")
    for _ in range(3):
        assert await email.process(event, returned=True) == [Verdict.DONE]
    [mail] = sink.mails
    assert (mail.recipient, mail.subject, mail.text.strip()) == ("ada@example.test", "Paid", "Thank you")
    [(order, topic, how, at)] = await db.sql(
        "SELECT order_id, topic, state, sent_at FROM email.deliveries WHERE id = $1", event.logicalid
    )
    assert (order, topic, how) == (event.subject, "order.paid", "sent")
    assert at is not None


async def test_a_customer_without_an_address_is_skipped_and_counted(
    db: ServiceDatabase, email: Replica, sink: MailSink
) -> None:
    event = notification(None)
    assert await email.process(event) == [Verdict.DONE]
    assert await email.process(event) == [Verdict.DONE]
    assert not sink.mails
    assert await state(db, event) == "skipped"


async def test_a_bounce_is_parked_and_its_neighbours_pass(db: ServiceDatabase, email: Replica, sink: MailSink) -> None:
    good, bounce, broken, last = (
        notification(address) for address in ("a@example.test", "bounce-1@example.test", "no address", "z@example.test")
    )
    verdicts = await email.process(good, bounce, broken, last)
    assert verdicts == [Verdict.DONE, Verdict.PARK, Verdict.PARK, Verdict.DONE]
    assert sorted(mail.recipient for mail in sink.mails) == ["a@example.test", "z@example.test"]
    assert [await state(db, event) for event in (good, bounce, broken)] == ["sent", "sending", "sending"]
    [(reason,)] = await db.sql("SELECT reason FROM email.failures WHERE key = $1", str(bounce.logicalid))
    assert "550" in reason
    assert "bounce-1" not in reason


async def test_a_temporary_refusal_is_tried_again_and_sent_once(
    db: ServiceDatabase, email: Replica, sink: MailSink
) -> None:
    event = notification("tempfail-1@example.test")
    verdicts = [(await email.process(event, returned=True))[0] for _ in range(3)]
    assert verdicts == [Verdict.RETRY, Verdict.RETRY, Verdict.DONE]
    assert len(sink.mails) == 1
    assert await state(db, event) == "sent"
    [(how,)] = await db.sql("SELECT state FROM email.failures WHERE key = $1", str(event.logicalid))
    assert how == "succeeded"


async def test_no_title_adds_a_header(email: Replica, sink: MailSink) -> None:
    data = NotificationRequested(
        customer="ada",
        contact=Contact(email="ada@example.test"),
        topic="order.paid",
        title="Paid\r\nBcc: eve@example.test\r\n\r\nBody",
        text="Thank you",
    )
    assert await email.process(event_of(data, source="/warren/notification")) == [Verdict.DONE]
    [mail] = sink.mails
    assert mail.subject == "Paid Bcc: eve@example.test Body"
    assert mail.text.strip() == "Thank you"
    assert "Bcc" not in mail.headers


async def test_the_database_holds_no_address(db: ServiceDatabase, email: Replica) -> None:
    event = notification(f"{uuid4().hex}@example.test")
    await email.process(event)
    [(row,)] = await db.sql("SELECT to_jsonb(d)::text FROM email.deliveries d WHERE id = $1", event.logicalid)
    assert "example" not in row


async def test_a_mail_whose_record_was_lost_goes_out_again_as_the_same_mail(
    db: ServiceDatabase, email: Replica, sink: MailSink
) -> None:
    """As after a crash between the call and its record: mail programs know the Message-ID."""
    event = notification("ada@example.test")
    await email.process(event)
    await db.sql("DELETE FROM email.inbox WHERE logical_id = $1", event.logicalid)
    await db.sql("DELETE FROM email.deliveries WHERE id = $1", event.logicalid)
    assert await email.process(event, returned=True) == [Verdict.DONE]
    assert len(sink.mails) == 2
    assert len({mail.headers["Message-ID"] for mail in sink.mails}) == 1
