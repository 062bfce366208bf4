"""`make images-test`: builds a service's image with a Docker Engine and checks it in a confined container.

With --answering, as in `make test`, it uses only an engine that runs already; otherwise it starts one if none answers.

Exit codes: 0 all passed; 1 some failed; 77 nothing was run, because there is no engine. What was not run is listed and
never counts as passed.
"""

import argparse
import sys
import time

from devtools.images.__main__ import SUITE
from devtools.images.base import base
from devtools.images.docker import Docker, ImageError
from devtools.paths import CHECKOUT
from tests.images.checks import CHECKS, CheckFailed
from tests.images.engine import NoEngine, engine

PASSED, FAILED, NOT_RUN = 0, 1, 77
IMAGE = "warren/order:images-test"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.images")
    parser.add_argument("--answering", action="store_true", help="do not start an engine where none answers")
    options = parser.parse_args()
    try:
        with engine(start=not options.answering) as (program, what):
            say(f"Docker: {what}")
            return run(program)
    except NoEngine as error:
        for check in CHECKS:
            say(f"NOT RUN  {check.__name__}")
        say(f"\nNo image was built: {len(CHECKS)} checks were NOT RUN, none passed: {error}.")
        return NOT_RUN


def run(program: str) -> int:
    began = time.monotonic()
    docker = Docker(program, network="host")
    try:
        base_image = base(docker, SUITE)
        say(f"base: {base_image}, {time.monotonic() - began:.0f} s")
        docker.build(IMAGE, CHECKOUT / "Dockerfile", CHECKOUT, "service", {"BASE": base_image, "SERVICE": "order"})
    except ImageError as error:
        say(f"FAILED   build: {error}")
        return FAILED
    say(f"{IMAGE}: {docker.size(IMAGE) / 1e6:.0f} MB, {time.monotonic() - began:.0f} s")
    failed = 0
    for check in CHECKS:
        try:
            check(program, IMAGE)
            say(f"passed   {check.__name__}")
        except CheckFailed as error:
            failed += 1
            say(f"FAILED   {check.__name__}: {error}")
    say(f"\n{len(CHECKS) - failed} passed, {failed} failed in {time.monotonic() - began:.0f} s")
    return FAILED if failed else PASSED


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
