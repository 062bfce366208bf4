"""Assembles the notification service."""

from functools import partial

from services.notification.handlers import HANDLERS
from services.notification.settings import NotificationSettings
from services.notification.store import NotificationLogRepository, retention_rules
from services.shared.chassis.process import ServiceProcess


def build(settings: NotificationSettings) -> ServiceProcess:
    process = ServiceProcess("notification", settings, exchange="notification.exchange")
    repository = partial(NotificationLogRepository, contact_domain=settings.contact_domain)
    process.consume("notification.queue", HANDLERS, repository)
    process.retain(*retention_rules(settings.contact_days))
    return process
