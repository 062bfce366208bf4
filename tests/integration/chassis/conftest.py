from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from devtools.servers.servers import Servers
from tests.stage import Stage


@pytest.fixture
async def stage(servers: Servers, tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(servers, tmp_path)
    await stage.set_up()
    yield stage
    await stage.tear_down()
