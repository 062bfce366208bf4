from services.payment.app import build
from services.payment.settings import PaymentSettings
from services.shared.chassis.process import main

if __name__ == "__main__":
    main(build, PaymentSettings, "payment")
