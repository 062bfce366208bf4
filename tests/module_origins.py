"""Where imported modules come from. As a plugin of pytest (`-p tests.module_origins`), fails a run with a foreign one.

Imports nothing of the project: a module that it imported would count.
"""

import os
import sys
from pathlib import Path

import pytest

VARIABLE = "WARREN_INSTALLED"
"""Environment variable with the folder of the environment that has the library and the engine as packages."""
PACKAGES = {"warren_messaging", "broker_topology", "topology_operator"}
OTHERS = {"services", "warren", "devtools", "faults", "loadtest", "tests"}


def foreign_modules(tree: Path) -> list[str]:
    """Return the imported modules that come neither from the tree nor, if set, from the installed packages."""
    installed = os.environ.get(VARIABLE)
    found = []
    for name, module in list(sys.modules.items()):
        package = name.partition(".")[0]
        file = getattr(module, "__file__", None)
        if file is None or package not in PACKAGES | OTHERS:
            continue
        home = Path(installed) if installed and package in PACKAGES else tree
        if home.resolve() not in Path(file).resolve().parents:
            found.append(f"{name} from {file}")
    return found


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if os.environ.get(VARIABLE) and (found := foreign_modules(Path.cwd().resolve())):
        sys.stderr.write(f"\nnot the installed packages were tested: {', '.join(found[:5])}\n")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
