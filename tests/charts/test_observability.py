"""Monitoring and tracing: configuration of the servers, monitors, rules and dashboards."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from services.registry import PROCESSES
from tests.charts.rendering import (
    CHART,
    NAME,
    NAMESPACE,
    NEWEST,
    Object,
    case,
    containers,
    helm,
    identity,
    objects,
    of_kind,
    pods,
    render,
    the,
)

SERVERS = ("prometheus", "postgres-exporter", "grafana", "collector", "jaeger")
RULE = """\
groups:
  - name: example
    interval: 30s
    rules:
      - alert: Example
        expr: vector(1) > 0
        for: 2m
        labels: {severity: page}
        annotations: {summary: "{{ $labels.service }} has {{ $value | humanize }}"}
"""


def scrape_jobs(name: str) -> dict[str, Object]:
    configuration = yaml.safe_load(the(case(name), "ConfigMap", "warren-prometheus")["data"]["prometheus.yaml"])
    return {job["job_name"]: job for job in configuration["scrape_configs"]}


def environment(container: Object) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container.get("env", ()) if "value" in each}


# The switches


def test_by_default_nothing_is_installed_and_nothing_is_traced() -> None:
    assert not {f"warren-{each}" for each in SERVERS} & {body["metadata"]["name"] for body in case("default")}
    for _, _, spec in pods(case("default")):
        assert not any(
            variable["name"].startswith("OTEL_") for each in containers(spec) for variable in each.get("env", ())
        )


def test_each_switch_for_a_monitoring_system_of_your_own_works_alone(chart: Path) -> None:
    def added(**observability: object) -> set[str]:
        before, after = (set(map(identity, bodies)) for bodies in (case("default"), rendered(chart, **observability)))
        return {each.partition("/shop/")[0].rpartition("/")[2] + each.partition("/shop")[2] for each in after - before}

    assert added(podMonitor=True) == {"PodMonitor/warren", "PodMonitor/warren-rabbitmq"}
    assert added(prometheusRule=True) == {"PrometheusRule/warren"}
    assert added(dashboards=True) == {"ConfigMap/warren-dashboard-shop"}
    assert added(otlpEndpoint="http://collector:4318") == set()


def test_tracing_sets_the_variables_of_the_sdk_in_every_process() -> None:
    for name, endpoint, ratio in (
        ("observability", "http://warren-collector:4318", "1"),
        ("own-monitoring", "https://collector.monitoring.svc:4318", "0.05"),
    ):
        for process in PROCESSES:
            spec = the(case(name), "Deployment", f"warren-{process}")["spec"]["template"]["spec"]
            (container,) = spec["containers"]
            found = environment(container)
            assert found["OTEL_EXPORTER_OTLP_ENDPOINT"] == endpoint
            assert found["OTEL_TRACES_SAMPLER"] == "parentbased_traceidratio"
            assert found["OTEL_TRACES_SAMPLER_ARG"] == ratio
            attributes = dict(each.split("=") for each in found["OTEL_RESOURCE_ATTRIBUTES"].split(","))
            assert attributes["k8s.namespace.name"] == NAMESPACE
            assert attributes["service.instance.id"] == "$(POD_NAME)"
            # Kubernetes replaces a variable only if it is earlier in the list.
            names = [each["name"] for each in container["env"]]
            assert names.index("POD_NAME") < names.index("OTEL_RESOURCE_ATTRIBUTES")


def test_a_component_may_have_its_own_sampling() -> None:
    values = {
        "observability": {"otlpEndpoint": "http://collector:4318"},
        "components": {"audit": {"environment": {"OTEL_TRACES_SAMPLER": "always_off"}}},
    }
    (container,) = the(render(values), "Deployment", "warren-audit")["spec"]["template"]["spec"]["containers"]
    assert environment(container)["OTEL_TRACES_SAMPLER"] == "always_off"


# Prometheus


def test_series_have_the_labels_that_rules_and_dashboards_use() -> None:
    """Prometheus's own configuration and the PodMonitors give the same names to jobs and labels."""
    jobs = scrape_jobs("observability")
    assert set(jobs) == {
        *("warren", "rabbitmq", "rabbitmq-detailed", "topology-operator"),
        *("postgresql", "collector", "prometheus"),
    }
    monitored = {}
    for body in of_kind(case("own-monitoring"), "PodMonitor"):
        for endpoint in body["spec"]["podMetricsEndpoints"]:
            labels = {each["targetLabel"]: each.get("replacement") for each in endpoint["relabelings"]}
            monitored[labels["job"]] = endpoint | {"labels": labels}
    assert set(monitored) == set(jobs) - {"postgresql", "collector", "prometheus"}
    for job, endpoint in monitored.items():
        assert endpoint["path"] == jobs[job].get("metrics_path", "/metrics")
        assert endpoint.get("params") == jobs[job].get("params")
        assert endpoint.get("scheme") == jobs[job].get("scheme")
        assert endpoint.get("honorLabels") == jobs[job].get("honor_labels")
        given = {each["target_label"] for each in jobs[job]["relabel_configs"] if "target_label" in each}
        assert given == {"service", "namespace", "pod", "release"}
        kept = [each for each in jobs[job]["relabel_configs"] if each.get("action") == "keep"]
        assert [each["regex"] for each in kept] == [endpoint["port"]]


