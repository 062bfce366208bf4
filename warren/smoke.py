"""The demo's orders against an installation that runs anywhere: does it do what it is for?

    python -m warren.smoke --url https://shop.example --token-key-file token.key

Each run names its orders anew, so it may be repeated. Exit codes: 0 every order ended as it should, 1 some did not,
2 wrong usage.
"""

import argparse
import secrets
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from warren import demo
from warren.client import Client, ClientError
from warren.demo import SCENES, Act, Scene
from warren.local.errors import LocalError
from warren.tokens import sign

SECONDS = 120.0
PAUSE = 0.5  # seconds between two tries of a server that does not answer yet


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m warren.smoke", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", required=True, help="where the order API is")
    parser.add_argument("--token-key-file", type=Path, help="key to sign the customers' tokens with")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long all may take; default: %(default)g")
    parser.add_argument("--only", type=int, default=len(SCENES), help="place only the first so many orders")
    options = parser.parse_args()
    try:
        return _run(options.url, options.token_key_file, options.seconds, options.only)
    except (ClientError, LocalError) as error:
        print(f"smoke: {error}", file=sys.stderr)
        return 1


def _run(url: str, key_file: Path | None, seconds: float, only: int) -> int:
    run = secrets.token_hex(3)
    deadline = time.monotonic() + seconds

    def perform(scene: Scene) -> Act:
        token = None if key_file is None else sign(scene.body["user"], key_file)
        with Client(url, token) as client:
            act = _placed(
                client, replace(scene, body=scene.body | {"orderId": f"{scene.body['orderId']}-{run}"}), deadline
            )
            demo.follow(client, [act], deadline - time.monotonic())
            return act

    scenes = SCENES[:only]
    # Side by side, since a customer who changes their mind at once must not wait for another's order.
    with ThreadPoolExecutor(len(scenes)) as pool:
        acts = list(pool.map(perform, scenes))
    for act in acts:
        verdict = "as expected" if act.as_expected else f"NOT {act.scene.expected}"
        print(f"{act.scene.title}: {' -> '.join(act.path)}: {act.order.shown_state}, {verdict}")
    well = sum(act.as_expected for act in acts)
    print(f"{well} of {len(acts)} orders ended as expected")
    return 0 if well == len(acts) else 1


def _placed(client: Client, scene: Scene, deadline: float) -> Act:
    while True:
        try:
            return demo.place(client, scene)
        except ClientError:
            if time.monotonic() > deadline:
                raise
            time.sleep(PAUSE)


if __name__ == "__main__":
    sys.exit(main())
