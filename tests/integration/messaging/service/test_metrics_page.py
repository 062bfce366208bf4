"""The gauges of a service whose database does not answer."""

import math
import time

from prometheus_client import CollectorRegistry

from faults.proxy import FaultProxy
from tests.messaging_env import MessagingEnv, eventually
from warren_messaging import Service
from warren_messaging.prometheus import PrometheusMetrics


async def test_a_connection_that_hangs_leaves_values_unknown_within_two_seconds(env: MessagingEnv) -> None:
    async with FaultProxy(env.database_port).serving() as proxy:
        env.database_port = proxy.port
        metrics = PrometheusMetrics(CollectorRegistry())
        service = Service("probe", env.settings(database_connections=2), telemetry=metrics)
        metrics.watch(service)

        def outbox() -> float:
            return metrics.registry.get_sample_value("warren_outbox_events") or 0.0

        async def is_known() -> bool:
            await metrics.refresh()
            return not math.isnan(outbox())

        async with service:
            assert await is_known()
            proxy.black_hole()
            for _ in range(2):
                began = time.monotonic()
                await metrics.refresh()
                assert math.isnan(outbox())
                assert time.monotonic() - began < 5, "a scrape has ten seconds"
            proxy.heal()
            await eventually(is_known)
            await env.sql("ALTER TABLE outbox RENAME TO elsewhere")
            assert not await is_known(), "a query that the database refuses"
            await env.sql("ALTER TABLE elsewhere RENAME TO outbox")
            assert await is_known()
