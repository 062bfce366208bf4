"""`python -m topology_operator` runs the operator; `… crd` prints the custom resource definition."""

import argparse
import asyncio
import sys
from collections.abc import Sequence

import msgspec

from topology_operator import crd
from topology_operator.crd import docstrings
from topology_operator.errors import OperatorError, SettingsError
from topology_operator.settings import PREFIX, TopologyOperatorSettings, read

STOPPED, FAILED, USAGE = 0, 1, 2

EXIT_CODES = """\
exit codes:
  0  stopped by SIGTERM or SIGINT
  1  failed; the last line of the log names the reason
  2  wrong usage, or a setting with an impossible value
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code. Raises SystemExit(2) on wrong usage."""
    options = _parser().parse_args(arguments)
    if options.command != "run":
        sys.stdout.write(crd.rendered() if options.command == "crd" else crd.reference_table.table())
        return STOPPED
    try:  # these import the packages of the extra, which the CRD does not need
        import structlog  # noqa: PLC0415

        from topology_operator import manager  # noqa: PLC0415
        from topology_operator.observability import logs  # noqa: PLC0415
    except ModuleNotFoundError as exc:
        print(f"error: {exc.name} is not installed: pip install 'broker-topology[operator]'", file=sys.stderr)  # noqa: T201
        return FAILED
    logs.configure(log_format="json", level="info")  # until the settings are read
    try:
        settings = read()
        logs.configure(log_format=settings.log_format, level=settings.log_level)
        asyncio.run(manager.run(settings))
    except (OperatorError, OSError) as exc:
        structlog.get_logger().critical("failed", reason=str(exc))
        return USAGE if isinstance(exc, SettingsError) else FAILED
    return STOPPED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m topology_operator",
        description="Keep RabbitMQ brokers in the state that the Topology resources of a Kubernetes cluster describe.",
        epilog=f"{_variables()}\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "command",
        nargs="?",
        choices=["run", "crd", "reference"],
        default="run",
        help="run: the operator, with its service account or with KUBECONFIG (the default); "
        "crd: print the custom resource definition; reference: print the table of its fields",
    )
    return parser


def _variables() -> str:
    texts = docstrings.of_fields(TopologyOperatorSettings)
    lines = ["environment:"]
    for field in msgspec.structs.fields(TopologyOperatorSettings):
        default = f" (default: {field.default})" if field.default != "" else ""
        lines.append(f"  {PREFIX}{field.name.upper()}{default}")
        lines += [f"      {line}" for line in texts.get(field.name, "").splitlines()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
