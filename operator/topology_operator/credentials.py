"""How this process reaches the API server: its service account in a pod, the kubeconfig anywhere else."""

from __future__ import annotations

import kopf
import yaml

from topology_operator.errors import SettingsError


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
    return found
