"""docs/reliability.md maps faults to tests that exist, and leaves none out."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FAULTS = (ROOT / "docs" / "reliability.md").read_text().split("## Faults")[1].split("\n## ")[0]
NAMED = set(re.findall(r"`([\w/]+\.py)::(test_\w+)`", FAULTS))


def named_in(file: Path) -> set[str]:
    return set(re.findall(r"^(?:async )?def (test_\w+)", file.read_text(), re.MULTILINE))


def test_every_test_on_the_page_exists() -> None:
    assert len(NAMED) > 30
    for file, name in NAMED:
        path = ROOT / file if "/" in file else ROOT / "tests" / "faults" / file
        assert name in named_in(path), f"{file}::{name}"


def test_every_fault_test_is_on_the_page() -> None:
    files = (ROOT / "tests" / "faults").glob("test_*.py")
    assert {(file.name, name) for file in files for name in named_in(file)} <= NAMED


def test_variants_on_the_page_exist() -> None:
    sources = "".join(file.read_text() for file in (ROOT / "tests" / "faults").glob("test_*.py"))
    for variant in re.findall(r"\[([a-z ]+)\]", FAULTS):
        assert f'"{variant}"' in sources, variant
