"""Logs: one JSON object a line for machines, one readable line for people, with the same fields. Lines of libraries
have the same form.

No body of a message or request is logged. Texts of errors may quote values: `log_redaction` hides private ones.
"""

import logging
import os
import sys
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Literal, TextIO

import structlog
from opentelemetry.trace import format_trace_id, get_current_span

from services.shared.chassis.log_lines import LineRenderer
from services.shared.chassis.log_redaction import hide_private_values

LogFormat = Literal["console", "json"]


def configure(service: str, *, log_format: LogFormat, level: str) -> None:
    """Configure structlog, the standard library's logging and the reports of uncaught errors for this process.

    Libraries log from WARNING on at every level: below that, some log what they send and receive.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    render: Any = structlog.processors.JSONRenderer()
    if log_format == "console":
        render = LineRenderer(colours=has_colours(sys.stdout, os.environ))

    def complete(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
        found = {key: value for key, value in event.items() if value is not None}
        found["service"] = service
        if "trace_id" not in found and (span := get_current_span().get_span_context()).is_valid:
            found["trace_id"] = format_trace_id(span.trace_id)
        return found

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        complete,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        hide_private_values,
    ]
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    own = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, render]
    names = [structlog.stdlib.add_logger_name, *shared]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=names, processors=own))
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(max(number, logging.WARNING))
    logging.captureWarnings(capture=True)
    # aiormq reports each lost connection with a stack trace; the messaging library logs one line for it.
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda hook: _log_uncaught(hook.exc_type, hook.exc_value, hook.exc_traceback)
    sys.unraisablehook = lambda hook: _log_uncaught(hook.exc_type, hook.exc_value, hook.exc_traceback)


def requested_format(environ: Mapping[str, str]) -> LogFormat:
    """The format for errors that occur before the settings are read: these may be the error."""
    return "json" if environ.get("WARREN_LOG_FORMAT") == "json" else "console"


def has_colours(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether lines are coloured: on a terminal, unless NO_COLOR is set (https://no-color.org)."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def _log_uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    structlog.get_logger().critical("uncaught error", exc_info=(kind, error or kind(), trace))
