"""Checks before the servers start, and errors of concurrent preparations."""

import asyncio
from pathlib import Path

import pytest

from devtools.errors import LocalError
from devtools.local import system
from devtools.local.system import StartError, System
from services.shared.chassis.migrations import MigrationError


def test_an_invalid_topology_file_is_refused_before_servers_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "payment.yaml").write_text("kind: [")
    monkeypatch.setattr(system, "TOPOLOGY", tmp_path)
    with pytest.raises(LocalError, match=r"payment\.yaml: not valid YAML"):
        System(tmp_path / "instance").start()
    assert not (tmp_path / "instance").exists()


async def test_both_preparations_end_before_an_error_is_raised(tmp_path: Path) -> None:
    class Failing(System):
        ended = False

        async def _migrate(self) -> None:
            await asyncio.sleep(0.01)
            self.ended = True

        async def _apply_topology(self) -> None:
            raise MigrationError("no")

    failing = Failing(tmp_path)
    with pytest.raises(StartError, match="no"):
        await failing._prepare()
    assert failing.ended