@pytest.mark.parametrize("job", ["warren", "postgresql", "collector", "topology-operator"])
def test_prometheus_finds_the_pods(job: str) -> None:
    (discovery,) = scrape_jobs("observability")[job]["kubernetes_sd_configs"]
    assert discovery["namespaces"] == {"names": [NAMESPACE]}
    (selector,) = discovery["selectors"]
    labels = dict(pair.split("=") for pair in selector["label"].split(","))
    (port,) = (each["regex"] for each in scrape_jobs("observability")[job]["relabel_configs"] if "regex" in each)
    found = {
        metadata["labels"]["app.kubernetes.io/component"]
        for _, metadata, spec in pods(case("observability"))
        if labels.items() <= metadata["labels"].items()
        and any(port == each["name"] for container in spec["containers"] for each in container.get("ports", ()))
    }
    others = {"postgresql": "postgres-exporter", "collector": "collector", "topology-operator": "operator"}
    assert found == (set(PROCESSES) if job == "warren" else {others[job]})


@pytest.mark.parametrize("mode", ["simple", "clusterOperator"])
def test_the_broker_is_scraped_over_tls_with_its_own_authority(mode: str) -> None:
    bodies = render({"rabbitmq": {"mode": mode}, "observability": {"enabled": True}})
    configuration = yaml.safe_load(the(bodies, "ConfigMap", "warren-prometheus")["data"]["prometheus.yaml"])
    (job,) = (each for each in configuration["scrape_configs"] if each["job_name"] == "rabbitmq")
    assert (job["scheme"], job["tls_config"]["ca_file"]) == ("https", "/run/warren/trust/broker.crt")
    manifest = yaml.safe_load(the(bodies, "ConfigMap", "warren-provision")["data"]["secrets.yaml"])
    assert job["tls_config"]["server_name"] in manifest["certificates"]["rabbitmq-tls"]["names"]
    if mode == "simple":
        configured = the(bodies, "ConfigMap", "warren-rabbitmq")["data"]["rabbitmq.conf"]
        assert "prometheus.ssl.port = 15691" in configured
        assert "prometheus.tcp" not in configured


def test_external_servers_are_not_scraped() -> None:
    values = yaml.safe_load((CHART / "ci" / "external-values.yaml").read_text()) | {"observability": {"enabled": True}}
    bodies = render(values)
    configuration = yaml.safe_load(the(bodies, "ConfigMap", "warren-prometheus")["data"]["prometheus.yaml"])
    jobs = {job["job_name"] for job in configuration["scrape_configs"]}
    assert not {"rabbitmq", "rabbitmq-detailed", "postgresql"} & jobs
    assert "warren-postgres-exporter" not in {body["metadata"]["name"] for body in bodies}


# Rules and dashboards


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    """A copy of the chart with one rule and one dashboard."""
    copy = tmp_path / "warren"
    shutil.copytree(CHART, copy)
    for folder, name, text in (("rules", "example.yaml", RULE), ("dashboards", "shop.json", '{"title": "{{ Shop }}"}')):
        shutil.rmtree(copy / folder, ignore_errors=True)
        (copy / folder).mkdir()
        (copy / folder / name).write_text(text)
    return copy


def rendered(chart: Path, **observability: object) -> list[Object]:
    done = helm(NEWEST, "template", NAME, chart, "--namespace", NAMESPACE, values={"observability": observability})
    assert done.returncode == 0, done.stderr
    return objects(done.stdout)


def test_templates_in_rules_and_dashboards_are_left_to_prometheus_and_grafana(chart: Path) -> None:
    bodies = rendered(chart, enabled=True, prometheusRule=True, labels={"release": "x"})
    assert the(bodies, "ConfigMap", "warren-rules")["data"] == {"example.yaml": RULE}
    rule = the(bodies, "PrometheusRule", "warren")
    assert rule["spec"] == yaml.safe_load(RULE)
    assert rule["metadata"]["labels"]["release"] == "x"
    assert json.loads(the(bodies, "ConfigMap", "-dashboard-shop")["data"]["shop.json"]) == {"title": "{{ Shop }}"}


def test_the_links_of_alerts_lead_to_the_address_of_the_runbooks() -> None:
    def links(**observability: object) -> set[str]:
        groups = the(rendered(CHART, **observability, prometheusRule=True), "PrometheusRule", "warren")["spec"][
            "groups"
        ]
        alerts = [rule for group in groups for rule in group["rules"] if "alert" in rule]
        return {rule["annotations"]["runbook_url"].removesuffix(f"{rule['alert']}.md") for rule in alerts}

    assert links() == {"docs/runbooks/"}
    assert links(runbooks="https://git.example/main/docs/runbooks/") == {"https://git.example/main/docs/runbooks/"}


