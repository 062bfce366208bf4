from docs.examples.loyalty.app import build
from services.shared.chassis.identity import IdentitySettings
from services.shared.chassis.process import main

if __name__ == "__main__":
    main(build, IdentitySettings, "loyalty")
