"""Log lines for people."""

from typing import Any

from services.shared.chassis.text import printable

_RESET, _BOLD, _DIM, _CYAN = "\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[36m"
_LEVEL_COLOURS = {"warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[1;31m"}
_QUIET_LEVELS = frozenset({"info", "debug"})


class LineRenderer:
    """The last processor of structlog: makes one line of the fields of a log event, and the stack trace below it.

        12:00:00.123 inventory    delivery processed order.created -> inventory.reserved  reference=A-1 ms=3.1

    Field names are those of the JSON form. Values can come from messages: unprintable characters are escaped, so no
    value can control a terminal or forge a line.
    """

    def __init__(self, *, colours: bool) -> None:
        self._colours = colours

    def __call__(self, _: Any, __: str, event: dict[str, Any]) -> str:
        stamp, level, service = event.pop("timestamp")[11:23], event.pop("level"), event.pop("service", "")
        text, trace = printable(event.pop("event")), event.pop("exception", "")
        kind, announced = event.pop("event_type", None), event.pop("announced", None)
        subject = f" {printable(kind)}" if kind else ""
        subject += f" -> {printable(announced)}" if announced else ""
        mark = "" if level in _QUIET_LEVELS else f"{level.upper()} "
        fields = [(key, printable(value)) for key, value in event.items() if value is not None]
        below = "\n" + printable(trace, keep="\n") if trace else ""
        if not self._colours:
            rest = "".join(f" {key}={value}" for key, value in fields)
            return f"{stamp} {service:<12} {mark}{text}{subject} {rest}".rstrip() + below
        rest = "".join(f" {_CYAN}{key}{_RESET}={value}" for key, value in fields)
        strong = _LEVEL_COLOURS.get(level, _DIM if level == "debug" else _BOLD)
        return f"{_DIM}{stamp}{_RESET} {service:<12} {strong}{mark}{text}{_RESET}{subject} {rest}{below}"
