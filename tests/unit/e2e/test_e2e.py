"""`make e2e`: its settings, its requirements of a cluster, its results, with a fake kubectl.

The fake is a script that prints files which a test wrote beside it.
"""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from services.registry import SERVICE_NAMES
from tests.charts import helm
from tests.e2e import __main__ as program
from tests.e2e import customers, images, preflight, progress, removal, scenarios
from tests.e2e.customers import CustomerRun, manifest
from tests.e2e.errors import CheckFailed, CommandFailed, NoImage, NotReady
from tests.e2e.kubectl import Kubectl, Object
from tests.e2e.progress import wait
from tests.e2e.release import Release
from tests.e2e.settings import HELP, ROOT, Settings, read
from warren.customers import OrderCounts

FAKE = """\
#!/bin/sh
# Fake kubectl: logs its arguments and prints the file that is named after the first one after `get`; for a namespace
# other than shop, the file in the folder with the namespace's name.
echo "$*" >> {folder}/asked
home={folder}
[ "$1" != --namespace ] || {{ [ "$2" = shop ] || home={folder}/$2; shift 2; }}
case "$1" in get) file=get-$2 ;; *) file=$1 ;; esac
cat "$home/$(echo "$file" | tr '/,' '--' | cut -c1-60)" 2>/dev/null || exit 0
"""


@pytest.fixture
def kubectl(tmp_path: Path) -> Kubectl:
    script = tmp_path / "kubectl"
    script.write_text(FAKE.format(folder=tmp_path))
    script.chmod(0o755)
    return Kubectl(str(script), "shop")


# Settings


