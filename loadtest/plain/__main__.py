"""python -m loadtest.plain PROCESS: one process of the plain shop. Run by `python -m loadtest compare`."""

import argparse

import uvloop

from loadtest.plain import api
from loadtest.plain.handlers import HANDLERS
from loadtest.plain.service import Service

EXCHANGES = {"notification": "notification.exchange", "email": None, "sms": None, "audit": None}

parser = argparse.ArgumentParser(prog="python -m loadtest.plain", description=__doc__)
parser.add_argument("process", choices=["order-api", *HANDLERS])
process = parser.parse_args().process

if process == "order-api":
    uvloop.run(api.run())
else:
    service = Service(process, user=process.removesuffix("-worker"), exchange=EXCHANGES.get(process, "order.exchange"))
    uvloop.run(service.run(HANDLERS[process]))
