from services.shared.chassis.process import main
from services.sms.app import build
from services.sms.settings import Settings

if __name__ == "__main__":
    main(build, Settings, "sms")
