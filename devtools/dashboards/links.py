"""Links from panels: to traces and logs in Grafana's Explore, and to the runbooks of alerts."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from grafana_foundation_sdk.builders.dashboard import DashboardLink

_VARIABLE = re.compile(r"%24%7B([\w.]+)%7D")


@dataclass(frozen=True)
class DataLink:
    """A link of a panel's series, followed by a click on one of its points. `${…}` in `url` is filled in by Grafana."""

    title: str
    url: str

    def builder(self) -> DashboardLink:
        return link(self.title).url(self.url).target_blank(True)


def link(title: str) -> DashboardLink:
    """Return the builder of a link where Grafana shows links by default; the SDK's default hides it in a menu."""
    builder = DashboardLink(title)
    builder.build().placement = None  # type: ignore[assignment]  # to_json() leaves None out
    return builder


def traces(service: str = "${__field.labels.service}") -> DataLink:
    """Search the traces of `service`, by default of the series that was clicked."""
    return _explore("Traces of " + service, "traces", "jaeger", {"queryType": "search", "service": service})


def logs(service: str = "${__field.labels.service}") -> DataLink:
    """Read the logs of `service`, by default of the series that was clicked."""
    selector = f'{{namespace="${{namespace}}", service_name="{service}"}}'
    return _explore("Logs of " + service, "logs", "loki", {"queryType": "range", "expr": selector})


def _explore(title: str, variable: str, kind: str, query: Mapping[str, str]) -> DataLink:
    source = f"${{{variable}}}"
    pane = {
        "datasource": source,
        "queries": [{"refId": "A", "datasource": {"type": kind, "uid": source}, **query}],
        "range": {"from": "${__from}", "to": "${__to}"},
    }
    encoded = quote(json.dumps({"a": pane}, separators=(",", ":")), safe="")
    return DataLink(title, "/explore?schemaVersion=1&orgId=1&panes=" + _VARIABLE.sub(r"${\1}", encoded))


def runbook(alert: str) -> str:
    """Return the path of an alert's runbook; an installation may put an address before it, as in the alert itself."""
    return f"docs/runbooks/{alert}.md"
