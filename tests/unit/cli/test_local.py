"""`warren status --json`."""

import json
import os
from pathlib import Path

import pytest

from devtools.local.instance import Instance, InstanceState, ProcessIdentity
from warren import cli
from warren.cli import local


def test_json_status_names_every_process_and_url(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alive = ProcessIdentity.of(os.getpid())
    assert alive is not None
    state = InstanceState(
        alive, {"orders": "http://shop/orders"}, {"order": alive, "payment": ProcessIdentity(alive.pid, 0)}
    )
    monkeypatch.setattr(local, "_running", lambda: (Instance("up", folder=tmp_path), state))
    assert cli.load(["status", "--json"])() == 1
    document = json.loads(capsys.readouterr().out)
    assert document["processes"] == {"order": alive.pid, "payment": None}
    assert document["urls"] == {"orders": "http://shop/orders"}
