"""python -m services.order api|worker"""

import argparse

from services.order.app import build_api, build_worker
from services.order.settings import ApiSettings, WorkerSettings
from services.shared.chassis.process import main

parser = argparse.ArgumentParser(
    prog="python -m services.order",
    description="The order service: `api` takes orders over HTTP, `worker` follows them and keeps their deadlines.",
    epilog="Settings are read from WARREN_* variables; see services/order/settings.py.",
)
parser.add_argument("process", choices=("api", "worker"))

if parser.parse_args().process == "api":
    main(build_api, ApiSettings, "order")
else:
    main(build_worker, WorkerSettings, "order")
