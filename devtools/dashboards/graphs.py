"""Draws the contents of each kind of panel: graphs, numbers, bars and bands of states."""

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from devtools.dashboards.evaluation import Evaluation, PanelSeries, Point
from devtools.dashboards.svg import Box, Drawing, text_width
from devtools.dashboards.units import ticks, with_unit

INK, FAINT, GRID = "#1f2733", "#6b7684", "#e6e9ee"
PALETTE = (
    "#2f7ed8", "#37a862", "#e08a1e", "#8a5bd0", "#d0417e", "#1d9aa8",
    "#9a6a3a", "#5b6ee1", "#7f9a1f", "#c44f3c", "#4d7c8a", "#a04fb5",
)  # fmt: skip
NAMED = {
    "green": "#37a862",
    "dark-green": "#1c6b3a",
    "red": "#d64545",
    "blue": "#2f7ed8",
    "purple": "#8a5bd0",
    "#EAB839": "#e0a52e",
}
LEGEND_LINE, SMALL = 17.0, 11.0
MAX_LEGEND_LINES = 2


@dataclass(frozen=True)
class Plot:
    """The area of a graph: maps times and values to coordinates."""

    box: Box
    start: float
    end: float
    top: float
    floor: float = 0.0
    logarithmic: bool = False

    def x(self, time: float) -> float:
        return self.box.left + (time - self.start) / (self.end - self.start) * self.box.width

    def y(self, value: float) -> float:
        if self.logarithmic:
            low, high = math.log10(self.floor), math.log10(self.top)
            share = (math.log10(max(value, self.floor)) - low) / (high - low)
        else:
            share = value / self.top
        return self.box.bottom - min(max(share, 0.0), 1.0) * self.box.height


def draw_graph(
    drawing: Drawing, box: Box, panel: Mapping[str, Any], series: Sequence[PanelSeries], evaluation: Evaluation
) -> None:
    """Draw a panel of kind timeseries: lines or stacked areas, exemplars, limits and the legend."""
    defaults = panel["fieldConfig"]["defaults"]
    custom = defaults.get("custom", {})
    colors = _colors(panel, [each.legend for each in series])
    legend = list(_legend_lines([each.legend for each in series], box.width))
    inner = Box(box.left, box.top + 4, box.width - 6, box.height - 26 - LEGEND_LINE * len(legend))
    stacked = custom.get("stacking", {}).get("mode") == "normal"
    layers = _stack(series) if stacked else [(each, each.points, None) for each in series]
    plot = _axes(drawing, _plot(inner, layers, defaults, custom, evaluation), defaults["unit"])
    steps = custom.get("lineInterpolation") == "stepAfter"
    for each, upper, lower in layers:
        if stacked and not any(value for _, value in each.points):
            continue  # its line would hide that of the series below
        color = colors[each.legend]
        for part in _runs(upper, 3 * evaluation.step):
            points = _shape(plot, part, steps=steps)
            if lower is not None:
                base = dict(lower)
                under = _shape(plot, [(time, base.get(time, 0.0)) for time, _ in part], steps=steps)
                drawing.area([*points, *reversed(under)], fill=color, opacity=0.35)
            drawing.line(points, stroke=color, width=1.4)
        for time, value in _sampled(each.exemplars, evaluation):
            drawing.diamond(plot.x(time), plot.y(value), fill=color)
    _limits(drawing, plot, defaults, custom)
    _draw_legend(drawing, legend, Box(box.left, box.bottom - LEGEND_LINE * len(legend) + 6, box.width, 0), colors)
    if not series:
        _no_data(drawing, plot.box)


def draw_number(
    drawing: Drawing, box: Box, panel: Mapping[str, Any], series: Sequence[PanelSeries], evaluation: Evaluation
) -> None:
    """Draw a panel of kind stat: the last value of the first series, with its course behind it."""
    defaults = panel["fieldConfig"]["defaults"]
    value = series[0].last if series else float(defaults.get("noValue", "nan"))
    colored = panel["options"]["colorMode"] == "value"
    color = _limit_color(defaults, value) if colored else INK
    if series and len(series[0].points) > 1:
        top = max(value for _, value in series[0].points) or 1.0
        plot = Plot(
            Box(box.left, box.top + box.height * 0.62, box.width, box.height * 0.38),
            evaluation.start,
            evaluation.end,
            top,
        )
        line_color = color if colored else PALETTE[0]
        points = _shape(plot, series[0].points, steps=False)
        drawing.area(
            [*points, (points[-1][0], plot.box.bottom), (points[0][0], plot.box.bottom)], fill=line_color, opacity=0.15
        )
        drawing.line(points, stroke=line_color, width=1.2)
    shown = "-" if math.isnan(value) else with_unit(value, defaults["unit"], defaults.get("decimals"))
    drawing.text(
        box.left + box.width / 2, box.top + box.height * 0.48, shown, size=30, weight=600, fill=color, anchor="middle"
    )


