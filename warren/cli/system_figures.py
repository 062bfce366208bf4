"""The figures of the running system, from Prometheus."""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import msgspec

from services.registry import PROCESSES, QUEUES
from warren.prometheus_api import MetricSample, MetricSeries

QUEUE_SUFFIX = ".queue"
LOT_SUFFIX = ".dlq"
UNROUTED = "unrouted.queue"
"""As in the messaging library, whose module imports the AMQP driver; a test compares them."""
JOBS = "warren|rabbitmq|rabbitmq-detailed|postgresql"
"""The jobs whose targets are parts of the system."""
WINDOW = "1m"
"""Of rates."""
TREND_SECONDS = 120.0
TREND_POINTS = 8
STATES = ("PENDING", "CONFIRMED", "PAID", "SHIPPED", "CANCELLING")
"""The states of an unfinished order."""
BREAKERS = {0.0: "closed", 1.0: "half-open", 2.0: "open"}

Figure = float | None
"""None: Prometheus does not have it."""


class Metrics(Protocol):
    """What the figures need of Prometheus."""

    def query(self, expression: str) -> list[MetricSample]: ...

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[MetricSeries]: ...


class QueueFigures(msgspec.Struct, frozen=True, kw_only=True):
    """A queue of events; `parked` is the depth of its parking lot. Rates are per second."""

    queue: str
    ready: Figure
    unacked: Figure
    trend: list[float]
    """The depth (ready and unacked) over the last two minutes, the oldest first; empty if it is not known."""
    arriving: Figure
    processed: Figure
    consumers: Figure
    retrying: Figure
    """Messages that failed and wait for their next attempt: neither ready nor unacked."""
    parked: Figure


class ProcessFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The replicas of a process. Rates are per second."""

    process: str
    up: Figure
    """The number of replicas that respond."""
    down: Figure
    published: Figure
    processed: Figure
    in_progress: Figure
    outbox: Figure
    outbox_age: Figure
    """Seconds."""
    scheduled: Figure
    failed: Figure
    """Failed deliveries per second."""


class OrderFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The unfinished orders of a state."""

    state: str
    count: Figure
    oldest: Figure
    """Seconds since the oldest was accepted."""


class BreakerFigures(msgspec.Struct, frozen=True):
    """A circuit breaker: `closed`, `half-open` or `open`, the worst among the replicas of the process."""

    process: str
    breaker: str
    state: str


class FiringAlert(msgspec.Struct, frozen=True, order=True):
    """An alert that fires, for one or more queues, services or states."""

    severity: str
    """`page` or `ticket`."""
    name: str


class SystemFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Everything on the screen. Rates are per second."""

    at: float
    """Unix time in seconds."""
    orders: list[OrderFigures]
    accepted: Figure
    completed: Figure
    cancelled: Figure
    queues: list[QueueFigures]
    unrouted: Figure
    processes: list[ProcessFigures]
    breakers: list[BreakerFigures]
    down: list[str]
    """Targets of Prometheus that do not respond, as `job` or `job process`."""
    alerts: list[FiringAlert]
    """Pages first."""


def read_figures(metrics: Metrics, namespace: str | None, now: float) -> SystemFigures:
    """Read all figures, those at one time with one query. Raises ClientError if Prometheus does not respond."""
    expressions = queries(namespace)
    found = _Found(metrics.query(union(expressions)))
    step = TREND_SECONDS / (TREND_POINTS - 1)
    series = metrics.query_range(expressions["depth"], now - TREND_SECONDS, now, step)
    trends = {
        each.labels.get("queue", ""): [value for _, value in each.points if math.isfinite(value)] for each in series
    }
    queues = sorted({*QUEUES, *_event_queues(found.rows("depth"))}, key=_in_order_of(QUEUES))
    processes = sorted({*PROCESSES, *found.rows("up")}, key=_in_order_of(PROCESSES))
    return SystemFigures(
        at=now,
        orders=[
            OrderFigures(state=state, count=found.count("orders", state), oldest=found.of("oldest", state))
            for state in STATES
        ],
        accepted=found.rate("accepted", of="order-api"),
        completed=found.rate("completed", of="order-worker"),
        cancelled=found.rate("cancelled", of="order-worker"),
        queues=[_queue(found, name, trends.get(name, [])) for name in queues],
        unrouted=found.of("depth", UNROUTED),
        processes=[_process(found, name) for name in processes],
        breakers=[
            BreakerFigures(process, breaker, BREAKERS.get(value, "?"))
            for (process, breaker), value in sorted(found.breakers.items())
        ],
        down=sorted(f"{job} {service}".strip() for job, service in found.down),
        alerts=sorted(found.alerts),
    )


def queries(namespace: str | None) -> dict[str, str]:
    """Return the PromQL expression of each figure. Each has at most one label that names a row."""
    only = "" if namespace is None else f"namespace={json.dumps(namespace)}"

    def select(name: str, *matchers: str) -> str:
        given = ",".join(matcher for matcher in (only, *matchers) if matcher)
        return f"{name}{{{given}}}"

    def rate(name: str, *matchers: str) -> str:
        return f"rate({select(name, *matchers)}[{WINDOW}])"

    warren, parts, retried, firing = 'job="warren"', f'job=~"{JOBS}"', 'outcome="retried"', 'alertstate="firing"'
    # A queue's leader reports it; a node that has just lost it may report it once more.
    depth = f"max by (queue) ({select('rabbitmq_detailed_queue_messages')})"
    return {
        "ready": f"max by (queue) ({select('rabbitmq_detailed_queue_messages_ready')})",
        "unacked": f"max by (queue) ({select('rabbitmq_detailed_queue_messages_unacked')})",
        "depth": depth,
        "growth": f"max by (queue) (deriv({select('rabbitmq_detailed_queue_messages')}[{WINDOW}]))",
        "consumers": f"max by (queue) ({select('rabbitmq_detailed_queue_consumers')})",
        "processed_of": f"sum by (messaging_consumer_group_name) ({rate('messaging_process_duration_seconds_count')})",
        "retried_of": f"sum by (messaging_consumer_group_name) ({rate('warren_failed_deliveries_total', retried)})",
        "up": f"sum by (service) ({select('up', warren)})",
        "down": f"count by (service) ({select('up', warren)} == 0)",
        "published": f"sum by (service) ({rate('messaging_client_sent_messages_total')})",
        "processed": f"sum by (service) ({rate('messaging_process_duration_seconds_count')})",
        "failed": f"sum by (service) ({rate('warren_failed_deliveries_total')})",
        "in_progress": f"sum by (service) ({select('warren_messages_in_progress')})",
        "outbox": f"max by (service) ({select('warren_outbox_events')})",
        "outbox_age": f"max by (service) ({select('warren_outbox_oldest_age_seconds')})",
        "scheduled": f"max by (service) ({select('warren_scheduled_messages')})",
        "orders": f"max by (state) ({select('warren_orders')})",
        "oldest": f"max by (state) ({select('warren_orders_oldest_age_seconds')})",
        "accepted": f"sum({rate('warren_orders_accepted_total')})",
        "completed": f"sum({rate('warren_orders_completed_total')})",
        "cancelled": f"sum({rate('warren_orders_cancelled_total')})",
        "breaker": f"max by (service, breaker) ({select('warren_circuit_breaker_state')})",
        "target": f"min by (job, service) ({select('up', parts)}) == 0",
        "alert": f"max by (severity, alertname) ({select('ALERTS', firing)})",
    }


def union(expressions: Mapping[str, str]) -> str:
    """Return one expression with the series of all; the label `figure` names the expression of each."""
    return " or ".join(
        f'label_replace({expression}, "figure", "{name}", "", "")' for name, expression in expressions.items()
    )


class _Found:
    """The samples of the query by figure and row."""

    def __init__(self, samples: Iterable[MetricSample]) -> None:
        self._values: dict[tuple[str, str], float] = {}
        self.breakers: dict[tuple[str, str], float] = {}
        self.down: list[tuple[str, str]] = []
        self.alerts: list[FiringAlert] = []
        for sample in samples:
            labels = dict(sample.labels)
            figure = labels.pop("figure", "")
            if figure == "breaker":
                self.breakers[labels.get("service", ""), labels.get("breaker", "")] = sample.value
            elif figure == "target":
                self.down.append((labels.get("job", ""), labels.get("service", "")))
            elif figure == "alert":
                self.alerts.append(FiringAlert(labels.get("severity", ""), labels.get("alertname", "")))
            elif math.isfinite(sample.value):
                self._values[figure, next(iter(labels.values()), "")] = sample.value

    def of(self, figure: str, row: str = "") -> Figure:
        return self._values.get((figure, row))

    def count(self, figure: str, row: str) -> Figure:
        """Return a count; 0 if the figure has other rows but not this one."""
        return self._values.get((figure, row), 0.0 if self.rows(figure) else None)

    def rate(self, figure: str, row: str = "", *, of: str) -> Figure:
        """Return a rate; without a series it is 0 if the process responds: it has not counted anything yet."""
        return self._values.get((figure, row), 0.0 if self.of("up", of) else None)

    def rows(self, figure: str) -> list[str]:
        return [row for name, row in self._values if name == figure]


def _queue(found: _Found, name: str, trend: list[float]) -> QueueFigures:
    service = name.removesuffix(QUEUE_SUFFIX)
    processes = _processes_of(service)
    consumer = next((process for process in processes if found.of("up", process)), processes[0])
    processed = found.rate("processed_of", service, of=consumer)
    retried, growth = found.of("retried_of", service), found.of("growth", name)
    arriving = None if processed is None or growth is None else max(processed - (retried or 0) + growth, 0.0)
    return QueueFigures(
        queue=name,
        ready=found.of("ready", name),
        unacked=found.of("unacked", name),
        trend=trend,
        arriving=arriving,
        processed=processed,
        consumers=found.of("consumers", name),
        retrying=_delayed(found.of("depth", name), found.of("ready", name), found.of("unacked", name)),
        parked=found.of("depth", service + LOT_SUFFIX),
    )


def _process(found: _Found, name: str) -> ProcessFigures:
    return ProcessFigures(
        process=name,
        up=found.of("up", name),
        down=found.of("down", name) or (None if found.of("up", name) is None else 0.0),
        published=found.rate("published", name, of=name),
        processed=found.rate("processed", name, of=name),
        failed=found.rate("failed", name, of=name),
        in_progress=found.of("in_progress", name),
        outbox=found.of("outbox", name),
        outbox_age=found.of("outbox_age", name),
        scheduled=found.of("scheduled", name),
    )


def _processes_of(service: str) -> list[str]:
    found = [process for process, (module, *_) in PROCESSES.items() if module == f"services.{service}"]
    return found or [service]


def _delayed(depth: Figure, ready: Figure, unacked: Figure) -> Figure:
    return None if depth is None or ready is None or unacked is None else max(depth - ready - unacked, 0.0)


def _event_queues(names: Iterable[str]) -> list[str]:
    return [name for name in names if name.endswith(QUEUE_SUFFIX) and name != UNROUTED]


def _in_order_of(names: Iterable[str]) -> Callable[[str], tuple[int, str]]:
    """Return a sort key: the order of `names`, then the alphabet."""
    known = {name: number for number, name in enumerate(names)}
    return lambda name: (known.get(name, len(known)), name)
