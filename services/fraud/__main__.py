from services.fraud.app import build
from services.fraud.settings import FraudSettings
from services.shared.chassis.process import main

if __name__ == "__main__":
    main(build, FraudSettings, "fraud")
