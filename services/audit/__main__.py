from services.audit.app import build
from services.shared.chassis.environment import ProcessSettings
from services.shared.chassis.process import main

if __name__ == "__main__":
    main(build, ProcessSettings, "audit")
