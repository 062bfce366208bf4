"""The parts of all benchmark commands: options, private servers, and the end of a run."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number

from devtools.invariants import Check
from devtools.local.instance import Instance
from devtools.servers.servers import Servers
from loadtest import report
from loadtest.results import ExitCode, Target, exit_code
from warren.progress import ProgressReport

Count = Annotated[int, Parameter(validator=Number(gte=1))]
Orders = Annotated[Count, Parameter(help="Orders to place.")]
Connections = Annotated[Count, Parameter(help="HTTP connections that place them.")]
Seed = Annotated[int, Parameter(help="Seed of the orders.")]
Json = Annotated[Path | None, Parameter(help="Write the figures to this file.")]
InstanceName = Annotated[
    str, Parameter(help="Folder of the private servers; two runs with the same name exclude each other.")
]


@contextmanager
def private_servers(instance: str, progress: ProgressReport) -> Iterator[Servers]:
    """Run a broker and a database without data, for this benchmark alone."""
    with Instance(instance) as held, Servers(held.dir, report=progress, fresh=True) as servers:
        held.record({}, servers.pids)
        yield servers


def finish(
    json: Path | None,
    *,
    targets: Sequence[Target] = (),
    checks: Sequence[Check] = (),
    broken: Sequence[str] = (),
    **figures: object,
) -> ExitCode:
    """Print checks and targets, write everything to `json`, and return the exit code."""
    if checks:
        report.checks(checks)
    broken = [*broken, *(f"{check.name}: {check.detail}" for check in checks if not check.held)]
    report.verdict(targets, broken)
    if json is not None:
        content = {**figures, "targets": targets, "checks": checks, "broken": broken}
        json.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
    return exit_code(targets, broken)
