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
from http import HTTPStatus
from pathlib import Path

from warren import demo
from warren.client import ApiClient
from warren.demo import SCENARIOS, Scenario, ScenarioRun
from warren.errors import ClientError, WarrenError
from warren.tokens import sign

SECONDS = 120.0
PAUSE = 0.5  # seconds between two tries of a server that does not answer yet


class SmokeTest:
    """One run: its orders bear its name, and all of it ends by the deadline."""

    def __init__(self, url: str, key_file: Path | None, seconds: float) -> None:
        self._url = url
        self._key_file = key_file
        self._run = secrets.token_hex(3)
        self._deadline = time.monotonic() + seconds

    def perform(self, scene: Scenario) -> tuple[bool, str]:
        """Whether it ended as expected, and a line that says how."""
        try:
            act = self._act(scene)
        except ClientError as error:
            return False, f"{scene.title}: {error}"
        verdict = "as expected" if act.as_expected else f"NOT {act.scene.expected}"
        return act.as_expected, f"{scene.title}: {' -> '.join(act.path)}: {act.order.shown_state}, {verdict}"

    def _act(self, scene: Scenario) -> ScenarioRun:
        token = None if self._key_file is None else sign(scene.body["user"], self._key_file)
        with ApiClient(self._url, token) as client:
            act = self._placed(client, scene)
            demo.follow(client, [act], self._deadline - time.monotonic())
            return act

    def _placed(self, client: ApiClient, scene: Scenario) -> ScenarioRun:
        named = replace(scene, body=scene.body | {"orderId": f"{scene.body['orderId']}-{self._run}"})
        while True:
            try:
                return demo.place(client, named)
            except ClientError as error:
                if error.status is not None and error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise
                if time.monotonic() > self._deadline:
                    raise
                time.sleep(PAUSE)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m warren.smoke", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", required=True, help="where the order API is")
    parser.add_argument("--token-key-file", type=Path, help="key to sign the customers' tokens with")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long all may take; default: %(default)g")
    counts = range(1, len(SCENARIOS) + 1)
    parser.add_argument(
        "--only",
        type=int,
        choices=counts,
        metavar="COUNT",
        default=counts[-1],
        help="place only the first so many orders",
    )
    options = parser.parse_args()
    smoke = SmokeTest(options.url, options.token_key_file, options.seconds)
    scenes = SCENARIOS[: options.only]
    try:
        # Side by side, since a customer who changes their mind at once must not wait for another's order.
        with ThreadPoolExecutor(len(scenes)) as pool:
            outcomes = list(pool.map(smoke.perform, scenes))
    except WarrenError as error:
        print(f"smoke: {error}", file=sys.stderr)
        return 1
    for _, line in outcomes:
        print(line)
    well = sum(good for good, _ in outcomes)
    print(f"{well} of {len(outcomes)} orders ended as expected")
    return 0 if well == len(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
