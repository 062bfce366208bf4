"""Typical mistakes in values, and the error messages."""

import asyncio
from pathlib import Path

import pytest

from tests.charts.helm import RELEASES, Release
from tests.charts.rendering import CHART, Object, helm
from tests.kubernetes.api_client import kubeconfig
from tests.kubernetes.emulator.access import ADMIN
from tests.kubernetes.emulator.server import ApiServerEmulator

EXTERNAL = {"mode": "external", "external": {"host": "broker.example", "adminSecret": "admin"}}
BROKER_CIDRS = {"networkPolicy": {"brokerCidrs": ["10.0.0.0/8"]}}

MISTAKES: dict[str, tuple[Object, list[str]]] = {
    "a key that is misspelt": ({"rabitmq": {"mode": "simple"}}, ["rabitmq"]),
    "a key inside of a component": ({"components": {"payment": {"replica": 2}}}, ["replica"]),
    "a key of the operator's chart": ({"topology-operator": {"concurency": 2}}, ["concurency"]),
    "an unknown mode": ({"rabbitmq": {"mode": "operator"}}, ["rabbitmq", "mode", "clusterOperator", "simple"]),
    "a number in words": ({"default": {"replicas": "two"}}, ["replicas", "integer"]),
    "a port out of range": ({"mail": {"port": 70000}}, ["mail", "port"]),
    "an amount with an unknown unit": ({"rabbitmq": {"storage": "10 GB"}}, ["storage"]),
    "an invalid IPv6 network": (
        {"networkPolicy": {"apiServer": {"cidrs": ["2001:db8::1::/64"]}}},
        ["cidrs"],
    ),
    "a number that YAML does not keep": (
        {"default": {"environment": {"X": 12345678901234567890}}},
        ["environment.X is a number that YAML does not keep as it is written: put it in quotes"],
    ),
    "a name of the chart's own folders": (
        {"components": {"payment": {"secrets": {"broker": "x"}}}},
        ["components.payment: a volume or folder of secrets is called broker"],
    ),
    "a name that no URL can contain": ({"rabbitmq": {"vhost": ".."}}, ["rabbitmq.vhost is .."]),
    "a block that is removed": ({"rabbitmq": None}, ["rabbitmq"]),
    "a setting that is removed": ({"networkPolicy": {"apiServer": None}}, ["networkPolicy", "apiServer"]),
    "a setting of the operator's chart that is removed": (
        {"topology-operator": {"networkPolicy": {"dns": None}}},
        ["networkPolicy", "dns"],
    ),
    "an invalid label": ({"default": {"podLabels": {"team": "a b"}}}, ["podLabels", "team"]),
    "scaling without bounds": (
        {"components": {"own": {"enabled": True, "service": "own", "queue": "q", "autoscaling": {"enabled": True}}}},
        ["components.own.autoscaling: set minimum and maximum"],
    ),
    "an invalid network": ({"networkPolicy": {"apiServer": {"cidrs": ["10.0.0.1"]}}}, ["cidrs"]),
    "a provider that is not called over TLS": ({"sms": {"url": "http://sms.example"}}, ["url", "https"]),
    "a service without a name": ({"components": {"nameless": {"enabled": True}}}, ["nameless", "service"]),
    "an external broker without an address": (
        {"rabbitmq": {"mode": "external"}, "topology-operator": BROKER_CIDRS},
        ["set rabbitmq.external.host", "set rabbitmq.external.adminSecret", "set rabbitmq.external.caConfigMap"],
    ),
    "an external broker that the operator may not reach": (
        {"rabbitmq": EXTERNAL},
        ["set topology-operator.networkPolicy.brokerCidrs"],
    ),
    "a management port that the operator may not reach": (
        {
            "rabbitmq": {"mode": "external", "external": {**EXTERNAL["external"], "managementPort": 443}},
            "topology-operator": BROKER_CIDRS,
        },
        ["rabbitmq.external.managementPort is 443: add it to topology-operator.networkPolicy.brokerPorts"],
    ),
    "credentials without a server": (
        {"mail": {"credentialsSecret": "smtp"}, "sms": {"tokenSecret": "sms"}},
        ["mail.credentialsSecret is set and mail.host is empty", "sms.tokenSecret is set and sms.url is empty"],
    ),
    "two public components at one host": (
        {"ingress": {"enabled": True, "host": "a.example"}, "components": {"audit": {"public": True}}},
        ["components audit, order-api are public: there is one host"],
    ),
    "an address of an external broker without the mode external": (
        {"rabbitmq": {"external": {"host": "broker.example"}}},
        ["rabbitmq.external.host is set, but rabbitmq.mode is clusterOperator"],
    ),
    "an external database without an address": (
        {"postgresql": {"mode": "external"}},
        ["set postgresql.external.host", "postgresql.external.adminSecret", "postgresql.external.caConfigMap"],
    ),
    "a cluster of two": ({"rabbitmq": {"replicas": 2}}, ["rabbitmq.replicas is 2: take an odd number"]),
    "nowhere to send mail": ({"sinks": {"enabled": False}}, ["mail.host is empty", "sms.url is empty"]),
    "a minimum above the maximum": (
        {"components": {"payment": {"autoscaling": {"enabled": True, "minimum": 9}}}},
        ["components.payment.autoscaling: minimum 9 is more than maximum 6"],
    ),
    "HTTP that scales on a queue": (
        {"components": {"order-api": {"autoscaling": {"enabled": True, "backlogSeconds": 10}}}},
        ["components.order-api.autoscaling: a process with HTTP does not scale on the depth of a queue"],
    ),
    "a consumer without a rate": (
        {"components": {"payment": {"autoscaling": {"enabled": True, "messagesPerSecond": None}}}},
        ["components.payment.autoscaling: a consumer needs backlogSeconds"],
    ),
    "a grace period that is too short": (
        {"components": {"payment": {"terminationGracePeriodSeconds": 5}}},
        ["payment.terminationGracePeriodSeconds is 5: with preStopSeconds 8 a pod needs at least 15 seconds"],
    ),
    "two collectors": (
        {"observability": {"enabled": True, "otlpEndpoint": "http://collector:4318"}},
        ["observability.enabled starts a collector and observability.otlpEndpoint names another"],
    ),
    "a collector without a scheme": ({"observability": {"otlpEndpoint": "collector:4317"}}, ["otlpEndpoint"]),
    "a ratio that is a percentage": ({"observability": {"tracing": {"ratio": 10}}}, ["tracing", "ratio"]),
    "a smoke test of a disabled component": (
        {"components": {"order-api": {"enabled": False}}},
        ["components.order-api is off"],
    ),
}


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.version)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_value_is_refused_with_its_name(mistake: str, release: Release) -> None:
    values, messages = MISTAKES[mistake]
    done = helm(release, "template", "warren", CHART, values=values)
    assert done.returncode != 0
    for words in messages:
        assert words in done.stderr, done.stderr


