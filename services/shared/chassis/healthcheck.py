"""Asks the process beside it whether it is ready: Docker's health check.

    python -m services.shared.chassis.healthcheck

Prints every part and why it is not ready. Exit codes: 0 ready, 1 not ready or no answer. Imports little, since Docker
starts it every few seconds.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException

TIMEOUT = 4.0  # seconds


def main() -> int:
    port = os.environ.get("WARREN_METRICS_PORT", "9464")
    connection = HTTPConnection("127.0.0.1", int(port), timeout=TIMEOUT)
    try:
        connection.request("GET", "/readyz?verbose")
        response = connection.getresponse()
        sys.stdout.write(response.read().decode())
    except (OSError, HTTPException) as error:
        sys.stdout.write(f"no answer at port {port}: {error}\n")
        return 1
    finally:
        connection.close()
    return 0 if response.status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
