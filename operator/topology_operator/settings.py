"""Settings from the environment, read once at the start."""

import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta

from topology_operator.errors import SettingsError

PREFIX = "TOPOLOGY_OPERATOR_"

Port = Annotated[int, Meta(ge=0, le=65535)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]


class TopologyOperatorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The field `log_level` is read from TOPOLOGY_OPERATOR_LOG_LEVEL."""

    namespaces: str = ""
    """The namespaces to serve, separated by commas; empty for the whole cluster."""
    metrics_host: str = "0.0.0.0"  # noqa: S104 - probes and scrapes come from outside the pod
    metrics_port: Port = 9464
    """The port of /metrics, /livez and /readyz. 0 takes any free port."""
    log_format: Literal["console", "json"] = "json"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    concurrency: Annotated[int, Meta(ge=1, le=100)] = 4
    """How many Topologies are reconciled at the same time."""
    retry_seconds: Seconds = 2.0
    """The wait after the first failure of a Topology; it doubles up to `retry_max_seconds`."""
    retry_max_seconds: Seconds = 120.0
    quiet_seconds: Seconds = 12.0
    """How long a queue must be empty before it is deleted. The broker's counts are up to two
    `quorum_tick_interval` (5 s) late, so a shorter time may lose messages."""
    broker_startup_seconds: Annotated[float, Meta(ge=0, le=86_400)] = 600.0
    """How long the broker of a new Topology may take to start. Until then, and until the Topology was Ready once,
    failures that a retry may cure are events of type Normal."""
    cleanup_timeout_seconds: Seconds = 300.0
    """How long the deletion of a Topology waits for an unavailable broker."""

    @property
    def served_namespaces(self) -> tuple[str, ...]:
        """Empty for all namespaces."""
        return tuple(name for name in (part.strip() for part in self.namespaces.split(",")) if name)


def read(environment: Mapping[str, str] = os.environ) -> TopologyOperatorSettings:
    """Raises `SettingsError`, which names every wrong variable.

    Unknown variables with the prefix are ignored: Kubernetes sets TOPOLOGY_OPERATOR_PORT and similar ones if a Service
    is called topology-operator.
    """
    values: dict[str, Any] = {}
    mistakes: list[str] = []
    for field in msgspec.structs.fields(TopologyOperatorSettings):
        name = PREFIX + field.name.upper()
        if name not in environment:
            continue
        try:
            values[field.name] = msgspec.convert(environment[name], field.type, strict=False)
        except msgspec.ValidationError as exc:
            problem = f"not one of {', '.join(get_args(field.type))}" if get_origin(field.type) is Literal else str(exc)
            mistakes.append(f"{name}={environment[name]!r}: {problem}")
    if mistakes:
        raise SettingsError("settings: " + "; ".join(mistakes))
    return TopologyOperatorSettings(**values)
