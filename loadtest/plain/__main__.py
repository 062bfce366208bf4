"""python -m loadtest.plain PROCESS: one process of the plain implementation. Run by `python -m loadtest compare`."""

import argparse

import uvloop

from loadtest.plain import api
from loadtest.plain.handlers import HANDLERS
from loadtest.plain.service import PlainService

EXCHANGES = {"notification": "notification.exchange", "email": None, "sms": None, "audit": None}

parser = argparse.ArgumentParser(prog="python -m loadtest.plain", description=__doc__)
parser.add_argument("process", choices=["order-api", *HANDLERS])
process = parser.parse_args().process

if process == "order-api":
    uvloop.run(api.run())
else:
    exchange = EXCHANGES.get(process, "order.exchange")
    service = PlainService(process, user=process.removesuffix("-worker"), exchange=exchange)
    uvloop.run(service.run(HANDLERS[process]))
