"""promtool accepts the Prometheus configurations of chart and Compose, and the rules of a PrometheusRule."""

import pytest
import yaml

from devtools.errors import ServerError
from devtools.paths import CHECKOUT
from devtools.servers.promtool import Promtool
from tests.charts.rendering import Object, case, render, the

COMPOSE = (CHECKOUT / "devtools" / "compose" / "prometheus.yaml").read_text()


@pytest.fixture(scope="module")
def promtool(tmp_path_factory: pytest.TempPathFactory) -> Promtool:
    return Promtool(tmp_path_factory.mktemp("promtool"))


def check(promtool: Promtool, text: str) -> None:
    """Checks syntax and fields; the certificates that a configuration names exist in containers only."""
    promtool.run("check", "config", "--syntax-only", "prometheus.yaml", texts={"prometheus.yaml": text})


def of_chart(bodies: list[Object]) -> str:
    text: str = the(bodies, "ConfigMap", "warren-prometheus")["data"]["prometheus.yaml"]
    return text


def test_the_configurations_are_valid(promtool: Promtool) -> None:
    check(promtool, COMPOSE)
    check(promtool, of_chart(case("observability")))
    check(promtool, of_chart(render({"rabbitmq": {"mode": "simple"}, "observability": {"enabled": True}})))


def test_an_unknown_field_is_detected(promtool: Promtool) -> None:
    with pytest.raises(ServerError, match="kubernetes_sd_confgs"):
        check(promtool, of_chart(case("observability")).replace("kubernetes_sd_configs", "kubernetes_sd_confgs"))


def test_the_rules_of_the_prometheus_operator_are_those_of_the_files(promtool: Promtool) -> None:
    spec = the(case("own-monitoring"), "PrometheusRule", "warren")["spec"]
    files = [yaml.safe_load(file.read_text()) for file in sorted((CHECKOUT / "charts/warren/rules").glob("*.yaml"))]
    assert spec["groups"] == [group for file in files for group in file["groups"]]
    promtool.run(
        "check", "rules", "--lint=all", "--lint-fatal", "rules.yaml", texts={"rules.yaml": yaml.safe_dump(spec)}
    )
