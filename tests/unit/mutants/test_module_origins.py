"""A run that imports the library from a source folder does not test the installed package."""

from pathlib import Path

import pytest

import services.registry
import warren_messaging.errors
from devtools.paths import CHECKOUT
from tests.module_origins import VARIABLE, foreign_modules


def test_modules_of_the_tree_are_not_foreign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert foreign_modules(CHECKOUT) == []


def test_modules_of_another_tree_are_foreign(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert f"services.registry from {services.registry.__file__}" in foreign_modules(tmp_path)


def test_a_package_from_its_source_folder_is_foreign_when_it_should_be_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    found = foreign_modules(CHECKOUT)
    assert f"warren_messaging.errors from {warren_messaging.errors.__file__}" in found
    assert not any(each.startswith("services") for each in found)
