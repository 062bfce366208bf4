"""Each notification is one mail, or none."""

from collections.abc import Iterable

from services.email.domain import Mail
from services.email.mail_server import MailServer
from services.email.store import Deliveries, State
from services.shared.contracts import Event, EventData
from services.shared.contracts.notifications import NotificationRequested
from warren_messaging.errors import PermanentError
from warren_messaging.handlers import Effect, Handlers


async def prepare(event: Event[NotificationRequested], deliveries: Deliveries) -> Mail | None:
    address = event.data.contact.email
    if not address:
        deliveries.note(event, State.SKIPPED)
        return None
    deliveries.note(event, State.SENDING)
    return Mail(event.logicalid, event.time, address, event.data.title, event.data.text)


async def settle(
    event: Event[NotificationRequested], mail: Mail, result: None, deliveries: Deliveries
) -> Iterable[EventData]:
    deliveries.note(event, State.SENT)
    return ()


def handlers(server: MailServer) -> Handlers[Deliveries]:
    """The table, for the server that takes the mails."""

    async def perform(mail: Mail) -> None:
        try:
            message = mail.compose(server.sender)
        except ValueError as error:
            raise PermanentError(str(error)) from error
        await server.send(message)

    return {NotificationRequested: Effect(prepare, perform, settle)}
