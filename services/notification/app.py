"""The parts of the notification service."""

from functools import partial

from services.notification.handlers import HANDLERS
from services.notification.settings import Settings
from services.notification.store import Conversations
from services.shared.chassis.process import Process

FORGET_SECONDS = 600.0


def build(settings: Settings) -> Process:
    process = Process("notification", settings, exchange="notification.exchange")
    transaction = partial(Conversations, contact_domain=settings.contact_domain)
    process.consume("notification.queue", HANDLERS, transaction)

    async def forget(conversations: Conversations) -> int:
        return await conversations.forget(settings.contact_days)

    process.every(FORGET_SECONDS, "forgetting", transaction, forget)
    return process
