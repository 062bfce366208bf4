"""Log output: one JSON object a line, or readable lines. Lines of kopf have the same form.

No log line holds a Secret, a password or the body of a request.
"""

import logging
import sys
from typing import Any, Literal

import structlog

SERVICE = "topology-operator"


def configure(*, log_format: Literal["console", "json"], level: str) -> None:
    """Sets up structlog and the standard library's logging for this process."""
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    render: Any = structlog.processors.JSONRenderer(sort_keys=True)
    if log_format == "console":
        render = structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    processors = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, render]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=processors))
    logging.root.handlers[:] = [handler]
    # At INFO kopf logs every handler call, which the operator's own events already cover. Only DEBUG shows them.
    logging.root.setLevel(max(number, logging.WARNING) if number > logging.DEBUG else number)
    structlog.contextvars.bind_contextvars(service=SERVICE)
