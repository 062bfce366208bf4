"""Each test runs on every driver that has the features it asks for with `@needs(...)`; none is skipped."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from devtools.servers.servers import Servers
from tests.conformance.driver import Driver, Feature
from tests.conformance.rehearsed import InMemory, OnPostgres
from tests.conformance.staged import OnServers
from tests.messaging_env import MessagingEnv
from tests.service_replica import ServiceDatabase

DRIVERS: dict[str, type[InMemory] | type[OnPostgres] | type[OnServers]] = {
    "in memory": InMemory,
    "in memory, on PostgreSQL": OnPostgres,
    "RabbitMQ and PostgreSQL": OnServers,
}

PREPARED = pytest.StashKey[ServiceDatabase]()
"""The database of all tests without a broker, made by the first of them."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "driver" in metafunc.fixturenames:
        needed: set[Feature] = getattr(metafunc.function, "needs", set())
        names = [name for name, driver in DRIVERS.items() if needed <= driver.features]
        metafunc.parametrize("driver", names, indirect=True)


@pytest.fixture
async def driver(
    request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Driver]:
    kind = DRIVERS[request.param]
    if kind is InMemory:
        yield InMemory()
        return
    servers: Servers = request.getfixturevalue("servers")
    if kind is OnPostgres:
        if PREPARED not in request.session.stash:
            db = ServiceDatabase(servers, tmp_path_factory.mktemp("secrets"))
            await db.prepare("conformance")
            request.session.stash[PREPARED] = db
        yield OnPostgres(request.session.stash[PREPARED])
        return
    env = MessagingEnv(servers, tmp_path)
    await env.set_up()
    yield OnServers(env)
    await env.tear_down()
