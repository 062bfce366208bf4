"""`warren-messaging doctor`: checks what a service needs, and states what to do about each problem."""

import argparse
import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from warren_messaging.amqp.connection import BrokerAddress
from warren_messaging.command.broker_checks import check_broker
from warren_messaging.command.check_result import CheckResult, failed
from warren_messaging.command.database_checks import check_database
from warren_messaging.command.load import load_service
from warren_messaging.command.management import ManagementReader
from warren_messaging.command.management_checks import check_with_management
from warren_messaging.command.output import print_json
from warren_messaging.command.remedies import CORRECT_OPTIONS
from warren_messaging.command.service_topology import service_topology, vhost_of
from warren_messaging.errors import ConfigurationError
from warren_messaging.service import Service

EXAMPLES = """\
examples:
  warren-messaging doctor shop:service
  warren-messaging doctor shop:service --management-url https://rabbit.example.com:15671 --json

The checks change nothing and take no message. AMQP shows the arguments of a queue only to a user that may configure it;
the management API shows them, and bindings, to a user with the tag `management`.
"""
SYMBOLS = {"ok": "ok     ", "failed": "FAILED ", "unknown": "?      "}


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    summary = "check broker, queues, database and clocks, with a remedy for each problem"
    parser = commands.add_parser(
        "doctor",
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}. Exit code 1 if a check fails.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("service", metavar="MODULE:SERVICE")
    parser.add_argument(
        "--json", action="store_true", help="print JSON: check, state (ok, failed, unknown), detail, remedy"
    )
    parser.add_argument("--management-url", metavar="URL", help="https://host:port of RabbitMQ's management API")
    parser.add_argument(
        "--management-credentials",
        metavar="FOLDER",
        type=Path,
        help="with the files `username` and `password`; default: the broker user of the service",
    )
    parser.set_defaults(command=_doctor)


def _doctor(options: argparse.Namespace) -> int:
    service = load_service(options.service)
    results = asyncio.run(_collect(service, options))
    if options.json:
        print_json(results)
    return 1 if any(each.state == "failed" for each in results) else 0


async def _collect(service: Service, options: argparse.Namespace) -> list[CheckResult]:
    results = []
    async for result in _checks(service, options):
        results.append(result)
        if not options.json:
            print(f"{SYMBOLS[result.state]}{result.check}: {result.detail}", flush=True)
            if result.remedy:
                print(f"       → {result.remedy}", flush=True)
    return results


async def _checks(service: Service, options: argparse.Namespace) -> AsyncIterator[CheckResult]:
    try:
        settings = service.settings
    except ConfigurationError as error:
        yield failed(
            "settings",
            str(error).removeprefix("settings: "),
            "set the variables, see the table of settings in the documentation",
        )
        return
    topology = service_topology(service, vhost_of(settings.broker.url))
    management = None
    try:
        management = _management(options, settings.broker, topology.vhost)
    except ConfigurationError as error:
        yield failed("management API", error, CORRECT_OPTIONS)
    attempts = {consumer.queue: consumer.retry.attempts for consumer in service.consumers}
    compared = [] if management else [(queue, attempts.get(queue.name, 0)) for queue in topology.own.queues]
    async for result in check_broker(settings.broker, topology, compared):
        yield result
    if management:
        async for result in check_with_management(service, topology, management):
            yield result
    async for result in check_database(settings.database, options.service):
        yield result


def _management(options: argparse.Namespace, broker: BrokerAddress, vhost: str) -> ManagementReader | None:
    if options.management_url is None:
        return None
    credentials = options.management_credentials
    login = BrokerAddress(broker.url, credentials).login() if credentials else broker.login()
    return ManagementReader(options.management_url, login, vhost, broker.ca_file)
