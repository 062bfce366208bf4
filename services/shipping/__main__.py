"""python -m services.shipping"""

from services.shared.chassis.process import main
from services.shipping.app import build
from services.shipping.settings import Settings

main(build, Settings, "shipping")