def test_the_sidecar_of_another_grafana_finds_dashboards_only_if_asked(chart: Path) -> None:
    for values, expected in (({"enabled": True}, None), ({"dashboards": True}, "1")):
        labels = the(rendered(chart, **values), "ConfigMap", "-dashboard-shop")["metadata"]["labels"]
        assert labels.get("grafana_dashboard") == expected


def test_grafana_mounts_every_dashboard(chart: Path) -> None:
    spec = the(rendered(chart, enabled=True), "Deployment", "warren-grafana")["spec"]["template"]["spec"]
    (volume,) = (each["projected"] for each in spec["volumes"] if each["name"] == "dashboards")
    assert volume["sources"] == [{"configMap": {"name": "warren-dashboard-shop"}}]


def test_a_chart_without_rules_and_dashboards_is_valid(chart: Path) -> None:
    for folder in ("rules", "dashboards"):
        shutil.rmtree(chart / folder)
    bodies = rendered(chart, enabled=True, prometheusRule=True, dashboards=True)
    assert not the(bodies, "ConfigMap", "warren-rules").get("data")
    assert not of_kind(bodies, "PrometheusRule")


# Grafana, collector and Jaeger


def test_grafana_s_data_sources_are_services_of_the_release() -> None:
    bodies = case("observability")
    ports = {
        body["metadata"]["name"]: {port["port"] for port in body["spec"]["ports"]}
        for body in of_kind(bodies, "Service")
    }
    spec = the(bodies, "Deployment", "warren-grafana")["spec"]["template"]["spec"]
    variables = environment(spec["containers"][0])
    sources = {
        each["uid"]: each
        for each in yaml.safe_load(the(bodies, "ConfigMap", "warren-grafana")["data"]["datasources.yaml"])[
            "datasources"
        ]
    }
    assert set(sources) == {"prometheus", "jaeger"}
    for source in sources.values():
        host, _, port = variables[source["url"].removeprefix("$")].removeprefix("http://").partition(":")
        assert int(port) in ports[host]
    (link,) = sources["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    assert link["datasourceUid"] in sources
    host, _, port = environment(container_of(bodies, "collector"))["JAEGER_OTLP"].partition(":")
    assert int(port) in ports[host]


def container_of(bodies: list[Object], component: str) -> Object:
    (container,) = the(bodies, "Deployment", f"warren-{component}")["spec"]["template"]["spec"]["containers"]
    found: Object = container
    return found


def test_grafana_admits_readers_only_and_needs_no_internet() -> None:
    text = the(case("observability"), "ConfigMap", "warren-grafana")["data"]["grafana.ini"]
    for line in ("org_role = Viewer", "preinstall_disabled = true", "check_for_updates = false"):
        assert line in text.splitlines()
    (home,) = (line.rpartition(" ")[2] for line in text.splitlines() if line.startswith("default_home_dashboard_path"))
    assert (CHART / "dashboards" / home.removeprefix("/etc/warren/dashboards/")).is_file()
    assert "admin_password = $__file{/run/warren/admin/password}" in text
    for body in of_kind(case("observability"), "Service"):
        assert body["spec"].get("type", "ClusterIP") == "ClusterIP"


def endpoints(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "endpoint":
                yield value
            yield from endpoints(value)


@pytest.mark.parametrize("component", ["collector", "jaeger"])
def test_a_server_listens_on_the_ports_of_its_container(component: str) -> None:
    configuration = yaml.safe_load(the(case("observability"), "ConfigMap", component)["data"][f"{component}.yaml"])
    parts = [configuration["receivers"], configuration["extensions"]]
    reachable = (each.partition(":") for part in parts for each in endpoints(part) if not each.startswith("127."))
    listening = {port for _, _, port in reachable}
    if component == "collector":
        (reader,) = configuration["service"]["telemetry"]["metrics"]["readers"]
        listening.add(str(reader["pull"]["exporter"]["prometheus"]["port"]))
    container = container_of(case("observability"), component)
    assert listening == {str(each["containerPort"]) for each in container["ports"]}
    pipeline = configuration["service"]["pipelines"]["traces"]
    for group in ("receivers", "processors", "exporters"):
        assert set(pipeline[group]) == configuration[group].keys()
    assert set(configuration["service"]["extensions"]) == configuration["extensions"].keys()


def test_a_changed_configuration_starts_a_server_again_but_prometheus_reads_it_itself() -> None:
    for component in SERVERS:
        template = the(case("observability"), "Deployment", f"warren-{component}")["spec"]["template"]
        assert ("checksum/configuration" in template["metadata"].get("annotations", {})) == (
            component not in {"prometheus", "postgres-exporter"}
        )
    (feature,) = (each for each in container_of(case("observability"), "prometheus")["args"] if "feature" in each)
    assert {"auto-reload-config", "exemplar-storage"} == set(feature.partition("=")[2].split(","))


def test_every_image_of_the_servers_has_a_full_version() -> None:
    for component in SERVERS:
        version = container_of(case("observability"), component)["image"].rpartition(":")[2].removeprefix("v")
        assert len(version.split(".")) == 3
        assert version.replace(".", "").isdigit()
