"""CONTRIBUTING.md, followed literally in a copy of the repository, gives a subscriber that passes the checks."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from devtools import service_blocks
from tests.charts.helm import RELEASES, program

pytestmark = pytest.mark.timeout(600)

ROOT = Path(__file__).resolve().parents[2]
SECTION = (ROOT / "CONTRIBUTING.md").read_text().split("## A new subscriber, step by step")[1].split("\n## ")[0]
REGISTRY, VALUES = "services/registry.py", "charts/warren/values.yaml"
FILES = (
    "charts/warren/topology/loyalty.yaml",
    "services/loyalty/migrations/0001_points.sql",
    "services/loyalty/domain.py",
    "services/loyalty/store.py",
    "services/loyalty/handlers.py",
    "services/loyalty/app.py",
    "services/loyalty/__main__.py",
    "services/loyalty/__init__.py",
)
GENERATED = {str(file.relative_to(ROOT)) for file in service_blocks.renewed()} | {
    "k8s/observability/changes.yaml",
    "k8s/observability/servers.yaml",
    "k8s/warren/network.yaml",
    "k8s/warren/provision.yaml",
    "k8s/warren/services.yaml",
    "k8s/warren/topology.yaml",
    "tests/charts/golden.yaml",
}
GENERATORS = ("devtools.service_blocks", "devtools.settings_page", "devtools.manifests", "tests.charts.golden")
CHECKS = (
    "tests/contracts/test_registry.py",
    "tests/contracts/test_topology.py",
    "tests/unit/delivery/test_compose.py",
    "tests/unit/delivery/test_images.py",
    "tests/unit/delivery/test_kubernetes_page.py",
    "tests/unit/delivery/test_settings_page.py",
    "tests/unit/delivery/test_tiltfile.py",
    "tests/unit/loadtest/test_size.py",
    "tests/unit/test_repository.py",
    "tests/unit/topology/test_files.py",
    "tests/unit/e2e/test_e2e.py",
    "tests/charts/test_secrets.py",
    "tests/charts/test_kustomize.py",
)
IGNORED = shutil.ignore_patterns(".git", ".venv", ".warren", "__pycache__", ".*_cache", ".import_linter_cache")


class Copy:
    """A copy of the repository in which the steps are followed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(ROOT, folder, ignore=IGNORED)
        before = self._texts()
        blocks = re.findall(r"```(?:yaml|sql|python|text)\n(.*?)```", SECTION, re.DOTALL)
        for name, text in zip(FILES, blocks[:-2], strict=True):
            assert name in SECTION
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        self._insert(REGISTRY, blocks[-2], before=")\n\nSERVICE_NAMES")
        self._insert(VALUES, blocks[-1], before="\n# How components with `autoscaling.enabled`")
        by_hand = self._texts()
        self.written = {name for name, text in by_hand.items() if before.get(name) != text}
        for module in GENERATORS:
            options = ["--helm", str(program(RELEASES[-1]))] if module == "devtools.manifests" else []
            self.run("-m", module, *options)
        self.generated = {name for name, text in self._texts().items() if by_hand.get(name) != text}

    def _insert(self, name: str, text: str, *, before: str) -> None:
        whole = (self.folder / name).read_text()
        assert whole.count(before) == 1, name
        (self.folder / name).write_text(whole.replace(before, text + before))

    def _texts(self) -> Mapping[str, bytes]:
        files = [file for file in self.folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
        return {str(file.relative_to(self.folder)): file.read_bytes() for file in files}

    def run(self, *arguments: str) -> str:
        """Python with the copy's packages; returns standard output."""
        paths = os.pathsep.join(str(self.folder / each) for each in ("", "operator", "services/shared/messaging"))
        environment = {**os.environ, "PYTHONPATH": paths}
        command = [sys.executable, *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False, timeout=600
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    return Copy(tmp_path_factory.mktemp("contributing") / "warren")


def test_a_subscriber_is_a_folder_a_topology_file_a_registry_entry_and_a_component(copy: Copy) -> None:
    assert copy.written == {*FILES, REGISTRY, VALUES}
    assert copy.generated == GENERATED


def test_its_code_passes_the_quick_checks(copy: Copy) -> None:
    copy.run("-m", "ruff", "check", "--no-cache", ".")
    copy.run("-m", "ruff", "format", "--no-cache", "--check", "services")
    copy.run("-c", "from importlinter.cli import lint_imports_command as main; main(['--no-cache'])")


def test_its_topology_fits_the_others(copy: Copy) -> None:
    copy.run("-m", "broker_topology", "check", "charts/warren/topology")


def test_its_decision_works(copy: Copy) -> None:
    assert copy.run("-c", "from services.loyalty.domain import points_for; print(points_for(1999))") == "19\n"


def test_every_list_of_services_knows_it(copy: Copy) -> None:
    copy.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *CHECKS)
