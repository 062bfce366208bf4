from docs.examples.loyalty.app import build
from services.shared.chassis.http.auth import AuthSettings
from services.shared.chassis.process import main

if __name__ == "__main__":
    main(build, AuthSettings, "loyalty")
