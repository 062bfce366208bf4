"""When the certificates of servers and of their CAs expire."""

import ssl
from pathlib import Path


class WatchedCertificate:
    """The certificate that a server has shown at the last connect with a watched TLS context."""

    def __init__(self) -> None:
        self.expires_at: float | None = None
        """Unix seconds; None before the first connect, and without TLS."""

    def watch(self, context: ssl.SSLContext | None) -> ssl.SSLContext | None:
        """Make `context` record the certificate of each server that it connects to. Returns `context`."""
        if context is not None:
            context.sslobject_class = self._recording_class()
        return context

    def _recording_class(self) -> type[ssl.SSLObject]:
        certificate = self

        class RecordingSslObject(ssl.SSLObject):
            def do_handshake(self) -> None:
                super().do_handshake()  # raises until the handshake is complete and the certificate is verified
                certificate.expires_at = _expiry(self.getpeercert() or {})

        return RecordingSslObject


def ca_expires_at(ca_file: Path) -> float | None:
    """Return when the first certificate of a CA file expires, in Unix seconds; None if the file cannot be read."""
    try:
        authorities = ssl.create_default_context(cafile=ca_file).get_ca_certs()
    except (OSError, ssl.SSLError):
        return None
    return min((expiry for each in authorities if (expiry := _expiry(each)) is not None), default=None)


def _expiry(certificate: object) -> float | None:
    end = certificate.get("notAfter") if isinstance(certificate, dict) else None
    return ssl.cert_time_to_seconds(end) if isinstance(end, str) else None
