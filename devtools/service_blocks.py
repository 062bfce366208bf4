"""Writes the blocks of other files that list services: `make services`.

A container in compose.yaml follows from its component in charts/warren/values.yaml; `x-services` there adds settings,
networks and ports that only Docker Compose needs. Everything else follows from services/registry.py.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from services.migrate import SCHEMAS
from services.registry import PROCESSES, SERVICE_NAMES

ROOT = Path(__file__).resolve().parents[1]
COMPOSE = ROOT / "compose.yaml"
SECRETS = ROOT / "devtools" / "compose" / "secrets.yaml"
VALUES = ROOT / "charts" / "warren" / "values.yaml"
PROMETHEUS = ROOT / "devtools" / "compose" / "prometheus.yaml"
KUSTOMIZATION = ROOT / "charts" / "warren" / "topology" / "kustomization.yaml"
AUTOSCALING = [ROOT / "charts" / "warren" / "ci" / f"{mode}-values.yaml" for mode in ("keda", "hpa")]

DATABASE = [f"{schema}-postgres" for schema in SCHEMAS]
BROKER = [f"{service}-rabbitmq" for service in SERVICE_NAMES]


def renewed() -> Mapping[Path, str]:
    """Each file with its new text."""
    passwords = (f"  {schema}-postgres: {{username: {schema}}}" for schema in SCHEMAS)
    topologies = (f"  - {service}.yaml" for service in sorted(SERVICE_NAMES))
    autoscaled = [f"  {process}: {{autoscaling: {{enabled: true}}}}" for process in PROCESSES]
    return {
        COMPOSE: _compose(),
        SECRETS: _renew(SECRETS.read_text(), "database roles", passwords),
        PROMETHEUS: _renew(PROMETHEUS.read_text(), "processes", (f"          - {process}" for process in PROCESSES)),
        KUSTOMIZATION: _renew(KUSTOMIZATION.read_text(), "services", topologies),
        **{file: _renew(file.read_text(), "components", autoscaled) for file in AUTOSCALING},
    }


def _compose() -> str:
    text = COMPOSE.read_text()
    components: Mapping[str, Any] = yaml.safe_load(VALUES.read_text())["components"]
    if missing := PROCESSES.keys() - components.keys():
        raise ValueError(f"{VALUES} lacks the component {', '.join(sorted(missing))} of services/registry.py")
    additions: Mapping[str, Any] = yaml.safe_load(text)["x-services"]
    containers = (
        line for process in PROCESSES for line in _container(process, components[process], additions.get(process, {}))
    )
    blocks = {
        "all service secrets": (f"      - {name}:/secrets/{name}" for name in (*DATABASE, *BROKER)),
        "database secrets": (f"      - {name}:/secrets/{name}:ro" for name in DATABASE),
        "broker secrets": (f"      - {name}:/secrets/{name}" for name in BROKER),
        "services": containers,
        "volumes": (f"  {name}:" for name in (*DATABASE, *BROKER)),
    }
    for name, lines in blocks.items():
        text = _renew(text, name, lines)
    return text


def _renew(text: str, name: str, lines: Iterable[str]) -> str:
    block = re.compile(rf"(^ *# begin: {name}\b[^\n]*\n).*?(^ *# end: {name}$)", re.MULTILINE | re.DOTALL)
    body = "".join(f"{line}\n" for line in lines)
    renewed, count = block.subn(lambda found: found[1] + body + found[2], text)
    if count != 1:
        raise ValueError(f"{count} blocks '# begin: {name}' instead of one")
    return renewed


def _container(process: str, component: Mapping[str, Any], addition: Mapping[str, Any]) -> list[str]:
    service = component["service"]
    settings = {"WARREN_DATABASE_URL": f"postgresql://{service}@postgres:5432/warren"}
    settings |= component.get("environment", {}) | addition.get("environment", {})
    mounts = {"trust": "trust", f"{service}-postgres": "database", f"{service}-rabbitmq": "broker"}
    mounts |= {secret: folder for folder, secret in component.get("secrets", {}).items()}
    mounts |= {"token-key": "token"} if component.get("http") else {}
    first = next(name for name, (module, *_) in PROCESSES.items() if module == f"services.{service}")
    return [
        f"  {process}:",
        "    <<: *service",
        f"    image: ${{WARREN_IMAGES:-warren}}/{service}:${{WARREN_TAG:-dev}}",
        *([f"    build: {{context: ., target: service, args: {{SERVICE: {service}}}}}"] if process == first else []),
        *([f"    command: {json.dumps(component['arguments'])}"] if "arguments" in component else []),
        *(f"    {key}: {json.dumps(addition[key])}" for key in ("networks", "ports") if key in addition),
        "    environment:",
        "      <<: *settings",
        *(f"      {name}: {json.dumps(value)}" for name, value in settings.items()),
        "    volumes:",
        *(f"      - {secret}:/run/warren/{folder}:ro" for secret, folder in mounts.items()),
        "",
    ]


if __name__ == "__main__":
    for file, text in renewed().items():
        file.write_text(text)
