"""The parts of the email service."""

from services.email.handlers import handlers
from services.email.mail_server import MailServer
from services.email.settings import Settings
from services.email.store import Deliveries, retention_rules
from services.shared.chassis.process import ServiceProcess
from warren_messaging.postgres.failures import RetryPolicy

# Waits grow by a second up to a minute, so this many tries take about 14 hours: a mail server that is away overnight
# parks nothing. The queue's own delivery limit (1000, topology file) must stay above it.
PATIENCE = RetryPolicy(attempts=900)


def build(settings: Settings) -> ServiceProcess:
    server = MailServer(settings)
    process = ServiceProcess("email", settings, exchange="notification.exchange")
    # Few are held at a time: a mail is slow, and what one replica holds no other can send.
    process.consume(
        "email.queue",
        handlers(server),
        Deliveries,
        prefetch=settings.smtp_connections * 8,
        batch=settings.smtp_connections * 4,
        concurrency=settings.smtp_connections,
        retry=PATIENCE,
    )
    process.retain(retention_rules(settings.deliveries_days))
    process.on_shutdown(server.close)
    return process