def test_variables_are_read() -> None:
    variables = {
        "KUBECONFIG": "/k",
        "E2E_TAG": "7",
        "E2E_ONLY": "kill, drain",
        "E2E_KEEP": "1",
        "E2E_LOAD_IMAGE": "load",
    }
    settings = read(variables)
    assert (settings.kubeconfig, settings.tag, settings.only, settings.keep, settings.load) == (
        "/k",
        "7",
        ("kill", "drain"),
        True,
        "load",
    )
    assert read({}) == Settings()


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("E2E_TAGG", "7", "E2E_TAGG is unknown"),
        ("E2E_SCALER", "vpa", "E2E_SCALER is vpa: it must be keda, hpa or hand"),
        ("E2E_RATE", "0", "E2E_RATE is 0: it must be a positive number of orders per second"),
        ("E2E_RATE", "fast", "E2E_RATE is fast: it must be"),
        ("E2E_VALUES", "/no/such.yaml", "E2E_VALUES: there is no file /no/such.yaml"),
    ],
)
def test_a_wrong_variable_is_reported_before_anything_runs(name: str, text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        read({name: text})


def started(**environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("E2E_") and name != "KUBECONFIG"}
    return subprocess.run(
        [sys.executable, "-m", "tests.e2e"],
        cwd=ROOT,
        env=kept | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )


@pytest.mark.parametrize("environment", [{"E2E_KIND": "no-such-kind"}, {"KUBECONFIG": "/none", "E2E_KUBECTL": "none"}])
def test_without_a_cluster_nothing_counts_as_passed(environment: dict[str, str]) -> None:
    done = started(**environment)
    assert done.returncode == 77
    assert done.stdout.count("NOT RUN  ") == 10
    assert "10 scenarios were NOT RUN, none passed" in done.stdout
    assert "passed   " not in done.stdout


def test_an_unknown_scenario_is_a_usage_error() -> None:
    done = started(E2E_ONLY="dance")
    assert done.returncode == 2
    assert done.stdout.startswith("e2e: E2E_ONLY: unknown scenario dance; the scenarios are helm test, ")


# Results


def release(kubectl: Kubectl, **settings: object) -> Release:
    return Release(Settings(kubectl=kubectl.program, namespace="shop", **settings), kubectl, "next")  # type: ignore[arg-type]


def passes(_: Release) -> str:
    return "well"


def fails(_: Release) -> str:
    raise CheckFailed("an order is missing")


def run(monkeypatch: pytest.MonkeyPatch, kubectl: Kubectl, **scenarios: Callable[[Release], str]) -> int:
    monkeypatch.setattr(program, "install", scenarios.pop("install"))
    monkeypatch.setattr(program, "uninstall", scenarios.pop("uninstall"))
    monkeypatch.setattr(program, "outcome", passes)
    monkeypatch.setattr(program, "SCENARIOS", scenarios)
    monkeypatch.setattr(program, "LOGS", Path(kubectl.program).parent / "logs")
    return program._scenarios(release(kubectl), list(scenarios))


def test_a_failed_scenario_stops_no_other_and_its_logs_are_kept(
    monkeypatch: pytest.MonkeyPatch, kubectl: Kubectl, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    failed = run(monkeypatch, kubectl, install=passes, uninstall=passes, kill=fails, drain=passes)
    output = capsys.readouterr().out
    assert failed == 1
    assert "FAILED   kill, 0 s: an order is missing" in output
    assert "passed   drain, 0 s: well" in output
    (folder,) = (tmp_path / "logs").glob("*/kill")
    assert f"logs and objects are in {folder}\n" in output
    assert {"events.txt", "objects.txt"} <= {file.name for file in folder.iterdir()}
    assert "\n4 passed, 1 failed, 0 not run\n" in output


def test_after_a_failed_installation_no_scenario_runs(
    monkeypatch: pytest.MonkeyPatch, kubectl: Kubectl, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, kubectl, install=fails, uninstall=passes, kill=passes) == 1
    output = capsys.readouterr().out
    assert "NOT RUN  kill\nNOT RUN  outcome\nNOT RUN  uninstall\n" in output
    assert "\n0 passed, 1 failed, 3 not run\n" in output


def test_a_timeout_names_its_condition() -> None:
    with pytest.raises(CheckFailed, match=r"after 0 s this does not hold: pigs fly \(2 walk\)"):
        wait(lambda: False, "pigs fly", 0, lambda: "2 walk")


def test_a_long_wait_prints_its_progress(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "QUIET", 0.0)
    monkeypatch.setattr(progress, "POLL", 0.0)
    flown = iter([False, True])
    wait(lambda: next(flown), "pigs fly", 60, lambda: "2 walk")
    assert capsys.readouterr().out == "         0 s: waiting until pigs fly (2 walk)\n"


# Customers

ID = "0195c0de-0000-7000-8000-00000000000{}"


def ordering(kubectl: Kubectl, tmp_path: Path, log: list[str]) -> CustomerRun:
    (tmp_path / "get-pod").write_text('{"status": {"phase": "Succeeded"}}')
    (tmp_path / "logs").write_text("\n".join(log))
    return CustomerRun(kubectl)


def test_a_complete_log_of_customers_gives_their_figures(kubectl: Kubectl, tmp_path: Path) -> None:
    lines = [f"accepted {ID.format(1)}", "failed at 10:00:00: answered 503: away", f"accepted {ID.format(2)}"]
    figures = OrderCounts(
        accepted={UUID(ID.format(1)): 0.1, UUID(ID.format(2)): 2.5}, failed=Counter({"away": 1}), given_up=1
    )
    run = ordering(kubectl, tmp_path, [*lines, figures.text])
    run.end()
    assert [str(order) for order in run.accepted] == [ID.format(1), ID.format(2)]
    assert run.failures == [lines[1]]
    assert (run.failed, run.abandoned, run.slowest) == (1, 1, 2.5)


@pytest.mark.parametrize("last", ["2 ordered, 2 accepted, 0 requests failed", f"accepted {ID.format(2)}"])
def test_an_incomplete_log_of_customers_is_refused(kubectl: Kubectl, tmp_path: Path, last: str) -> None:
    run = ordering(kubectl, tmp_path, [f"accepted {ID.format(1)}", last])
    with pytest.raises(CheckFailed, match="the customers' log is incomplete"):
        run.end()


@pytest.mark.parametrize("later", [["failed at 10:00:00: no answer"], []])
def test_a_cluster_too_slow_for_the_rate_fails_before_the_event(
    kubectl: Kubectl, tmp_path: Path, later: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(customers, "QUIET_SECONDS", 0.1)
    slow = ordering(kubectl, tmp_path, [f"accepted {ID.format(1)}", *later])
    with pytest.raises(
        CheckFailed, match=r"the undisturbed cluster cannot accept 10 orders a second.*0 were accepted.*lower E2E_RATE"
    ):
        slow.wait_until_accepted(10)


@pytest.mark.parametrize(("failed", "given_up", "slowest"), [(101, 0, 1.0), (0, 1, 1.0), (0, 0, 30.5)])
def test_a_kill_with_too_many_failures_fails(kubectl: Kubectl, failed: int, given_up: int, slowest: float) -> None:
    run = CustomerRun(kubectl)
    run.failed, run.slowest = 100, 30.0
    scenarios.bound_failures(run, rate=10)
    run.failed, run.abandoned, run.slowest = failed, given_up, slowest
    with pytest.raises(
        CheckFailed, match="at most 100 requests may fail, and every order must be accepted within 30 s"
    ):
        scenarios.bound_failures(run, rate=10)


def test_the_customers_pod_meets_the_restricted_standard() -> None:
    pod = manifest("customers", Settings(rate=2.5), 60)
    assert pod["metadata"]["labels"]["app.kubernetes.io/component"] == "smoke"
    assert "--rate=2.5" in pod["spec"]["containers"][0]["args"]
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    (container,) = pod["spec"]["containers"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


# Removal


def test_objects_of_the_platform_do_not_count_as_left_over(kubectl: Kubectl, tmp_path: Path) -> None:
    """On any platform: OpenShift creates more objects in every namespace than Kubernetes."""
    (tmp_path / "api-resources").write_text("pods\n")
    own = "configmap/kube-root-ca.crt\nconfigmap/openshift-service-ca.crt\nserviceaccount/default\n"
    (tmp_path / removal.PLATFORM_NAMESPACE).mkdir()
    (tmp_path / removal.PLATFORM_NAMESPACE / "get-pods").write_text(own + "lease.coordination.k8s.io/node-1\n")
    traces = "event/a.1\nevent.events.k8s.io/a.1\nendpointslice.discovery.k8s.io/b\npodmetrics.metrics.k8s.io/c\n"
    ours = "role.rbac.authorization.k8s.io/warren-removal\nsecret/token-key\n"
    (tmp_path / "get-pods").write_text(own + traces + ours)
    assert removal.remaining_objects(kubectl) == {"role.rbac.authorization.k8s.io/warren-removal", "secret/token-key"}


def test_the_commands_of_the_notes_are_found() -> None:
    notes = (
        "`helm uninstall` leaves some. These commands delete them:\n\n"
        "  kubectl --namespace shop delete secret --selector a=b\n"
        "  kubectl delete customresourcedefinition topologies.warren.dev    # of all\n"
    )
    assert removal.commands(notes) == [
        ["kubectl", "--namespace", "shop", "delete", "secret", "--selector", "a=b"],
        ["kubectl", "delete", "customresourcedefinition", "topologies.warren.dev"],
    ]
    with pytest.raises(CheckFailed, match="the chart's notes have no"):
        removal.commands("nothing to remove")


# Images

OURS = ["warren/order:dev", "warren/tools:dev"]


def test_every_image_of_both_versions_is_loaded_by_the_given_command(tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/tagged\n')
    docker.chmod(0o755)
    settings = Settings(load=f'echo "$IMAGE" >> {tmp_path}/loaded', docker=str(docker))
    everything = [*OURS, "rabbitmq:4", "warren/order:dev-next", "warren/tools:dev-next"]
    assert images.load(settings, False, [*OURS, "rabbitmq:4"]) == everything
    assert (tmp_path / "loaded").read_text().split() == everything
    assert (tmp_path / "tagged").read_text().splitlines() == [f"tag {image} {image}-next" for image in OURS]


def test_a_failed_load_is_reported() -> None:
    with pytest.raises(CommandFailed, match="exit code 1\nno space"):
        images.load(Settings(load="echo no space; exit 1", next_tag="2"), False, OURS)


@pytest.mark.parametrize("reason", ["ErrImagePull", "ErrImageNeverPull"])
def test_a_missing_image_is_reported_before_the_installation(kubectl: Kubectl, tmp_path: Path, reason: str) -> None:
    waiting = {"image": "warren/sms:dev", "state": {"waiting": {"reason": reason}}}
    pod = {"spec": {"nodeName": "n1"}, "status": {"phase": "Pending", "containerStatuses": [waiting]}}
    (tmp_path / "get-pod").write_text(json.dumps(pod))
    complaint = rf"the node n1 cannot get warren/sms:dev \({reason}\): build Warren's images with `make images`"
    with pytest.raises(NoImage, match=complaint):
        images.require(kubectl, ["n1", "n2"], OURS)
    assert "delete pod images-0 images-1" in (tmp_path / "asked").read_text()


def test_every_image_is_started_once_on_each_node(kubectl: Kubectl, tmp_path: Path) -> None:
    (tmp_path / "get-pod").write_text('{"spec": {}, "status": {"phase": "Succeeded"}}')
    images.require(kubectl, ["n1", "n2"], OURS)
    asked = (tmp_path / "asked").read_text()
    assert "get pod images-0" in asked
    assert "get pod images-1" in asked


# Requirements


def rendered(*files: str) -> list[Object]:
    """The chart's objects, rendered by the real Helm."""
    settings = Settings(
        helm=str(helm.program(helm.RELEASES[-1])), values=tuple(ROOT / "k8s/kind" / file for file in files)
    )
    return Release(settings, Kubectl("kubectl", "shop"), "next").rendered()


def test_all_images_of_the_chart_are_found() -> None:
    named = preflight.images(rendered("values.yaml", "three-brokers.yaml"))
    assert {"rabbitmq:4.3-management", "postgres:18", "warren/operator:dev", "warren/tools:dev"} <= set(named)
    assert len(named) == 4 + len(SERVICE_NAMES)


def test_all_missing_requirements_are_reported_at_once(kubectl: Kubectl, tmp_path: Path) -> None:
    served = [("apps/v1", "Deployment"), ("apps/v1", "StatefulSet")]
    (tmp_path / "api-resources").write_text("".join(f"names short {version} true {kind}\n" for version, kind in served))
    (tmp_path / "get-storageclasses").write_text('{"items": []}')
    facts = preflight.Facts([each for each in rendered("three-brokers.yaml") if each["kind"] in KINDS], ["n1"])
    with pytest.raises(NotReady) as raised:
        preflight.require(kubectl, facts, "hand")
    assert str(raised.value).splitlines()[1:] == [
        "  it does not know RabbitmqCluster (rabbitmq.com/v1beta1): install the RabbitMQ Cluster Operator first",
        "  RabbitmqCluster warren-rabbitmq needs storage, and no StorageClass is marked as the default",
        "  StatefulSet warren-postgresql needs storage, and no StorageClass is marked as the default",
    ]


KINDS = {"Deployment", "StatefulSet", "RabbitmqCluster", "Topology"}


def test_a_scenario_does_not_run_on_a_cluster_that_is_too_small() -> None:
    chosen = ["kill", "drain", "broker drain"]
    small = preflight.Facts(rendered("values.yaml"), ["n1"])
    assert {name: lack.split(";")[0] for name, lack in preflight.unmet(chosen, small).items()} == {
        "drain": "two schedulable nodes",
        "broker drain": f"three broker nodes of the RabbitMQ Cluster Operator: {preflight.THREE_BROKERS}",
    }
    large = preflight.Facts(rendered("values.yaml", "three-brokers.yaml"), ["n1", "n2"])
    assert preflight.unmet(chosen, large) == {}


def test_the_documentation_lists_every_variable() -> None:
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    for name in set(re.findall(r"\b(?:E2E_\w+|KUBECONFIG)\b", HELP)):
        assert f"`{name}" in page, name


def test_a_missing_helm_gives_a_one_line_error(kubectl: Kubectl) -> None:
    done = started(KUBECONFIG="/k", E2E_KUBECTL=kubectl.program, E2E_HELM="no-such-helm")
    expected = "e2e: no-such-helm cannot be run: No such file or directory; install Helm or set E2E_HELM\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, expected, "")
