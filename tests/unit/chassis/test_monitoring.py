"""Readiness reports every part, and each check has a time limit."""

import asyncio

import pytest

from services.shared.chassis import monitoring
from services.shared.chassis.monitoring import Readiness
from warren_messaging.errors import BrokerUnavailable


async def fine() -> None:
    pass


async def away() -> None:
    raise BrokerUnavailable("no subscription at the broker")


async def wrong() -> None:
    raise KeyError("part")


async def silent() -> None:
    await asyncio.Event().wait()


async def test_each_part_has_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitoring, "CHECK_SECONDS", 0.05)
    parts = Readiness({"database": fine, "order.queue": away, "clock": silent, "own": wrong})
    assert await parts.failures() == {
        "database": "",
        "order.queue": "no subscription at the broker",
        "clock": "no answer within 0 s",
        "own": "KeyError: 'part'",
    }


async def test_a_stopping_process_is_not_ready() -> None:
    parts = Readiness({"database": fine})
    assert not any((await parts.failures()).values())
    parts.stopping = True
    assert (await parts.failures())["process"] == "stopping"
