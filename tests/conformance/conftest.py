"""Runs each test on every backend that has the features it names with `@needs(...)`; no test is skipped."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from devtools.servers.servers import Servers
from tests.conformance.backend import Backend, Feature
from tests.conformance.harness_backends import InMemoryBackend, PostgresBackend
from tests.conformance.servers_backend import ServersBackend
from tests.conformance.service_harnesses import STATE_TABLES
from tests.messaging_env import MessagingEnv
from tests.service_replica import ServiceDatabase

BACKENDS: dict[str, type[InMemoryBackend] | type[PostgresBackend] | type[ServersBackend]] = {
    "in memory": InMemoryBackend,
    "in memory, on PostgreSQL": PostgresBackend,
    "RabbitMQ and PostgreSQL": ServersBackend,
}

DATABASE = pytest.StashKey[ServiceDatabase]()
"""The database of all tests of PostgresBackend; the first of them creates it."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backend" in metafunc.fixturenames:
        needed: set[Feature] = getattr(metafunc.function, "needs", set())
        names = [name for name, backend in BACKENDS.items() if needed <= backend.features]
        metafunc.parametrize("backend", names, indirect=True)


@pytest.fixture
async def backend(
    request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Backend]:
    kind = BACKENDS[request.param]
    if kind is InMemoryBackend:
        yield InMemoryBackend()
        return
    servers: Servers = request.getfixturevalue("servers")
    if kind is PostgresBackend:
        if DATABASE not in request.session.stash:
            db = ServiceDatabase(servers, tmp_path_factory.mktemp("secrets"))
            await db.prepare("conformance")
            request.session.stash[DATABASE] = db
        yield PostgresBackend(request.session.stash[DATABASE])
    else:
        async with MessagingEnv(servers, tmp_path) as env:
            yield ServersBackend(env)


@pytest.fixture(scope="module")
def services_db(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceDatabase]:
    """A database with the schemas of all services."""
    db = ServiceDatabase(servers, tmp_path_factory.mktemp("secrets"))
    asyncio.run(db.prepare(*STATE_TABLES, "gateway"))
    yield db
