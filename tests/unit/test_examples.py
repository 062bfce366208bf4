"""Examples import only the shared packages and themselves."""

import ast
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
FOLDERS = sorted(file.parent for file in EXAMPLES.glob("*/__main__.py"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_it_imports_the_shared_packages_and_itself(folder: Path) -> None:
    ours = ("services", "warren", "broker_topology", "tests", "faults", "loadtest", "docs")
    allowed = ("services.shared.", f"docs.examples.{folder.name}")
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ours:
                assert (node.module or "").startswith(allowed), f"{file.name}: {node.module}"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_it_has_a_docstring_and_a_run_command(folder: Path) -> None:
    assert (folder / "__init__.py").read_text().startswith('"""')
    assert f"python -m devtools.local.run_service docs/examples/{folder.name}" in (folder / "README.md").read_text()
