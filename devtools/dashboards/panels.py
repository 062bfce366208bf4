"""The kinds of panels that the dashboards use, one function each, on the builders of grafana-foundation-sdk.

Every panel has a title, a description that says what is normal and what to do otherwise, queries with legends, and a
unit. `board.render` places them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, statetimeline, timeseries
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from devtools.dashboards.links import DataLink, runbook

Panel: TypeAlias = bargauge.Panel | stat.Panel | statetimeline.Panel | timeseries.Panel

DATASOURCE = options.DataSourceRef(type_val="prometheus", uid="${datasource}")
GREEN, YELLOW, RED, BLUE, PURPLE, GREY = "green", "#EAB839", "red", "blue", "purple", "#8e8e8e"
STAT_HEIGHT, GRAPH_HEIGHT = 4, 8


@dataclass(frozen=True)
class Query:
    """A PromQL expression with the legend of its series."""

    expression: str
    legend: str
    exemplars: bool = False
    """Show traces of single requests or messages as points beside the series."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Values from which a panel turns yellow or red; `below` reverses them."""

    warning: float | None = None
    critical: float | None = None
    below: bool = False

    def steps(self) -> list[model.Threshold]:
        chosen = [(self.warning, YELLOW), (self.critical, RED)]
        given = [(value, color) for value, color in chosen if value is not None]
        if not self.below:
            return [_step(None, GREEN), *(_step(value, color) for value, color in given)]
        # From the smallest value up: each color holds until the next step.
        values = [None, *(value for value, _ in reversed(given))]
        return [
            _step(value, color) for value, color in zip(values, [*(c for _, c in reversed(given)), GREEN], strict=True)
        ]


@dataclass(frozen=True)
class Text:
    """The title of a panel and its description: what is normal, and what to do if it is not."""

    title: str
    normal: str
    action: str = ""
    alerts: Sequence[str] = ()
    """Alerts of charts/warren/rules on the same values; the description links their runbooks."""

    def description(self) -> str:
        parts = [self.normal, f"**Action:** {self.action}" if self.action else ""]
        if self.alerts:
            parts.append("Runbooks: " + ", ".join(f"[{name}]({runbook(name)})" for name in self.alerts) + ".")
        return "\n\n".join(part for part in parts if part)


@dataclass(frozen=True, kw_only=True)
class Style:
    """How a graph draws its series."""

    stacked: bool = False
    steps: bool = False
    """The value holds until the next sample, as for counts of consumers."""
    colors: Mapping[str, str] = field(default_factory=dict)
    """Colors of series by legend; the others get one of the palette, always the same for a name."""
    logarithmic: bool = False
    maximum: float | None = None


def graph(
    text: Text,
    unit: str,
    queries: Sequence[Query],
    *,
    style: Style = Style(),
    limits: Limits | None = None,
    links: Sequence[DataLink] = (),
) -> Panel:
    """Series over time. `limits` are drawn as lines."""
    panel = timeseries.Panel().height(GRAPH_HEIGHT).min(0).line_width(1).fill_opacity(30 if style.stacked else 0)
    panel = panel.show_points(options.VisibilityMode.NEVER).color_scheme(_palette())
    panel = panel.tooltip(
        common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI).sort(options.SortOrder.DESCENDING)
    )
    panel = panel.legend(
        common.VizLegendOptions()
        .display_mode(options.LegendDisplayMode.LIST)
        .placement(options.LegendPlacement.BOTTOM)
        .show_legend(True)
    )
    if style.stacked:
        panel = panel.stacking(common.StackingConfig().mode(options.StackingMode.NORMAL).group("A"))
    if style.steps:
        panel = panel.line_interpolation(options.LineInterpolation.STEP_AFTER)
    if style.logarithmic:
        panel = panel.scale_distribution(common.ScaleDistributionConfig().type(options.ScaleDistribution.LOG).log(10))
    if style.maximum is not None:
        panel = panel.max(style.maximum)
    for name, color in style.colors.items():
        panel = panel.override_by_name(name, [_color(color)])
    if limits is not None:
        panel = panel.thresholds(_thresholds(limits)).thresholds_style(
            common.GraphThresholdsStyleConfig().mode(options.GraphThresholdsStyleMode.DASHED)
        )
    return _finish(panel, text, unit, queries, links)


