"""The command line: arguments, exit codes, errors in one line."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from warren_messaging.command import doctor, migrations, topology
from warren_messaging.command.load import ServiceNotFound, load_service
from warren_messaging.errors import ConfigurationError, MessagingError
from warren_messaging.program import run

FAILED, WRONG_USAGE = 1, 2

SERVICE = """\
MODULE:SERVICE names a Service: an object of a module, or a function without parameters that returns one. The module is
looked for in the working folder first.
"""
EXIT_CODES = """\
exit codes:
  0   done; doctor: all is well
  1   doctor: a check failed; topology --declare: an object exists with other arguments
      migrations status: some are pending
  2   wrong usage, or no such service
  69  a server does not answer
  78  a wrong setting, or a server refused the request
"""
EXAMPLES = """\
examples:
  warren-messaging migrations apply shop:service
  warren-messaging topology shop:service > topology.yaml
  warren-messaging topology shop:service --declare
  warren-messaging doctor shop:service
  warren-messaging run shop:service
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Raises SystemExit(2) for wrong usage."""
    options = _parser().parse_args(arguments)
    if options.command is not _run:
        logging.disable()  # the drivers log what the command reports
    try:
        return int(options.command(options))
    except ServiceNotFound as error:
        return _failed(error, WRONG_USAGE)
    except MessagingError as error:
        return _failed(error, os.EX_CONFIG if isinstance(error, ConfigurationError) else os.EX_UNAVAILABLE)
    except BrokenPipeError:  # the reader of `… | head` has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _failed(reason: object, code: int) -> int:
    print(f"warren-messaging: {reason}", file=sys.stderr)
    return code


def _run(options: argparse.Namespace) -> int:
    run(*(load_service(each) for each in options.services))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="warren-messaging",
        description="Run a service of warren_messaging, and prepare and check what it needs.",
        epilog=f"{SERVICE}\n{EXAMPLES}\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"warren-messaging {_version()}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    summary = "run services until SIGTERM or Ctrl-C, then finish their work"
    running = commands.add_parser("run", help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    running.add_argument("services", nargs="+", metavar="MODULE:SERVICE", help="several run in one process")
    running.set_defaults(command=_run)
    for command in (migrations, topology, doctor):
        command.add_to(commands)
    return parser


def _version() -> str:
    try:
        return version("warren-messaging")
    except PackageNotFoundError:  # a folder on the path
        return "of a source folder"
