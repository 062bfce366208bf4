"""Ten and more mistakes that people make with values, and what they are told."""

import pytest

from tests.charts.helm import RELEASES
from tests.charts.rendering import CHART, Object, helm

EXTERNAL = {"mode": "external", "external": {"host": "broker.example", "adminSecret": "admin"}}
BROKER_CIDRS = {"networkPolicy": {"brokerCidrs": ["10.0.0.0/8"]}}

MISTAKES: dict[str, tuple[Object, list[str]]] = {
    "a key that is misspelt": ({"rabitmq": {"mode": "simple"}}, ["rabitmq"]),
    "a key inside of a component": ({"components": {"payment": {"replica": 2}}}, ["replica"]),
    "a key of the operator's chart": ({"topology-operator": {"concurency": 2}}, ["concurency"]),
    "a mode that there is not": ({"rabbitmq": {"mode": "operator"}}, ["rabbitmq", "mode", "clusterOperator", "simple"]),
    "a number in words": ({"default": {"replicas": "two"}}, ["replicas", "integer"]),
    "a port that there is not": ({"mail": {"port": 70000}}, ["mail", "port"]),
    "an amount of no unit": ({"rabbitmq": {"storage": "10 GB"}}, ["storage"]),
    "a network that is none": ({"networkPolicy": {"apiServer": {"cidrs": ["10.0.0.1"]}}}, ["cidrs"]),
    "a provider that is not called over TLS": ({"sms": {"url": "http://sms.example"}}, ["url", "https"]),
    "a service without a name": ({"components": {"loyalty": {"enabled": True}}}, ["loyalty", "service"]),
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
    "credentials for nobody": (
        {"mail": {"credentialsSecret": "smtp"}, "sms": {"tokenSecret": "sms"}},
        ["mail.credentialsSecret is set and mail.host is empty", "sms.tokenSecret is set and sms.url is empty"],
    ),
    "two at one host": (
        {"ingress": {"enabled": True, "host": "a.example"}, "components": {"audit": {"public": True}}},
        ["components audit, order-api are public: there is one host"],
    ),
    "an address without the mode": (
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
        ["components.order-api.autoscaling: what answers HTTP does not scale on the depth of a queue"],
    ),
    "a consumer without a rate": (
        {"components": {"payment": {"autoscaling": {"enabled": True, "messagesPerSecond": None}}}},
        ["components.payment.autoscaling: a consumer needs backlogSeconds"],
    ),
    "no time to end": (
        {"components": {"payment": {"grace": 5}}},
        ["components.payment.grace is 5: with preStopSeconds 8 a pod needs at least 15 seconds"],
    ),
    "a test of what is off": ({"components": {"order-api": {"enabled": False}}}, ["components.order-api is off"]),
}


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.version)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_refused_and_named(mistake: str, release: object) -> None:
    values, told = MISTAKES[mistake]
    done = helm(release, "template", "warren", CHART, values=values)  # type: ignore[arg-type]
    assert done.returncode != 0
    for words in told:
        assert words in done.stderr, done.stderr


def test_all_mistakes_are_told_at_once() -> None:
    values: Object = {"rabbitmq": {"replicas": 2}, "postgresql": {"mode": "external"}, "sinks": {"enabled": False}}
    done = helm(RELEASES[-1], "template", "warren", CHART, values=values)
    for words in ("odd number", "postgresql.external.host", "mail.host", "sms.url"):
        assert words in done.stderr
