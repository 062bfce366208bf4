"""Log output: one JSON object a line, or readable lines. Lines of libraries have the same form.

The fields `timestamp`, `level`, `service`, `event`, `logger` and `exception` are those of the shop's services. No log
line holds a Secret, a password or the body of a request.
"""

import logging
import os
import sys
import threading
from types import TracebackType
from typing import Any, Literal

import structlog

SERVICE = "topology-operator"


def configure(*, log_format: Literal["console", "json"], level: str) -> None:
    """Sets up structlog, the standard library's logging and the reports of uncaught errors for this process."""
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        _add_service,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    render: Any = structlog.processors.JSONRenderer(sort_keys=True)
    if log_format == "console":
        render = structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty() and not os.environ.get("NO_COLOR"))
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    processors = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, render]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared], processors=processors
        )
    )
    logging.root.handlers[:] = [handler]
    # At INFO kopf logs every handler call, which the operator's own events already cover. Only DEBUG shows them.
    logging.root.setLevel(max(number, logging.WARNING) if number > logging.DEBUG else number)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda hook: _log_uncaught(hook.exc_type, hook.exc_value, hook.exc_traceback)


def _add_service(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
    return {"service": SERVICE, **event}


def _log_uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    structlog.get_logger().critical("uncaught error", exc_info=(kind, error or kind(), trace))
