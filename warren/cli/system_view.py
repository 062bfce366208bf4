"""Lays out the figures of the running system for a screen of any size."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from services.shared.chassis.text import printable
from warren.cli.screen import duration
from warren.cli.system_figures import Figure, OrderFigures, ProcessFigures, QueueFigures, SystemFigures

UNKNOWN = "?"
LEVELS = "▁▂▃▄▅▆▇█"
GAP = 2
OLD_OUTBOX = 10.0  # seconds; an event is normally published at once


class Cell(NamedTuple):
    """A cell of a table; `style` is one of rich."""

    text: str
    style: str = ""


Row = Sequence[Cell]
QUEUE_HEADING = ("queue", "ready", "unacked", "trend", "in/s", "out/s", "cons.", "retry", "parked")
PROCESS_HEADING = ("process", "up", "sent/s", "done/s", "failed/s", "busy", "outbox", "oldest", "sched.")
COLUMNS_BY_IMPORTANCE = (
    ("cons.", "unacked", "in/s", "trend"),
    ("sched.", "busy", "sent/s", "up"),
)
"""The columns of each table that a narrow screen loses, the first one first."""


def render_system(figures: SystemFigures, width: int, height: int | None = None, *, title: str = "") -> Text:
    """Return the screen, at most `width` characters wide and `height` lines long; None does not limit the lines.

    A low screen loses the blank lines, then the last processes.
    """
    head = [_title(figures, width, title), *_orders(figures, width)]
    queues = _table(QUEUE_HEADING, [_queue(each) for each in figures.queues], width, COLUMNS_BY_IMPORTANCE[0])
    processes = _table(PROCESS_HEADING, [_process(each) for each in figures.processes], width, COLUMNS_BY_IMPORTANCE[1])
    remarks = _remarks(figures, width)
    blocks = [head, queues + ([remarks[0]] if figures.unrouted else []), processes, remarks[bool(figures.unrouted) :]]
    lines = _join(blocks, Text(""))
    if height is not None and len(lines) > height:
        missing = sum(map(len, blocks)) - height
        if missing > 0:
            hidden = min(missing + 1, len(processes) - 1)
            blocks[2] = [*processes[: len(processes) - hidden], Text(f"… and {hidden} more processes", style="dim")]
        lines = _join(blocks, None)[:height]
    return Text("\n").join(lines)


def _title(figures: SystemFigures, width: int, title: str) -> Text:
    at = datetime.fromtimestamp(figures.at, UTC).astimezone()
    text = Text("warren top", style="bold", no_wrap=True)
    text.append(f"  {at:%H:%M:%S}  {printable(title)}".rstrip(), "not bold dim")
    text.truncate(width, overflow="ellipsis")
    return text


def _orders(figures: SystemFigures, width: int) -> list[Text]:
    rates = [("accepted", figures.accepted), ("completed", figures.completed), ("cancelled", figures.cancelled)]
    first = Text("orders  ", no_wrap=True)
    first.append("  ".join(f"{name} {_rate(value)}/s" for name, value in rates))
    states = _states(figures.orders)
    if states.cell_len > width:
        states = _states([each for each in figures.orders if each.count != 0])
    for line in (first, states):
        line.truncate(width, overflow="ellipsis")
    return [first, states]


def _states(orders: Sequence[OrderFigures]) -> Text:
    text = Text("        ", no_wrap=True)
    for each in orders:
        oldest = f" ({duration(each.oldest)})" if each.count and each.oldest is not None else ""
        text.append(f"{each.state} ", "dim" if not each.count else "")
        text.append(f"{_count(each.count)}{oldest}  ", "bold" if each.count else "dim")
    text.rstrip()
    return text


def _queue(each: QueueFigures) -> Row:
    return [
        Cell(each.queue),
        Cell(_count(each.ready), "yellow" if each.ready and not each.consumers else ""),
        Cell(_count(each.unacked)),
        Cell(sparkline(each.trend), "cyan"),
        Cell(_rate(each.arriving)),
        Cell(_rate(each.processed)),
        Cell(_count(each.consumers), "red" if each.consumers == 0 else ""),
        Cell(_count(each.retrying), "yellow" if each.retrying else ""),
        Cell(_count(each.parked), "red" if each.parked else ""),
    ]


def _process(each: ProcessFigures) -> Row:
    up = _count(each.up) if not each.down else f"{_count(each.up)} of {_count((each.up or 0) + each.down)}"
    old = each.outbox_age is not None and each.outbox_age > OLD_OUTBOX and bool(each.outbox)
    return [
        Cell(each.process),
        Cell(up, "red" if each.down else ""),
        Cell(_rate(each.published)),
        Cell(_rate(each.processed)),
        Cell(_rate(each.failed), "yellow" if each.failed else ""),
        Cell("" if each.in_progress is None and each.up and not each.down else _count(each.in_progress)),
        Cell(_count(each.outbox), "yellow" if old else ""),
        Cell(
            UNKNOWN if each.outbox_age is None else duration(each.outbox_age) if each.outbox else "",
            "yellow" if old else "",
        ),
        Cell(_count(each.scheduled)),
    ]


def _remarks(figures: SystemFigures, width: int) -> list[Text]:
    found = []
    if figures.unrouted:
        found.append(Text(f"unrouted.queue has {_count(figures.unrouted)} events that no queue took", style="red"))
    if not any(each.up or each.down for each in figures.processes):
        found.append(Text("Prometheus has no figures of any process: is the namespace right?", style="red"))
    closed = [each for each in figures.breakers if each.state == "closed"]
    others = [f"{each.breaker} of {each.process}: {each.state}" for each in figures.breakers if each not in closed]
    breakers = Text("circuit breakers  ", no_wrap=True)
    breakers.append("  ".join(map(printable, others)), "red")
    breakers.append(f"{'  ' if others else ''}{len(closed)} closed" if figures.breakers else UNKNOWN, "dim")
    found.append(breakers)
    if figures.down:
        found.append(Text(f"no answer from  {printable(', '.join(figures.down))}", style="red", no_wrap=True))
    if figures.alerts:
        alerts = ", ".join(f"{each.name} ({each.severity})" for each in figures.alerts)
        found.append(Text(f"alerts  {printable(alerts)}", style="red", no_wrap=True))
    for line in found:
        line.truncate(width, overflow="ellipsis")
    return found


def _table(heading: Sequence[str], rows: Sequence[Row], width: int, optional: Sequence[str]) -> list[Text]:
    """Align all columns but the first to the right. A narrow screen loses columns, then the end of the first."""
    columns = list(zip([Cell(name, "dim") for name in heading], *rows, strict=True))
    widths = {name: max(cell_len(cell.text) for cell in column) for name, column in zip(heading, columns, strict=True)}
    for name in optional:
        if sum(widths.values()) + GAP * (len(widths) - 1) <= width:
            break
        del widths[name]
    others = sum(widths.values()) - widths[heading[0]] + GAP * (len(widths) - 1)
    widths[heading[0]] = max(min(widths[heading[0]], width - others), 1)
    lines = []
    for cells in zip(*columns, strict=True):
        line = Text(no_wrap=True)
        for name, cell in zip(heading, cells, strict=True):
            if name == heading[0]:
                line.append(set_cell_size(printable(cell.text), widths[name]), cell.style)
            elif name in widths:
                line.append(" " * (GAP + widths[name] - cell_len(cell.text)) + cell.text, cell.style)
        line.truncate(width)
        lines.append(line)
    return lines


def _join(blocks: Sequence[Sequence[Text]], between: Text | None) -> list[Text]:
    lines: list[Text] = []
    for block in blocks:
        if lines and block and between is not None:
            lines.append(between)
        lines += block
    return lines


def sparkline(values: Sequence[float]) -> str:
    """Return a bar for each value, relative to the largest, which is at least 8: a few messages are no peak."""
    largest = max([*values, 8.0])
    return "".join(LEVELS[round(max(value, 0.0) / largest * (len(LEVELS) - 1))] for value in values)


def _count(value: Figure) -> str:
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}" if value < 99_999.5 else f"{value / 1000:,.0f}k"


def _rate(value: Figure) -> str:
    if value is None:
        return UNKNOWN
    return f"{value:.1f}" if value < 99.95 else f"{value:,.0f}"
