"""The metrics of every process of the running system, and the table about them in docs/observability.md."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from devtools.local.system import System
from services.registry import PROCESSES

PAGE = Path(__file__).parents[2] / "docs" / "observability.md"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
GROUPS = {
    "A": ["messaging_system", "messaging_operation_name", "messaging_destination_name"],
    "B": ["messaging_consumer_group_name"],
    "C": ["app_name", "method", "path", "status_code"],
}


class Documented(msgspec.Struct, frozen=True):
    """A row of the table."""

    series: str
    kind: str
    labels: frozenset[str]


def documented() -> dict[str, Documented]:
    """Return the rows of the table by series."""
    section = PAGE.read_text().split("\n## Metrics\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([a-z_]+)` \| (\w+) \|([^|]*)\|", section, re.MULTILINE)
    return {series: Documented(series, kind, frozenset(_labels(cell))) for series, kind, cell in rows}


def _labels(cell: str) -> Iterator[str]:
    for word in filter(None, (word.strip() for word in cell.split(","))):
        yield from GROUPS.get(word, [word])


def page(system: System, process: str, accept: str = "") -> httpx.Response:
    answer = httpx.get(f"{system.metrics_url(process)}/metrics", headers={"Accept": accept} if accept else {})
    return answer.raise_for_status()


def families(system: System, process: str) -> list[Metric]:
    return list(text_string_to_metric_families(page(system, process).text))


def series_name(family: Metric, sample: Sample) -> str:
    """Return the name as in the table: that of a histogram without the suffix of its parts."""
    return family.name if family.type == "histogram" else sample.name


def label_names(sample: Sample) -> frozenset[str]:
    return frozenset(sample.labels) - {"le"}


Series = tuple[str, str, frozenset[tuple[str, str]]]
"""Process, name of the sample, labels with their values."""


def all_series(system: System) -> set[Series]:
    """Return every series of every process."""
    return {
        (process, sample.name, frozenset(sample.labels.items()))
        for process in PROCESSES
        for family in families(system, process)
        for sample in family.samples
    }
