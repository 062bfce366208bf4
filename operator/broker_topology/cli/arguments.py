"""What the command line takes: every option also as a variable of the environment."""

from __future__ import annotations

import argparse
import os
from importlib.metadata import PackageNotFoundError, version

ENVIRONMENT = "BROKER_TOPOLOGY_"

WITHOUT_FILES = {"export": ("vhost",), "owners": (), "disown": ("owner",)}
"""Commands that read no Topology, and what each needs beside the broker."""

EXIT_CODES = """\
exit codes:
  0  nothing to do, or done
  1  an error, or something stays blocked
  2  wrong usage
  3  plan or check found differences; export left something out
"""

BROKER = ("url", "username", "password_file")

OVERVIEW = """\
examples (each command's --help has one with all that it needs):
  broker-topology check shop.yaml                     the file alone
  broker-topology plan shop.yaml --url …              what apply would change
  broker-topology apply shop.yaml --url … --owner shop --prune
  broker-topology export --vhost orders --url … > orders.yaml

"""

EXAMPLES = {
    "plan": """\
example:
  python -m broker_topology plan charts/warren/topology \\
      --url https://localhost:15671 --username admin --password-file admin.password \\
      --ca-file ca.pem --secrets-dir secrets
""",
    "apply": """\
example (waits up to a minute for a broker that is still starting):
  python -m broker_topology apply charts/warren/topology \\
      --url https://localhost:15671 --username admin --password-file admin.password \\
      --ca-file ca.pem --secrets-dir secrets --wait 60
""",
    "export": """\
example (imports the users' password hashes into the folder, so that applying the file changes nothing):
  python -m broker_topology export --vhost orders --name orders \\
      --url https://localhost:15671 --username admin --password-file admin.password \\
      --ca-file ca.pem --secrets-dir secrets > orders.yaml
""",
    "owners": """\
example:
  python -m broker_topology owners \\
      --url https://localhost:15671 --username admin --password-file admin.password --ca-file ca.pem
""",
    "disown": """\
example (a Topology was lost together with its cluster, and another is to have its queues):
  python -m broker_topology disown --owner shop/orders \\
      --url https://localhost:15671 --username admin --password-file admin.password --ca-file ca.pem
""",
    "check": """\
examples (the files alone; and the files against a broker):
  python -m broker_topology check charts/warren/topology
  python -m broker_topology check charts/warren/topology \\
      --url https://localhost:15671 --username admin --password-file admin.password \\
      --ca-file ca.pem --secrets-dir secrets
""",
}

DESCRIPTIONS = {
    "plan": "Show what apply would change. Writes nothing.",
    "apply": "Bring the broker to what the files say. Applying again writes nothing.",
    "export": "Write what one virtual host of a broker holds as Topology resources to standard output, and what they "
    "cannot say to standard error. Writes nothing at the broker.",
    "owners": "List who owns objects at a broker, and how many of them are missing. Writes nothing.",
    "disown": "Forget an owner that will not come back. Its objects stay, and whoever names one next has it.",
    "check": "Check the files; with --url also whether the broker holds them. Writes nothing.",
}


def parser() -> argparse.ArgumentParser:
    """Each command's own parser is in the result as `parser`, for its usage in errors."""
    made = argparse.ArgumentParser(
        prog="python -m broker_topology",
        description="Apply Topology resources to a RabbitMQ broker, or show the difference.",
        epilog=OVERVIEW + EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action="version", version=f"broker_topology {_version()}")
    commands = made.add_subparsers(dest="command", required=True, metavar="|".join(DESCRIPTIONS))
    for name, description in DESCRIPTIONS.items():
        command = commands.add_parser(
            name,
            help=description,
            description=description,
            epilog=EXAMPLES[name] + "\n" + EXIT_CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(parser=command)
        _options(command, name)
    return made


def _version() -> str:
    try:
        return version("warren")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"


def _options(command: argparse.ArgumentParser, name: str) -> None:
    def option(flag: str, text: str, metavar: str | None = None, kind: type = str, default: object = None) -> None:
        variable = ENVIRONMENT + flag.removeprefix("--").replace("-", "_").upper()
        default = os.environ.get(variable) or default
        command.add_argument(flag, default=default, type=kind, metavar=metavar, help=f"{text} [{variable}]")

    if name not in WITHOUT_FILES:
        command.add_argument("paths", nargs="+", metavar="FILE_OR_DIR", help="Topology files, or folders of them")
    option("--url", "address of the management API, https://host:port")
    option("--username", "an administrator of the broker")
    option("--password-file", "file with that user's password", "FILE")
    option("--ca-file", "certificate authority that signed the broker's certificate", "FILE")
    option("--cert-file", "client certificate, for a broker that asks for one", "FILE")
    option("--key-file", "its key", "FILE")
    if name == "export":
        option("--vhost", "the virtual host to write down", "NAME")
        option("--name", "metadata.name of the Topology", "NAME", default="exported")
        option("--secrets-dir", "folder to put the users' password hashes into", "DIR")
    elif name == "disown":
        option("--owner", "who is to be forgotten, as `owners` prints it", "NAME")
    elif name not in WITHOUT_FILES:
        passwords = "missing ones are generated there" if name == "apply" else "without it passwords are not compared"
        option("--secrets-dir", f"folder with the users' passwords; {passwords}", "DIR")
        option("--vhost", "use this virtual host instead of the files'", "NAME")
        option("--owner", "the name under which the broker keeps on record what these files have there", "NAME")
        command.add_argument(
            "--prune", action="store_true", help="remove what the owner has and the files no longer name"
        )
        command.add_argument("--strict", action="store_true", help="take warnings for errors")
    if name == "apply":
        command.add_argument(
            "--rotate",
            action="append",
            default=[],
            metavar="USER",
            help="give this user a new password now; the former one goes at a later run, after its overlap",
        )
    if name != "export":
        command.add_argument("--json", action="store_true", help="write the result as JSON, for programs")
    option("--wait", "how long to wait for a broker that does not answer", "SECONDS", float, 0.0)
