"""Logs: readable lines for people, JSON for machines. Messages and bodies are never logged."""

import logging
import sys
from typing import Any, Literal

import structlog

from services.shared.chassis.text import printable


def configure(service: str, *, log_format: Literal["console", "json"], level: str) -> None:
    """Configure structlog and the standard library's logging for this process."""
    number = logging.getLevelNamesMapping()[level.upper()]
    render: Any = _line if log_format == "console" else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S.%f" if log_format == "console" else "iso", utc=True),
            structlog.processors.format_exc_info,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    # Libraries log through the standard library. aiormq reports each lost connection with a stack trace; the messaging
    # library logs one line for it.
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Formatter("%(asctime)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)
    structlog.contextvars.bind_contextvars(service=service)


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record), keep="\n\t")


def _line(_: Any, __: str, event: dict[str, Any]) -> str:
    """12:00:00.123 inventory    delivery processed order.created -> inventory.reserved  subject=123 ms=3.1

    Values can come from messages: unprintable characters are escaped, so no value can control a terminal or forge a
    line.
    """
    stamp, level, service = event.pop("timestamp")[:12], event.pop("level"), event.pop("service", "")
    text, trace = event.pop("event"), event.pop("exception", "")
    kind, announced = event.pop("event_type", None), event.pop("announced", None)
    subject = f" {printable(kind)}" if kind else ""
    subject += f" -> {printable(announced)}" if announced else ""
    mark = "" if level in {"info", "debug"} else f"{level.upper()} "
    rest = "".join(f" {key}={printable(value)}" for key, value in event.items() if value is not None)
    below = "\n" + printable(trace, keep="\n") if trace else ""
    return f"{stamp} {service:<12} {mark}{printable(text)}{subject} {rest}".rstrip() + below