def number(
    text: Text, unit: str, query: Query, *, limits: Limits | None = None, decimals: int | None = None, empty: str = "0"
) -> Panel:
    """One number with its recent course, coloured by `limits`; `empty` stands for no series at all."""
    panel = stat.Panel().height(STAT_HEIGHT).no_value(empty).reduce_options(_last()).min(0)
    panel = panel.graph_mode(options.BigValueGraphMode.AREA)
    panel = panel.thresholds(_thresholds(limits or Limits()))
    panel = panel.color_mode(options.BigValueColorMode.VALUE if limits else options.BigValueColorMode.NONE)
    panel = panel.text_mode(options.BigValueTextMode.VALUE)
    if decimals is not None:
        panel = panel.decimals(decimals)
    return _finish(panel, text, unit, [query], ())


def bars(text: Text, unit: str, queries: Sequence[Query], colors: Mapping[str, str]) -> Panel:
    """One horizontal bar for each series, of the whole time range, in a color by its legend."""
    panel = bargauge.Panel().height(GRAPH_HEIGHT).min(0).reduce_options(_last()).color_scheme(_palette())
    panel = panel.orientation(options.VizOrientation.HORIZONTAL).display_mode(options.BarGaugeDisplayMode.BASIC)
    panel = panel.show_unfilled(False).no_value("0")
    for name, color in colors.items():
        panel = panel.override_by_name(name, [_color(color)])
    return _finish(panel, text, unit, queries, (), instant=True)


def states(text: Text, queries: Sequence[Query], names: Mapping[int, tuple[str, str]]) -> Panel:
    """A band for each series whose color is its state; `names` has the word and the color of each value."""
    mapping = model.ValueMap(
        options={
            str(value): model.ValueMappingResult(text=word, color=color, index=index)
            for index, (value, (word, color)) in enumerate(names.items())
        }
    )
    panel = statetimeline.Panel().height(GRAPH_HEIGHT).mappings([mapping]).show_value(options.VisibilityMode.NEVER)
    panel = panel.merge_values(True).row_height(0.8).fill_opacity(80)
    panel = panel.legend(
        common.VizLegendOptions()
        .display_mode(options.LegendDisplayMode.LIST)
        .placement(options.LegendPlacement.BOTTOM)
        .show_legend(True)
    )
    return _finish(panel, text, "none", queries, ())


def _finish(
    panel: Panel, text: Text, unit: str, queries: Sequence[Query], links: Sequence[DataLink], *, instant: bool = False
) -> Panel:
    panel.title(text.title).description(text.description()).unit(unit).datasource(DATASOURCE)
    for letter, query in zip("ABCDEFGHIJ", queries, strict=False):
        target = prometheus.Dataquery().ref_id(letter).expr(query.expression).legend_format(query.legend)
        target = target.format(PromQueryFormat.TIME_SERIES)
        target = target.instant() if instant else target.range()
        if query.exemplars:
            target = target.exemplar(True)
        panel.with_target(target)
    if links:
        panel.data_links([link.builder() for link in links])
    return panel


def _thresholds(limits: Limits) -> dashboard.ThresholdsConfig:
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(limits.steps())


def _step(value: float | None, color: str) -> model.Threshold:
    return model.Threshold(value=value, color=color)


def _palette() -> dashboard.FieldColor:
    return dashboard.FieldColor().mode(model.FieldColorModeId.PALETTE_CLASSIC_BY_NAME)


def _color(color: str) -> model.DynamicConfigValue:
    return model.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": color})


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)
