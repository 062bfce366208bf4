"""SIGTERM under load: everybody finishes what is under way, returns the rest, and nobody is blamed."""

import time
from concurrent.futures import ThreadPoolExecutor

from loadtest.faults.office import eventually
from loadtest.faults.rig import Rig
from tests.faults.customers import Customers
from warren.local.system import SERVICES

GRACE = 15.0  # seconds


def test_sigterm_under_load(rig: Rig, customers: Customers) -> None:
    blamed = rig.blamed()
    with customers.ordering(40, seconds=3):
        eventually(lambda: rig.count("inventory.inbox") and rig.waiting(), 10)
        began = time.monotonic()
        with ThreadPoolExecutor(len(SERVICES)) as pool:
            codes = dict(zip(SERVICES, pool.map(rig.processes.stop, SERVICES), strict=True))
        took = time.monotonic() - began
        for name in SERVICES:
            rig.revive(name)
    assert codes == dict.fromkeys(SERVICES, 0)
    assert took < GRACE, f"{took:.1f} s"
    eventually(rig.at_rest, 60)
    assert rig.blamed() == blamed
