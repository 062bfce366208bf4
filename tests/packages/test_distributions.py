"""What a user gets with `pip install warren-messaging` and `pip install broker-topology`."""

import re
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from devtools.distributions.build import EXTRAS, FOLDERS, check_metadata, check_reproducible
from devtools.distributions.environment import EmptyEnvironment
from devtools.distributions.installed import check_installed
from devtools.paths import CHECKOUT

NEEDED = {
    "warren-messaging": {
        *("aio-pika", "aiormq", "pamqp", "yarl", "multidict", "propcache", "idna"),  # aio-pika and what it needs
        *("asyncpg", "msgspec", "opentelemetry-api", "uuid-utils"),
    },
    "broker-topology": {
        *("aiohttp", "aiohappyeyeballs", "aiosignal", "attrs", "frozenlist", "yarl", "multidict", "propcache", "idna"),
        *("msgspec", "pyyaml"),
    },
}
"""Everything that is installed with each distribution. A package more is a decision, for every user."""
OF_OLD_PYTHONS = {"typing-extensions", "async-timeout", "exceptiongroup"}


def test_two_builds_are_the_same(distributions: list[Path]) -> None:
    check_reproducible(distributions)


def test_an_index_accepts_them(distributions: list[Path]) -> None:
    check_metadata(distributions)


@pytest.mark.parametrize("name", FOLDERS)
def test_it_works_in_an_empty_environment_with_few_packages(
    name: str, installed: Callable[[str], EmptyEnvironment]
) -> None:
    environment = installed(name)
    modules = check_installed(environment, name, EXTRAS[name].values())
    assert {module.split(".")[0] for module in modules} == {name.replace("-", "_")}
    packages = {package.lower().replace("_", "-") for package in environment.packages()}
    assert packages - OF_OLD_PYTHONS == NEEDED[name] | {name}


def test_the_extra_brings_what_the_operator_needs(installed: Callable[[str], EmptyEnvironment]) -> None:
    environment = installed("broker-topology[operator]")
    assert "topology_operator.manager" in check_installed(environment, "broker-topology")
    printed = environment.run("python", "-m", "topology_operator", "crd")
    assert (printed.returncode, printed.stderr) == (0, "")
    assert printed.stdout == (CHECKOUT / FOLDERS["broker-topology"] / "crds" / "topologies.yaml").read_text()


@pytest.mark.parametrize("extra", EXTRAS["warren-messaging"])
def test_each_extra_of_the_library_brings_what_its_module_needs(
    extra: str, installed: Callable[[str], EmptyEnvironment]
) -> None:
    others = [module for name, module in EXTRAS["warren-messaging"].items() if name != extra]
    modules = check_installed(installed(f"warren-messaging[{extra}]"), "warren-messaging", others)
    assert EXTRAS["warren-messaging"][extra] in modules


def test_the_operator_says_what_it_misses_without_its_extra(installed: Callable[[str], EmptyEnvironment]) -> None:
    done = installed("broker-topology").run("python", "-m", "topology_operator")
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"error: \w+ is not installed: pip install 'broker-topology\[operator\]'\n", done.stderr)


def test_the_wheel_of_the_library_has_every_migration(distributions: list[Path]) -> None:
    (wheel,) = (file for file in distributions if file.name.startswith("warren_messaging") and file.suffix == ".whl")
    folder = CHECKOUT / FOLDERS["warren-messaging"] / "warren_messaging" / "migrations"
    expected = {f"warren_messaging/migrations/{file.name}" for file in folder.iterdir()}
    assert expected
    assert expected <= set(zipfile.ZipFile(wheel).namelist())


def test_archives_hold_nothing_else(distributions: list[Path]) -> None:
    for file in distributions:
        if file.suffix == ".whl":
            names = zipfile.ZipFile(file).namelist()
            top = {"warren_messaging", "broker_topology", "topology_operator"}
            assert {name.split("/")[0] for name in names if ".dist-info/" not in name} <= top
        else:
            with tarfile.open(file) as archive:
                parts = {name.split("/")[1] for name in archive.getnames()}
            assert {"LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml"} <= parts
            assert not parts & {"tests", "crds", "rbac", "services", "warren"}
