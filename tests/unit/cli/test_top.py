"""The screen of `warren top`: it fits, and says what is not known."""

from math import inf, nan

import pytest
from rich.cells import cell_len

from services.order.domain import OrderState
from services.registry import PROCESSES, QUEUES
from warren.cli import system_figures
from warren.cli.system_figures import STATES, SystemFigures, queries, read_figures, union
from warren.cli.system_view import render_system, sparkline
from warren.prometheus_api import MetricSample, MetricSeries
from warren_messaging.dead_letters import parked_message

NOW = 1_795_873_113.0


class CannedMetrics:
    """Prometheus with these values by figure and row."""

    def __init__(self, values: dict[tuple[str, str], float], trend: dict[str, list[float]] | None = None) -> None:
        self._values = values
        self._trend = trend or {}

    def query(self, expression: str) -> list[MetricSample]:
        return [
            MetricSample({"figure": figure} | self._labels(figure, row), NOW, value)
            for (figure, row), value in self._values.items()
        ]

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[MetricSeries]:
        assert (end - start) % step < 1e-6
        return [
            MetricSeries({"queue": name}, tuple((NOW, each) for each in values)) for name, values in self._trend.items()
        ]

    @staticmethod
    def _labels(figure: str, row: str) -> dict[str, str]:
        if figure == "breaker":
            return dict(zip(("service", "breaker"), row.split("/"), strict=True))
        if figure == "target":
            return dict(zip(("job", "service"), row.split("/"), strict=True))
        if figure == "alert":
            return dict(zip(("severity", "alertname"), row.split("/"), strict=True))
        return {"row": row} if row else {}


def busy() -> SystemFigures:
    values: dict[tuple[str, str], float] = {("accepted", ""): 120.4, ("completed", ""): 118.0, ("cancelled", ""): 2.4}
    for number, state in enumerate(STATES):
        values |= {("orders", state): 12_345.0 * number, ("oldest", state): 4_000.0}
    for queue in QUEUES:
        service = queue.removesuffix(".queue")
        values |= {("ready", queue): 123_456.0, ("unacked", queue): 250.0, ("depth", queue): 128_027.0}
        values |= {("growth", queue): 10.0, ("consumers", queue): 12.0, ("processed_of", service): 1_800.0}
        values |= {("retried_of", service): 3.0, ("depth", f"{service}.dlq"): 17.0}
    for process in PROCESSES:
        values |= {("up", process): 3.0, ("down", process): 1.0, ("published", process): 1_234.5}
        values |= {("processed", process): 1_234.5, ("failed", process): 12.5, ("in_progress", process): 250.0}
        values |= {("outbox", process): 100_000.0, ("outbox_age", process): 90_000.0, ("scheduled", process): 99_999.0}
    values |= {("breaker", "payment/payment gateway"): 2.0, ("breaker", "email/email channel"): 0.0}
    values |= {("depth", "unrouted.queue"): 3.0, ("target", "rabbitmq/"): 0.0, ("target", "warren/sms"): 0.0}
    values |= {("alert", "ticket/WarrenMessagesParked"): 1.0, ("alert", "page/WarrenBrokerDown"): 1.0}
    return read_figures(CannedMetrics(values, {"order.queue": [0, 50, 100]}), None, NOW)


def lines(figures: SystemFigures, width: int, height: int | None = None) -> list[str]:
    return render_system(figures, width, height, title="shop").plain.splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (80, 50), (60, 24), (40, 12), (132, 43), (20, 5), (250, 100)])
@pytest.mark.parametrize("full", [True, False])
def test_the_screen_fits_a_terminal_of_any_size(width: int, height: int, full: bool) -> None:
    found = lines(busy() if full else read_figures(CannedMetrics({}), None, NOW), width, height)
    assert len(found) <= height
    assert max(map(cell_len, found)) <= width


def test_80_by_24_shows_every_queue_and_every_process_of_a_quiet_system() -> None:
    values = {("up", process): 1.0 for process in PROCESSES} | {("ready", queue): 0.0 for queue in QUEUES}
    text = "\n".join(lines(read_figures(CannedMetrics(values), None, NOW), 80, 24))
    assert all(name in text for name in (*QUEUES, *PROCESSES, "cons.", "parked", "circuit breakers"))


def test_a_low_screen_says_how_many_processes_it_leaves_out() -> None:
    found = lines(busy(), 100, 20)
    shown = [name for name in PROCESSES if any(line.startswith(f"{name} ") for line in found)]
    assert f"… and {len(PROCESSES) - len(shown)} more processes" in found
    assert any("no answer from" in line for line in found)


