from services.email.app import build
from services.email.settings import Settings
from services.shared.chassis.process import main

if __name__ == "__main__":
    main(build, Settings, "email")
