"""The files in charts/warren/dashboards are those of the code, and Grafana can read them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from devtools.dashboards.registry import BOARDS, FOLDER, rendered

UIDS = {
    "shop": "warren-shop",
    "messaging": "warren-messaging",
    "services": "warren-services",
    "broker": "warren-broker",
    "database": "warren-database",
    "operator": "warren-operator",
}
"""Bookmarks, links and alerts name them: a change breaks those of every installation."""


def test_the_files_are_up_to_date() -> None:
    files = rendered()
    assert sorted(FOLDER.glob("*.json")) == sorted(files), "run `make dashboards`"
    for file, text in files.items():
        assert file.read_text() == text, f"{file.name} is out of date: run `make dashboards`"


def test_rendering_is_deterministic() -> None:
    assert rendered() == rendered()


def test_uids_are_stable() -> None:
    assert {name: board().uid for name, board in BOARDS.items()} == UIDS


@pytest.mark.parametrize("name", BOARDS)
def test_grafanas_models_know_every_field(name: str) -> None:
    # The models are made from Grafana's schema. They drop fields that it does not have.
    register_default_plugins()
    content: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    read = json.loads(json.dumps(Dashboard.from_json(content), cls=JSONEncoder))
    assert list(_lost(content, read, name)) == []


def _lost(written: Any, read: Any, path: str) -> Iterator[str]:
    """Yield the path of each value that differs after reading; values that the models add are their defaults."""
    if isinstance(written, dict) and isinstance(read, dict):
        for key, value in written.items():
            yield from _lost(value, read.get(key), f"{path}.{key}")
    elif isinstance(written, list) and isinstance(read, list) and len(written) == len(read):
        for index, (first, second) in enumerate(zip(written, read, strict=True)):
            yield from _lost(first, second, f"{path}[{index}]")
    elif written != read:
        yield path
