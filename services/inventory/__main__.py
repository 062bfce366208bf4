"""python -m services.inventory"""

import argparse

from services.inventory.app import build
from services.inventory.settings import InventorySettings
from services.shared.chassis.process import main

argparse.ArgumentParser(
    prog="python -m services.inventory",
    description="The inventory service: reserves, sells and releases stock, and answers over HTTP what is there.",
    epilog="Settings are read from WARREN_* variables; see services/inventory/settings.py.",
).parse_args()

main(build, InventorySettings, "inventory")
