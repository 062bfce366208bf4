"""The command line's options. Each option can also be set by an environment variable."""

import argparse
import os
from importlib.metadata import PackageNotFoundError, version

ENVIRONMENT = "BROKER_TOPOLOGY_"

WITHOUT_FILES = {"export": ("vhost",), "owners": (), "disown": ("owner",)}
"""Commands that read no Topology, each with the options that it requires in addition to the broker's."""

BROKER = ("url", "username", "password_file")

EXIT_CODES = """
exit codes:
  0  nothing to do, or done
  1  an error, or something stays blocked
  2  wrong usage
  3  plan or check found differences; export left something out
"""

OVERVIEW = """\
examples (each command's --help has one with all required options):
  broker-topology check shop.yaml                     the file alone
  broker-topology plan shop.yaml --url …              what apply would change
  broker-topology apply shop.yaml --url … --owner shop --prune
  broker-topology export --vhost orders --url … > orders.yaml
"""

DESCRIPTIONS = {
    "plan": "Show what apply would change. Writes nothing.",
    "apply": "Bring the broker to the state in the files. Applying again writes nothing.",
    "export": "Write the content of one virtual host as Topology resources to standard output, and the omitted "
    "objects to standard error. Writes nothing at the broker.",
    "owners": "List the owners of objects at a broker, and how many objects are missing. Writes nothing.",
    "disown": "Remove the record of a lost owner. Its objects stay, and another owner can claim them.",
    "check": "Check the files; with --url also whether the broker holds their objects. Writes nothing.",
}

CONNECT = """ \\
      --url https://localhost:15671 --username admin --password-file admin.password --ca-file ca.pem"""

EXAMPLES = {
    "plan": f"plan topology{CONNECT} \\\n      --secrets-dir secrets",
    "apply": f"apply topology{CONNECT} \\\n      --secrets-dir secrets --wait 60",
    "export": f"export --vhost orders --name orders{CONNECT} \\\n      --secrets-dir secrets > orders.yaml",
    "owners": f"owners{CONNECT}",
    "disown": f"disown --owner shop/orders{CONNECT}",
    "check": f"check topology{CONNECT} \\\n      --secrets-dir secrets",
}


def parser() -> argparse.ArgumentParser:
    """Creates the parser. Parsed options have the command's own parser as `parser`, for its usage in errors."""
    result = argparse.ArgumentParser(
        prog="broker-topology",
        description="Apply Topology resources to a RabbitMQ broker, or show the difference.",
        epilog=OVERVIEW + EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument("--version", action="version", version=f"broker-topology {_version()}")
    commands = result.add_subparsers(dest="command", required=True, metavar="|".join(DESCRIPTIONS))
    for name, description in DESCRIPTIONS.items():
        command = commands.add_parser(
            name,
            help=description,
            description=description,
            epilog=f"example:\n  broker-topology {EXAMPLES[name]}\n{EXIT_CODES}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(parser=command)
        _add_options(command, name)
    return result


def _version() -> str:
    try:
        return version("broker-topology")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"


def _add_options(command: argparse.ArgumentParser, name: str) -> None:
    def option(flag: str, text: str, metavar: str | None = None, kind: type = str, default: object = None) -> None:
        variable = ENVIRONMENT + flag.removeprefix("--").replace("-", "_").upper()
        default = os.environ.get(variable) or default
        command.add_argument(flag, default=default, type=kind, metavar=metavar, help=f"{text} [{variable}]")

    def switch(flag: str, text: str) -> None:
        command.add_argument(flag, action="store_true", help=text)

    if name not in WITHOUT_FILES:
        command.add_argument("paths", nargs="+", metavar="FILE_OR_DIR", help="Topology files, or folders of them")
    option("--url", "address of the management API, https://host:port")
    option("--username", "an administrator of the broker")
    option("--password-file", "file with that user's password", "FILE")
    option("--ca-file", "certificate authority that signed the broker's certificate", "FILE")
    option("--cert-file", "client certificate, for a broker that requires one", "FILE")
    option("--key-file", "its key", "FILE")
    if name == "export":
        option("--vhost", "the virtual host to export", "NAME")
        option("--name", "metadata.name of the Topology", "NAME", default="exported")
        option("--secrets-dir", "folder to write the users' password hashes to", "DIR")
    elif name == "disown":
        option("--owner", "the owner to remove, as `owners` prints it", "NAME")
    elif name not in WITHOUT_FILES:
        passwords = "missing ones are generated there" if name == "apply" else "without it passwords are not compared"
        option("--secrets-dir", f"folder with the users' passwords; {passwords}", "DIR")
        option("--vhost", "use this virtual host instead of the files'", "NAME")
        option("--owner", "owner of the objects in these files; the broker stores a record of them", "NAME")
        switch("--prune", "delete objects that the owner has and the files no longer name")
        switch("--strict", "treat warnings as errors")
    if name == "apply":
        text = "give this user a new password now; a run after the overlap deletes the previous user"
        command.add_argument("--rotate", action="append", default=[], metavar="USER", help=text)
    if name != "export":
        switch("--json", "write the result as JSON, for programs")
    option("--wait", "how long to wait for a broker that does not answer", "SECONDS", float, 0.0)
