"""Prometheus, promtool and PostgreSQL's exporter from their private root."""

import asyncio
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import asyncpg
import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from devtools.errors import ServerError
from devtools.paths import CHECKOUT
from devtools.ports import remembered_ports
from devtools.servers.credentials import load_or_create_secret
from devtools.servers.endpoints import DatabaseEndpoint
from devtools.servers.monitoring import scrape_jobs
from devtools.servers.postgres_exporter import PostgresExporter
from devtools.servers.prometheus import Prometheus, ScrapeJob, running_prometheus
from devtools.servers.promtool import Promtool
from devtools.servers.runtime import monitoring_runtimes
from devtools.servers.servers import Servers
from warren.errors import ClientError
from warren.progress import ProgressReport

TRACE = "0af7651916cd43dd8448eb211c80319c"
RULES = """
groups:
  - name: test
    interval: 200ms
    rules:
      - record: job:parcels:rate1m
        expr: sum by (job) (parcels)
      - alert: TooManyParcels
        expr: parcels > 10
        labels: {severity: page}
        annotations: {summary: "{{ $value }} parcels in {{ $labels.namespace }}"}
"""
SUPERVISOR = """
import sys, time
from pathlib import Path
from devtools.servers.prometheus import running_prometheus
with running_prometheus(Path(sys.argv[1]), []):
    print("ready", flush=True)
    time.sleep(120)
"""


class Processes(Protocol):
    def __call__(self) -> list[int]: ...

    def wait_until_gone(self) -> None: ...


