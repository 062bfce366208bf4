"""A certificate that was good until yesterday."""

import datetime
from pathlib import Path

import trustme

from devtools.servers.credentials import Certificates, ServerCertificate


def expired_certificate(authority: Certificates, folder: Path) -> ServerCertificate:
    """For loopback, from the instance's own authority, in files in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    issuer = trustme.CA.from_pem(authority.ca_file.read_bytes(), (authority.folder / "ca.key").read_bytes())
    yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    issued = issuer.issue_cert("127.0.0.1", "localhost", not_after=yesterday)
    expired = ServerCertificate(folder / "expired.pem", folder / "expired.key")
    issued.private_key_pem.write_to_path(expired.key_file)
    expired.chain_file.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    return expired
