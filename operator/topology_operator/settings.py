"""Settings from the environment, read once when the process starts; all mistakes are reported together."""

from __future__ import annotations

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
    """A field `log_level` is read from TOPOLOGY_OPERATOR_LOG_LEVEL."""

    namespaces: str = ""
    """Which namespaces to serve, separated by commas; empty for the whole cluster."""
    metrics_host: str = "0.0.0.0"  # noqa: S104 - probes and scrapes come from outside the pod
    metrics_port: Port = 9464
    """Where /metrics, /livez and /readyz are answered. 0 takes any free port."""
    log_format: Literal["console", "json"] = "json"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    concurrency: Annotated[int, Meta(ge=1, le=100)] = 4
    """How many resources are worked on at the same time."""
    retry_seconds: Seconds = 2.0
    """The wait after the first failure of a resource; it doubles up to `retry_max_seconds`."""
    retry_max_seconds: Seconds = 120.0
    quiet_seconds: Seconds = 12.0
    """How long a queue has to be without messages until that is believed and it is deleted: a little more than twice
    the broker's `quorum_tick_interval` (5 s), as its counts are that late. Less may cost messages."""
    startup_seconds: Annotated[float, Meta(ge=0, le=86_400)] = 600.0
    """How long after its creation a resource may wait for a broker that starts: until then, and until it was Ready
    once, failures that another try may cure are events of type Normal."""
    release_seconds: Seconds = 300.0
    """How long the deletion of a resource waits for a broker that does not let it clean up, before it lets go."""

    @property
    def served(self) -> tuple[str, ...]:
        """The namespaces, none for all of them."""
        return tuple(name for name in (part.strip() for part in self.namespaces.split(",")) if name)


def read(environment: Mapping[str, str] = os.environ) -> TopologyOperatorSettings:
    """Raises `SettingsError` that names every variable that is wrong.

    Unknown ones with the prefix are left alone: Kubernetes itself sets TOPOLOGY_OPERATOR_PORT and the like, where a
    Service is called topology-operator.
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
            wanted = f"not one of {', '.join(get_args(field.type))}" if get_origin(field.type) is Literal else str(exc)
            mistakes.append(f"{name}={environment[name]!r}: {wanted}")
    if mistakes:
        raise SettingsError("settings: " + "; ".join(mistakes))
    return TopologyOperatorSettings(**values)
