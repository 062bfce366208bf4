"""The command `warren-messaging`: runs a service, prepares its database and broker, checks both."""
