"""Each notification is one text message, or none."""

from collections.abc import Iterable

from services.shared.contracts import Event, EventData
from services.shared.contracts.notifications import NotificationRequested
from services.sms.domain import Draft
from services.sms.gateway import Gateway
from services.sms.store import Deliveries, State
from warren_messaging.errors import PermanentError
from warren_messaging.handlers import Effect, Handlers


async def prepare(event: Event[NotificationRequested], deliveries: Deliveries) -> Draft | None:
    phone = event.data.contact.phone
    if not phone:
        deliveries.note(event, State.SKIPPED)
        return None
    deliveries.note(event, State.SENDING)
    return Draft(event.logicalid, phone, event.data.title, event.data.text)


async def settle(
    event: Event[NotificationRequested], draft: Draft, result: None, deliveries: Deliveries
) -> Iterable[EventData]:
    deliveries.note(event, State.SENT)
    return ()


def handlers(gateway: Gateway) -> Handlers[Deliveries]:
    """The table, for the gateway that takes the messages."""

    async def perform(draft: Draft) -> None:
        try:
            message = draft.compose()
        except ValueError as error:
            raise PermanentError(str(error)) from error
        await gateway.send(message)

    return {NotificationRequested: Effect(prepare, perform, settle)}
