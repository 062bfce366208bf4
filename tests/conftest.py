"""The real servers, started once for each pytest process; see tests/messaging_env.py for what tests create there."""

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from devtools.paths import instance_dir
from devtools.servers.servers import Servers
from tests.servers import ADDRESSES_VARIABLE, SharedServers, remove_instance

SEED = int(os.environ.get("WARREN_TEST_SEED", "20261122"))


def pytest_report_header() -> str:
    return f"random seed: {SEED} (set WARREN_TEST_SEED to change it)"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Use our scheduler for `-n`, unless the command line sets `--dist`."""
    from tests.xdist_schedule import SlowestFirstScheduling

    return SlowestFirstScheduling(config, log) if config.getoption("dist") == "load" else None


@pytest.fixture(autouse=True)
def _seeded() -> None:
    random.seed(SEED)


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """A private, empty PostgreSQL and RabbitMQ over TLS, or the servers that `make mutants` shares."""
    if addresses := os.environ.get(ADDRESSES_VARIABLE):
        yield cast(Servers, SharedServers(Path(addresses)))
        return
    folder = instance_dir(f"test-{os.getpid()}")
    with Servers(folder, fresh=True) as running:
        yield running
    remove_instance(folder)


@pytest.fixture(scope="module")
def quick_counts(servers: Servers) -> Iterator[None]:
    """The broker counts the messages of its quorum queues twice a second, which shortens waits."""
    servers.broker.rabbitmqctl("eval", "application:set_env(rabbit, quorum_tick_interval, 500).")
    yield
    servers.broker.rabbitmqctl("eval", "application:unset_env(rabbit, quorum_tick_interval).")
