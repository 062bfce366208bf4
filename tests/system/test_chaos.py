"""A chaos run in small: many faults at once, and everything right in the end. The long one is
`python -m loadtest chaos`."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools.paths import instance_dir
from faults.chaos.run import Outcome, Progress, Run
from tests.servers import remove_instance
from warren.progress import SilentProgress

PAYMENT_DEADLINE = 12.0  # seconds


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = instance_dir(f"chaos-{os.getpid()}")
    yield folder
    remove_instance(folder)


def run(folder: Path, seed: int, seconds: float) -> Outcome:
    def follow(now: Progress) -> None:
        sys.stdout.write(f"{now}\n")

    chaos = Run(
        folder,
        seed=seed,
        seconds=seconds,
        report=SilentProgress(),
        payment_deadline=PAYMENT_DEADLINE,
        on_progress=follow,
    )
    outcome = chaos.run()
    for fault in outcome.faults:
        sys.stdout.write(f"{fault}\n")
    assert not outcome.broken, (f"seed {seed}", outcome.broken, f"WARREN_KEEP=1 keeps {chaos.timeline.file}")
    assert outcome.placed == outcome.accepted
    return outcome


@pytest.mark.timeout(600)
def test_half_a_minute_of_chaos(folder: Path) -> None:
    outcome = run(folder, seed=11, seconds=35)
    assert outcome.accepted > 250
    assert len({fault.planned.kind for fault in outcome.faults if fault.hindered is None}) >= 5


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_five_minutes_of_chaos(folder: Path) -> None:
    outcome = run(folder, seed=12, seconds=300)
    assert outcome.accepted > 2500
    assert len(outcome.faults) > 50
