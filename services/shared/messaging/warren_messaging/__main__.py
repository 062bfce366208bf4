"""`python -m warren_messaging`: the command `warren-messaging`."""

from warren_messaging.command.entry import warren_messaging

if __name__ == "__main__":
    warren_messaging()
