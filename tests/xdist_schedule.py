"""How `pytest -n 2` distributes tests: which files share a worker, and which ones start first.

Every worker has its own servers. One worker runs all tests of whole systems (all services at once): these are the most
expensive to start, and two at a time would overload the machine.
"""

from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

WORKER_GROUPS = {
    "tests/faults": "systems",
    "tests/observability": "systems",
    "tests/system": "systems",
}
"""Folders whose files run on one worker, with the name of the group. Any other file is a work unit of its own."""

START_ORDER = (
    "systems",
    "tests/kubernetes/",
    "tests/integration/",
    "tests/conformance/",
    "tests/packages/",
    "tests/charts/",
)
"""The slowest work units start first, so that all workers finish at about the same time."""


class SlowestFirstScheduling(LoadScopeScheduling):
    """A work unit is a file or a group of WORKER_GROUPS; its tests run in their usual order."""

    def _split_scope(self, nodeid: str) -> str:
        return work_unit(nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        self.workqueue.move_to_end(min(self.workqueue, key=start_rank), last=False)
        super()._assign_work_unit(node)


def work_unit(nodeid: str) -> str:
    file = nodeid.partition("::")[0]
    return next((group for folder, group in WORKER_GROUPS.items() if file.startswith(f"{folder}/")), file)


def start_rank(unit: str) -> int:
    """A unit with a lower rank starts earlier."""
    return next((rank for rank, prefix in enumerate(START_ORDER) if unit.startswith(prefix)), len(START_ORDER))
