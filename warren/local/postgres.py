"""A private PostgreSQL: TLS and SCRAM on loopback, its data kept between runs.

Durability is never traded for speed here: fsync and synchronous_commit stay on, so that what tests and demos show about
lost messages is true.
"""

import re
import signal
from pathlib import Path

from warren.local.addresses import DatabaseAddress
from warren.local.certificates import Certificates
from warren.local.enclosure import Enclosure
from warren.local.ports import LOOPBACK
from warren.local.secret import remembered_secret
from warren.local.server import Server

__all__ = ["Postgres"]

BIN = "/usr/lib/postgresql/18/bin"
ADMIN = "postgres"
DATABASE = "warren"

CONFIGURATION = """\
# Written at every start; changes are lost.
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
deadlock_timeout = 200ms
idle_in_transaction_session_timeout = 60s
"""
# No line for the local socket and none without TLS: whatever is not listed is refused.
ACCESS = "hostssl all all 127.0.0.1/32 scram-sha-256\n"


class Postgres(Server):
    """The server `address` describes. `start` creates data and the database on its first run (about 2 s)."""

    name = "PostgreSQL"
    ready_line = re.compile(rb"database system is ready to accept connections")
    stop_signal = signal.SIGINT  # a fast shutdown: sessions are ended, not waited for

    def __init__(self, enclosure: Enclosure, instance_dir: Path, port: int, certificates: Certificates) -> None:
        super().__init__(instance_dir / "logs" / "postgres.log")
        self._enclosure = enclosure
        self._certificates = certificates
        self.address = DatabaseAddress(
            host=LOOPBACK,
            port=port,
            admin_username=ADMIN,
            admin_password=remembered_secret(instance_dir / "secrets" / "postgres-admin"),
            ca_file=certificates.ca_file,
            database=DATABASE,
        )

    def _prepare(self) -> list[str]:
        server = self._certificates.server("postgres")
        certificate = self._enclosure.write(server.chain_file.read_bytes(), "postgres", "server.pem")
        key = self._enclosure.write(server.key_file.read_bytes(), "postgres", "server.key")
        text = CONFIGURATION.format(host=self.address.host, port=self.address.port, certificate=certificate, key=key)
        configuration = self._enclosure.write(text, "postgres", "postgresql.conf")
        access = self._enclosure.write(ACCESS, "postgres", "pg_hba.conf")
        data = self._enclosure.path("postgres", "data")
        if not (self._enclosure.outside / "postgres" / "data").exists():
            self._create(data)
        return self._enclosure.command(
            [f"{BIN}/postgres", "-D", str(data), "-c", f"config_file={configuration}", "-c", f"hba_file={access}"]
        )

    def _create(self, data: Path) -> None:
        """Makes the data folder under another name first, so that one that exists is complete."""
        script = (
            'set -e; new="$1.new"; rm -rf "$new"; '
            f'{BIN}/initdb --pgdata="$new" --username={ADMIN} --pwfile="$2" --auth=scram-sha-256 --encoding=UTF8 '
            "--locale-provider=builtin --builtin-locale=C.UTF-8 --locale=C.UTF-8 --no-instructions; "
            f"echo 'CREATE DATABASE {DATABASE}' | {BIN}/postgres --single -D \"$new\" postgres; "
            'mv "$new" "$1"'
        )
        password = self._enclosure.write(self.address.admin_password + "\n", "postgres", "password")
        try:
            self._enclosure.run(["/usr/bin/dash", "-c", script, "dash", str(data), str(password)])
        finally:
            (self._enclosure.outside / "postgres" / "password").unlink()
