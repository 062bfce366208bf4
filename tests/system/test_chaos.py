"""Short chaos runs: many faults at once, after which every invariant holds. `python -m loadtest chaos` runs longer."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools.paths import instance_dir
from faults.chaos.run import ChaosResult, ChaosRun
from tests.servers import remove_instance
from warren.progress import ProgressReport

PAYMENT_DEADLINE = 12.0  # seconds


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = instance_dir(f"chaos-{os.getpid()}")
    yield folder
    remove_instance(folder)


def run(folder: Path, seed: int, seconds: float) -> ChaosResult:
    """Run chaos, and assert that every check holds."""
    chaos = ChaosRun(
        folder,
        seed=seed,
        seconds=seconds,
        report=ProgressReport(quiet=True),
        payment_deadline=PAYMENT_DEADLINE,
        on_progress=lambda now: sys.stdout.write(f"{now}\n"),
    )
    result = chaos.run()
    sys.stdout.write("\n".join(map(str, result.faults)))
    assert not result.broken, (f"seed {seed}", result.broken, f"WARREN_KEEP=1 keeps {chaos.timeline.file}")
    assert result.placed == result.accepted
    return result


@pytest.mark.timeout(600)
def test_half_a_minute_of_chaos(folder: Path) -> None:
    result = run(folder, seed=11, seconds=35)
    assert result.accepted > 250
    assert len({fault.planned.kind for fault in result.faults if fault.not_injected is None}) >= 5


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_five_minutes_of_chaos(folder: Path) -> None:
    result = run(folder, seed=12, seconds=300)
    assert result.accepted > 2500
    assert len(result.faults) > 50
