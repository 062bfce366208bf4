"""The wheels of this checkout, and empty environments outside of it that install them like any user."""

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from devtools.distributions.build import build
from devtools.distributions.environment import EmptyEnvironment


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Source archive and wheel of each distribution, in one folder."""
    return build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def environment(distributions: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., EmptyEnvironment]:
    """Makes an environment with these packages: `environment("broker-topology").python` is its interpreter.

    In it, `pip install NAME` finds the wheels of this checkout and the packages that requirements.txt pins.
    """

    def make(*packages: str) -> EmptyEnvironment:
        made = EmptyEnvironment(tmp_path_factory.mktemp("environment"), distributions[0].parent)
        if packages:
            made.install(*packages)
        return made

    return make


@pytest.fixture(scope="session")
def installed(environment: Callable[..., EmptyEnvironment]) -> Callable[[str], EmptyEnvironment]:
    """The environment of one package, made once: tests only run its programs."""
    return functools.cache(environment)
