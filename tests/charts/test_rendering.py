"""Both Helms take the chart, make the same of it, and of the defaults what is written down."""

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
def test_the_linter_has_nothing_to_say(release: Release, chart: object) -> None:
    done = helm(release, "lint", "--strict", str(chart))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


@EACH_RELEASE
@pytest.mark.parametrize("name", CASES)
def test_each_switch_passes_the_linter(release: Release, name: str) -> None:
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


def test_the_defaults_are_rendered_as_written_down() -> None:
    assert text("default") == GOLDEN.read_text(), "look at the difference; `make chart-golden` accepts it"


@pytest.mark.parametrize("name", CASES)
def test_everything_says_whose_it_is(name: str) -> None:
    for body in case(name):
        labels = body["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == "warren", identity(body)
        assert labels["app.kubernetes.io/part-of"] == "warren", identity(body)


def test_the_switches_do_something() -> None:
    rendered = [text(name) for name in CASES]
    assert len(set(rendered)) == len(CASES)


def migrations(*options: str) -> str:
    done = helm(NEWEST, "template", NAME, CHART, "--show-only", "templates/migrations.yaml", *options)
    assert done.returncode == 0, done.stderr
    (job,) = objects(done.stdout)
    return str(job["metadata"]["name"])


def test_a_job_that_does_something_else_has_another_name() -> None:
    """A Job cannot be changed, and whoever renders the chart without Helm's revisions applies it over the last one."""
    first = migrations()
    assert migrations() == first
    others = {migrations("--set", changed) for changed in ("image.tag=v2", "components.sms.enabled=false")}
    assert len(others | {first}) == 3
    assert migrations("--set", "components.payment.replicas=2") == first


def test_a_new_version_of_the_chart_leaves_servers_alone(tmp_path: Path) -> None:
    """They would start again for a label, and orders could not be taken meanwhile."""

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
