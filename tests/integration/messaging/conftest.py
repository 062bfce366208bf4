from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from devtools.servers.servers import Servers
from tests.locks import LockProbe
from tests.messaging_env import MessagingEnv


@pytest.fixture
async def env(servers: Servers, tmp_path: Path) -> AsyncIterator[MessagingEnv]:
    async with MessagingEnv(servers, tmp_path) as env:
        yield env


@pytest.fixture
def locks(env: MessagingEnv) -> LockProbe:
    return LockProbe(env.servers.postgres.endpoint.dsn(env.database_name))
