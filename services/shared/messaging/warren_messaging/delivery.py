"""One message as a queue hands it to a consumer."""

import hashlib

import msgspec

from warren_messaging.amqp.properties import RawProperties
from warren_messaging.errors import UndecodableProperties
from warren_messaging.events import TRACE_HEADER


class Delivery(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One message as a queue handed it to a consumer."""

    tag: int
    body: bytes
    exchange: str = ""
    """The exchange that its sender published it to."""
    routing_key: str = ""
    queue: str = ""
    """The queue that delivered it."""
    user_id: str | None = None
    """The broker user that published it, verified by the broker; None if the sender did not set it."""
    returned: bool = False
    """This queue delivered it before."""
    replays: int = 0
    """How often it was replayed from a parking lot."""
    defect: str | None = None
    """Why it is refused unread: undecodable properties that decide about it, or a body that is too large."""
    body_hash: str | None = None
    """SHA-256 of a body that was not kept."""
    properties: RawProperties | None = None
    """All properties, undecoded."""

    @property
    def may_have_failed(self) -> bool:
        """Whether the table `failures` may have a row about it."""
        return self.returned or self.replays > 0

    @property
    def traceparent(self) -> str | None:
        """The trace context of the publish, from the header. None without one that can be decoded."""
        try:
            header = None if self.properties is None else self.properties.header(TRACE_HEADER)
        except UndecodableProperties:
            return None
        return header if isinstance(header, str) else None

    @property
    def content_key(self) -> str:
        """Identifies a delivery whose event cannot be read or trusted."""
        return self.body_hash or hashlib.sha256(self.body).hexdigest()
