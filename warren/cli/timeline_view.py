"""Lays out the timeline of an order as text: a line for each activity, on a wide screen with a bar of its time."""

from collections.abc import Sequence
from datetime import datetime

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from services.shared.chassis.text import printable
from warren.cli.timeline import Activity, OrderTimeline

MIN_BAR = 12  # characters; a narrower bar is left out
MAX_BAR = 60
MIN_WHAT = 24
GAP = "  "
STYLES = {
    "retried": "yellow",
    "parked": "red",
    "failed": "red",
    "replayed": "cyan",
    "released": "yellow",
    "repeated": "dim",
}
OUTCOMES = {
    "replayed": "put back from the parking lot",
    "released": "given back for another process",
    "repeated": "known to the inbox, no effect",
}
ARROWS = {"publish": "→ ", "event": "→ ", "process": "", "request": "", "call": "· ", "internal": "· ", "other": "· "}


def render(timeline: OrderTimeline, width: int, *, bars: bool) -> Text:
    """Return the lines of all activities, and of the steps. `width` is that of the screen, in characters."""
    text = Text(no_wrap=True)
    _activities(text, timeline, width, bars=bars)
    if timeline.steps:
        text.append("\n")
        _steps(text, timeline)
    text.rstrip()
    return text


def _activities(text: Text, timeline: OrderTimeline, width: int, *, bars: bool) -> None:
    start, total = timeline.start, (timeline.end - timeline.start).total_seconds()
    rows = [_cells(each, start) for each in timeline.activities]
    heading = ["after", "process", "what", "waited", "took"]
    if not any(row[3] or row[4] for row in rows):  # events alone
        heading, rows, bars = heading[:3], [row[:3] for row in rows], False
    widths = [max(cell_len(row[column]) for row in [heading, *rows]) for column in range(len(heading))]
    fixed = sum(widths) - widths[2] + len(GAP) * (len(widths) - 1)
    longest = widths[2]
    widths[2] = min(longest, max(MIN_WHAT, width - fixed))
    bar = min(width - fixed - longest - len(GAP), MAX_BAR) if bars else 0
    if bars and bar < MIN_BAR <= width - fixed - MIN_WHAT - len(GAP):
        bar = MIN_BAR
        widths[2] = width - fixed - bar - len(GAP)
    text.append(_line(heading, widths) + "\n", "dim")
    for activity, row in zip(timeline.activities, rows, strict=True):
        style = STYLES.get(activity.outcome or "", "dim" if activity.kind in {"publish", "event"} else "")
        line = _line(row, widths)
        text.append(line if bar >= MIN_BAR else line.rstrip(), style)
        if bar >= MIN_BAR:
            waited, worked = _bar(activity, start, total, bar)
            text.append(GAP + waited, "dim")
            text.append(worked, style if activity.outcome else "cyan")
        text.append("\n")
        if remark := _remark(activity):
            text.append(" " * (widths[0] + widths[1] + 2 * len(GAP) + 2) + remark + "\n", style or "yellow")


def _cells(activity: Activity, start: datetime) -> list[str]:
    arrow = ("  " if activity.inner else "") + ARROWS[activity.kind]
    detail = f" ({activity.detail})" if activity.detail else ""
    return [
        seconds((activity.at - start).total_seconds()),
        printable(activity.service),
        arrow + printable(activity.what + detail),
        "" if activity.waited is None else seconds(activity.waited),
        "" if activity.took is None else seconds(activity.took),
    ]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Align the times to the right, and cut what is too long."""
    shown = []
    for column, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        if column in {1, 2}:
            shown.append(
                set_cell_size(cell if cell_len(cell) <= width else set_cell_size(cell, width - 1) + "…", width)
            )
        else:
            shown.append(cell.rjust(width))
    return GAP.join(shown)


def _bar(activity: Activity, start: datetime, total: float, width: int) -> tuple[str, str]:
    """Return the parts of the bar: up to the end of the wait, and the work."""

    def column(at: float) -> int:
        return min(round(at / total * width) if total else 0, width - 1)

    begin = (activity.at - start).total_seconds()
    first = column(begin)
    last = max(column(begin + (activity.took or 0)), first)
    waiting = min(column(max(begin - (activity.waited or 0), 0)), first)
    return " " * waiting + "─" * (first - waiting), "█" * (last - first + 1)


def _remark(activity: Activity) -> str:
    text = OUTCOMES.get(activity.outcome or "", activity.outcome or "")
    if activity.reason:
        text += f": {printable(activity.reason)}"
    attempt = f"attempt {activity.attempt}" if activity.attempt > 1 or activity.outcome == "retried" else ""
    return ", ".join(part for part in (attempt, text) if part)


def _steps(text: Text, timeline: OrderTimeline) -> None:
    rows = [("state", "after", "took", "of it in queues")]
    for step in timeline.steps:
        after = seconds((step.at - timeline.start).total_seconds())
        took = seconds(step.took) if step is not timeline.steps[0] else ""
        rows.append((step.state, after, took, "" if step.queued is None or not took else seconds(step.queued)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, (state, *times) in enumerate(rows):
        cells = [state.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(times, widths[1:], strict=True))]
        text.append(GAP.join(cells).rstrip() + "\n", "" if number else "dim")


def seconds(value: float) -> str:
    """Return a time with three digits: 0.4 ms, 12 ms, 1.25 s, 83 s, 12 m."""
    if value < 0.00995:
        return f"{value * 1000:.1f} ms"
    if value < 0.9995:
        return f"{value * 1000:.0f} ms"
    if value < 9.995:
        return f"{value:.2f} s"
    if value < 99.95:
        return f"{value:.1f} s"
    return f"{value:.0f} s" if value < 600 else f"{value / 60:.0f} m"
