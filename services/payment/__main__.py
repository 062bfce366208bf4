"""python -m services.payment"""

from services.payment.app import build
from services.payment.settings import Settings
from services.shared.chassis.process import main

main(build, Settings, "payment")
