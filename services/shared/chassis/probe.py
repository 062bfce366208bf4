"""python -m services.shared.chassis.probe: asks the process beside it whether it is ready, for Docker's health check.

Prints every part and what it lacks. Exit codes: 0 ready, 1 not, or nobody answers. It imports little, since it is
started anew for each question.
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
        answer = connection.getresponse()
        sys.stdout.write(answer.read().decode())
    except (OSError, HTTPException) as error:
        sys.stdout.write(f"nobody answers at port {port}: {error}\n")
        return 1
    finally:
        connection.close()
    return 0 if answer.status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
