"""Opens the management API of a broker."""

import contextlib
import os
from collections.abc import AsyncIterator, Iterator

from broker_topology.broker.management_api import ManagementApi
from topology_operator.broker.connection import ManagementEndpoint


@contextlib.asynccontextmanager
async def open_management_api(connection: ManagementEndpoint) -> AsyncIterator[ManagementApi]:
    """Raises `BrokerError` if the broker cannot be reached or used."""
    with _certificate_files(connection) as pair:
        async with ManagementApi(
            connection.url,
            connection.username,
            connection.password,
            ca_data=connection.ca_data,
            client_certificate=pair,
        ) as api:
            yield api


@contextlib.contextmanager
def _certificate_files(connection: ManagementEndpoint) -> Iterator[tuple[str, str] | None]:
    """Provides certificate and key as files in memory: OpenSSL accepts only files, and no disk may hold the key."""
    if connection.certificate is None or connection.key is None:
        yield None
        return
    with contextlib.ExitStack() as stack:
        paths = []
        for text in (connection.certificate, connection.key):
            descriptor = os.memfd_create("client-certificate")
            stack.callback(os.close, descriptor)
            os.write(descriptor, text.encode())
            paths.append(f"/proc/self/fd/{descriptor}")
        yield paths[0], paths[1]
