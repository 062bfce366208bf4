"""`python -m loadtest floor`."""

import asyncio

import msgspec

from devtools.local.instance import Instance
from devtools.servers.servers import Servers
from loadtest import machine, report
from loadtest.floor.measure import Floor, measure
from loadtest.floor.quantities import TYPICAL, Quantities
from loadtest.mark import Exit
from loadtest.options import InstanceName, Json, Orders
from loadtest.shown import show_floor, show_quantities
from warren.progress import ConsoleProgress


class Result(msgspec.Struct, frozen=True):
    machine: machine.Machine
    quantities: Quantities
    floor: Floor


def floor(*, orders: Orders = 1000, json: Json = None, instance: InstanceName = "loadtest") -> int:
    """What the bare drivers need for the messages and rows of so many orders, and nothing else.

    No mark by itself: `python -m loadtest orders` measures the same in the same run as the system, with the numbers of
    messages and rows that it has counted. At most 2,000 orders are measured, as each costs the same.

    Example: python -m loadtest floor --orders 2000
    """
    facts, told = machine.facts(), ConsoleProgress()
    with Instance(instance) as held, Servers(held.dir, report=told, fresh=True) as servers:
        held.record({}, servers.pids)
        with told.step("The floor"):
            parts = asyncio.run(measure(servers, TYPICAL, orders))
    report.machine(facts)
    show_quantities(TYPICAL)
    show_floor(parts)
    report.write_json(json, Result(facts, TYPICAL, parts))
    return Exit.MET
