from services.notification.app import build
from services.notification.settings import NotificationSettings
from services.shared.chassis.process import main

if __name__ == "__main__":
    main(build, NotificationSettings, "notification")