def test_all_wrong_values_are_reported_at_once() -> None:
    values: Object = {"rabbitmq": {"replicas": 2}, "postgresql": {"mode": "external"}, "sinks": {"enabled": False}}
    done = helm(RELEASES[-1], "template", "warren", CHART, values=values)
    for words in ("odd number", "postgresql.external.host", "mail.host", "sms.url"):
        assert words in done.stderr


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.version)
@pytest.mark.parametrize("name", ["1warren", "123", "my.app"])
def test_a_release_name_that_is_no_valid_service_name_is_refused(name: str, release: Release) -> None:
    done = helm(release, "template", name, CHART)
    assert done.returncode != 0
    assert f"the release is called {name}: Services are named after it" in done.stderr


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.version)
async def test_a_second_release_in_a_namespace_is_refused(release: Release, tmp_path: Path) -> None:
    labels = {"app.kubernetes.io/name": "warren", "app.kubernetes.io/instance": "first"}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x", "labels": labels}}
    async with ApiServerEmulator() as server:
        server.tokens[""] = ADMIN  # Helm sends no token without TLS
        server.objects.create("namespaces", "", {"metadata": {"name": "shop"}})
        server.objects.create("deployments.apps", "shop", deployment)
        flags = ["--kubeconfig", str(kubeconfig(tmp_path, server.url, "", None)), "--namespace", "shop"]
        flags += ["--dry-run=server", "--disable-openapi-validation"]
        first, second = [
            await asyncio.to_thread(helm, release, "template", name, CHART, *flags) for name in ("first", "second")
        ]
    assert second.returncode != 0
    assert "namespace shop holds release first of this chart" in second.stderr
    assert "install this one into a namespace of its own" in second.stderr
    assert "holds release" not in first.stderr
