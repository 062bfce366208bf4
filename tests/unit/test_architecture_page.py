"""Each step of the walks in docs/architecture.md names an existing file and function."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "services/shared/messaging"
PAGE = (ROOT / "docs/architecture.md").read_text()
STEPS = re.findall(r"^\d+\. `([^`]+)` `([^`]+)`", PAGE, re.MULTILINE)
PATHS = sorted(set(re.findall(r"`((?:[\w-]+/)+[\w.-]+)`", PAGE)))


def resolved(path: str) -> Path:
    """The library and the operator are named from their own roots, as in their import paths."""
    return next((root / path for root in (ROOT, LIBRARY, ROOT / "operator") if (root / path).exists()), ROOT / path)


def test_there_are_four_walks() -> None:
    assert len(re.findall(r"^1\. `", PAGE, re.MULTILINE)) == 4
    assert len(STEPS) >= 30


@pytest.mark.parametrize("path", PATHS)
def test_every_named_path_exists(path: str) -> None:
    assert resolved(path).exists()


@pytest.mark.parametrize(("path", "name"), STEPS)
def test_every_step_names_an_existing_function(path: str, name: str) -> None:
    body = ast.parse(resolved(path).read_text()).body
    for part in name.split("."):
        found = [
            node
            for node in body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == part
        ]
        assert found, f"{path} has no {name}"
        body = found[0].body
