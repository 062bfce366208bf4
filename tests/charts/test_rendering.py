"""Both Helm versions render the chart equally; the defaults match the golden file."""

import shutil
from pathlib import Path

import pytest
import yaml

from tests.charts.golden import GOLDEN
from tests.charts.helm import RELEASES, Release
from tests.charts.rendering import (
    CASES,
    CHART,
    NAME,
    NAMESPACE,
    NEWEST,
    OPERATOR_CHART,
    case,
    helm,
    identity,
    objects,
    text,
)

EACH_RELEASE = pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.version)


@EACH_RELEASE
@pytest.mark.parametrize("chart", [CHART, OPERATOR_CHART], ids=lambda chart: chart.name)
def test_the_chart_passes_the_linter(release: Release, chart: object) -> None:
    done = helm(release, "lint", "--strict", str(chart))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


@EACH_RELEASE
@pytest.mark.parametrize("name", CASES)
def test_every_example_passes_the_linter(release: Release, name: str) -> None:
    done = helm(release, "lint", "--strict", CHART, "--values", CASES[name])
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", CASES)
def test_both_helms_render_the_same(name: str) -> None:
    older, newer = ({identity(body): body for body in case(name, release)} for release in RELEASES)
    assert older == newer


@pytest.mark.parametrize("name", CASES)
def test_no_two_objects_have_the_same_name(name: str) -> None:
    names = [identity(body) for body in case(name)]
    assert sorted(names) == sorted(set(names))


def test_the_defaults_render_the_golden_file() -> None:
    assert text("default") == GOLDEN.read_text(), "review the difference; `make chart-golden` accepts it"


@pytest.mark.parametrize("name", CASES)
def test_every_object_has_the_standard_labels(name: str) -> None:
    for body in case(name):
        labels = body["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == "warren", identity(body)
        assert labels["app.kubernetes.io/part-of"] == "warren", identity(body)


def test_every_example_changes_the_rendering() -> None:
    rendered = [text(name) for name in CASES]
    assert len(set(rendered)) == len(CASES)


def migrations(*options: str) -> str:
    done = helm(NEWEST, "template", NAME, CHART, "--show-only", "templates/migrations.yaml", *options)
    assert done.returncode == 0, done.stderr
    (job,) = objects(done.stdout)
    return str(job["metadata"]["name"])


def test_a_changed_migration_job_has_another_name() -> None:
    """A Job is immutable, and tools without Helm's revisions apply the new one over the old one."""
    first = migrations()
    assert migrations() == first
    others = {migrations("--set", changed) for changed in ("image.tag=v2", "components.sms.enabled=false")}
    assert len(others | {first}) == 3
    assert migrations("--set", "components.payment.replicas=2") == first


def test_a_new_chart_version_does_not_restart_servers(tmp_path: Path) -> None:
    """A changed label would restart them."""

    def servers(chart: Path) -> dict[str, object]:
        options = ["--namespace", NAMESPACE, "--set", "rabbitmq.mode=simple", "--set", "image.tag=v2"]
        done = helm(NEWEST, "template", NAME, chart, *options)
        assert done.returncode == 0, done.stderr
        return {identity(each): each["spec"] for each in objects(done.stdout) if each["kind"] == "StatefulSet"}

    newer = tmp_path / "warren"
    shutil.copytree(CHART, newer)
    about = yaml.safe_load((newer / "Chart.yaml").read_text())
    (newer / "Chart.yaml").write_text(yaml.safe_dump(about | {"version": "999.0.0", "appVersion": "999.0.0"}))
    assert len(servers(CHART)) == 2
    assert servers(newer) == servers(CHART)
