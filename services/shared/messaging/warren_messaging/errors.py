"""All errors of the library.

MessagingError
├── ConfigurationError      the process cannot work as configured: it ends with the message
│   ├── BrokerTooOld
│   ├── AccessRefused
│   └── TopologyMissing
├── Unavailable             a server is unavailable: wait and continue; not an error of a message
│   ├── BrokerUnavailable
│   ├── DatabaseUnavailable
│   └── DownstreamUnavailable   a circuit breaker is open, or a rate limit is used up
├── TransientError          this message failed now and may succeed later: delayed retry
└── PermanentError          this message can never succeed: parking lot
    ├── MalformedEvent
    └── UndecodableProperties
"""

import time


def reason_of(error: BaseException) -> str:
    """Return the text of a driver's error without codes and quotes, or its class if it has no text."""
    return next((text for text in reversed(error.args) if isinstance(text, str) and text), type(error).__name__)


class MessagingError(Exception):
    """Base of all errors of this package."""


class ConfigurationError(MessagingError):
    """A retry cannot succeed before a setting, a permission or the topology is changed."""


class BrokerTooOld(ConfigurationError):
    """The broker is older than 4.3.1: it accepts the arguments for delayed retry and ignores them."""


class AccessRefused(ConfigurationError):
    """The credentials are wrong, or the broker user lacks a permission. The text names it."""


class TopologyMissing(ConfigurationError):
    """A queue, an exchange or a virtual host does not exist. Services never declare any."""


class Unavailable(MessagingError):
    """A server cannot be reached. Messages in progress return to their queue, and the attempt is not counted."""


class BrokerUnavailable(Unavailable):
    """The broker cannot be reached, did not answer in time, or ended the connection."""


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached, or ended the connection. A transaction may have been committed or not: the inbox
    shows it when its messages are delivered again."""


class DownstreamUnavailable(Unavailable):
    """An external system is not called for `seconds`: its circuit breaker is open, or its rate limit is used up."""

    def __init__(self, text: str, seconds: float) -> None:
        super().__init__(text)
        self.seconds = seconds
        self._until = time.monotonic() + seconds

    @property
    def seconds_left(self) -> float:
        """The rest of `seconds` at this moment."""
        return max(self._until - time.monotonic(), 0.0)


class TransientError(MessagingError):
    """Raised by a handler or an effect: retry after the queue's delay, and park after RetryPolicy.attempts."""


class PermanentError(MessagingError):
    """Raised by a handler or an effect: no retry can succeed, park the message."""


class MalformedEvent(PermanentError):
    """The body is not an event that this consumer can read. The text says which part is wrong."""


class UndecodableProperties(PermanentError):
    """AMQP properties of a message cannot be decoded. The text names the fields."""
