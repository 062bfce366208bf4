"""Draws a dashboard as SVG from its own JSON and a Prometheus. It is no screenshot of Grafana, and says so."""

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

from devtools.dashboards.evaluation import Evaluation, PanelSeries
from devtools.dashboards.graphs import draw_bars, draw_graph, draw_number, draw_states
from devtools.dashboards.svg import Box, Drawing

WIDTH, MARGIN, GAP = 1600.0, 16.0, 8.0
CELL_HEIGHT = 34.0
HEAD, ROW_HEIGHT = 84.0, 34.0
CANVAS, PANEL, BORDER, INK, FAINT = "#f2f4f7", "#ffffff", "#dfe3e8", "#1f2733", "#6b7684"
DRAW = {"timeseries": draw_graph, "stat": draw_number, "bargauge": draw_bars, "state-timeline": draw_states}


def picture(evaluation: Evaluation, caption: str) -> tuple[str, list[str]]:
    """Return the SVG, and the titles of panels without data. `caption` says what the data is. Raises ClientError."""
    board = evaluation.board
    rows = {panel["gridPos"]["y"]: panel for panel in board["panels"] if panel["type"] == "row"}
    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"])
    height = HEAD + _offset(bottom, list(rows)) + MARGIN
    drawing = Drawing(WIDTH, height, CANVAS)
    _head(drawing, evaluation, caption)
    empty = []
    for panel in board["panels"]:
        box = _place(panel, list(rows))
        if panel["type"] == "row":
            drawing.text(box.left, box.top + 23, panel["title"], size=15, weight=600, fill=INK)
            continue
        series = evaluation.series(panel)
        if not any(each.points for each in series):
            empty.append(panel["title"])
        _panel(drawing, box, panel, series, evaluation)
    return drawing.render(), empty


def _head(drawing: Drawing, evaluation: Evaluation, caption: str) -> None:
    start, end = (datetime.fromtimestamp(time, UTC) for time in (evaluation.start, evaluation.end))
    chosen = f"namespace {evaluation.variables.get('namespace', '')}, {start:%Y-%m-%d %H:%M:%S} to {end:%H:%M:%S} UTC"
    drawing.text(MARGIN, 34, evaluation.board["title"], size=22, weight=600, fill=INK)
    drawing.text(WIDTH - MARGIN, 34, chosen, size=13, fill=FAINT, anchor="end")
    drawing.text(MARGIN, 60, caption, size=13, fill=FAINT)
    note = "Drawn by Warren's own renderer, not a screenshot of Grafana"
    drawing.text(WIDTH - MARGIN, 60, note, size=13, fill=FAINT, anchor="end")


def _panel(
    drawing: Drawing, box: Box, panel: dict[str, Any], series: Sequence[PanelSeries], evaluation: Evaluation
) -> None:
    drawing.rectangle(box, fill=PANEL, stroke=BORDER, radius=3)
    drawing.text(box.left + 10, box.top + 20, panel["title"], size=13, weight=600, fill=INK, width=box.width - 20)
    inner = Box(box.left + 10, box.top + 30, box.width - 20, box.height - 38)
    drawing.open_group(escape(panel["title"]))
    DRAW[panel["type"]](drawing, inner, panel, [each for each in series if each.points], evaluation)
    drawing.close_group()


def _place(panel: dict[str, Any], rows: Sequence[int]) -> Box:
    grid = panel["gridPos"]
    cell = (WIDTH - 2 * MARGIN + GAP) / 24
    top = HEAD + _offset(grid["y"], rows)
    height = ROW_HEIGHT if panel["type"] == "row" else grid["h"] * CELL_HEIGHT - GAP
    return Box(MARGIN + grid["x"] * cell, top, grid["w"] * cell - GAP, height)


def _offset(y: int, rows: Sequence[int]) -> float:
    """Pixels above the grid's line `y`; a row's title is lower than the cells of panels."""
    above = sum(row < y for row in rows)
    return above * ROW_HEIGHT + (y - above) * CELL_HEIGHT
