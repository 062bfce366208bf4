"""Rules about the repository itself: which files exist, and that its documents are true."""

import ast
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from services.registry import SERVICE_NAMES

ROOT = Path(__file__).resolve().parents[2]
SERVICE_FILES = ("__init__.py", "__main__.py", "app.py", "migrations")
STATEFUL = ("domain.py", "handlers.py", "store.py")
"""A channel service has `channel.py` instead: see services/shared/channels."""
TOPOLOGY = ROOT / "charts" / "warren" / "topology"
DECISIONS = ROOT / "docs" / "decisions"
MAKEFILE = (ROOT / "Makefile").read_text()


def pins(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE))


# The layout


def test_operator_is_no_package() -> None:
    # It would hide the standard library's module `operator` from every program started in this folder.
    assert not (ROOT / "operator" / "__init__.py").exists()


def test_tests_are_no_packages() -> None:
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_the_registry_names_every_service_folder_and_no_other() -> None:
    folders = {file.parent.name for file in (ROOT / "services").glob("*/__main__.py")}
    assert sorted(SERVICE_NAMES) == sorted(folders)


@pytest.mark.parametrize("service", SERVICE_NAMES)
def test_every_service_has_the_same_files(service: str) -> None:
    kind = ("channel.py",) if (ROOT / "services" / service / "channel.py").exists() else STATEFUL
    missing = [name for name in (*SERVICE_FILES, *kind) if not (ROOT / "services" / service / name).exists()]
    assert missing == []


@pytest.mark.parametrize("service", SERVICE_NAMES)
def test_every_service_has_a_docstring(service: str) -> None:
    assert (ROOT / "services" / service / "__init__.py").read_text().startswith('"""')


@pytest.mark.parametrize("service", SERVICE_NAMES)
def test_migrations_are_numbered_without_a_gap(service: str) -> None:
    names = sorted(file.name for file in (ROOT / "services" / service / "migrations").glob("*.sql"))
    assert [name[:5] for name in names] == [f"{number:04d}_" for number in range(1, len(names) + 1)]


@pytest.mark.parametrize("service", SERVICE_NAMES)
def test_every_service_has_a_topology_file(service: str) -> None:
    assert (TOPOLOGY / f"{service}.yaml").is_file()


FOLDERS = re.findall(
    r"^\| `([\w/]+)` \| `(\w+)` \| [^|]+ \| ([^|]*)\|$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE
)
"""Folder, package, and the packages that it may import, as the table in CONTRIBUTING.md lists them."""


