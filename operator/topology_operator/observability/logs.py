"""Logs: one JSON object a line for machines, readable lines for people. kopf's own lines come in the same form.

Nothing here or below logs a Secret, a password or a body of a request.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal

import structlog

SERVICE = "topology-operator"


def configure(*, log_format: Literal["console", "json"], level: str) -> None:
    """Set up structlog and the standard library's logging for this process."""
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    colours = sys.stdout.isatty()
    render: Any = (
        structlog.dev.ConsoleRenderer(colors=colours)
        if log_format == "console"
        else structlog.processors.JSONRenderer(sort_keys=True)
    )
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    logging.root.handlers[:] = [handler]
    # kopf tells every step of its own at INFO; what happened to a resource is told here.
    logging.root.setLevel(max(number, logging.WARNING) if number > logging.DEBUG else number)
    structlog.contextvars.bind_contextvars(service=SERVICE)
