from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from devtools.servers.servers import Servers
from tests.messaging_env import MessagingEnv


@pytest.fixture
async def env(servers: Servers, tmp_path: Path) -> AsyncIterator[MessagingEnv]:
    env = MessagingEnv(servers, tmp_path)
    await env.set_up()
    yield env
    await env.tear_down()
