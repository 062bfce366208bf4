from services.email.app import build
from services.email.settings import EmailSettings
from services.shared.chassis.process import main

if __name__ == "__main__":
    main(build, EmailSettings, "email")
