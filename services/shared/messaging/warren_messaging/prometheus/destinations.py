"""Names of destinations as labels: a sender or a client cannot make more than a fixed number of them."""

from collections.abc import Callable

from warren_messaging.tracing import destination_of

MAX_DESTINATIONS = 500
"""Different names in one process. A service with handlers for all events of a large system has fewer."""
OTHER = "other"


class DestinationNames:
    """Makes the values of `messaging_destination_name`, as the spans have them.

    `is_known` tells whether the service knows a routing key as an event type. In names of received messages, all others
    become `other`.
    """

    def __init__(self, is_known: Callable[[str], bool]) -> None:
        self._is_known = is_known
        self._names: dict[tuple[str, str, str], str] = {}

    def of(self, exchange: str, routing_key: str, queue: str = "") -> str:
        """Return the name of a destination: without a queue that of a publisher, else that of a consumer."""
        name = self._names.get((exchange, routing_key, queue))
        if name is not None:
            return name
        if queue and routing_key != queue and not self._is_known(routing_key):
            routing_key = OTHER
        key = (exchange, routing_key, queue)
        if key not in self._names and len(self._names) >= MAX_DESTINATIONS:
            return OTHER
        return self._names.setdefault(key, destination_of(*key))