def draw_bars(
    drawing: Drawing, box: Box, panel: Mapping[str, Any], series: Sequence[PanelSeries], evaluation: Evaluation
) -> None:
    """Draw a panel of kind bargauge: a bar for the last value of each series."""
    colors = _colors(panel, [each.legend for each in series])
    top = max((each.last for each in series), default=0.0) or 1.0
    height = box.height / max(len(series), 1)
    for number, each in enumerate(series):
        value, line = each.last, box.top + number * height
        drawing.text(box.left + 78, line + height / 2 + 4, each.legend, size=12, fill=INK, anchor="end")
        bar = Box(box.left + 86, line + height * 0.15, (box.width - 150) * value / top, height * 0.7)
        drawing.rectangle(bar, fill=colors[each.legend], opacity=0.75, radius=2)
        drawing.text(bar.right + 8, line + height / 2 + 4, f"{value:,.0f}", size=12, weight=600, fill=INK)


def draw_states(
    drawing: Drawing, box: Box, panel: Mapping[str, Any], series: Sequence[PanelSeries], evaluation: Evaluation
) -> None:
    """Draw a panel of kind state-timeline: a row for each series, coloured by its state."""
    names = panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
    label = min(max((text_width(each.legend, 12) for each in series), default=0.0) + 12, box.width * 0.4)
    plot = Plot(
        Box(box.left + label, box.top + 4, box.width - label - 6, box.height - 46),
        evaluation.start,
        evaluation.end,
        1.0,
    )
    height = plot.box.height / max(len(series), 1)
    for number, each in enumerate(series):
        line = plot.box.top + number * height
        drawing.text(
            box.left + label - 8, line + height / 2 + 4, each.legend, size=12, fill=INK, anchor="end", width=label
        )
        for start, end, value in _bands(each.points, evaluation):
            band = Box(plot.x(start), line + height * 0.1, plot.x(end) - plot.x(start), height * 0.8)
            drawing.rectangle(band, fill=_paint(names[f"{value:.0f}"]["color"]), opacity=0.8)
    _times(drawing, plot)
    legend = [
        (each["text"], _paint(each["color"])) for each in sorted(names.values(), key=lambda each: int(each["index"]))
    ]
    _draw_legend(drawing, [[name for name, _ in legend]], Box(box.left, box.bottom - 12, box.width, 0), dict(legend))
    if not series:
        _no_data(drawing, plot.box)


def _plot(
    box: Box,
    layers: Sequence[tuple[PanelSeries, Sequence[Point], Any]],
    defaults: Mapping[str, Any],
    custom: Mapping[str, Any],
    evaluation: Evaluation,
) -> Plot:
    values = [value for _, points, _ in layers for _, value in points]
    largest = max(values, default=0.0) or 1.0
    if custom.get("scaleDistribution", {}).get("type") == "log":
        smallest = min((value for value in values if value > 0), default=0.01)
        low, high = math.floor(math.log10(smallest)), math.ceil(math.log10(largest))
        return Plot(box, evaluation.start, evaluation.end, 10.0 ** max(high, low + 1), 10.0**low, logarithmic=True)
    top = defaults.get("max") or ticks(largest, defaults["unit"])[-1]
    return Plot(box, evaluation.start, evaluation.end, top)


def _axes(drawing: Drawing, plot: Plot, unit: str) -> Plot:
    """Draw both axes; returns the part of the plot that the labels leave."""
    if plot.logarithmic:
        powers = range(round(math.log10(plot.floor)), round(math.log10(plot.top)) + 1)
        values = [10.0**power for power in powers]
    else:
        values = [value for value in ticks(plot.top, unit) if value <= plot.top * 1.001]
    labels = [with_unit(value, unit) for value in values]
    left = max(text_width(label, SMALL) for label in labels) + 8
    inner = replace(plot, box=Box(plot.box.left + left, plot.box.top, plot.box.width - left, plot.box.height))
    for value, label in zip(values, labels, strict=True):
        y = inner.y(value)
        drawing.line([(inner.box.left, y), (inner.box.right, y)], stroke=GRID)
        drawing.text(inner.box.left - 6, y + 4, label, size=SMALL, fill=FAINT, anchor="end")
    _times(drawing, inner)
    return inner


def _times(drawing: Drawing, plot: Plot) -> None:
    seconds = next((step for step in (15, 60) if plot.end - plot.start <= 10 * step), 600)
    wide = max(1, math.ceil((plot.end - plot.start) / seconds / (plot.box.width / 60)))
    time = math.ceil(plot.start / seconds) * seconds
    while time <= plot.end:
        text = f"{datetime.fromtimestamp(time, UTC):{'%H:%M' if seconds >= 60 else '%H:%M:%S'}}"
        drawing.text(plot.x(time), plot.box.bottom + 15, text, size=SMALL, fill=FAINT, anchor="middle")
        time += seconds * wide


