"""`make e2e`: installs the chart on a cluster, runs every scenario, and uninstalls it.

Exit codes: 0 every scenario that fits the cluster passed; 1 some failed, or the cluster lacks a requirement; 2 wrong
variable; 77 nothing ran, because there is no cluster; 130 Ctrl-C. Scenarios that did not run are listed with the reason
and never count as passed.
"""

import sys
import time
from collections.abc import Callable

from tests.e2e import images, preflight
from tests.e2e.cluster import cluster
from tests.e2e.diagnostics import collect
from tests.e2e.errors import E2EError, NoCluster, NotReady
from tests.e2e.kubectl import Kubectl
from tests.e2e.progress import report
from tests.e2e.release import Release
from tests.e2e.removal import uninstall
from tests.e2e.scenarios import SCENARIOS, autoscaling, install, outcome
from tests.e2e.settings import ROOT, Settings, read

PASSED, FAILED, USAGE, NOT_RUN, INTERRUPTED = 0, 1, 2, 77, 130
LOGS = ROOT / ".warren" / "e2e"
RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"


def main() -> int:
    try:
        settings = read()
        chosen = _chosen(settings)
    except ValueError as error:
        report(f"e2e: {error}")
        return USAGE
    try:
        with cluster(settings) as own:
            return _run(settings, own, chosen)
    except NoCluster as error:
        for name in ["install", *chosen, "outcome", "uninstall"]:
            report(f"NOT RUN  {name}")
        report(f"\n{len(chosen) + 3} scenarios were NOT RUN, none passed: {error}.")
        report("Set KUBECONFIG to a cluster on which you have administrator rights, or install kind, and try again.")
        return NOT_RUN
    except E2EError as error:
        report(f"e2e: {error}")
        return FAILED
    except KeyboardInterrupt:
        report("e2e: interrupted" if settings.keep else "e2e: interrupted; the installation is removed")
        return INTERRUPTED


def _chosen(settings: Settings) -> list[str]:
    if unknown := sorted(set(settings.only) - SCENARIOS.keys()):
        raise ValueError(f"E2E_ONLY: unknown scenario {unknown[0]}; the scenarios are {', '.join(SCENARIOS)}")
    return [name for name in SCENARIOS if not settings.only or name in settings.only]


def _run(settings: Settings, own: bool, chosen: list[str]) -> int:
    kubectl = Kubectl(settings.kubectl, settings.namespace)
    release = Release(settings, kubectl, images.next_tag(settings))
    scales = "scale" in chosen and settings.scaler != "hand"
    facts = preflight.gather_facts(release, *(autoscaling(release) if scales else []))
    preflight.require(kubectl, facts, settings.scaler if scales else "hand")
    unmet = preflight.unmet(chosen, facts)
    if settings.only and unmet:
        raise NotReady("; ".join(f"the scenario {name} needs {lack}" for name, lack in unmet.items()))
    for name, lack in unmet.items():
        report(f"NOT RUN  {name}: it needs {lack}")
    # `create` fails if the namespace exists: it is deleted at the end, so it must not contain other objects.
    kubectl("create", "namespace", settings.namespace)
    kubectl("label", "namespace", settings.namespace, RESTRICTED)
    try:
        needed = images.load(settings, own, preflight.images(facts.rendered))
        images.require(kubectl, facts.nodes, needed)
        failed = _scenarios(release, [name for name in chosen if name not in unmet])
    finally:
        if not settings.keep:
            _remove(settings, kubectl)
    return FAILED if failed else PASSED


def _scenarios(release: Release, chosen: list[str]) -> int:
    """Runs the scenarios and returns the number of failures. After a failed installation the others do not run."""
    scenarios = {name: SCENARIOS[name] for name in chosen}
    steps: dict[str, Callable[[Release], str]] = {"install": install, **scenarios, "outcome": outcome}
    if not release.settings.keep:
        steps["uninstall"] = uninstall
    failed: list[str] = []
    unrun: list[str] = []
    for name, scenario in steps.items():
        if failed[:1] == ["install"]:
            unrun.append(name)
            continue
        began = time.monotonic()
        try:
            figures = scenario(release)
        except E2EError as error:
            failed.append(name)
            report(f"FAILED   {name}, {time.monotonic() - began:.0f} s: {error}")
            # Before the next scenario, which may remove the evidence.
            folder = LOGS / time.strftime("%Y%m%dT%H%M%S") / name.replace(" ", "-")
            report(f"         logs and objects are in {collect(release.kubectl, folder)}")
        else:
            report(f"passed   {name}, {time.monotonic() - began:.0f} s: {figures}")
    for name in unrun:
        report(f"NOT RUN  {name}")
    report(f"\n{len(steps) - len(failed) - len(unrun)} passed, {len(failed)} failed, {len(unrun)} not run")
    return len(failed)


def _remove(settings: Settings, kubectl: Kubectl) -> None:
    """Remove the release, then the namespace: without the operator, finalizers would block the namespace."""
    release = Release(settings, kubectl, "")
    words = ["delete", "namespace", settings.namespace, "--ignore-not-found", "--timeout=300s"]
    steps: list[Callable[[], str]] = [
        lambda: release.helm("uninstall", release.name, "--ignore-not-found", "--wait", "--timeout", "300s"),
        lambda: kubectl(*words, seconds=330),
    ]
    for step in steps:
        try:
            step()
        except E2EError as error:
            report(f"while removing: {error}")


if __name__ == "__main__":
    sys.exit(main())
