"""Address and credentials of a management API, read from a Secret. Pure."""

from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

import msgspec

from broker_topology.credentials.directory import without_line_end

DEFAULT_PORTS = {"https": "15671", "http": "15672"}
SCHEME_FOR_AMQP = {"amqps": "https", "amqp": "http"}


class IncompleteSecret(ValueError):
    """A Secret lacks a value. The text names the key and never shows a value."""


class ManagementEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    url: str
    """`https://host:port`, without credentials."""
    username: str
    password: str
    ca_data: str | None = None
    """PEM; None for the authorities of the system."""
    certificate: str | None = None
    """PEM, for a broker that requires a client certificate."""
    key: str | None = None

    def __repr__(self) -> str:
        return f"ManagementEndpoint(url={self.url!r}, username={self.username!r}, …)"


def from_secret(data: Mapping[str, str]) -> ManagementEndpoint:
    """Reads `uri`, or `host` and `port`, of the management API, `username`, `password`, `ca.crt`, `tls.crt`, `tls.key`.

    `username` and `password` win over credentials in the `uri`. Raises `IncompleteSecret`.
    """
    url, username, password = _address(data)
    username = without_line_end(data.get("username", "")) or username
    password = without_line_end(data.get("password", "")) or password
    if not username or not password:
        raise IncompleteSecret(f"it has no {'password' if username else 'username'}")
    ca_data, certificate, key = (data.get(name) or None for name in ("ca.crt", "tls.crt", "tls.key"))
    if (certificate is None) != (key is None):
        raise IncompleteSecret(f"it has no {'tls.key' if certificate else 'tls.crt'}")
    return ManagementEndpoint(
        url=url, username=username, password=password, ca_data=ca_data, certificate=certificate, key=key
    )


def _address(data: Mapping[str, str]) -> tuple[str, str, str]:
    """Returns URL, user name and password."""
    if uri := data.get("uri", "").strip():
        return _address_of_uri(uri)
    host = data.get("host", "").strip()
    if not host:
        raise IncompleteSecret("it has neither uri nor host")
    return f"https://{host}:{data.get('port', '').strip() or DEFAULT_PORTS['https']}", "", ""


def _address_of_uri(uri: str) -> tuple[str, str, str]:
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError as exc:
        raise IncompleteSecret("uri is not an address: write https://host:port") from exc
    if scheme := SCHEME_FOR_AMQP.get(parts.scheme):
        raise IncompleteSecret(
            f"uri begins with {parts.scheme}://, but the operator uses the management API: "
            f"write {scheme}://host:{DEFAULT_PORTS[scheme]}"
        )
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise IncompleteSecret("uri is not an address: write https://host:port")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    url = f"{parts.scheme}://{host}:{port or DEFAULT_PORTS[parts.scheme]}{parts.path.rstrip('/')}"
    return url, unquote(parts.username or ""), unquote(parts.password or "")
