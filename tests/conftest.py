"""The real servers, started once for the whole run, or once in each of its workers.

See tests/stage.py for what tests put on them.
"""

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from devtools.paths import instance_dir
from devtools.servers.servers import Servers
from tests import borrowed
from tests.stage import remove_instance

SEED = int(os.environ.get("WARREN_TEST_SEED", "20261122"))


def pytest_report_header() -> str:
    return f"random seed: {SEED} (set WARREN_TEST_SEED to change it)"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """For `-n`, unless another `--dist` is asked for."""
    from tests.schedule import Schedule

    return Schedule(config, log) if config.getoption("dist") == "load" else None


@pytest.fixture(autouse=True)
def _seeded() -> None:
    random.seed(SEED)


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """A private PostgreSQL and RabbitMQ over TLS, with nothing in them, or what `make mutants` lends."""
    if lent := os.environ.get(borrowed.VARIABLE):
        yield cast(Servers, borrowed.Borrowed(Path(lent)))
        return
    folder = instance_dir(f"test-{os.getpid()}")
    with Servers(folder, fresh=True) as running:
        yield running
    remove_instance(folder)


@pytest.fixture(scope="module")
def quick_counts(servers: Servers) -> Iterator[None]:
    """The broker counts what is in its quorum queues twice a second: waits are as much shorter."""
    servers.broker.rabbitmqctl("eval", "application:set_env(rabbit, quorum_tick_interval, 500).")
    yield
    servers.broker.rabbitmqctl("eval", "application:unset_env(rabbit, quorum_tick_interval).")
