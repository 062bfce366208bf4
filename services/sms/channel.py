"""The text message channel: turns a notification into a message for the gateway."""

from uuid import UUID

import msgspec

from services.shared.channels.worker import Channel, Notification
from services.shared.contracts.addresses import phone_number

MAX_TEXT = 459  # characters: three linked messages


class TextMessage(msgspec.Struct, frozen=True):
    key: UUID
    """Idempotency key: the same for every attempt."""
    to: str
    text: str


def compose(event: Notification) -> TextMessage:
    """Raises ValueError for a telephone number that cannot be used, without repeating it."""
    text = f"{event.data.title}\n{event.data.text}"
    if len(text) > MAX_TEXT:
        text = text[: MAX_TEXT - 1] + "…"
    return TextMessage(event.logicalid, phone_number(event.data.contact.phone or ""), text)


CHANNEL = Channel(
    service="sms",
    address_of=lambda contact: contact.phone,
    normalize=lambda number: "".join(filter(str.isdigit, number)),
    hash_column="number_hash",
    compose=compose,
)
