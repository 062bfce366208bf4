"""How this process reaches the API server: its service account in a pod, the kubeconfig anywhere else."""

from __future__ import annotations

import dataclasses
import ssl

import kopf
import yaml

from topology_operator.errors import SettingsError


class _Lenient(kopf.ConnectionInfo):
    """To a cluster whose authority somebody made who knew no key usage: Python refuses it from 3.13 on, and whoever
    installs us cannot change it. Signature, name and time are checked as ever."""

    def as_ssl_context(self) -> ssl.SSLContext:
        context = super().as_ssl_context()
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context


def connect() -> kopf.ConnectionInfo:
    """Read anew at each call: a mounted token is renewed every hour.

    Raises `SettingsError` when there is neither.
    """
    settings = kopf.OperatorSettings()
    try:
        found = kopf.login_with_service_account(settings=settings) or kopf.login_with_kubeconfig(settings=settings)
    except (OSError, yaml.YAMLError, KeyError, kopf.LoginError) as exc:
        raise SettingsError(f"the kubeconfig cannot be used: {exc}") from exc
    if found is None:
        raise SettingsError("no service account and no KUBECONFIG: run it in a cluster, or set KUBECONFIG")
    if not found.server:
        raise SettingsError("the kubeconfig's current cluster has no server")
    return _Lenient(**{field.name: getattr(found, field.name) for field in dataclasses.fields(found)})
