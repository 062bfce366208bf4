"""`make e2e`: an installation on a cluster, through everything that must not hurt it, to its removal.

Exit codes: 0 every scenario that the cluster is large enough for passed; 1 some failed, or the cluster lacks what the
chart needs; 2 a variable is wrong; 77 nothing was run, because there is no cluster; 130 Ctrl-C. What was not run is
listed with its reason and never counts as passed.
"""

import sys
import time
from collections.abc import Callable

from tests.e2e import images, preflight
from tests.e2e.collection import collect
from tests.e2e.errors import E2EError, NoCluster, NotReady
from tests.e2e.kubectl import Kubectl
from tests.e2e.place import cluster
from tests.e2e.progress import say
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
        say(f"e2e: {error}")
        return USAGE
    try:
        with cluster(settings) as own:
            return _run(settings, own, chosen)
    except NoCluster as error:
        for name in ["install", *chosen, "outcome", "uninstall"]:
            say(f"NOT RUN  {name}")
        say(f"\n{len(chosen) + 3} scenarios were NOT RUN, none passed: {error}.")
        say("Set KUBECONFIG to the file of a cluster in which you may do everything, or install kind, and try again.")
        return NOT_RUN
    except E2EError as error:
        say(f"e2e: {error}")
        return FAILED
    except KeyboardInterrupt:
        say("e2e: interrupted; what it had made is removed" if not settings.keep else "e2e: interrupted")
        return INTERRUPTED


def _chosen(settings: Settings) -> list[str]:
    if unknown := sorted(set(settings.only) - SCENARIOS.keys()):
        raise ValueError(f"E2E_ONLY: there is no scenario {unknown[0]}; there are {', '.join(SCENARIOS)}")
    return [name for name in SCENARIOS if not settings.only or name in settings.only]


def _run(settings: Settings, own: bool, chosen: list[str]) -> int:
    kubectl = Kubectl(settings.kubectl, settings.namespace)
    release = Release(settings, kubectl, images.next_tag(settings))
    scales = "scale" in chosen and settings.scaler != "hand"
    facts = preflight.look(release, *(autoscaling(release) if scales else []))
    preflight.require(kubectl, facts, settings.scaler if scales else "hand")
    unmet = preflight.unmet(chosen, facts)
    if settings.only and unmet:
        raise NotReady("; ".join(f"the scenario {name} needs {lack}" for name, lack in unmet.items()))
    for name, lack in unmet.items():
        say(f"NOT RUN  {name}: it needs {lack}")
    # Created and not applied: what is in a namespace that exists is somebody's, and it is deleted at the end.
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
    """How many failed. Where installing fails, nothing else can be said; uninstalling comes in any case."""
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
            say(f"FAILED   {name}, {time.monotonic() - began:.0f} s: {error}")
            # Now, since the next scenario may take away what shows why.
            folder = LOGS / time.strftime("%Y%m%dT%H%M%S") / name.replace(" ", "-")
            say(f"         logs and objects are in {collect(release.kubectl, folder)}")
        else:
            say(f"passed   {name}, {time.monotonic() - began:.0f} s: {figures}")
    for name in unrun:
        say(f"NOT RUN  {name}")
    say(f"\n{len(steps) - len(failed) - len(unrun)} passed, {len(failed)} failed, {len(unrun)} not run")
    return len(failed)


def _remove(settings: Settings, kubectl: Kubectl) -> None:
    """Also after a failure in the middle: the release first, or finalizers would wait for an operator that is gone."""
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
            say(f"while removing: {error}")


if __name__ == "__main__":
    sys.exit(main())
