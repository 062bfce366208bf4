"""The RabbitMQ 4.3 broker of an instance: TLS on loopback only. Its data stays between runs.

The instance also has its own ports for Erlang distribution and for epmd, Erlang's name server, so that several brokers
can run on one machine.
"""

import re
from collections.abc import Mapping
from pathlib import Path, PurePath

from devtools.errors import ServerError
from devtools.ports import LOOPBACK
from devtools.servers.credentials import Certificates, load_or_create_secret
from devtools.servers.endpoints import BrokerEndpoints
from devtools.servers.runtime import ServerRuntime
from devtools.servers.server import Server

CLIENT_PORTS = ("amqps", "management", "stream", "metrics")
PORTS = (*CLIENT_PORTS, "epmd", "distribution")
ADMIN = "admin"
MIN_VERSION = (4, 3, 1)
PLUGINS = (
    "rabbitmq_management",
    "rabbitmq_prometheus",
    "rabbitmq_shovel",
    "rabbitmq_shovel_management",
    "rabbitmq_stream",
    "rabbitmq_stream_management",
)
TLS_KEYS = ("ssl_options", "management.ssl", "prometheus.ssl")
CONFIGURATION = """\
# Overwritten at every start.
listeners.tcp = none
listeners.ssl.1 = {host}:{amqps}
ssl_options.verify = verify_none
ssl_options.fail_if_no_peer_cert = false
ssl_options.versions.1 = tlsv1.3
ssl_options.versions.2 = tlsv1.2
stream.listeners.tcp = none
stream.listeners.ssl.1 = {host}:{stream}
stream.advertised_host = {advertised}
stream.advertised_tls_host = {advertised}
stream.advertised_tls_port = {stream}
management.ssl.ip = {host}
management.ssl.port = {management}
prometheus.tcp.listener = none
prometheus.ssl.ip = {host}
prometheus.ssl.port = {metrics}
default_user = {admin}
default_pass = {password}
default_user_tags.administrator = true
collect_statistics_interval = 1000
cluster_name = warren
log.file = false
log.console = true
log.console.level = info
log.console.use_colors = off
# At lower levels the broker logs the whole message when a frame is malformed. Clients log why a channel was closed.
log.channel.level = critical
# The default strategy reads /proc, which some machines do not permit.
vm_memory_calculation_strategy = allocated
vm_memory_high_watermark.absolute = 2GB
disk_free_limit.absolute = 200MB
"""


class RabbitMQ(Server):
    """A broker with the addresses and the login in `endpoints`. The first start creates the administrator."""

    name = "RabbitMQ"
    ready_line = re.compile(rb"Server startup complete")

    def __init__(
        self, runtime: ServerRuntime, instance_dir: Path, ports: Mapping[str, int], certificates: Certificates
    ) -> None:
        super().__init__(runtime, instance_dir / "logs" / "rabbitmq.log")
        self._ports = dict(ports)
        self._certificates = certificates
        self.endpoints = BrokerEndpoints(
            host=LOOPBACK,
            amqps_port=ports["amqps"],
            management_url=f"https://{LOOPBACK}:{ports['management']}",
            stream_port=ports["stream"],
            metrics_url=f"https://{LOOPBACK}:{ports['metrics']}/metrics",
            admin_username=ADMIN,
            admin_password=load_or_create_secret(instance_dir / "secrets" / "rabbitmq-admin"),
            ca_file=certificates.ca_file,
        )
        self._cookie = load_or_create_secret(instance_dir / "secrets" / "erlang-cookie")

    def rabbitmqctl(self, *arguments: str, tool: str = "rabbitmqctl", time_limit: float = 60.0) -> str:
        """Return the output of a command (about 0.6 s). `tool` may be another program, such as `rabbitmq-queues`."""
        return self._runtime.run([tool, *arguments], self._environment(), time_limit)

    def _prepare_command(self) -> list[str]:
        server = self._certificates.server("rabbitmq")
        tls_files = {
            "cacertfile": self._runtime.file("ca.pem"),
            "certfile": self._runtime.file("server.pem"),
            "keyfile": self._runtime.file("server.key"),
        }
        configuration = render_configuration(
            self._runtime.listen_host, self.endpoints.host, self._ports, self.endpoints.admin_password, tls_files
        )
        files = {
            "ca.pem": self._certificates.ca_file.read_bytes(),
            "server.pem": server.chain_file.read_bytes(),
            "server.key": server.key_file.read_bytes(),
            "rabbitmq.conf": configuration.encode(),
            "enabled_plugins": f"[{','.join(PLUGINS)}].\n".encode(),
            ".erlang.cookie": self._cookie.encode(),
        }
        ports = [self._ports[purpose] for purpose in CLIENT_PORTS]
        return self._runtime.launch(["rabbitmq-server"], self._environment(), files, ports)

    def _check_version(self, output: bytes) -> None:
        found = re.search(rb"Starting RabbitMQ (\d+)\.(\d+)\.(\d+)", output)
        if found is None or tuple(int(part) for part in found.groups()) < MIN_VERSION:
            version = b".".join(found.groups()).decode() if found else "unknown"
            raise ServerError(
                f"This is RabbitMQ {version}; 4.3.1 or newer is needed: older brokers ignore delayed retry."
            )

    def _environment(self) -> dict[str, str]:
        loopback_only = "-kernel inet_dist_use_interface {127,0,0,1}"
        return {
            "RABBITMQ_NODENAME": "warren@localhost",
            "RABBITMQ_CONFIG_FILE": str(self._runtime.file("rabbitmq.conf")),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._runtime.file("enabled_plugins")),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_MNESIA_BASE": str(self._runtime.data),
            "RABBITMQ_LOG_BASE": str(self._runtime.data),
            "RABBITMQ_DIST_PORT": str(self._ports["distribution"]),
            "ERL_EPMD_PORT": str(self._ports["epmd"]),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            # Several brokers share few cores: schedulers are not pinned, and idle ones do not spin.
            "RABBITMQ_SCHEDULER_BIND_TYPE": "u",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{loopback_only} +sbwt none +sbwtdcpu none +sbwtdio none",
            "RABBITMQ_CTL_ERL_ARGS": loopback_only,
            # The start script then replaces itself by the Erlang VM (exec).
            "RUNNING_UNDER_SYSTEMD": "true",
        }


def render_configuration(
    host: str, advertised: str, ports: Mapping[str, int], password: str, tls_files: Mapping[str, PurePath]
) -> str:
    """Return the content of `rabbitmq.conf`. `tls_files` are paths in the broker's file system."""
    text = CONFIGURATION.format(host=host, advertised=advertised, admin=ADMIN, password=password, **ports)
    return text + "".join(f"{key}.{kind} = {file}\n" for key in TLS_KEYS for kind, file in tls_files.items())
