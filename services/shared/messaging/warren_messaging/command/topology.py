"""`warren-messaging topology`: what a service needs at the broker, printed or declared."""

import argparse
import asyncio
import sys
from pathlib import Path

import msgspec

from warren_messaging.amqp.connection import BrokerAddress
from warren_messaging.command.declare import declare
from warren_messaging.command.formats import definitions, topology_resources
from warren_messaging.command.load import load_service
from warren_messaging.command.service_topology import service_topology, vhost_of
from warren_messaging.errors import ConfigurationError
from warren_messaging.service import Service

EXAMPLES = """\
examples:
  warren-messaging topology shop:service > topology.yaml         for broker-topology, or its operator
  warren-messaging topology shop:service --format definitions > definitions.json
  rabbitmqctl import_definitions definitions.json
  warren-messaging topology shop:service --declare               with the service's own broker user
  warren-messaging topology shop:service --declare --broker-url amqp://admin:secret@localhost/shop

The objects of the first two are the same. Only the Topology holds the service's user with its rights.
"""
DIFFERENT = """\
The broker cannot change the arguments of an object. Delete a queue when it is empty and declare again, or apply the
Topology with broker-topology and `argumentChange: Migrate` on the queue, which moves its messages."""
FORMATS = {"topology": topology_resources, "definitions": definitions}


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    summary = "print what a service needs at the broker, or declare it"
    parser = commands.add_parser(
        "topology",
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}: exchange, queues, parking lots, bindings of all handlers.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("service", metavar="MODULE:SERVICE")
    parser.add_argument("--format", choices=FORMATS, default="topology", help="default: topology")
    parser.add_argument("--vhost", help="default: the one of the service's broker address")
    parser.add_argument("--declare", action="store_true", help="declare the objects through AMQP and print no document")
    declaring = parser.add_argument_group("with --declare; the default is the service's own address and user")
    declaring.add_argument("--broker-url", metavar="URL", help="amqps://user:password@host:port/vhost")
    declaring.add_argument("--credentials", metavar="FOLDER", type=Path, help="with the files `username`, `password`")
    declaring.add_argument("--ca-file", metavar="FILE", type=Path)
    parser.set_defaults(command=_topology, parser=parser)


def _topology(options: argparse.Namespace) -> int:
    address = (options.broker_url, options.credentials, options.ca_file)
    if options.declare and options.vhost is not None:
        options.parser.error("--vhost is for documents; --declare takes the vhost of the broker address")
    if not options.declare and any(address):
        options.parser.error("--broker-url, --credentials and --ca-file are for --declare")
    service = load_service(options.service)
    if options.declare:
        return _declare(service, *address)
    try:
        vhost = options.vhost or vhost_of(service.settings.broker.url)
    except ConfigurationError as error:
        raise ConfigurationError(f"{error}; or name the virtual host with --vhost") from error
    sys.stdout.write(FORMATS[options.format](service_topology(service, vhost)))
    return 0


def _declare(service: Service, url: str | None, credentials: Path | None, ca_file: Path | None) -> int:
    address = BrokerAddress(url, credentials, ca_file) if url is not None else service.settings.broker
    if url is None:
        address = BrokerAddress(address.url, credentials or address.credentials, ca_file or address.ca_file)
    objects = service_topology(service, vhost_of(address.url)).everything
    different = asyncio.run(declare(objects, address))
    for difference in different:
        print(f"{difference}; it stays as it is", file=sys.stderr)
    if different:
        print(DIFFERENT, file=sys.stderr)
        return 1
    counts = (f"{len(each)} {name}" for name, each in msgspec.structs.asdict(objects).items())
    print(f"declared at {address.location}: {', '.join(counts)}")
    return 0
