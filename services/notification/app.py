"""The parts of the notification service."""

from functools import partial

from services.notification.handlers import HANDLERS
from services.notification.settings import Settings
from services.notification.store import Conversations, retention_rules
from services.shared.chassis.process import ServiceProcess


def build(settings: Settings) -> ServiceProcess:
    process = ServiceProcess("notification", settings, exchange="notification.exchange")
    transaction = partial(Conversations, contact_domain=settings.contact_domain)
    process.consume("notification.queue", HANDLERS, transaction)
    process.retain(*retention_rules(settings.contact_days))
    return process
