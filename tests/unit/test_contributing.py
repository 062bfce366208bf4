"""The subscriber that CONTRIBUTING.md builds is built here from its own words, so that following them works."""

import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import broker_topology
import services

ROOT = Path(__file__).resolve().parents[2]
SECTION = (ROOT / "CONTRIBUTING.md").read_text().split("## A new subscriber, step by step")[1].split("\n## ")[0]
FILES = (
    "charts/warren/topology/loyalty.yaml",
    "services/loyalty/migrations/0001_points.sql",
    "services/loyalty/domain.py",
    "services/loyalty/store.py",
    "services/loyalty/handlers.py",
    "services/loyalty/app.py",
    "services/loyalty/__main__.py",
)


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A folder with the files, in the order in which the text names them."""
    blocks = re.findall(r"```(?:yaml|sql|python)\n(.*?)```", SECTION, re.DOTALL)
    for name, text in zip(FILES, blocks, strict=True):
        assert name in SECTION
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "services" / "loyalty" / "__init__.py").write_text('"""Keeps the points of customers."""\n')
    return tmp_path


def test_its_topology_fits_the_others(built: Path) -> None:
    folder = built / "charts" / "warren" / "topology"
    others = ROOT / "charts" / "warren" / "topology"
    for file in others.glob("*.yaml"):
        shutil.copy(file, folder)
    loaded = broker_topology.load([folder])
    assert len(loaded) == len(broker_topology.load([others])) + 1


def test_its_code_is_what_the_checks_ask_for(built: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", built)
    tools = Path(sys.executable).parent
    own = 'lint.isort.known-first-party=["services"]'
    for command in (["ruff", "check", "--config", own], ["ruff", "format", "--check"]):
        done = subprocess.run(
            [tools / command[0], *command[1:], "services"], cwd=built, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_its_process_can_be_put_together(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "__path__", [*services.__path__, str(built / "services")])
    try:
        handlers = importlib.import_module("services.loyalty.handlers")
        assert [data.TYPE for data in handlers.HANDLERS] == ["order.paid"]
        assert callable(importlib.import_module("services.loyalty.app").build)
        assert importlib.import_module("services.loyalty.domain").points_for(1999) == 19
    finally:
        for name in [name for name in sys.modules if name.startswith("services.loyalty")]:
            del sys.modules[name]
