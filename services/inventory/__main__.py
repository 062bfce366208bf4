from services.inventory.app import build
from services.inventory.settings import InventorySettings
from services.shared.chassis.process import main

if __name__ == "__main__":
    main(build, InventorySettings, "inventory")