def eventually(holds: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


class Target:
    """A process with metrics, of which one counter has exemplars."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self.parcels = Gauge("parcels", "Parcels.", registry=registry)
        self.sent = Counter("sent", "Sent parcels.", registry=registry)
        self.sent.inc(1, {"trace_id": TRACE})
        self.server, self._thread = start_http_server(0, "127.0.0.1", registry)
        self.address = f"127.0.0.1:{self.server.server_port}"

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    target = Target()
    yield target
    target.stop()


@pytest.fixture(scope="module")
def prometheus(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "rules").mkdir()
    (folder / "rules" / "test.yaml").write_text(RULES)
    jobs = [ScrapeJob("parcels", {target.address: {"service": "shipping"}})]
    rules = [folder / "rules"]
    with running_prometheus(folder, jobs, rules, labels={"namespace": "test"}, interval=0.2) as running:
        running.wait_until_up()
        yield running


def test_series_have_the_labels_of_job_and_target(prometheus: Prometheus, target: Target) -> None:
    target.parcels.set(3)
    eventually(lambda: prometheus.api.value("parcels") == 3)
    (sample,) = prometheus.api.query("parcels")
    labels = {"job": "parcels", "service": "shipping", "namespace": "test", "instance": target.address}
    assert sample.labels == {"__name__": "parcels"} | labels
    assert abs(sample.time - time.time()) < 60
    assert {one["labels"]["job"] for one in prometheus.api.targets()} == {"parcels", "prometheus"}


def test_exemplars_of_openmetrics_are_stored(prometheus: Prometheus) -> None:
    found = prometheus.api.exemplars("sent_total", time.time() - 60, time.time() + 1)
    assert [one["labels"] for series in found for one in series["exemplars"]] == [{"trace_id": TRACE}]


def test_rules_are_evaluated_and_alerts_fire_and_clear(prometheus: Prometheus, target: Target) -> None:
    api = prometheus.api
    target.parcels.set(11)
    eventually(lambda: [alert["state"] for alert in api.alerts()] == ["firing"])
    (alert,) = api.alerts()
    assert alert["labels"]["alertname"] == "TooManyParcels"
    assert alert["annotations"]["summary"] == "11 parcels in test"
    assert api.value("job:parcels:rate1m") == 11
    assert {rule["name"]: (rule["type"], rule["health"]) for rule in api.rules()} == {
        "job:parcels:rate1m": ("recording", "ok"),
        "TooManyParcels": ("alerting", "ok"),
    }
    target.parcels.set(0)
    eventually(lambda: api.alerts() == [])


def test_a_range_has_a_point_for_each_step_and_a_scalar_no_labels(prometheus: Prometheus) -> None:
    now = time.time()
    (series,) = prometheus.api.query_range("vector(7)", now - 10, now, 5)
    assert [value for _, value in series.points] == [7, 7, 7]
    assert prometheus.api.query("1 / 0")[0].value == math.inf
    assert math.isnan(prometheus.api.value("no_such_metric"))


def test_a_target_that_is_down_is_named(target: Target, tmp_path: Path) -> None:
    closed = remembered_ports(tmp_path / "ports.json", ["closed"])["closed"]
    jobs = [ScrapeJob("parcels", {target.address: {}, f"127.0.0.1:{closed}": {}})]
    with running_prometheus(tmp_path, jobs, interval=0.2) as running:
        with pytest.raises(ServerError, match=rf"parcels at 127\.0\.0\.1:{closed} \(.*refused") as failure:
            running.wait_until_up(10)
        assert target.address not in str(failure.value)


def test_a_wrong_expression_and_several_series_are_refused_by_name(prometheus: Prometheus) -> None:
    with pytest.raises(ClientError, match=r"refuses the request \(sum\(\): "):
        prometheus.api.query("sum(")
    with pytest.raises(ClientError, match="up has 2 series, one was expected"):
        prometheus.api.value("up")


def test_data_stay_when_it_restarts(prometheus: Prometheus, target: Target) -> None:
    first = prometheus.api.query("min_over_time(timestamp(sent_total)[10m:1s])")[0].value
    address = prometheus.api.url
    prometheus.restart(kill=True)
    assert prometheus.api.url == address
    eventually(lambda: prometheus.api.value("up{job='parcels'}") == 1)
    assert prometheus.api.query("min_over_time(timestamp(sent_total)[10m:1s])")[0].value <= first + 2


def test_an_empty_folder_of_rules_is_no_error_and_a_wrong_rule_is_shown(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    with running_prometheus(tmp_path, [], [rules, tmp_path / "missing"]) as running:
        assert running.api.rules() == []
        (rules / "broken.yaml").write_text("groups: [{name: a, rules: [{record: b, expr: 'sum('}]}]")
        with pytest.raises(ServerError, match=r"Prometheus did not start \(exit code 2\)") as failure:
            running.restart()
        assert "broken.yaml" in failure.value.log_tail
        assert "could not parse expression" in failure.value.log_tail
    with pytest.raises(ClientError, match="does not respond"):
        running.api.query("up")


def test_it_ends_with_its_process(tmp_path: Path, processes: Processes) -> None:
    with subprocess.Popen([sys.executable, "-c", SUPERVISOR, str(tmp_path)], stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == b"ready\n"
        assert processes()
        supervisor.kill()
    processes.wait_until_gone()


@pytest.fixture
def checkout_files(tmp_path: Path) -> Iterator[Path]:
    """A folder below the checkout, as promtool's files are."""
    folder = CHECKOUT / ".pytest_cache" / tmp_path.name
    folder.mkdir(parents=True)
    yield folder
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


def test_promtool_checks_and_tests_rules(tmp_path: Path, checkout_files: Path) -> None:
    promtool = Promtool(tmp_path / "promtool")
    rules, test = checkout_files / "rules.yaml", checkout_files / "test.yaml"
    names = [str(file.relative_to(CHECKOUT)) for file in (rules, test)]
    rules.write_text(RULES)
    expectation = (
        "{expr: 'job:parcels:rate1m', eval_time: 1m, exp_samples: [{labels: 'job:parcels:rate1m', value: %d}]}"
    )
    series = "input_series: [{series: parcels, values: '2+0x10'}]"
    template = "rule_files: [rules.yaml]\ntests:\n  - %s\n    promql_expr_test: [%s]\n"
    test.write_text(template % (series, expectation % 2))
    assert "SUCCESS: 2 rules found" in promtool.run("check", "rules", names[0], files=[rules])
    assert "SUCCESS" in promtool.run("test", "rules", names[1], files=[rules, test])
    test.write_text(template % (series, expectation % 3))
    with pytest.raises(ServerError, match="FAILED"):
        promtool.run("test", "rules", names[1], files=[checkout_files])


def test_the_exporter_reads_statistics_and_no_table(servers: Servers, tmp_path: Path) -> None:
    _, runtime = monitoring_runtimes(tmp_path, ProgressReport(quiet=True))
    database = servers.postgres.endpoint
    port = remembered_ports(tmp_path / "ports.json", ["exporter"])["exporter"]
    exporter = PostgresExporter(runtime, tmp_path, port, database)
    exporter.start()
    try:
        jobs = scrape_jobs(servers, {}, port, "/")
        with running_prometheus(tmp_path, jobs, interval=0.5) as prometheus:
            prometheus.wait_until_up()
            assert prometheus.api.value("pg_up") == 1
            assert prometheus.api.value("count(pg_scrape_collector_success == 0) or vector(0)") == 0
            assert prometheus.api.value("pg_settings_max_connections") == 300
            assert prometheus.api.value("count(rabbitmq_build_info{job='rabbitmq'})") == 1
    finally:
        exporter.stop()
        exporter.release()
    asyncio.run(check_role(database, load_or_create_secret(tmp_path / "secrets" / "monitoring-postgres" / "password")))


async def check_role(database: DatabaseEndpoint, password: str) -> None:
    async with database.connection() as connection:
        await connection.execute("CREATE TABLE private_rows (id int)")
        granted = await connection.fetch(
            "SELECT role.rolname FROM pg_auth_members JOIN pg_roles AS role ON role.oid = roleid"
            " WHERE member = 'monitoring'::regrole"
        )
        assert [row[0] for row in granted] == ["pg_monitor"]
    connection = await asyncpg.connect(database.dsn(username="monitoring", password=password))
    try:
        async with database.connection():  # a session of another user, whose state only some may read
            seen = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'postgres' AND state IS NOT NULL"
            assert await connection.fetchval(seen) >= 1
        for statement in ("SELECT * FROM private_rows", "CREATE TABLE other_rows (id int)", "CREATE ROLE other"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()
    async with database.connection() as administrator:
        await administrator.execute("DROP TABLE private_rows")
