"""`python -m broker_topology`."""

import sys

from broker_topology.cli import main

if __name__ == "__main__":
    sys.exit(main())
