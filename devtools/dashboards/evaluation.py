"""Evaluates the queries of a dashboard's JSON on a Prometheus, with Grafana's variables filled in."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from warren.prometheus_api import PrometheusApi

MAX_POINTS = 120
VALUES_OF = re.compile(r"label_values\((?P<selector>.+), (?P<label>\w+)\)")

Point = tuple[float, float]


@dataclass(frozen=True)
class PanelSeries:
    """One series of a panel: its legend, and pairs of Unix time in seconds and value, without NaN."""

    legend: str
    points: Sequence[Point]
    exemplars: Sequence[Point] = ()

    @property
    def last(self) -> float:
        return self.points[-1][1]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Evaluates `board` between two Unix times. `scrape` is Prometheus's interval in seconds."""

    api: PrometheusApi
    board: Mapping[str, Any]
    start: float
    end: float
    scrape: float = 5.0
    chosen: Mapping[str, str] = field(default_factory=dict)
    """Values of variables; the others have all of their values."""

    @property
    def step(self) -> float:
        """Seconds between two points."""
        return max(self.scrape, (self.end - self.start) / MAX_POINTS)

    def series(self, panel: Mapping[str, Any]) -> list[PanelSeries]:
        """Return the series of a panel in the order of its queries. Raises ClientError."""
        return [each for target in panel["targets"] for each in self._target(target)]

    def _target(self, target: Mapping[str, Any]) -> list[PanelSeries]:
        expression, legend = self.expression(target["expr"]), target["legendFormat"]
        if target.get("instant"):
            samples = self.api.query(expression, at=self.end)
            found = [(each.labels, [(each.time, each.value)]) for each in samples]
        else:
            ranges = self.api.query_range(expression, self.start, self.end, self.step)
            found = [(each.labels, list(each.points)) for each in ranges]
        exemplars = self._exemplars(expression) if target.get("exemplar") else {}
        return [
            PanelSeries(
                name := _legend(legend, labels),
                [(time, value) for time, value in points if abs(value) < float("inf")],
                exemplars.get(name, exemplars.get("", [])) if labels else [],
            )
            for labels, points in found
        ]

    def _exemplars(self, expression: str) -> dict[str, list[Point]]:
        """Return the exemplars by the value of the label that the legend shows."""
        found: dict[str, list[Point]] = {}
        for each in self.api.exemplars(expression, self.start, self.end):
            points = [(float(one["timestamp"]), float(one["value"])) for one in each["exemplars"]]
            for value in {each["seriesLabels"].get(name, "") for name in ("service", "step")}:
                found.setdefault(value, []).extend(points)
        return found

    def expression(self, text: str) -> str:
        """Return a query with its variables filled in."""
        for name, value in self.variables.items():
            text = re.sub(rf"\$(?:{name}\b|\{{{name}\}})", lambda _, value=value: value, text)  # type: ignore[misc]
        return text

    @cached_property
    def variables(self) -> Mapping[str, str]:
        """The value of each variable; several values are alternatives of a regular expression."""
        window = max(self.step + self.scrape, 4 * self.scrape)
        values = {"__rate_interval": f"{window:.0f}s", "__range": f"{self.end - self.start:.0f}s", **self.chosen}
        for variable in self.board["templating"]["list"]:
            if variable["type"] == "query" and variable["name"] not in values:
                values[variable["name"]] = self._values(variable["query"], values)
        return values

    def _values(self, query: str, known: Mapping[str, str]) -> str:
        match = VALUES_OF.fullmatch(query)
        if match is None:
            raise ValueError(f"{query!r} is no label_values(…)")
        selector = match["selector"]
        for name, value in known.items():
            selector = selector.replace(f"${name}", value)
        window = f"{self.end - self.start:.0f}s"
        samples = self.api.query(f"group by ({match['label']}) (last_over_time({selector}[{window}]))", at=self.end)
        return "|".join(sorted(each.labels[match["label"]].replace(".", "[.]") for each in samples if each.labels))


def _legend(template: str, labels: Mapping[str, str]) -> str:
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda match: labels.get(match[1], ""), template)
