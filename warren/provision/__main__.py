"""python -m warren.provision: create the certificates and passwords of an installation."""

import argparse
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import structlog

from services.shared.chassis import logs
from warren.provision.apply import apply_manifest
from warren.provision.errors import ProvisionError
from warren.provision.folder_store import FolderStore
from warren.provision.kubernetes_store import KubernetesStore
from warren.provision.manifest import read_manifest
from warren.provision.store import SecretStore

EXAMPLES = """\
examples:
  python -m warren.provision secrets.yaml --folder secrets          one folder for each
  python -m warren.provision secrets.yaml --kubernetes              one Secret for each, from a pod of the cluster

exit codes: 0 all secrets exist, 1 one could not be created (a repeated run continues), 2 wrong usage
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m warren.provision",
        description="Create the certificate authority, server certificates and passwords of a manifest. Existing"
        " ones are kept; certificates are renewed 60 days before they expire.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("manifest", type=Path, help="YAML file; its format is in warren/provision/manifest.py")
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--folder", type=Path, help="write folders below this one")
    target.add_argument("--kubernetes", action="store_true", help="write Secrets into the namespace of this pod")
    parser.add_argument("--owner", type=_owner, metavar="UID:GID", help="the owner of the files")
    parser.add_argument("--label", action="append", default=[], metavar="KEY=VALUE", help="a label of every Secret")
    options = parser.parse_args()
    logs.configure("provision", log_format=logs.requested_format(os.environ), level="info")
    log = structlog.get_logger()
    labels = dict(label.partition("=")[::2] for label in options.label)
    try:
        store: SecretStore = (
            KubernetesStore.from_pod(labels) if options.kubernetes else FolderStore(options.folder, options.owner)
        )
        for line in apply_manifest(read_manifest(options.manifest), store, datetime.now(UTC)):
            log.info(line)
    except ProvisionError as error:
        log.critical("provisioning failed", reason=str(error))
        return 1
    return 0


def _owner(text: str) -> tuple[int, int]:
    user, _, group = text.partition(":")
    try:
        return int(user), int(group)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not UID:GID") from None


if __name__ == "__main__":
    sys.exit(main())
