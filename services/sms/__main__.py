from services.shared.chassis.process import main
from services.sms.app import build
from services.sms.settings import SmsSettings

if __name__ == "__main__":
    main(build, SmsSettings, "sms")