def _limits(drawing: Drawing, plot: Plot, defaults: Mapping[str, Any], custom: Mapping[str, Any]) -> None:
    if "thresholdsStyle" not in custom:
        return
    for step in defaults["thresholds"]["steps"]:
        value = step["value"]
        if value is not None and plot.floor <= value <= plot.top:
            points = [(plot.box.left, plot.y(value)), (plot.box.right, plot.y(value))]
            drawing.line(points, stroke=_paint(step["color"]), width=1.2, dash="6 4")


def _legend_lines(names: Sequence[str], width: float) -> Iterator[list[str]]:
    """Divide names into lines; what does not fit is counted in the last one."""
    lines: list[list[str]] = [[]]
    used = 0.0
    for number, name in enumerate(names):
        needed = text_width(name, SMALL) + 26
        if used + needed > width - 60 and lines[-1]:
            if len(lines) == MAX_LEGEND_LINES:
                lines[-1].append(f"+ {len(names) - number} more")
                break
            lines.append([])
            used = 0.0
        lines[-1].append(name)
        used += needed
    yield from (line for line in lines if line)


def _draw_legend(drawing: Drawing, lines: Sequence[Sequence[str]], box: Box, colors: Mapping[str, str]) -> None:
    for number, line in enumerate(lines):
        x, y = box.left, box.top + number * LEGEND_LINE
        for name in line:
            if name in colors:
                drawing.rectangle(Box(x, y, 12, 4), fill=colors[name], radius=2)
            drawing.text(x + 17, y + 6, name, size=SMALL, fill=INK)
            x += text_width(name, SMALL) + 26


def _no_data(drawing: Drawing, box: Box) -> None:
    drawing.text(box.left + box.width / 2, box.top + box.height / 2, "no series", size=13, fill=FAINT, anchor="middle")


def _stack(series: Sequence[PanelSeries]) -> list[tuple[PanelSeries, Sequence[Point], Sequence[Point]]]:
    """Return each series with its upper and its lower line."""
    base: dict[float, float] = {}
    layers: list[tuple[PanelSeries, Sequence[Point], Sequence[Point]]] = []
    for each in series:
        lower = [(time, base.get(time, 0.0)) for time, _ in each.points]
        upper = [(time, under + value) for (time, under), (_, value) in zip(lower, each.points, strict=True)]
        base.update(upper)
        layers.append((each, upper, lower))
    return layers


def _runs(points: Sequence[Point], gap: float) -> Iterator[list[Point]]:
    """Divide points where a gap is longer than `gap` seconds."""
    part: list[Point] = []
    for point in points:
        if part and point[0] - part[-1][0] > gap:
            yield part
            part = []
        part.append(point)
    if part:
        yield part


def _shape(plot: Plot, points: Sequence[Point], *, steps: bool) -> list[tuple[float, float]]:
    shape = [(plot.x(time), plot.y(value)) for time, value in points]
    if steps:
        corners = [corner for (_, y), (x, next_y) in pairwise(shape) for corner in ((x, y), (x, next_y))]
        return [shape[0], *corners]
    return shape


def _bands(points: Sequence[Point], evaluation: Evaluation) -> Iterator[tuple[float, float, float]]:
    """Yield start, end and value of each time without a change."""
    start, value = points[0]
    for time, now in points[1:]:
        if now != value:
            yield start, time, value
            start, value = time, now
    yield start, min(points[-1][0] + evaluation.step, evaluation.end), value


def _sampled(exemplars: Sequence[Point], evaluation: Evaluation) -> list[Point]:
    """Return at most 30 exemplars, the slowest of each part of the time range."""
    slowest: dict[int, Point] = {}
    for time, value in exemplars:
        part = int(30 * (time - evaluation.start) / (evaluation.end - evaluation.start))
        if evaluation.start <= time <= evaluation.end and value > slowest.get(part, (0.0, -1.0))[1]:
            slowest[part] = (time, value)
    return list(slowest.values())


def _colors(panel: Mapping[str, Any], names: Sequence[str]) -> dict[str, str]:
    """Return a color for each name: that of the JSON, else always the same one if another series does not have it."""
    fixed = {
        each["matcher"]["options"]: _paint(each["properties"][0]["value"]["fixedColor"])
        for each in panel["fieldConfig"].get("overrides", [])
    }
    chosen: dict[str, str] = {}
    for name in names:
        start = zlib.crc32(name.encode()) % len(PALETTE)
        order = [*PALETTE[start:], *PALETTE[:start]]
        used = {*chosen.values(), *fixed.values()}
        chosen[name] = fixed.get(name) or next((color for color in order if color not in used), order[0])
    return chosen


def _limit_color(defaults: Mapping[str, Any], value: float) -> str:
    reached = [step for step in defaults["thresholds"]["steps"] if step["value"] is None or value >= step["value"]]
    return _paint(reached[-1]["color"])


def _paint(color: str) -> str:
    return NAMED.get(color, color)
