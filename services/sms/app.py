"""The parts of the sms service."""

from services.shared.chassis.process import ServiceProcess
from services.sms.gateway import Gateway
from services.sms.handlers import handlers
from services.sms.settings import Settings
from services.sms.store import Deliveries, retention_rules
from warren_messaging.postgres.failures import RetryPolicy

# Waits grow by a second up to a minute, so this many tries take about 14 hours: a gateway that is away overnight
# parks nothing. The queue's own delivery limit (1000, topology file) must stay above it.
PATIENCE = RetryPolicy(attempts=900)


def build(settings: Settings) -> ServiceProcess:
    gateway = Gateway(settings)
    process = ServiceProcess("sms", settings, exchange="notification.exchange")
    # Few are held at a time: a call is slow, and what one replica holds no other can send.
    process.consume(
        "sms.queue",
        handlers(gateway),
        Deliveries,
        prefetch=settings.sms_connections * 8,
        batch=settings.sms_connections * 4,
        concurrency=settings.sms_connections,
        retry=PATIENCE,
    )
    process.retain(retention_rules(settings.deliveries_days))
    process.on_shutdown(gateway.close)
    return process
