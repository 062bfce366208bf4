"""Opens a broker's management API from what a reference led to."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Iterator

from broker_topology.broker.management_api import ManagementApi
from topology_operator.broker.connection import BrokerConnection


@contextlib.asynccontextmanager
async def opened(connection: BrokerConnection) -> AsyncIterator[ManagementApi]:
    """Raises `BrokerError` when it does not open."""
    with _files(connection) as pair:
        async with ManagementApi(
            connection.url,
            connection.username,
            connection.password,
            ca_data=connection.ca_data,
            client_certificate=pair,
        ) as api:
            yield api


@contextlib.contextmanager
def _files(connection: BrokerConnection) -> Iterator[tuple[str, str] | None]:
    """Certificate and key as files, which is all that OpenSSL takes; in memory, so the key is on no disk."""
    if connection.certificate is None or connection.key is None:
        yield None
        return
    with contextlib.ExitStack() as stack:
        paths = []
        for name, text in (("tls.crt", connection.certificate), ("tls.key", connection.key)):
            descriptor = os.memfd_create(name)
            stack.callback(os.close, descriptor)
            os.write(descriptor, text.encode())
            paths.append(f"/proc/self/fd/{descriptor}")
        yield paths[0], paths[1]
