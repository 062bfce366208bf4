"""A dashboard: its variables, its links to the other dashboards, and the layout of its panels."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

from devtools.dashboards.links import link
from devtools.dashboards.panels import DATASOURCE, Panel

COLUMNS = 24
TAG = "warren"


@dataclass(frozen=True)
class Variable:
    """A choice in the head of a dashboard: the values of `label` in the series of `metric`."""

    name: str
    label: str
    selector: str
    """A metric, with or without matchers."""
    several: bool = False
    """Several values, or all of them, may be chosen."""


@dataclass(frozen=True)
class Row:
    """A titled row. Each line of panels shares the full width; a pair (panel, columns) sets the width of a panel."""

    title: str
    lines: Sequence[Sequence[Panel | tuple[Panel, int]]]


@dataclass(frozen=True, kw_only=True)
class Board:
    """A dashboard; `uid` never changes, because links and bookmarks name it."""

    uid: str
    title: str
    description: str
    variables: Sequence[Variable]
    rows: Sequence[Row] = field(default_factory=tuple)

    def render(self) -> str:
        """Return the JSON that Grafana imports. Equal boards give equal text."""
        builder = (
            dashboard.Dashboard(f"Warren / {self.title}")
            .uid(self.uid)
            .description(self.description)
            .tags([TAG])
            .refresh("30s")
            .time("now-1h", "now")
            .tooltip(model.DashboardCursorSync.CROSSHAIR)
            .link(_other_boards())
        )
        for variable in _sources():
            builder = builder.with_variable(variable)
        for each in self.variables:
            builder = builder.with_variable(_query(each))
        number, top = 1, 0
        for row in self.rows:
            builder = builder.with_row(dashboard.Row(row.title).id(number).grid_pos(model.GridPos(1, COLUMNS, 0, top)))
            number, top = number + 1, top + 1
            for line in row.lines:
                left, height = 0, 0
                for panel, width in _widths(line):
                    made = panel.build()
                    height = max(height, made.grid_pos.h if made.grid_pos else 0)
                    builder = builder.with_panel(panel.id(number).grid_pos(model.GridPos(height, width, left, top)))
                    number, left = number + 1, left + width
                top += height
        return json.dumps(builder.build(), cls=JSONEncoder, indent=2, ensure_ascii=False) + "\n"


def _widths(line: Sequence[Panel | tuple[Panel, int]]) -> list[tuple[Panel, int]]:
    """Divide what the given widths leave among the other panels. Raises ValueError if it cannot be divided evenly."""
    left = COLUMNS - sum(each[1] for each in line if isinstance(each, tuple))
    others = sum(not isinstance(each, tuple) for each in line)
    if left % others if others else left:
        raise ValueError(f"{len(line)} panels do not fill {COLUMNS} columns: {left} left for {others}")
    return [each if isinstance(each, tuple) else (each, left // others) for each in line]


def _sources() -> list[dashboard.DatasourceVariable]:
    """Return the choices of data sources. Those of links are hidden: most installations have one of each."""
    links = (("traces", "Traces", "jaeger"), ("logs", "Logs", "loki"))
    return [
        dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"),
        *(
            dashboard.DatasourceVariable(name).label(label).type(kind).hide(model.VariableHide.HIDE_VARIABLE)
            for name, label, kind in links
        ),
    ]


def _query(each: Variable) -> dashboard.QueryVariable:
    query = f"label_values({each.selector}, {each.name})"
    variable = dashboard.QueryVariable(each.name).label(each.label).datasource(DATASOURCE)
    variable = variable.query(query).definition(query)
    variable = variable.refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
    variable = variable.sort(model.VariableSort.ALPHABETICAL_ASC)
    if each.several:
        every = model.VariableOption(selected=True, text=["All"], value=["$__all"])
        variable = variable.multi(True).include_all(True).current(every)
    return variable


def _other_boards() -> dashboard.DashboardLink:
    return (
        link("Warren")
        .type(model.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(False)
        .include_vars(True)
        .keep_time(True)
    )
