"""Places the orders of the demo in a running installation and checks their final states.

    python -m warren.smoke --url https://shop.example --token-key-file token.key

Each run gives its orders new references, so it may be repeated. Exit codes: 0 every order has the expected final state,
1 an order has not or an error occurred, 2 wrong usage.
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

TIME_LIMIT = 120.0  # seconds
RETRY_INTERVAL = 0.5  # seconds between two requests while the server is unavailable


class SmokeTest:
    """One run. All its orders share a deadline, and a suffix that makes their references unique."""

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
        verdict = "as expected" if run.as_expected else f"expected {run.scenario.expected}"
        return run.as_expected, f"{scenario.title}: {' -> '.join(run.path)}: {run.order.shown_state}, {verdict}"

    def _follow(self, scenario: Scenario) -> ScenarioRun:
        token = None if self._key_file is None else sign(scenario.body["user"], self._key_file)
        with ApiClient(self._url, token) as client:
            run = self._place(client, scenario)
            demo.follow(client, [run], self._deadline - time.monotonic())
            return run

    def _place(self, client: ApiClient, scenario: Scenario) -> ScenarioRun:
        renamed = replace(scenario, body=scenario.body | {"orderId": f"{scenario.body['orderId']}-{self._suffix}"})
        while True:
            try:
                return demo.place(client, renamed)
            except ClientError as error:
                if error.status is not None and error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise
                if time.monotonic() > self._deadline:
                    raise
                time.sleep(RETRY_INTERVAL)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m warren.smoke", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", required=True, help="address of the order API")
    parser.add_argument("--token-key-file", type=Path, help="key to sign the customers' tokens with")
    parser.add_argument(
        "--seconds", type=float, default=TIME_LIMIT, help="time limit for all orders; default: %(default)g"
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
    scenarios = SCENARIOS[: options.only]
    try:
        # One thread for each scenario: one that cancels its order at once must not wait for the others.
        with ThreadPoolExecutor(len(scenarios)) as pool:
            results = list(pool.map(smoke.run, scenarios))
    except WarrenError as error:
        print(f"smoke: {error}", file=sys.stderr)
        return 1
    for _, line in results:
        print(line)
    succeeded = sum(as_expected for as_expected, _ in results)
    print(f"{succeeded} of {len(results)} orders ended as expected")
    return 0 if succeeded == len(results) else 1


if __name__ == "__main__":
    sys.exit(main())