def test_the_figures_of_a_queue_and_a_process() -> None:
    found = busy()
    queue = next(each for each in found.queues if each.queue == "order.queue")
    # 1,800 deliveries ended, 3 of them go back to the queue, and it grows by 10: 1,807 arrive.
    assert (queue.arriving, queue.processed, queue.retrying, queue.parked) == (1_807.0, 1_800.0, 4_321.0, 17.0)
    text = "\n".join(lines(found, 200))
    assert "123k" in text
    assert "3 of 4" in text
    assert "PAID 24,690 (67 m)" in text
    assert "unrouted.queue has 3 events that no queue took" in text
    assert "payment gateway of payment: open  1 closed" in text
    assert "no answer from  rabbitmq, warren sms" in text
    assert "alerts  WarrenBrokerDown (page), WarrenMessagesParked (ticket)" in text


def test_what_prometheus_does_not_have_is_unknown_and_not_zero() -> None:
    found = read_figures(CannedMetrics({}), None, NOW)
    assert found.accepted is None
    assert {each.count for each in found.orders} == {None}
    assert [each.queue for each in found.queues] == list(QUEUES)
    assert [each.process for each in found.processes] == list(PROCESSES)
    rows = [line.split() for line in lines(found, 80) if line.startswith(("order.queue", "payment "))]
    assert [set(row[1:]) for row in rows] == [{"?"}, {"?"}]
    assert lines(found, 80)[-2:] == [
        "Prometheus has no figures of any process: is the namespace right?",
        "circuit breakers  ?",
    ]


def test_a_process_that_consumes_nothing_has_no_unknown_figure() -> None:
    values = {("up", "order-api"): 1.0, ("up", "payment"): 1.0, ("in_progress", "payment"): 7.0, ("down", "sms"): 1.0}
    found = lines(read_figures(CannedMetrics(values), None, NOW), 200)
    heading = next(line for line in found if line.startswith("process"))
    end = heading.index("busy") + len("busy")
    busy_of = {line.split()[0]: line[end - 4 : end].strip() for line in found[found.index(heading) + 1 :] if line}
    assert (busy_of["order-api"], busy_of["payment"], busy_of["sms"]) == ("", "7", "?")
    assert not any("namespace" in line for line in found)


def test_a_process_that_responds_without_a_series_has_counted_nothing() -> None:
    found = read_figures(CannedMetrics({("up", "payment"): 1.0, ("orders", "PAID"): 2.0}), None, NOW)
    payment = next(each for each in found.processes if each.process == "payment")
    assert (payment.failed, payment.outbox) == (0.0, None)
    assert [each.count for each in found.orders] == [0.0, 0.0, 2.0, 0.0, 0.0]


def test_a_queue_and_a_process_that_the_registry_does_not_know_are_shown_last() -> None:
    found = read_figures(CannedMetrics({("depth", "loyalty.queue"): 1.0, ("up", "loyalty"): 1.0}), None, NOW)
    assert found.queues[-1].queue == "loyalty.queue"
    assert found.processes[-1].process == "loyalty"


def test_a_namespace_restricts_every_series() -> None:
    for expression in queries('a"b').values():
        assert expression.count('{namespace="a\\"b"') == expression.count("{")
    assert "namespace" not in union(queries(None))


def test_a_sparkline_is_relative_to_its_largest_value_and_small_numbers_stay_low() -> None:
    assert sparkline([0, 50, 100]) == "▁▅█"
    assert sparkline([0, 1, 2]) == "▁▂▃"
    assert sparkline([]) == ""


def test_names_are_those_of_the_services() -> None:
    assert system_figures.LOT_SUFFIX == parked_message.LOT_SUFFIX
    assert system_figures.UNROUTED == parked_message.UNROUTED
    assert set(STATES) == set(OrderState) - {OrderState.COMPLETED, OrderState.CANCELLED}


def test_values_that_are_no_number_are_unknown() -> None:
    queue, process = QUEUES[0], next(iter(PROCESSES))
    values = {("ready", queue): nan, ("depth", queue): inf, ("outbox", process): nan, ("up", process): inf}
    found = read_figures(CannedMetrics(values, {queue: [nan, inf, 1.0]}), None, NOW)
    assert (found.queues[0].ready, found.queues[0].trend, found.processes[0].outbox) == (None, [1.0], None)
    text = "\n".join(lines(found, 132))
    assert "nan" not in text and "inf " not in text
