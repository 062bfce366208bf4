"""The registry of services agrees with the processes that the services build."""

import runpy
import sys
from typing import Any

import msgspec
import pytest

from services.registry import HTTP_PROCESSES, PROCESSES, SERVICES
from services.shared.chassis import process as chassis
from services.shared.chassis.process import ServiceProcess
from services.shared.chassis.settings import ENV_PREFIX
from warren_messaging.settings import ServiceSettings, load_settings

SETTINGS = {
    "WARREN_BROKER_URL": "amqps://localhost/orders",
    "WARREN_DATABASE_URL": "postgresql://x@localhost/warren",
    "WARREN_AUTH": "local",
    "WARREN_SMTP_HOST": "localhost",
    "WARREN_SMS_URL": "http://localhost:25",
}
ENTRIES = {f"services.{each.name}": each for each in SERVICES}


def built(process: str, monkeypatch: pytest.MonkeyPatch) -> ServiceProcess:
    """Run the module of a process with the smallest settings up to the point where it would start."""
    module, *arguments = PROCESSES[process]
    found: list[ServiceProcess] = []

    def main(build: Any, kind: type[ServiceSettings], service: str) -> None:
        required = [field.name for field in msgspec.structs.fields(kind) if field.required]
        environment = {f"{ENV_PREFIX}{name.upper()}": "25" for name in required} | SETTINGS
        found.append(build(load_settings(kind, ENV_PREFIX, environment)))

    monkeypatch.setattr(chassis, "main", main)
    monkeypatch.setattr(sys, "argv", [module, *arguments])
    runpy.run_module(module, run_name="__main__")
    return found[0]


@pytest.mark.parametrize("name", PROCESSES)
def test_a_process_is_what_its_registry_entry_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = ENTRIES[PROCESSES[name][0]]
    process = built(name, monkeypatch)
    assert process.name == entry.name
    assert {consumer.queue for consumer in process.consumers} <= {f"{entry.name}.queue"}
    assert (process.http is not None) == (name in HTTP_PROCESSES)
    assert entry.publishes_to in {None, process.exchange}
