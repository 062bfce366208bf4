"""Prometheus metrics of a service. Needs the package `prometheus-client`: `pip install warren-messaging[prometheus]`.

metrics = PrometheusMetrics()
service = Service.from_environment("loyalty", "LOYALTY_", telemetry=TelemetryFanout(LogTelemetry(), metrics))
metrics.watch(service)
...
await metrics.refresh()
body, content_type = exposition(request.headers.get("accept", ""), metrics.registry)
"""

from warren_messaging.prometheus.exposition import exemplar, exposition
from warren_messaging.prometheus.metrics import PrometheusMetrics

__all__ = ["PrometheusMetrics", "exemplar", "exposition"]
