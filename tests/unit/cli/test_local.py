"""`warren status --json`, and the options of `warren up`."""

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


@pytest.mark.parametrize(("options", "prometheus"), [([], True), (["--no-prometheus"], False)])
def test_up_runs_prometheus_unless_it_is_left_out(
    monkeypatch: pytest.MonkeyPatch, options: list[str], prometheus: bool
) -> None:
    calls = []
    monkeypatch.setattr("devtools.local.up.run", lambda port, **options: calls.append((port, options)))
    cli.load(["up", *options])()
    assert calls == [(8080, {"fresh": False, "quiet": False, "prometheus": prometheus})]
