"""The payment service's parts, put together."""

from services.payment.handlers import handlers
from services.payment.settings import Settings
from services.payment.simulated_gateway import SimulatedGateway
from services.payment.store import Payments, retention_rules
from services.shared.chassis.process import ServiceProcess
from warren_messaging.postgres.failures import RetryPolicy

# Waits grow by a second up to a minute, so this many tries take about 14 hours. A charge never needs them: the
# order's deadline cancels it, and its next try finds that. A void does, because nothing else gives the money back.
# The queue's own delivery limit (1000, topology file) must stay above it.
PATIENCE = RetryPolicy(attempts=900)


def build(settings: Settings) -> ServiceProcess:
    process = ServiceProcess("payment", settings)
    gateway = SimulatedGateway(
        settings.gateway_database,
        latency_seconds=settings.gateway_latency_ms / 1000,
        timeout_seconds=settings.gateway_timeout_seconds,
    )
    process.consume(
        "payment.queue",
        handlers(gateway),
        Payments,
        # Few are held, so that a second replica finds work: each call takes its time, and the queue is where
        # scaling looks for what waits. Twice the calls under way keeps the next ones prepared.
        prefetch=2 * settings.payment_concurrency,
        concurrency=settings.payment_concurrency,
        retry=PATIENCE,
    )
    process.on_startup(gateway.open)
    process.on_shutdown(gateway.close)
    process.retain(*retention_rules(settings.history_days))
    return process
