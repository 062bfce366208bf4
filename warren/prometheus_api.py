"""A client of Prometheus's HTTP API: queries, targets, rules and alerts."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from warren.errors import ClientError
from warren.http import NoResponse, request


@dataclass(frozen=True)
class MetricSample:
    """One series of a query's result with its value at one time. `value` may be NaN."""

    labels: Mapping[str, str]
    time: float
    """Unix time in seconds."""
    value: float


@dataclass(frozen=True)
class MetricSeries:
    """One series of a range query: pairs of Unix time in seconds and value, the oldest first."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


class PrometheusApi:
    """The Prometheus at `url`. Its methods raise ClientError if it does not respond or refuses the request."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def query(self, expression: str, *, at: float | None = None) -> list[MetricSample]:
        """Evaluate a PromQL expression now, or at a Unix time. A scalar is one sample without labels."""
        data = self.get("query", query=expression, time=at)
        if data["resultType"] == "scalar":
            return [MetricSample({}, *_point(data["result"]))]
        return [MetricSample(each["metric"], *_point(each["value"])) for each in data["result"]]

    def value(self, expression: str) -> float:
        """Return the only value of an expression; NaN if it has no series. Raises ClientError if it has several."""
        samples = self.query(expression)
        if len(samples) > 1:
            raise ClientError(f"{expression} has {len(samples)} series, one was expected")
        return samples[0].value if samples else math.nan

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[MetricSeries]:
        """Evaluate an expression every `step` seconds between two Unix times."""
        data = self.get("query_range", query=expression, start=start, end=end, step=step)
        return [MetricSeries(each["metric"], tuple(map(_point, each["values"]))) for each in data["result"]]

    def exemplars(self, expression: str, start: float, end: float) -> list[dict[str, Any]]:
        """Return the exemplars of an expression's series: seriesLabels, exemplars (labels, value, timestamp)."""
        found: list[dict[str, Any]] = self.get("query_exemplars", query=expression, start=start, end=end)
        return found

    def targets(self) -> list[dict[str, Any]]:
        """Return the active targets: scrapePool, scrapeUrl, labels, health (up, down, unknown), lastError."""
        found: list[dict[str, Any]] = self.get("targets", state="active")["activeTargets"]
        return found

    def rules(self) -> list[dict[str, Any]]:
        """Return all rules with name, query, type (alerting, recording), health (ok, err, unknown) and lastError."""
        return [rule for group in self.get("rules")["groups"] for rule in group["rules"]]

    def alerts(self) -> list[dict[str, Any]]:
        """Return the active alerts: labels, annotations, state (pending, firing), activeAt, value."""
        found: list[dict[str, Any]] = self.get("alerts")["alerts"]
        return found

    def get(self, path: str, **parameters: object) -> Any:
        """Return `data` of a response of `/api/v1`. Parameters that are None are left out."""
        given = urlencode({name: value for name, value in parameters.items() if value is not None}).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        url = f"{self.url}/api/v1/{path}"
        try:
            # Queries are sent as POST, because an expression may be longer than a URL can be.
            if "query" in parameters:
                response = request("POST", url, body=given, headers=headers)
            else:
                response = request("GET", f"{url}?{given.decode()}" if given else url)
            content = json.loads(response.body)
        except NoResponse as error:
            raise ClientError(f"Prometheus at {self.url} does not respond: {error}") from error
        except ValueError as error:
            raise ClientError(f"{url} is not Prometheus's API: {error}") from error
        if not isinstance(content, dict) or content.get("status") not in {"success", "error"}:
            raise ClientError(f"{url} is not Prometheus's API: it answers {response.status}")
        if content["status"] == "error":
            asked = f" ({parameters['query']})" if "query" in parameters else ""
            raise ClientError(f"Prometheus refuses the request{asked}: {content.get('error', response.status)}")
        return content["data"]


def _point(pair: list[Any]) -> tuple[float, float]:
    time, value = pair
    return float(time), float(value)  # "NaN" and "+Inf" are numbers of Python, too
