"""Each program that compose.yaml and the chart start in the tools image can be started."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
FILES = (ROOT / "compose.yaml", ROOT / "tests" / "charts" / "golden.yaml")
NAME = r"(?:services|warren|topology_operator)(?:\.\w+)+|broker_topology"
MODULE = re.compile(rf"^\s*(?:- |command: \[|python -m )({NAME})\b[^:]*")
PROGRAMS = sorted(
    {found[1] for file in FILES for line in file.read_text().splitlines() if (found := MODULE.match(line))}
)


def test_all_programs_are_found() -> None:
    assert {"broker_topology", "services.migrate", "topology_operator.helm_hooks", "warren.smoke"} <= set(PROGRAMS)


@pytest.mark.parametrize("module", PROGRAMS)
def test_each_program_starts_in_a_new_interpreter(module: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'operator'}:{ROOT / 'services/shared/messaging'}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "--help" in done.stdout
