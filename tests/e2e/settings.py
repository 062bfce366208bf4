"""What `make e2e` is told, by variables."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HELP = """\
KUBECONFIG          the cluster to use; without it a kind cluster is made, and removed at the end
E2E_LOAD_IMAGE      shell command that brings $IMAGE into the cluster's nodes; `kind load` on kind, else nothing
E2E_TAG             of the images; dev (`make images` makes them)
E2E_NEXT_TAG        of the images that are upgraded to; made from the others with `docker tag` if it is not given
E2E_VALUES          files of values for the chart, with commas between; k8s/kind/values.yaml
                    (k8s/kind/values.yaml,k8s/kind/three-brokers.yaml for the scenario "broker drain")
E2E_SCALER          keda | hpa: who scales the consumers; `hand` (kubectl scale) where the cluster has neither
E2E_RATE            orders a second while something is done to the system; 10
E2E_ONLY            scenarios, with commas between; all. `install` comes first and `uninstall` last in any case
E2E_KEEP=1          leave everything as it is at the end
E2E_HELM, E2E_KUBECTL, E2E_DOCKER, E2E_KIND   the programs
"""


@dataclass(frozen=True)
class Settings:
    kubeconfig: str = ""
    load: str = ""
    tag: str = "dev"
    next_tag: str = ""
    values: tuple[Path, ...] = (ROOT / "k8s" / "kind" / "values.yaml",)
    scaler: str = "hand"
    rate: float = 10.0
    only: tuple[str, ...] = ()
    keep: bool = False
    helm: str = "helm"
    kubectl: str = "kubectl"
    docker: str = "docker"
    kind: str = "kind"
    namespace: str = "warren-e2e"
    release: str = "warren"
    prefix: str = "warren"


def read(environment: Mapping[str, str] = os.environ) -> Settings:
    """Raises ValueError with the variable at fault."""
    own = {name.removeprefix("E2E_").lower(): text for name, text in environment.items() if name.startswith("E2E_")}
    texts = {"tag", "next_tag", "scaler", "helm", "kubectl", "docker", "kind"}
    known = texts | {"load_image", "values", "only", "keep", "rate"}
    if unknown := sorted(own.keys() - known):
        raise ValueError(f"E2E_{unknown[0].upper()} is unknown. There are:\n{HELP}")
    if own.get("scaler", "hand") not in {"keda", "hpa", "hand"}:
        raise ValueError(f"E2E_SCALER is {own['scaler']}, and may be keda, hpa or hand")
    rate = own.get("rate") or "10"
    if not re.fullmatch(r"\d+(\.\d+)?", rate) or float(rate) == 0:
        raise ValueError(f"E2E_RATE is {rate}, and must be a number of orders a second")
    values = tuple(Path(text).resolve() for text in own.get("values", "").split(",") if text)
    if missing := [file for file in values if not file.is_file()]:
        raise ValueError(f"E2E_VALUES: there is no file {missing[0]}")
    return Settings(
        kubeconfig=environment.get("KUBECONFIG", ""),
        load=own.get("load_image", ""),
        only=tuple(name.strip() for name in own.get("only", "").split(",") if name.strip()),
        keep=own.get("keep", "") not in {"", "0"},
        values=values or Settings.values,
        rate=float(rate),
        **{name: own[name] for name in texts if own.get(name)},
    )
