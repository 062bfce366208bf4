"""Settings of the notification service."""

import re

from services.shared.chassis.settings import ProcessSettings
from warren_messaging.errors import ConfigurationError
from warren_messaging.settings import Days

_DOMAIN = re.compile(r"[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*")


class NotificationSettings(ProcessSettings, frozen=True, kw_only=True):
    contact_domain: str | None = None
    """Mail domain of customers without a contact: <customer>@<contact_domain>; not set: they get no message."""
    contact_days: Days = 90
    """How long the customer's addresses are kept after the last event of an order."""

    def __post_init__(self) -> None:
        if self.contact_domain is not None and not _DOMAIN.fullmatch(self.contact_domain):
            raise ConfigurationError(f"settings: WARREN_CONTACT_DOMAIN={self.contact_domain!r} is not a domain name")
