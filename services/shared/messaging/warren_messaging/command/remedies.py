"""What `warren-messaging doctor` recommends."""

APPLY = "apply the topology that `warren-messaging topology` prints; with --declare it declares the objects itself"
RIGHTS = "give the broker user the rights that `warren-messaging topology` prints for it"
RECREATE = (
    "delete the queue when it is empty and apply the topology, or migrate it with broker-topology (argumentChange:"
    " Migrate), which moves its messages"
)
MANAGEMENT = "check it with --management-url, as a user with the tag `management`"
ALARMS = "see whether the broker blocks publishers for lack of memory or disk: rabbitmqctl list_connections name state"
CORRECT_OPTIONS = "correct --management-url or its credentials"
