from services.shared.chassis.process import main
from services.shipping.app import build
from services.shipping.settings import ShippingSettings

if __name__ == "__main__":
    main(build, ShippingSettings, "shipping")
