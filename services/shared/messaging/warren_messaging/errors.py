"""All errors of the library.

MessagingError
├── ConfigurationError      the process cannot work as configured: it ends with the message
│   ├── BrokerTooOld
│   ├── AccessRefused
│   └── TopologyMissing
├── Unavailable             a server is unavailable: wait and continue; not an error of a message
│   ├── BrokerUnavailable
│   └── DatabaseUnavailable
├── TransientError          this message failed now and may succeed later: delayed retry
└── PermanentError          this message can never succeed: parking lot
    ├── MalformedEvent
    └── UndecodableProperties
"""


class MessagingError(Exception):
    """Base of all errors of this package."""


class ConfigurationError(MessagingError):
    """A retry cannot succeed before a setting, a permission or the topology is changed."""


class BrokerTooOld(ConfigurationError):
    """The broker accepts the arguments for delayed retry and ignores them."""


class AccessRefused(ConfigurationError):
    """The credentials are wrong, or the broker user lacks a permission."""


class TopologyMissing(ConfigurationError):
    """A queue or exchange does not exist. Services never declare any."""


class Unavailable(MessagingError):
    """A server cannot be reached."""


class BrokerUnavailable(Unavailable):
    pass


class DatabaseUnavailable(Unavailable):
    pass


class TransientError(MessagingError):
    """Raised by a handler or an effect: retry later."""


class PermanentError(MessagingError):
    """Raised by a handler or an effect: no retry can succeed, park the message."""


class MalformedEvent(PermanentError):
    """The body is not an event that this consumer can read."""


class UndecodableProperties(PermanentError):
    """AMQP properties of a message cannot be decoded. The text names the fields."""
