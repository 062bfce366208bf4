"""The Job that makes tables starts beside the database server, and is there first."""

import asyncio
import time

from services.shared.chassis.migrations import answering
from tests.proxy import Proxy
from warren.local.servers import Servers


async def test_a_server_that_comes_up_late_is_waited_for(servers: Servers) -> None:
    database = servers.postgres.address
    async with Proxy(database.port).serving() as proxy:
        proxy.refusing = True
        url = f"postgresql://{database.admin_username}@localhost:{proxy.port}/warren"
        waiting = asyncio.create_task(answering(url, database.admin_password, database.ca_file, 600))
        done, _ = await asyncio.wait([waiting], timeout=2.5)
        assert not done
        proxy.heal()
        await asyncio.wait_for(waiting, 60)


async def test_one_that_refuses_us_is_there_and_one_that_never_comes_is_given_up(servers: Servers) -> None:
    database = servers.postgres.address
    async with Proxy(database.port).serving() as proxy:
        url = f"postgresql://{database.admin_username}@localhost:{proxy.port}/warren"
        await asyncio.wait_for(answering(url, "not the password", database.ca_file, 600), 60)
        proxy.refusing = True
        began = time.monotonic()
        await answering(url, database.admin_password, database.ca_file, 1)
        assert time.monotonic() - began >= 1
