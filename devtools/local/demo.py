"""The work of `warren demo`: places orders of every kind, follows them, and checks the outcome."""

import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from devtools import invariants
from devtools.invariants import Check
from devtools.local.instance import Instance
from devtools.local.system import System
from devtools.local.up import LogPrinter
from devtools.processes.supervisor import sigterm_as_interrupt
from devtools.servers.endpoints import BrokerEndpoints
from services.registry import SERVICE_NAMES
from services.shared.chassis.text import printable
from warren import demo as play
from warren.cli.screen import safe_markup
from warren.client import ApiClient
from warren.demo import ScenarioRun
from warren.http import basic_auth, request
from warren.progress import ProgressReport

POISON = b'{"specversion": "1.0", "type": "order.created", "data": "this is no order"}'
PATIENCE = 180.0  # seconds for all orders to end

_out = Console(highlight=False, emoji=False, soft_wrap=True, width=None if sys.stdout.isatty() else 120)


def run(*, logs: bool) -> int:
    """Run the demo; returns its exit code."""
    report = ProgressReport()
    with (
        sigterm_as_interrupt(),
        Instance("demo") as instance,
        System(instance.dir, report=report, fresh=True, on_line=LogPrinter(report) if logs else None) as system,
        ApiClient(system.url("order-api")) as client,
    ):
        instance.record(system.urls, system.pids)
        _heading("Orders")
        runs = _run_orders(system, client, live=not logs)
        checks, parked, published, sent = asyncio.run(_examine(system, runs))
        _out.print("\nstopping …")
    _heading("Events by service")
    _out.print(_sources(published))
    _out.print(f"  the sinks received {sent}")
    _heading("Parking lot")
    for row in parked:
        _out.print(f"  {row['service']}.dlq: {printable(row['reason'])}", markup=False)
    _heading("Invariants")
    for check in checks:
        mark = "[green]✓[/green]" if check.held else "[red]✗[/red]"
        _out.print(f"  {mark} {check.name}: {check.detail}")
    return _verdict(runs, checks, parked)


def _run_orders(system: System, client: ApiClient, *, live: bool) -> list[ScenarioRun]:
    runs = [play.place(client, scene) for scene in play.SCENARIOS]
    again = client.place(play.SCENARIOS[0].body)
    send_poison(system.servers.broker.endpoints, "inventory.queue")
    show: Any = nullcontext()
    if live and _out.is_terminal:
        show = Live(get_renderable=lambda: _board(runs), console=_out, refresh_per_second=10, transient=True)
    with show:
        play.follow(client, runs, PATIENCE, check=system.check)
    _out.print(_board(runs))
    same = "the same order" if again.id == runs[0].order.id else "ANOTHER ORDER"
    _out.print(f"  the first request, sent twice, returned {same}")
    for run in runs:
        if run.attempts > 1:
            _out.print(f"  {run.order.name}: an earlier order ended before the customer could cancel it")
    return runs


async def _examine(system: System, runs: Sequence[ScenarioRun]) -> tuple[list[Check], list[Any], list[Any], str]:
    database, broker = system.servers.postgres.endpoint, system.servers.broker.endpoints
    accepted = [run.order.id for run in runs]
    checks = await invariants.wait_for_invariants(database, broker, seconds=PATIENCE, accepted=accepted)
    async with database.connection() as connection:
        parked = await connection.fetch(
            " UNION ALL ".join(
                f"SELECT '{name}' AS service, reason FROM \"{name}\".failures WHERE state = 'parked'"  # noqa: S608
                for name in SERVICE_NAMES
            )
        )
        published = await connection.fetch(
            "SELECT source, type, count(*) FROM audit.events GROUP BY source, type ORDER BY source, min(time)"
        )
        mails = await connection.fetchval("SELECT count(*) FROM email.deliveries WHERE state = 'sent'")
        texts = await connection.fetchval("SELECT count(*) FROM sms.deliveries WHERE state = 'sent'")
    return checks, list(parked), list(published), f"{mails} mails over SMTP and {texts} text messages over HTTP"


def _board(runs: Sequence[ScenarioRun]) -> Group:
    table = Table(box=None, padding=(0, 2, 0, 2))
    for column in ("order", "scenario", "states"):
        table.add_column(column)
    for run in runs:
        colour = "" if not run.final else "green" if run.as_expected else "red"
        way = " → ".join(run.path)
        if run.final and run.order.reason:
            way += f" ({run.order.reason})"
        table.add_row(run.order.name, run.scenario.title, f"[{colour}]{way}[/{colour}]" if colour else way)
    return Group(table)


def _sources(published: Sequence[Any]) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 2))
    by_source: dict[str, list[str]] = {}
    for row in published:
        by_source.setdefault(row["source"].rsplit("/", 1)[-1], []).append(f"{row['count']} {row['type']}")
    for source, events in by_source.items():
        table.add_row(safe_markup(source), safe_markup(", ".join(events)))
    return table


def _verdict(runs: Sequence[ScenarioRun], checks: Sequence[Check], parked: Sequence[Any]) -> int:
    completed = sum(run.order.state == "COMPLETED" for run in runs)
    messages = "1 message" if len(parked) == 1 else f"{len(parked)} messages"
    _out.print(f"\n{len(runs)} orders: {completed} completed, {len(runs) - completed} cancelled; {messages} parked")
    wrong = [
        f"{run.order.name} ended {run.order.shown_state}, not {run.scenario.expected}"
        for run in runs
        if not run.as_expected
    ]
    wrong += [f"broken: {check.name} ({check.detail})" for check in checks if not check.held]
    if [row["service"] for row in parked] != ["inventory"]:
        wrong.append("the poison message in inventory.dlq is not the only parked message")
    for line in wrong:
        _out.print(f"[red]{line}[/red]")
    if not wrong:
        _out.print("[green]All orders ended as expected, and every invariant held.[/green]")
    return 1 if wrong else 0


def send_poison(broker: BrokerEndpoints, queue: str, vhost: str = "orders") -> None:
    """Publish an unreadable message to a queue, as the administrator."""
    url = f"{broker.management_url}/api/exchanges/{vhost}/redrive.exchange/publish"
    message = {"routing_key": queue, "payload": POISON.decode(), "payload_encoding": "string"}
    body = json.dumps(message | {"properties": {"delivery_mode": 2}}).encode()
    headers = basic_auth(*broker.login) | {"Content-Type": "application/json"}
    response = request("POST", url, body=body, headers=headers, ca_file=broker.ca_file, timeout=60)
    if response.is_error or not json.loads(response.body)["routed"]:
        raise RuntimeError(f"{queue} took no message: {response}")


def _heading(text: str) -> None:
    _out.print(f"\n[bold]{text}[/bold]")
