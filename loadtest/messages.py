"""Messages of programs that publish without the library, with the properties of Warren's own."""

from datetime import UTC, datetime
from uuid import UUID

import aio_pika

from services.shared.contracts import CONTENT_TYPE


def persistent_message(
    body: bytes, event_type: str, *, event_id: UUID, subject: UUID, user: str, app: str
) -> aio_pika.Message:
    return aio_pika.Message(
        body,
        content_type=CONTENT_TYPE,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=str(event_id),
        correlation_id=str(subject),
        type=event_type,
        timestamp=datetime.now(UTC),
        user_id=user,
        app_id=app,
    )
