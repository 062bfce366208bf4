"""Every series that a rule or a dashboard reads exists on a page that Prometheus scrapes.

tests/observability evaluates the expressions themselves, under load and with faults.
"""

import re
from pathlib import Path

from prometheus_client import generate_latest

from devtools.local.system import System
from tests.observability import expressions
from tests.system.shop import Shop
from topology_operator.observability.metrics import OperatorMetrics
from warren.http import request

OF_PROMETHEUS = {"up", "ALERTS"}
SUFFIXES = {"histogram": ("_bucket", "_count", "_sum"), "summary": ("", "_count", "_sum"), "counter": ("", "_total")}


def page(url: str, ca_file: Path) -> str:
    response = request("GET", url, ca_file=ca_file)
    assert response.status == 200, url
    return response.body.decode()


def series_names(text: str) -> set[str]:
    """Return the possible names of the series of a page; those of a metric without a value yet are among them."""
    types = re.findall(r"^# TYPE (\S+) (\w+)$", text, re.MULTILINE)
    return {name + suffix for name, kind in types for suffix in SUFFIXES.get(kind, ("",))}


def test_every_series_of_rules_and_dashboards_is_on_a_page(system: System, shop: Shop) -> None:
    assert system.monitoring is not None
    shop.reaches(shop.place("item1"), "COMPLETED")  # the series of HTTP begin with a request
    prometheus = system.monitoring.prometheus
    prometheus.wait_until_up()
    ca_file = system.servers.broker.endpoints.ca_file
    pages = [page(target["scrapeUrl"], ca_file) for target in prometheus.api.targets()]
    pages.append(generate_latest(OperatorMetrics().registry).decode())  # no operator runs here
    known = set().union(*map(series_names, pages)) | expressions.recorded() | OF_PROMETHEUS
    missing = {
        f"{expression.origin}: {name}"
        for expression in (*expressions.of_rules(), *expressions.of_dashboards())
        for name in expression.metrics() - known
    }
    assert missing == set()
