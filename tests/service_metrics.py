"""Reads the gauges of a service whose database is real and whose broker is not needed."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from warren_messaging.postgres.database import DatabaseAddress
from warren_messaging.prometheus import PrometheusMetrics
from warren_messaging.service import Service
from warren_messaging.settings import ServiceSettings

Read = Callable[..., Awaitable[float | None]]


@asynccontextmanager
async def reading_gauges(service: str, address: DatabaseAddress) -> AsyncIterator[Read]:
    """Yield a function (name, **labels) that reads the gauges now; None if there is no such series."""
    settings = ServiceSettings(
        broker_url="amqp://user:password@localhost/",
        database_url=address.url,
        database_password_file=address.password_file,
        database_ca_file=address.ca_file,
    )
    watched, metrics = Service(service, settings), PrometheusMetrics(CollectorRegistry())
    metrics.watch(watched)

    async def read(name: str, **labels: str) -> float | None:
        await metrics.refresh()
        return metrics.registry.get_sample_value(name, labels)

    await watched.database.open()
    try:
        yield read
    finally:
        await watched.database.close()
