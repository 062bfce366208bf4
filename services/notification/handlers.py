"""What each event leads to. Everything that is told expires with its worth."""

from collections.abc import Iterable

from services.notification.domain import EXPIRES_MS, Telling
from services.notification.store import Conversations
from services.notification.wording import WORDING
from services.shared.contracts import AnyEvent, Event, EventData
from services.shared.contracts.orders import OrderCreated
from warren_messaging.handlers import Handlers


async def on_order_created(event: Event[OrderCreated], conversations: Conversations) -> Iterable[EventData]:
    conversation = conversations.about(event.subject)
    return _tell(conversation.introduce(event.data, conversations.contact_domain), conversations)


async def on_news(event: AnyEvent, conversations: Conversations) -> Iterable[EventData]:
    return _tell(conversations.about(event.subject).hear(event), conversations)


async def on_silent(event: AnyEvent, conversations: Conversations) -> Iterable[EventData]:
    """Received so that the table of wording stays the one place that decides."""
    return ()


def _tell(tellings: list[Telling], conversations: Conversations) -> Iterable[EventData]:
    for event, message in tellings:
        # The news is the cause, also when it waited: what announced it now is only the introduction.
        conversations.announce(message, cause=event, expires_ms=EXPIRES_MS)
    return ()


HANDLERS: Handlers[Conversations] = {data: on_silent if say is None else on_news for data, say in WORDING.items()} | {
    OrderCreated: on_order_created
}
