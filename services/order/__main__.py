"""python -m services.order api|worker"""

import argparse

from services.order.app import build_api, build_worker
from services.order.settings import ApiSettings, WorkerSettings
from services.shared.chassis.process import main

parser = argparse.ArgumentParser(prog="python -m services.order", description="Run a process of the order service.")
parser.add_argument("process", choices=("api", "worker"))

if parser.parse_args().process == "api":
    main(build_api, ApiSettings, "order-api")
else:
    main(build_worker, WorkerSettings, "order-worker")
