"""Checks a distribution where a user has installed it: its modules can be imported, and its commands run."""

import json
from collections.abc import Iterable

from devtools.distributions.build import DistributionError
from devtools.distributions.environment import EmptyEnvironment

_LOOK = """
import importlib, json, pkgutil, sys
from importlib.metadata import distribution

found = distribution(sys.argv[1])
packages = sorted({str(file).split("/")[0] for file in found.files if file.suffix == ".py"})
skipped = sys.argv[2:]
modules = []
for name in packages:
    if name not in skipped:
        walked = pkgutil.walk_packages(importlib.import_module(name).__path__, f"{name}.")
        modules += [name, *(each.name for each in walked if each.name.rpartition(".")[2] not in {"__main__", "entry"})]
modules = [name for name in modules if not any(f"{name}.".startswith(f"{each}.") for each in skipped)]
for name in modules:
    importlib.import_module(name)
print(json.dumps({
    "version": found.version,
    "modules": modules,
    "typed": sorted({str(file).split("/")[0] for file in found.files if file.name == "py.typed"}),
    "packages": packages,
    "scripts": sorted(each.name for each in found.entry_points if each.group == "console_scripts"),
    "places": sorted({importlib.import_module(name).__file__ for name in modules}),
}))
"""


def check_installed(environment: EmptyEnvironment, name: str, skipped: Iterable[str] = ()) -> list[str]:
    """Import every module of an installed distribution and run its commands; return the names of the modules.

    `skipped` are packages and modules that need an extra. Raises DistributionError.
    """
    looked = environment.run("python", "-W", "error", "-c", _LOOK, name, *skipped)
    if looked.returncode:
        raise DistributionError(f"{name} cannot be imported:\n{looked.stderr}")
    found = json.loads(looked.stdout)
    outside = [place for place in found["places"] if not place.startswith(str(environment.python.parents[1]))]
    if outside:
        raise DistributionError(f"{name}: {outside[0]} is not the installed file")
    if untyped := set(found["packages"]) - set(found["typed"]):
        raise DistributionError(f"{name}: {', '.join(untyped)} has no py.typed")
    for script in found["scripts"]:
        _check_script(environment, script, found["version"])
    return list(found["modules"])


def _check_script(environment: EmptyEnvironment, script: str, version: str) -> None:
    shown = environment.run(script, "--version")
    if (shown.returncode, shown.stdout) != (0, f"{script} {version}\n"):
        raise DistributionError(f"{script} --version: {shown.stdout}{shown.stderr}")
    helped = environment.run(script, "--help")
    if helped.returncode or not helped.stdout.startswith(f"usage: {script} "):
        raise DistributionError(f"{script} --help: {helped.stdout}{helped.stderr}")
