from pathlib import Path

import pytest

MODULE = """
from warren_messaging import EventData, Service


class Ordered(EventData):
    TYPE = "coffee.ordered"


async def on_ordered(event, uow):
    return []


service = Service.from_environment("coffee", "COFFEE_")
service.consume("coffee.queue", {Ordered: on_ordered})


def build():
    return service


class Parts:
    inner = service
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with the module `cafe`; modules imported from it are forgotten after the test."""
    import sys

    (tmp_path / "cafe.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path
