"""python -m devtools.images: build every image of Warren with Docker."""

import argparse
import sys
import time

from devtools.images.base import base
from devtools.images.docker import Docker, ImageError
from devtools.paths import CHECKOUT
from services.registry import SERVICE_NAMES
from warren.progress import ProgressReport

SUITE, SERVERS_SUITE = "trixie", "forky"
SERVERS = {"rabbitmq": "rabbitmq:4.3-management", "postgres": "postgres:18"}
EXAMPLES = """\
examples:
  python -m devtools.images                                   warren/order:dev and all others
  python -m devtools.images order tools --tag 0.1.0           only these
  python -m devtools.images --prefix registry.example/warren  other names, to push them
  python -m devtools.images --servers --network host          also RabbitMQ and PostgreSQL, from Debian's packages

exit codes: 0 all images are built, 1 one could not be built, 2 wrong usage
"""


def names() -> list[str]:
    """Return the names of all images: one for each service, the operator and the tools."""
    return [*SERVICE_NAMES, "operator", "tools"]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m devtools.images",
        description="Build the images of all services, the operator and the tools.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "images", nargs="*", metavar="IMAGE", help=f"the images to build; default: all: {', '.join(names())}"
    )
    parser.add_argument("--tag", default="dev")
    parser.add_argument("--prefix", default="warren", help="the prefix of the names; default: %(default)s")
    parser.add_argument(
        "--servers", action="store_true", help="also build RabbitMQ and PostgreSQL, if their images cannot be pulled"
    )
    parser.add_argument("--docker", default="docker", metavar="PROGRAM")
    parser.add_argument(
        "--network", default="default", help="the network of the builds; `host` where the bridge network has no way out"
    )
    options = parser.parse_args()
    if unknown := sorted(set(options.images) - set(names())):
        parser.error(f"there is no image {', '.join(unknown)}; there are {', '.join(names())}")
    wanted = options.images or names()
    try:
        _build(Docker(options.docker, options.network), wanted, options, ProgressReport())
    except ImageError as error:
        print(f"devtools.images: {error}", file=sys.stderr)
        return 1
    return 0


def _build(docker: Docker, wanted: list[str], options: argparse.Namespace, report: ProgressReport) -> None:
    docker.require()
    arguments = {"BASE": base(docker, SUITE)}
    for name in wanted:
        image = f"{options.prefix}/{name}:{options.tag}"
        target = name if name in {"operator", "tools"} else "service"
        began = time.monotonic()
        docker.build(image, CHECKOUT / "Dockerfile", CHECKOUT, target, arguments | {"SERVICE": name})
        report.status(f"{image}: {docker.size(image) / 1e6:.0f} MB, {time.monotonic() - began:.0f} s")
    if options.servers:
        servers = {"BASE": base(docker, SERVERS_SUITE)}
        file = CHECKOUT / "devtools" / "compose" / "debian.Dockerfile"
        for target, image in SERVERS.items():
            began = time.monotonic()
            docker.build(image, file, file.parent, target, servers)
            report.status(f"{image}: {docker.size(image) / 1e6:.0f} MB, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
