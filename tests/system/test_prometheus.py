"""The Prometheus of `warren up` scrapes every part of the system, also after a part was killed and restarted."""

import time

import pytest

from devtools.local.system import System
from devtools.servers.prometheus import Prometheus
from faults.harness import eventually
from services.registry import PROCESSES
from tests.system.watched import Watched

SERVERS = {"rabbitmq", "rabbitmq-detailed", "postgresql", "prometheus"}


@pytest.fixture
def prometheus(system: System) -> Prometheus:
    assert system.monitoring is not None
    system.monitoring.prometheus.wait_until_up()
    return system.monitoring.prometheus


def test_every_part_is_scraped(system: System, prometheus: Prometheus) -> None:
    assert system.urls["Prometheus"] == prometheus.api.url
    samples = prometheus.api.query("up == 1")
    assert {sample.labels["namespace"] for sample in samples} == {"local"}
    scraped = {sample.labels.get("service", sample.labels["job"]) for sample in samples}
    assert scraped == {*PROCESSES, *SERVERS}
    assert len(samples) == len(scraped)
    queues = prometheus.api.query("rabbitmq_detailed_queue_consumers{queue=~'.+[.]queue'}")
    assert {sample.labels["vhost"] for sample in queues} == {"orders"}
    eventually(lambda: prometheus.api.value("pg_up") == 1)  # an earlier test may have just restarted the database


def test_rules_of_the_chart_are_loaded_and_healthy(prometheus: Prometheus) -> None:
    eventually(lambda: all(rule["health"] != "unknown" for rule in prometheus.api.rules()))
    assert [(rule["name"], rule["lastError"]) for rule in prometheus.api.rules() if rule["health"] != "ok"] == []


@pytest.mark.parametrize("victim", ["payment", "Prometheus", "postgres-exporter"])
def test_a_part_that_was_killed_is_scraped_again(
    system: System, prometheus: Prometheus, watched: Watched, victim: str
) -> None:
    label = {"payment": 'service="payment"', "Prometheus": 'job="prometheus"', "postgres-exporter": 'job="postgresql"'}
    killed_at = time.time()
    watched.kill(victim)
    started = f"process_start_time_seconds{{{label[victim]}}} > {killed_at - 1}"
    deadline = time.monotonic() + 60
    while not prometheus.api.query(started):
        assert time.monotonic() < deadline, prometheus.api.query("up")
        time.sleep(0.2)
    prometheus.wait_until_up()
    system.check()
