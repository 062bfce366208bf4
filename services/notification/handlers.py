"""Event handlers of the notification service."""

from collections.abc import Iterable

from services.notification.domain import EXPIRES_MS, Notification
from services.notification.store import NotificationLogRepository
from services.notification.templates import TEMPLATES
from services.shared.contracts import AnyEvent, Event, EventData
from services.shared.contracts.orders import OrderCreated
from warren_messaging.handlers import Handlers


async def on_order_created(event: Event[OrderCreated], repository: NotificationLogRepository) -> Iterable[EventData]:
    return _announce(repository.get(event.subject).set_contact(event.data, repository.contact_domain), repository)


async def on_event(event: AnyEvent, repository: NotificationLogRepository) -> Iterable[EventData]:
    return _announce(repository.get(event.subject).on_event(event), repository)


async def ignore(event: AnyEvent, repository: NotificationLogRepository) -> Iterable[EventData]:
    """Handle an event that intentionally has no template: send nothing."""
    return ()


def _announce(notifications: list[Notification], repository: NotificationLogRepository) -> Iterable[EventData]:
    for event, message in notifications:
        # The cause is the reported event, also when it waited and `order.created` released it.
        repository.announce(message, cause=event, expires_ms=EXPIRES_MS)
    return ()


HANDLERS: Handlers[NotificationLogRepository] = {
    data: ignore if template is None else on_event for data, template in TEMPLATES.items()
} | {OrderCreated: on_order_created}
