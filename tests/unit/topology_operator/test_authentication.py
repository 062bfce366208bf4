"""How the operator trusts an API server."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from topology_operator.kubernetes.api import authenticate

KUBECONFIG = """\
current-context: here
contexts: [{name: here, context: {cluster: here, user: me}}]
clusters: [{name: here, cluster: {server: "https://127.0.0.1:6443"}}]
users: [{name: me, user: {token: word}}]
"""


def test_an_authority_without_a_key_usage_is_accepted_and_everything_else_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_context = ssl.create_default_context

    def create_strict_context(*arguments: Any, **options: Any) -> ssl.SSLContext:
        """As Python 3.13 does by default."""
        context = create_context(*arguments, **options)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    (tmp_path / "config").write_text(KUBECONFIG)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    monkeypatch.setattr(ssl, "create_default_context", create_strict_context)
    found = authenticate()
    assert (found.server, found.token) == ("https://127.0.0.1:6443", "word")
    context = found.as_ssl_context()
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
