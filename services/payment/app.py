"""Assembles the payment service."""

from services.payment.gateway import GatewayError
from services.payment.handlers import handlers
from services.payment.settings import PaymentSettings
from services.payment.simulator.gateway import SimulatedGateway
from services.payment.store import PaymentRepository, retention_rules
from services.shared.chassis.process import ServiceProcess
from warren_messaging.postgres.failures import RetryPolicy

# Delays grow by one second up to a minute, so 900 attempts take about 14 hours. A charge needs fewer: the order's
# deadline cancels it. A void needs them, since nothing else returns the money. The queue's delivery limit (1000, in
# the topology file) must be higher.
RETRY = RetryPolicy(attempts=900)


def build(settings: PaymentSettings) -> ServiceProcess:
    process = ServiceProcess("payment", settings)
    gateway = SimulatedGateway(
        settings.gateway_database,
        latency_seconds=settings.gateway_latency_ms / 1000,
        timeout_seconds=settings.gateway_timeout_seconds,
    )
    process.consume(
        "payment.queue",
        # ConfirmationPending is an answer: the gateway works, the customer has not confirmed yet.
        handlers(gateway, settings.breaker("payment gateway", GatewayError), settings.rate_limit("payment gateway")),
        PaymentRepository,
        # A small prefetch leaves messages in the queue: there other replicas find them, and autoscaling counts them.
        # Twice the concurrency keeps the next calls prepared.
        prefetch=2 * settings.payment_concurrency,
        concurrency=settings.payment_concurrency,
        retry=RETRY,
    )
    process.on_startup(gateway.open)
    process.on_shutdown(gateway.close)
    process.retain(*retention_rules(settings.history_days))
    return process
