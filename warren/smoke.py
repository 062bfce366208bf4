"""Places the orders of the demo at any installation and checks their final states.

    python -m warren.smoke --url https://shop.example --token-key-file token.key

Each run gives its orders new references, so it may be repeated. Exit codes: 0 every order ended as expected, 1 some did
not, 2 wrong usage.
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
PAUSE = 0.5  # seconds between two attempts while the server does not answer


class SmokeTest:
    """One run, with a suffix of its own for the references of its orders, and a deadline for all of them."""

    def __init__(self, url: str, key_file: Path | None, seconds: float) -> None:
        self._url = url
        self._key_file = key_file
        self._suffix = secrets.token_hex(3)
        self._deadline = time.monotonic() + seconds

    def run(self, scenario: Scenario) -> tuple[bool, str]:
        """Return whether the order ended as expected, and a line for the report."""
        try:
            run = self._follow(scenario)
        except ClientError as error:
            return False, f"{scenario.title}: {error}"
        verdict = "as expected" if run.as_expected else f"NOT {run.scenario.expected}"
        return run.as_expected, f"{scenario.title}: {' -> '.join(run.path)}: {run.order.shown_state}, {verdict}"

    def _follow(self, scenario: Scenario) -> ScenarioRun:
        token = None if self._key_file is None else sign(scenario.body["user"], self._key_file)
        with ApiClient(self._url, token) as client:
            run = self._placed(client, scenario)
            demo.follow(client, [run], self._deadline - time.monotonic())
            return run

    def _placed(self, client: ApiClient, scenario: Scenario) -> ScenarioRun:
        named = replace(scenario, body=scenario.body | {"orderId": f"{scenario.body['orderId']}-{self._suffix}"})
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
    parser.add_argument("--url", required=True, help="address of the order API")
    parser.add_argument("--token-key-file", type=Path, help="key to sign the customers' tokens with")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help="time limit for all orders; default: %(default)g"
    )
    counts = range(1, len(SCENARIOS) + 1)
    parser.add_argument(
        "--only",
        type=int,
        choices=counts,
        metavar="COUNT",
        default=counts[-1],
        help="place only the first COUNT orders",
    )
    options = parser.parse_args()
    smoke = SmokeTest(options.url, options.token_key_file, options.seconds)
    scenes = SCENARIOS[: options.only]
    try:
        # In parallel: a scenario that cancels at once must not wait for another order.
        with ThreadPoolExecutor(len(scenes)) as pool:
            outcomes = list(pool.map(smoke.run, scenes))
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