def imported(file: Path) -> set[str]:
    """Names of the top-level packages that a file imports."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize(("folder", "package", "text"), FOLDERS, ids=[package for _, package, _ in FOLDERS])
def test_a_package_imports_only_the_packages_that_contributing_lists(folder: str, package: str, text: str) -> None:
    packages = {name for _, name, _ in FOLDERS}
    inner = [ROOT / each for each, _, _ in FOLDERS if each.startswith(f"{folder}/")]
    files = [file for file in (ROOT / folder).rglob("*.py") if not any(file.is_relative_to(each) for each in inner)]
    found = set().union(*(imported(file) for file in files)) & packages - {package}
    allowed = packages if text.strip() == "every package" else set(re.findall(r"`(\w+)`", text))
    assert found <= allowed


def test_the_import_rules_cover_every_package() -> None:
    configured = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]
    assert sorted(configured) == sorted(package for _, package, _ in FOLDERS)


SOURCES = [
    file
    for folder in (*sorted({folder.split("/")[0] for folder, _, _ in FOLDERS}), "tests", "docs")
    for file in (ROOT / folder).rglob("*.py")
    if "__pycache__" not in file.parts
]


def test_no_file_is_longer_than_400_lines() -> None:
    assert [str(file) for file in SOURCES if len(file.read_text().splitlines()) > 400] == []


def test_no_module_is_named_utils_helpers_or_common() -> None:
    assert [
        str(file) for file in SOURCES if re.search(r"\b(utils?|helpers?|common)\b", str(file.relative_to(ROOT)))
    ] == []


# The documents


def test_decisions_are_numbered_without_a_gap() -> None:
    names = sorted(file.name for file in DECISIONS.glob("*.md"))
    assert names
    assert [name[:5] for name in names] == [f"{number:04d}-" for number in range(1, len(names) + 1)]


@pytest.mark.parametrize("file", sorted(DECISIONS.glob("*.md")), ids=lambda file: file.stem)
def test_every_decision_has_the_same_parts(file: Path) -> None:
    text = file.read_text()
    assert text.startswith(f"# {file.name[:4]}: ")
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## Context",
        "## Decision",
        "## Consequences",
    ]


TEXT_FOLDERS = ("docs", "services", "operator", "charts", "k8s")
DOCUMENTS = sorted(
    file
    for file in (*ROOT.glob("*.md"), *(file for folder in TEXT_FOLDERS for file in (ROOT / folder).rglob("*.md")))
    if ".venv" not in file.parts
)


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_links_between_files_resolve(file: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#[^)]*)?\)", file.read_text())
    assert [target for target in targets if not (file.parent / target).exists()] == []


def anchors(file: Path) -> set[str]:
    """The anchors that a Markdown page has for its headings. A repeated one is numbered."""
    found: list[str] = []
    for title in re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", file.read_text(), flags=re.DOTALL), re.MULTILINE):
        text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title).lower()
        anchor = re.sub(r"[^\w -]", "", text).replace(" ", "-")
        found.append(f"{anchor}-{found.count(anchor)}" if anchor in found else anchor)
    return set(found)


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_linked_headings_exist(file: Path) -> None:
    links = re.findall(r"\]\((?!https?:|mailto:)([^)#\s]*)#([^)\s]+)\)", file.read_text())
    linked = [(file if not path else file.parent / path, anchor) for path, anchor in links]
    assert [anchor for page, anchor in linked if page.suffix == ".md" and anchor not in anchors(page)] == []


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_paths_in_documents_exist(file: Path) -> None:
    folders = "services|operator|charts|k8s|tests|warren|devtools|faults|loadtest|docs"
    named = re.findall(rf"`((?:{folders})/[A-Za-z0-9_./-]+)`", file.read_text())
    # operator/__init__.py must not exist; CONTRIBUTING describes a service `loyalty`, see test_contributing.py.
    meant = [name for name in named if name != "operator/__init__.py" and "loyalty" not in name]
    assert [name for name in meant if not (ROOT / name).exists()] == []


# Commands


def test_the_continuous_run_is_the_test_command_of_the_readme() -> None:
    run = (ROOT / ".ci" / "run").read_text().splitlines()
    commands = [line for line in run if line and not line.startswith(("#", "set ", "cd ", "export WARREN_"))]
    assert commands == ["make test"]
    assert "\nmake test" in (ROOT / "README.md").read_text()
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111 == 0o111


def test_every_target_has_a_help_text() -> None:
    declared = re.findall(r"^\.PHONY: ([a-z-]+)$", MAKEFILE, re.MULTILINE)
    helped = re.findall(r"^([a-z-]+):.*? ## \S", MAKEFILE, re.MULTILINE)
    assert declared == helped


def test_make_alone_prints_the_targets() -> None:
    make = shutil.which("make")
    assert make is not None
    printed = subprocess.run([make, "-C", str(ROOT)], capture_output=True, text=True, check=True).stdout
    for target in ("up", "down", "demo", "test", "test-long", "lint", "format", "types", "requirements", "clean"):
        assert re.search(rf"^  make {target} +\S", printed, re.MULTILINE), target


# Installed packages


def test_the_test_environment_has_the_same_versions_as_a_running_one() -> None:
    runtime, dev = pins("requirements.txt"), pins("requirements-dev.txt")
    assert runtime
    assert runtime.items() <= dev.items()


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_requirements_name_hashes_and_no_places(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert "index" not in text
    blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert [block.split("==")[0] for block in blocks if "--hash=sha256:" not in block] == []


PROJECTS = ("", "operator", "services/shared/messaging")
"""The folders of the distributions: warren, broker-topology and warren-messaging."""


def test_every_direct_dependency_is_pinned() -> None:
    projects = [tomllib.loads((ROOT / folder / "pyproject.toml").read_text()) for folder in PROJECTS]
    wanted, developing = [], []
    for each in projects:
        extras = each["project"].get("optional-dependencies", {})
        wanted += [*each["project"]["dependencies"], *(name for extra in extras.values() for name in extra)]
        groups = each.get("dependency-groups", {})
        developing += [name for group in groups.values() for name in group if isinstance(name, str)]
    own = {each["project"]["name"] for each in projects}

    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[\[<>=~! ;]", each)[0].lower().replace("_", "-") for each in requirements} - own

    # An extra of the library that the shop does not use is installed for its tests only.
    assert names(wanted) - names(developing) <= pins("requirements.txt").keys()
    assert names(wanted + developing) <= pins("requirements-dev.txt").keys()
    assert not own & pins("requirements-dev.txt").keys()


@pytest.mark.parametrize("folder", PROJECTS[1:])
def test_a_distribution_has_the_licence_of_the_repository(folder: str) -> None:
    assert (ROOT / folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


PUBLISHED = sorted(
    file for folder in PROJECTS[1:] for file in (ROOT / folder).rglob("*.*") if file.suffix in {".py", ".sql"}
)


def test_no_distribution_names_an_environment_variable_of_the_shop() -> None:
    assert PUBLISHED
    assert [str(file) for file in PUBLISHED if "WARREN_" in file.read_text()] == []
