"""The settings of `make e2e`, from environment variables."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HELP = """\
KUBECONFIG          the cluster; without it a kind cluster is created and deleted at the end
E2E_LOAD_IMAGE      shell command that loads $IMAGE into the nodes; `kind load` on kind, else nothing
E2E_TAG             tag of the images; dev (`make images` builds them)
E2E_NEXT_TAG        tag of the upgrade's images; without it `docker tag` makes them
E2E_VALUES          values files for the chart, separated by commas; k8s/kind/values.yaml
                    (k8s/kind/values.yaml,k8s/kind/three-brokers.yaml for the scenario "broker drain")
E2E_SCALER          keda | hpa | hand (kubectl scale): scales the consumers; hand
E2E_RATE            orders per second; 10
E2E_ONLY            scenarios, separated by commas; all. `install` and `uninstall` always run
E2E_KEEP=1          keep the installation at the end
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
    """Raises ValueError with the wrong variable."""
    own = {name.removeprefix("E2E_").lower(): text for name, text in environment.items() if name.startswith("E2E_")}
    texts = {"tag", "next_tag", "scaler", "helm", "kubectl", "docker", "kind"}
    known = texts | {"load_image", "values", "only", "keep", "rate"}
    if unknown := sorted(own.keys() - known):
        raise ValueError(f"E2E_{unknown[0].upper()} is unknown. The variables are:\n{HELP}")
    if own.get("scaler", "hand") not in {"keda", "hpa", "hand"}:
        raise ValueError(f"E2E_SCALER is {own['scaler']}: it must be keda, hpa or hand")
    rate = own.get("rate") or "10"
    if not re.fullmatch(r"\d+(\.\d+)?", rate) or float(rate) == 0:
        raise ValueError(f"E2E_RATE is {rate}: it must be a positive number of orders per second")
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
