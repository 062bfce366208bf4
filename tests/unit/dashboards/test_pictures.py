"""The renderer of pictures, with a Prometheus that answers every query with the same series."""

import math
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from devtools.dashboards.evaluation import Evaluation
from devtools.dashboards.picture import picture
from devtools.dashboards.registry import BOARDS
from devtools.dashboards.units import ticks, with_unit
from tests.unit.dashboards.queries import load, panels
from warren.prometheus_api import MetricSample, MetricSeries, PrometheusApi

START, END = 1_000_000.0, 1_000_180.0
LABELS = {"namespace": "local", "service": "order-api", "queue": "order.queue", "state": "PAID", "step": "paid"}
PICTURES = Path(__file__).parents[3] / "docs" / "pictures"
SVG = "{http://www.w3.org/2000/svg}"


class SteadyPrometheus(PrometheusApi):
    """Records the queries."""

    def __init__(self, value: float = 1.0) -> None:
        super().__init__("http://unused")
        self.queries: list[str] = []
        self._value = value

    def query(self, expression: str, *, at: float | None = None) -> list[MetricSample]:
        self.queries.append(expression)
        return [MetricSample(LABELS, at or END, self._value)]

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[MetricSeries]:
        self.queries.append(expression)
        times = [start + number * step for number in range(int((end - start) / step) + 1)]
        return [MetricSeries(LABELS, tuple((time, self._value) for time in times))]

    def exemplars(self, expression: str, start: float, end: float) -> list[dict[str, Any]]:
        return [{"seriesLabels": LABELS, "exemplars": [{"timestamp": start + 1, "value": "0.5", "labels": {}}]}]


def evaluation(board: str, api: PrometheusApi) -> Evaluation:
    return Evaluation(api=api, board=load(board), start=START, end=END)


@pytest.mark.parametrize("board", BOARDS)
def test_a_picture_shows_every_panel_and_says_what_it_is(board: str) -> None:
    api = SteadyPrometheus()
    drawn, empty = picture(evaluation(board, api), "a caption")
    texts = _texts(drawn)
    assert {panel["title"] for panel in panels(board)} <= texts
    assert {"a caption", "Drawn by Warren's own renderer, not a screenshot of Grafana"} <= texts
    assert empty == []
    assert not any("$" in query.replace('"$1"', "").replace("${1}", "") for query in api.queries), "a variable is left"


@pytest.mark.parametrize("board", BOARDS)
def test_panels_without_data_are_named(board: str) -> None:
    _, empty = picture(evaluation(board, SteadyPrometheus(math.nan)), "")
    assert empty == [panel["title"] for panel in panels(board)]


def test_variables_have_all_values_unless_one_is_chosen() -> None:
    every = evaluation("messaging", SteadyPrometheus())
    assert every.expression('a{queue=~"$queue"}[$__rate_interval]') == 'a{queue=~"order[.]queue"}[20s]'
    chosen = Evaluation(api=SteadyPrometheus(), board=load("messaging"), start=START, end=END, chosen={"queue": "x"})
    assert chosen.expression('a{queue=~"$queue"}') == 'a{queue=~"x"}'


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0042, "s", "4.2 ms"),
        (90.0, "s", "1.5 min"),
        (0.144, "percentunit", "14.4 %"),
        (1536.0, "bytes", "1.5 KiB"),
        (2_500_000.0, "short", "2.5 M"),
        (12.0, "mps", "12 msg/s"),
        (30.0, "suffix: /min", "30 /min"),
        (0.0, "s", "0 s"),
    ],
)
def test_values_have_units(value: float, unit: str, text: str) -> None:
    assert with_unit(value, unit) == text


@pytest.mark.parametrize(
    ("top", "unit"), [(0.07, "s"), (7.0, "ops"), (900.0, "s"), (3e6, "bytes"), (1.0, "percentunit")]
)
def test_an_axis_has_a_few_steps_of_one_size_up_to_the_largest_value(top: float, unit: str) -> None:
    found = ticks(top, unit)
    assert 3 <= len(found) <= 8
    assert found[0] == 0
    assert found[-2] < top <= found[-1] * 1.0001
    sizes = {round(second - first, 12) for first, second in pairwise(found)}
    assert max(sizes) - min(sizes) <= 1e-6 * max(sizes)


@pytest.mark.parametrize("board", BOARDS)
def test_the_committed_picture_shows_the_panels_of_the_dashboard(board: str) -> None:
    file = PICTURES / f"dashboard-{board}.svg"
    assert file.stat().st_size < 150_000
    texts = _texts(file.read_text())
    missing = {panel["title"] for panel in panels(board)} - texts
    assert not missing, f"run `make pictures`: {file.name} lacks {missing}"
    assert "Drawn by Warren's own renderer, not a screenshot of Grafana" in texts


def _texts(drawn: str) -> set[str]:
    return {element.text or "" for element in ElementTree.fromstring(drawn).iter(f"{SVG}text")}  # noqa: S314
