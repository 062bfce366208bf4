"""The PostgreSQL server of an instance: TLS and SCRAM on loopback. Its data stays between runs.

fsync and synchronous_commit stay on, so that tests and demos have the durability of a production server.
"""

import re
import signal
from pathlib import Path

from devtools.ports import LOOPBACK
from devtools.servers.credentials import Certificates, load_or_create_secret
from devtools.servers.endpoints import DatabaseEndpoint
from devtools.servers.runtime import ServerRuntime
from devtools.servers.server import Server

ADMIN = "postgres"
DATABASE = "warren"

CONFIGURATION = """\
# Overwritten at every start.
listen_addresses = '{host}'
port = {port}
unix_socket_directories = ''
ssl = on
ssl_cert_file = '{certificate}'
ssl_key_file = '{key}'
ssl_min_protocol_version = 'TLSv1.2'
password_encryption = 'scram-sha-256'
max_connections = 300
shared_buffers = 256MB
work_mem = 8MB
maintenance_work_mem = 64MB
max_wal_size = 1GB
checkpoint_timeout = 15min
wal_compression = on
random_page_cost = 1.1
timezone = 'UTC'
lc_messages = 'C'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %u@%d '
log_min_duration_statement = 1000
log_parameter_max_length = 0  # parameters contain data of customers
deadlock_timeout = 200ms
idle_in_transaction_session_timeout = 60s
"""
# Refuses Unix sockets, and TCP without TLS. All client addresses are allowed, because a server in a
# container sees the address of the Docker bridge. The port is published on the loopback interface only.
ACCESS = "hostssl all all all scram-sha-256\n"

# initdb writes to another folder, which is renamed at the end: an existing data folder is always complete.
START = f"""\
set -e
data="$1/cluster" files="$2"
if [ ! -d "$data" ]; then
    rm -rf "$data.new"
    initdb --pgdata="$data.new" --username={ADMIN} --pwfile="$files/password" --auth=scram-sha-256 --encoding=UTF8 \\
        --locale-provider=builtin --builtin-locale=C.UTF-8 --locale=C.UTF-8 --no-instructions
    echo 'CREATE DATABASE {DATABASE}' | postgres --single -D "$data.new" postgres
    mv "$data.new" "$data"
fi
exec postgres -D "$data" -c config_file="$files/postgresql.conf" -c hba_file="$files/pg_hba.conf"
"""


class Postgres(Server):
    """A database server at `endpoint`. The first start creates the data folder and the database (about 1 s)."""

    name = "PostgreSQL"
    ready_line = re.compile(rb"database system is ready to accept connections")
    stop_signal = signal.SIGINT  # a fast shutdown, which ends open sessions

    def __init__(self, runtime: ServerRuntime, instance_dir: Path, port: int, certificates: Certificates) -> None:
        super().__init__(runtime, instance_dir / "logs" / "postgres.log")
        self._certificates = certificates
        self.endpoint = DatabaseEndpoint(
            host=LOOPBACK,
            port=port,
            admin_username=ADMIN,
            admin_password=load_or_create_secret(instance_dir / "secrets" / "postgres-admin"),
            ca_file=certificates.ca_file,
            database=DATABASE,
        )

    def _prepare_command(self) -> list[str]:
        server = self._certificates.server("postgres")
        configuration = CONFIGURATION.format(
            host=self._runtime.listen_host,
            port=self.endpoint.port,
            certificate=self._runtime.file("server.pem"),
            key=self._runtime.file("server.key"),
        )
        files = {
            "server.pem": server.chain_file.read_bytes(),
            "server.key": server.key_file.read_bytes(),
            "postgresql.conf": configuration.encode(),
            "pg_hba.conf": ACCESS.encode(),
            "password": self.endpoint.admin_password.encode() + b"\n",
        }
        folder = self._runtime.file("password").parent
        argv = ["sh", "-c", START, "start-postgres", str(self._runtime.data), str(folder)]
        return self._runtime.launch(argv, {}, files, [self.endpoint.port])
