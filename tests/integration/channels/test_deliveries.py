"""The channel services on a real database, with a real SMTP server and a real HTTP gateway as providers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from services.email.channel import channel
from services.email.settings import EmailSettings
from services.email.smtp_client import SmtpClient
from services.shared.contracts import AnyEvent
from services.sms.channel import CHANNEL
from services.sms.settings import SmsSettings
from services.sms.sms_client import SmsClient
from tests.service_replica import Replica, ServiceDatabase, replica
from tests.services import database_fixture, notification, settings_of
from warren.sinks.mail import MailSink
from warren.sinks.sms import SmsSink
from warren_messaging.consumer.delivery import Verdict

db = database_fixture("email", "sms")


class ChannelUnderTest:
    """One channel with its provider. `accepted`, `rejected`, `unusable` and `retried` are addresses by what happens
    to them: `retried` is refused twice."""

    def __init__(self, db: ServiceDatabase, service: str, replica: Replica, sink: Any) -> None:
        self.db, self.service, self.replica, self.sink = db, service, replica, sink
        self.contact_field, self.accepted, self.rejected, self.unusable, self.retried = {
            "email": ("email", "ada@example.test", "bounce-1@example.test", "no address", "tempfail-1@example.test"),
            "sms": ("phone", "+4915112345", "+9994001", "nonsense", "+9995001"),
        }[service]

    def notify(self, address: str | None, **words: str) -> AnyEvent:
        return notification(**{self.contact_field: address}, **words)

    async def process(self, *events: AnyEvent) -> list[Verdict]:
        return await self.replica.process(*events, returned=True)

    @property
    def messages(self) -> list[Any]:
        return list(self.sink.messages)

    @property
    def recipients(self) -> list[str]:
        return [each.recipient if self.service == "email" else each.to for each in self.messages]

    async def state(self, event: AnyEvent) -> str:
        rows = await self.db.sql(f"SELECT state FROM {self.service}.deliveries WHERE id = $1", event.logicalid)  # noqa: S608
        return str(rows[0][0])

    async def forget(self, event: AnyEvent) -> None:
        """Leaves the database as a crash between the call and its record leaves it."""
        await self.db.sql(f"DELETE FROM {self.service}.inbox WHERE dedup_key = $1", event.logicalid)  # noqa: S608
        await self.db.sql(f"DELETE FROM {self.service}.deliveries WHERE id = $1", event.logicalid)  # noqa: S608


@asynccontextmanager
async def opened(db: ServiceDatabase, service: str) -> AsyncIterator[ChannelUnderTest]:
    with MailSink() as mails, SmsSink() as messages:
        client: Any
        tested: Any
        if service == "email":
            settings = settings_of(EmailSettings, smtp_host=mails.host, smtp_port=mails.port)
            client, tested, sink = SmtpClient(settings), channel(settings.smtp_sender), mails
        else:
            client, tested, sink = SmsClient(settings_of(SmsSettings, sms_url=messages.url)), CHANNEL, messages
        async with replica(db, service, tested.handlers(client.send), tested.repository()) as running:
            yield ChannelUnderTest(db, service, running, sink)
        await client.close()


@pytest.fixture(params=["email", "sms"])
async def tested(db: ServiceDatabase, request: pytest.FixtureRequest) -> AsyncIterator[ChannelUnderTest]:
    async with opened(db, request.param) as running:
        yield running


@pytest.fixture
async def email(db: ServiceDatabase) -> AsyncIterator[ChannelUnderTest]:
    async with opened(db, "email") as running:
        yield running


async def test_a_repeated_notification_sends_one_message(db: ServiceDatabase, tested: ChannelUnderTest) -> None:
    event = tested.notify(tested.accepted, title="Paid", text="Thank you")
    for _ in range(3):
        assert await tested.process(event) == [Verdict.ACK]
    [message] = tested.messages
    if tested.service == "email":
        assert (message.recipient, message.subject, message.text.strip()) == (tested.accepted, "Paid", "Thank you")
    else:
        assert (message.to, message.text, message.key) == (tested.accepted, "Paid\nThank you", str(event.logicalid))
        assert tested.sink.requests == 1
    [(order_id, topic, state, sent_at)] = await db.sql(
        f"SELECT order_id, topic, state, sent_at FROM {tested.service}.deliveries WHERE id = $1",  # noqa: S608
        event.logicalid,
    )
    assert (order_id, topic, state) == (event.subject, "order.paid", "sent")
    assert sent_at is not None


async def test_a_customer_without_an_address_is_skipped(tested: ChannelUnderTest) -> None:
    event = tested.notify(None)
    for _ in range(2):
        assert await tested.process(event) == [Verdict.ACK]
    assert not tested.messages
    assert await tested.state(event) == "skipped"


async def test_a_rejected_message_is_parked_and_the_rest_of_its_batch_is_sent(
    db: ServiceDatabase, tested: ChannelUnderTest
) -> None:
    addresses = (tested.accepted, tested.rejected, tested.unusable, tested.retried, tested.accepted)
    events = [tested.notify(address) for address in addresses]
    assert await tested.process(*events) == [
        Verdict.ACK,
        Verdict.DEAD_LETTER,
        Verdict.DEAD_LETTER,
        Verdict.RETRY,
        Verdict.ACK,
    ]
    assert tested.recipients == [tested.accepted] * 2
    states = [await tested.state(event) for event in events]
    assert states == ["sent", "sending", "sending", "sending", "sent"]
    reasons = await db.sql(f"SELECT reason FROM {tested.service}.failures WHERE state = 'parked'")  # noqa: S608
    assert any("550" in reason or "400" in reason for (reason,) in reasons)
    assert not any(tested.rejected in reason for (reason,) in reasons)


async def test_a_temporary_refusal_is_retried_until_sent_once(db: ServiceDatabase, tested: ChannelUnderTest) -> None:
    event = tested.notify(tested.retried)
    verdicts = [(await tested.process(event))[0] for _ in range(3)]
    assert verdicts == [Verdict.RETRY, Verdict.RETRY, Verdict.ACK]
    assert len(tested.messages) == 1
    assert await tested.state(event) == "sent"
    failures = f"SELECT state FROM {tested.service}.failures WHERE key = $1"  # noqa: S608
    assert [state for (state,) in await db.sql(failures, str(event.logicalid))] == ["succeeded"]


async def test_the_database_holds_no_address(db: ServiceDatabase, tested: ChannelUnderTest) -> None:
    event = tested.notify(tested.accepted)
    await tested.process(event)
    rows = f"SELECT to_jsonb(d)::text FROM {tested.service}.deliveries d WHERE id = $1"  # noqa: S608
    [(row,)] = await db.sql(rows, event.logicalid)
    assert tested.accepted not in row and "example" not in row


async def test_a_message_whose_record_was_lost_repeats_its_id_or_key(tested: ChannelUnderTest) -> None:
    """Mail programs know the Message-ID, and the gateway knows the idempotency key."""
    event = tested.notify(tested.accepted)
    await tested.process(event)
    await tested.forget(event)
    assert await tested.process(event) == [Verdict.ACK]
    if tested.service == "email":
        assert len(tested.messages) == 2
        assert len({mail.headers["Message-ID"] for mail in tested.messages}) == 1
    else:
        assert (len(tested.messages), tested.sink.requests) == (1, 2)


async def test_a_title_cannot_add_a_header(email: ChannelUnderTest) -> None:
    title = "Paid\r\nBcc: eve@example.test\r\n\r\nBody"
    assert await email.process(email.notify(email.accepted, title=title, text="Thank you")) == [Verdict.ACK]
    [mail] = email.messages
    assert (mail.subject, mail.text.strip()) == ("Paid Bcc: eve@example.test Body", "Thank you")
    assert "Bcc" not in mail.headers
