"""The two servers stop, crash, and refuse to take more."""

import random

from faults.chaos.environment import Site
from faults.chaos.injections.registry import injects, insist, wait_for
from faults.chaos.plan import Planned

WATERMARK = "2GB"  # as configured


@injects("broker restarts")
def restart_broker(site: Site, fault: Planned, _: random.Random) -> None:
    broker = site.servers.broker
    try:
        insist(lambda: broker.rabbitmqctl("stop_app"))
        site.pause(fault.seconds)
    finally:
        insist(lambda: broker.rabbitmqctl("start_app"), 60)


@injects("broker crashes")
def crash_broker(site: Site, fault: Planned, _: random.Random) -> None:
    try:
        site.servers.broker.kill()
        site.pause(fault.seconds)
    finally:
        insist(site.servers.broker.start, 60)


@injects("database crashes")
def crash_database(site: Site, fault: Planned, _: random.Random) -> None:
    try:
        site.servers.postgres.kill()
        site.pause(fault.seconds)
    finally:
        insist(site.servers.postgres.start, 60)


@injects("memory alarm")
def alarm(site: Site, fault: Planned, _: random.Random) -> None:
    broker = site.servers.broker
    try:
        insist(lambda: broker.rabbitmqctl("set_vm_memory_high_watermark", "absolute", "1MB"))
        wait_for(site, lambda: site.api("GET", "nodes")[0]["mem_alarm"], "the broker is not alarmed")
        site.pause(fault.seconds)
    finally:
        insist(lambda: broker.rabbitmqctl("set_vm_memory_high_watermark", "absolute", WATERMARK), 60)
