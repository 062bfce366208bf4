"""What can go wrong, as one tree.

MessagingError
├── ConfigurationError      the process cannot work as set up: it ends with the message
│   ├── BrokerTooOld
│   ├── AccessRefused
│   └── TopologyMissing
├── Unavailable             a server is away: wait and go on, no message is blamed
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
    """Retrying cannot help until somebody changes a setting, a permission or the topology."""


class BrokerTooOld(ConfigurationError):
    """Older brokers accept the arguments for delayed retry and silently ignore them."""


class AccessRefused(ConfigurationError):
    """Wrong credentials, or a permission that the broker user lacks."""


class TopologyMissing(ConfigurationError):
    """A queue or exchange that should exist does not. Services never declare any."""


class Unavailable(MessagingError):
    """A server cannot be reached at the moment."""


class BrokerUnavailable(Unavailable):
    pass


class DatabaseUnavailable(Unavailable):
    pass


class TransientError(MessagingError):
    """Raised by a handler or an effect: try again later."""


class PermanentError(MessagingError):
    """Raised by a handler or an effect: no retry will help, park the message."""


class MalformedEvent(PermanentError):
    """The body is not an event that this consumer can read."""


class UndecodableProperties(PermanentError):
    """The AMQP properties of a message hold what no client can decode. The text names the fields."""
