"""The parts of the notification service."""

from functools import partial

from services.notification.handlers import HANDLERS
from services.notification.settings import Settings
from services.notification.store import Conversations, forgetting
from services.shared.chassis.process import Process


def build(settings: Settings) -> Process:
    process = Process("notification", settings, exchange="notification.exchange")
    transaction = partial(Conversations, contact_domain=settings.contact_domain)
    process.consume("notification.queue", HANDLERS, transaction)
    process.forget(*forgetting(settings.contact_days))
    return process
