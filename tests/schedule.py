"""Which tests share a process, and which begin first, when several workers share a run (`pytest -n 2`).

Every worker has servers of its own. The whole systems, with all services, belong to one worker: they are the most
expensive to start, and two of them at a time would be a load that is no test's subject.
"""

from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

TOGETHER = {
    "tests/faults": "systems",
    "tests/system": "systems",
}
"""Folders whose files stay together, and with whose; any other file is a unit of its own."""

FIRST = (
    "systems",
    "tests/kubernetes/",
    "tests/integration/",
    "tests/conformance/",
    "tests/charts/",
)
"""What takes longest begins first, so that all workers end at about the same time."""


class Schedule(LoadScopeScheduling):
    """A unit is a file, or what is named in TOGETHER; its tests run in their usual order."""

    def _split_scope(self, nodeid: str) -> str:
        return unit(nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        self.workqueue.move_to_end(min(self.workqueue, key=rank), last=False)
        super()._assign_work_unit(node)


def unit(nodeid: str) -> str:
    """Of a test."""
    file = nodeid.partition("::")[0]
    return next((whole for folder, whole in TOGETHER.items() if file.startswith(f"{folder}/")), file)


def rank(unit: str) -> int:
    """Lower begins earlier."""
    return next((place for place, start in enumerate(FIRST) if unit.startswith(start)), len(FIRST))
