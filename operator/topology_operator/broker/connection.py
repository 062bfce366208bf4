"""Address and credentials of one management API, and how a Secret words them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

import msgspec

from broker_topology.credentials.secrets import without_line_end

MANAGEMENT_TLS_PORT, MANAGEMENT_PORT = "15671", "15672"
DEFAULT_PORTS = {"https": MANAGEMENT_TLS_PORT, "http": MANAGEMENT_PORT}
AMQP = {"amqps": "https", "amqp": "http"}


class IncompleteSecret(ValueError):
    """A Secret does not say enough; the text says what is missing, never what is there."""


class BrokerConnection(msgspec.Struct, frozen=True, kw_only=True):
    url: str
    """`https://host:port`, without credentials."""
    username: str
    password: str
    ca_data: str | None = None
    """PEM; None for the system's authorities."""
    certificate: str | None = None
    """PEM, for a broker that asks for a client certificate."""
    key: str | None = None

    def __repr__(self) -> str:
        return f"BrokerConnection(url={self.url!r}, username={self.username!r}, …)"


def from_secret(data: Mapping[str, str]) -> BrokerConnection:
    """`uri`, or `host` and perhaps `port` of the management API; `username` and `password`; `ca.crt`, `tls.crt`,
    `tls.key`.

    Credentials may be inside the `uri` instead. Raises `IncompleteSecret`.
    """
    url, username, password = _address(data)
    username = without_line_end(data.get("username", "")) or username
    password = without_line_end(data.get("password", "")) or password
    if not username or not password:
        raise IncompleteSecret(f"it has no {'password' if username else 'username'}")
    certificate, key = data.get("tls.crt") or None, data.get("tls.key") or None
    if (certificate is None) != (key is None):
        raise IncompleteSecret(f"it has no {'tls.key' if certificate else 'tls.crt'}")
    return BrokerConnection(
        url=url,
        username=username,
        password=password,
        ca_data=data.get("ca.crt") or None,
        certificate=certificate,
        key=key,
    )


def _address(data: Mapping[str, str]) -> tuple[str, str, str]:
    if uri := data.get("uri", "").strip():
        try:
            parts = urlsplit(uri)
            port = str(parts.port) if parts.port is not None else ""
        except ValueError as exc:
            raise IncompleteSecret("uri is not an address: write https://host:port") from exc
        if parts.scheme in AMQP:
            raise IncompleteSecret(
                f"uri begins with {parts.scheme}://, but the operator speaks to the management API: write "
                f"{AMQP[parts.scheme]}://host:{DEFAULT_PORTS[AMQP[parts.scheme]]}"
            )
        if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
            raise IncompleteSecret("uri is not an address: write https://host:port")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        url = f"{parts.scheme}://{host}:{port or DEFAULT_PORTS[parts.scheme]}{parts.path.rstrip('/')}"
        return url, unquote(parts.username or ""), unquote(parts.password or "")
    host = data.get("host", "").strip()
    if not host:
        raise IncompleteSecret("it has neither uri nor host")
    return f"https://{host}:{data.get('port', '').strip() or MANAGEMENT_TLS_PORT}", "", ""
