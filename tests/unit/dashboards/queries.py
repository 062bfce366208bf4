"""The panels and queries of the committed dashboards, with Grafana's variables filled in."""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import promql_parser

from devtools.dashboards.registry import FOLDER
from tests.observability import expressions

WINDOWS = {"$__rate_interval": "1m1s", "$__range": "1h1s"}
"""With durations that no other window has."""
GRAFANA = {**WINDOWS, "$namespace": "local", "$service": ".*", "$queue": ".*"}


class PanelQuery(NamedTuple):
    panel: str
    text: str
    """As in the file, with variables."""

    @property
    def expression(self) -> str:
        text = self.text
        for variable, value in GRAFANA.items():
            text = text.replace(variable, value)
        return text


def load(board: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((FOLDER / f"{board}.json").read_text())
    return content


def panels(board: str) -> list[dict[str, Any]]:
    """Return the panels of a dashboard without its rows."""
    return [each for each in load(board)["panels"] if each["type"] != "row"]


def queries(board: str) -> list[PanelQuery]:
    return [PanelQuery(panel["title"], target["expr"]) for panel in panels(board) for target in panel["targets"]]


def selectors(expression: str) -> Iterator[promql_parser.VectorSelector]:
    """Yield every different selector of an expression. Raises ValueError if it is not PromQL."""
    found = expressions.selectors(promql_parser.parse(expression))
    yield from {str(each): each for each in found}.values()


def variables(text: str) -> set[str]:
    """Return the names of Grafana's variables in a text, without those that Grafana provides."""
    return {name for name in re.findall(r"\$\{?([a-z]\w+)", text) if not name.startswith("__")}
