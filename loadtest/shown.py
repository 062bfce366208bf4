"""The measurements that several commands show, as tables."""

import msgspec

from loadtest import report
from loadtest.floor.measure import Floor
from loadtest.floor.quantities import Quantities
from loadtest.orders.course import Course


def show_course(done: Course, name: str = "Orders") -> None:
    """What a course took, as tables."""
    rate = f"[green]{done.rate:.0f}[/green] a second"
    report.heading(f"{name}: {done.orders:,} completed in {done.seconds:.1f} s, {rate}")
    report.out.print(f"  placed within {done.placing_seconds:.1f} s; {done.put_off} requests were put off with 503")
    cpu: dict[str, float | None] = {**done.service_cpu}
    cpu |= {"all services": sum(done.service_cpu.values()), **done.server_cpu, "load generator": done.generator_cpu}
    report.table(
        ["CPU", "seconds", "for 1,000 orders"],
        [
            [part, *(("not measured", "") if used is None else (f"{used:.1f}", f"{used / done.orders * 1000:.2f}"))]
            for part, used in cpu.items()
        ],
    )


def show_quantities(counted: Quantities) -> None:
    report.heading("An order makes, on average")
    rows = msgspec.structs.asdict(counted).items()
    report.table([], [[name.replace("_", " "), f"{value:.1f}"] for name, value in rows])


def show_floor(parts: Floor, services: float | None = None) -> None:
    """CPU seconds; `services` are ours for as many orders."""
    report.heading("CPU seconds for 1,000 orders")
    figures = {"publishing": parts.publishing, "consuming": parts.consuming, "inserting": parts.inserting}
    figures["the floor together"] = parts.per_thousand
    if services is not None:
        figures["all services"] = services
    report.table([], [[name, f"{value:.2f}"] for name, value in figures.items()])
